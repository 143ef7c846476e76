"""The project's Python files, run to see what they define. Meant for a process of its own: :mod:`.alone`."""

from __future__ import annotations

import inspect
import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tradewind.core.runtime import Runtime
from tradewind.deployment import Deployment
from tradewind.errors import MetricError
from tradewind.spec.pipeline import Features, Pipeline
from tradewind.validation.smoke_test import describe_user_error, try_model, try_rule
from tradewind.validation.synthetic_rows import synthetic_predictions
from tradewind.validation.validated_pipeline import build_partial_pipeline

if TYPE_CHECKING:
    from feast import FeatureView

    from tradewind.features.definitions import Definitions
    from tradewind.isolation.project_code import ProjectCode
    from tradewind.metrics.metric import Task
    from tradewind.spec.training import Search, Train

Answer = dict[str, Any]
"""Plain values. ``error`` is there if the code does not run: ``message`` and, if known, ``file`` and ``line``."""


def run_user_code(request: Mapping[str, Any]) -> Answer:
    """Run the code of one request and say what came of it; nothing is raised.

    :param request: ``kind``, ``root``, and what the function that made it put there: :func:`request_features`,
        :func:`request_model`, :func:`request_space`, :func:`request_heuristic`,
        :func:`request_metric`, or :func:`tradewind.validation.smoke_test_checks.plan_smoke_tests`
    """
    root = Path(request["root"])
    looks = {
        "features": _run_definitions, "model": _run_model, "space": _run_space, "heuristic": _run_heuristic,
        "metric": _run_metric, "trial": try_model, "rule": try_rule,
    }  # fmt: skip
    with _importable(root / "include"):
        try:
            return looks[request["kind"]](request, root)
        except (Exception, SystemExit) as exc:
            return {"error": describe_user_error(exc, root)}


def request_features(root: Path, spec: Pipeline, *, datasets: Sequence[str]) -> dict[str, Any]:
    """Ask for what the definitions file of ``spec`` defines.

    :param datasets: names of all datasets that there are
    """
    assert spec.features is not None
    return {
        "kind": "features",
        "root": str(root),
        "pipeline": spec.pipeline,
        "definitions": spec.features.definitions,
        "datasets": list(datasets),
    }


def request_model(root: Path, reference: str, params: Mapping[str, Any], *, task: Task = "binary") -> dict[str, Any]:
    """Ask for what the model function returns."""
    return {"kind": "model", "root": str(root), "reference": reference, "params": dict(params), "task": task}


def request_space(root: Path, train: Train, search: Search) -> dict[str, Any]:
    """Ask what a search space suggests, and whether the model function takes it."""
    model = {"model": train.model, "params": dict(train.params)}
    return {"kind": "space", "root": str(root), "reference": search.space, **model}


def request_heuristic(root: Path, reference: str) -> dict[str, Any]:
    """Ask whether a rule is there and takes the test rows."""
    return {"kind": "heuristic", "root": str(root), "reference": reference}


def request_metric(root: Path, reference: str, *, task: Task) -> dict[str, Any]:
    """Ask whether a metric is there and returns a number for labels and predictions of the task."""
    return {"kind": "metric", "root": str(root), "reference": reference, "task": task}


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Let definitions import the project's other modules, as Airflow does; none of them stays behind."""
    sys.path.insert(0, str(folder))
    before, written = set(sys.modules), sys.dont_write_bytecode
    sys.dont_write_bytecode = True
    try:
        yield
    finally:
        sys.dont_write_bytecode = written
        sys.path.remove(str(folder))
        for name in set(sys.modules) - before:
            if str(getattr(sys.modules[name], "__file__", None) or "").startswith(f"{folder}/"):
                del sys.modules[name]


def _run_definitions(request: Mapping[str, Any], root: Path) -> Answer:
    from tradewind.features.definitions import collect_definitions, find_definition_flaws

    spec = build_partial_pipeline(
        pipeline=request["pipeline"],
        features=Features(definitions=request["definitions"]),
        datasets=dict.fromkeys(request["datasets"]),
    )
    runtime = Runtime(
        project=root, lake="", landing="", ledger="", mlflow="", feast_registry="", feast_online={}, reports=root
    )
    found = collect_definitions(Deployment(spec, runtime))
    wrong = find_definition_flaws(found, spec)
    bad = {flaw.name for flaw in wrong}
    return {
        "flaws": [asdict(flaw) for flaw in wrong],
        "views": [_describe_view(view, found) for view in found.views if view.name not in bad],
        "services": {
            name: [[p.name, [feature.name for feature in p.features]] for p in service.feature_view_projections]
            for name, service in found.services.items()
        },
    }


def _describe_view(view: FeatureView, found: Definitions) -> dict[str, Any]:
    from tradewind.features.definitions import view_source

    source = view_source(view)
    columns = {new: old for old, new in source.field_mapping.items()}
    entities = {o.name: o for o in found.objects if type(o).__name__ == "Entity"}
    joined = [entities[name] for name in view.entities if name in entities]
    return {
        "name": view.name,
        "dataset": source.dataset,
        "timestamp": source.timestamp_field,
        "created": source.created_timestamp_column or "",
        "keys": [[columns.get(e.join_key, e.join_key), e.join_key, e.value_type.name] for e in joined],
        "features": [[columns.get(f.name, f.name), f.name, str(f.dtype)] for f in view.features],
    }


def _run_model(request: Mapping[str, Any], root: Path) -> Answer:
    from tradewind.isolation.project_code import locate_project_code

    estimator = _build_model(locate_project_code(request["reference"], root), request["params"])
    if isinstance(estimator, type):
        return {"returns": f"the class {estimator.__name__}", "lacks": [], "instead": "an instance of it is needed"}
    needed = "predict" if request["task"] == "regression" else "predict_proba"
    lacks = [name for name in ("fit", needed) if not hasattr(estimator, name)]
    wrong = request["task"] == "regression" and not lacks and _is_classifier(estimator)
    instead = "a classifier, where `train.task` is regression" if wrong else ""
    return {"returns": type(estimator).__name__, "lacks": lacks, "instead": instead}


def _is_classifier(estimator: Any) -> bool:
    from sklearn.base import is_classifier

    try:
        return bool(is_classifier(estimator))
    except Exception:  # an estimator that is none of scikit-learn's says nothing of itself
        return False


def _run_space(request: Mapping[str, Any], root: Path) -> Answer:
    from tradewind.isolation.project_code import import_project_code, locate_project_code

    space, model = locate_project_code(request["reference"], root), locate_project_code(request["model"], root)
    if space.folder != model.folder:
        lies = f"it lies in {space.folder.name} and the model in {model.folder.name}"
        return {"flaw": f"cannot be logged: {lies}; put it beside the model, so that it is logged with it"}
    try:
        import optuna
    except ImportError:
        return {"missing": "pip install 'airflow-provider-tradewind[search]'"}
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with import_project_code(space) as suggest:
        try:
            given = suggest(optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0)).ask())
        except optuna.TrialPruned:
            return {}
    if not isinstance(given, dict) or not all(isinstance(name, str) for name in given):
        return {"flaw": f"returns a {type(given).__name__}, where a dict of parameters by name is needed"}
    try:
        suggested = json.loads(json.dumps(given))
    except (TypeError, ValueError) as exc:
        return {"flaw": f"returns what cannot be recorded ({exc}): numbers, text, booleans and lists can"}
    try:
        _build_model(model, request["params"])
    except Exception:
        return {}  # which is told of the model
    try:
        _build_model(model, {**request["params"], **suggested})
    except Exception as exc:
        said = ", ".join(f"{name} = {json.dumps(value)}" for name, value in suggested.items())
        return {"flaw": f"suggests {said}, with which the model function fails: {type(exc).__name__}: {exc}"}
    return {}


def _build_model(code: ProjectCode, params: Mapping[str, Any]) -> Any:
    from tradewind.isolation.project_code import import_project_code

    with import_project_code(code) as build_model:
        return build_model(dict(params))


def _run_heuristic(request: Mapping[str, Any], root: Path) -> Answer:
    from tradewind.isolation.project_code import import_project_code, locate_project_code

    with import_project_code(locate_project_code(request["reference"], root)) as rule:
        try:
            inspect.signature(rule).bind(None)
        except TypeError as exc:
            return {"flaw": f"takes other arguments than the rows that judge: {exc}"}
        except ValueError:  # the arguments of some functions are unknown that are not written in Python
            pass
    return {}


def _run_metric(request: Mapping[str, Any], root: Path) -> Answer:
    from tradewind.isolation.project_code import import_project_code, locate_project_code
    from tradewind.isolation.project_metric import checked_metric_value

    labels, predictions, what = synthetic_predictions(request["task"])
    with import_project_code(locate_project_code(request["reference"], root)) as metric:
        try:
            inspect.signature(metric).bind(None, None)
        except TypeError as exc:
            return {"flaw": f"takes other arguments than y_true and y_pred: {exc}"}
        except ValueError:  # the arguments of some functions are unknown that are not written in Python
            pass
        value = metric(labels, predictions)
    try:
        number = checked_metric_value(value)
    except MetricError as exc:
        return {"flaw": str(exc)}
    return {"flaw": f"returns NaN for {what}"} if math.isnan(number) else {}
