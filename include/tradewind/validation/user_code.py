"""The project's Python files, run to see what they define. Meant for a process of its own: :mod:`.alone`."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tradewind
from tradewind.core.runtime import Runtime
from tradewind.errors import TradewindError
from tradewind.spec.models import Features, Pipeline
from tradewind.validation.subject import incomplete

if TYPE_CHECKING:
    from feast import FeatureView

    from tradewind.features.definitions import Definitions

Answer = dict[str, Any]
"""Plain values. ``error`` is there if the code does not run: ``message`` and, if known, ``file`` and ``line``."""


def look(request: Mapping[str, Any]) -> Answer:
    """Run the code of one request and say what came of it; nothing is raised.

    :param request: ``kind`` (features or model), ``root``, and what :func:`request_features` and
        :func:`request_model` put there
    """
    root = Path(request["root"])
    with _importable(root / "include"):
        try:
            return _features(request, root) if request["kind"] == "features" else _model(request, root)
        except (Exception, SystemExit) as exc:
            return {"error": _error(exc, root)}


def request_features(root: Path, spec: Pipeline) -> dict[str, Any]:
    """Ask for what the definitions file of ``spec`` defines."""
    assert spec.features is not None
    return {
        "kind": "features",
        "root": str(root),
        "pipeline": spec.pipeline,
        "definitions": spec.features.definitions,
        "datasets": list(spec.datasets),
    }


def request_model(root: Path, reference: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """Ask for what the model function returns."""
    return {"kind": "model", "root": str(root), "reference": reference, "params": dict(params)}


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


def _features(request: Mapping[str, Any], root: Path) -> Answer:
    from tradewind.features.definitions import collect, flaws

    spec = incomplete(
        pipeline=request["pipeline"],
        features=Features(definitions=request["definitions"]),
        datasets=dict.fromkeys(request["datasets"]),
    )
    runtime = Runtime(
        project=root, lake="", landing="", ledger="", mlflow="", feast_registry="", feast_online={}, reports=root
    )
    found = collect(spec, runtime)
    wrong = flaws(found, spec)
    bad = {flaw.name for flaw in wrong}
    return {
        "flaws": [asdict(flaw) for flaw in wrong],
        "views": [_view(view, found) for view in found.views if view.name not in bad],
        "services": {
            name: [[p.name, [feature.name for feature in p.features]] for p in service.feature_view_projections]
            for name, service in found.services.items()
        },
    }


def _view(view: FeatureView, found: Definitions) -> dict[str, Any]:
    from tradewind.features.definitions import source_of

    source = source_of(view)
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


def _model(request: Mapping[str, Any], root: Path) -> Answer:
    from tradewind.models.code import imported, locate

    with imported(locate(request["reference"], root)) as build_model:
        estimator = build_model(dict(request["params"]))
        lacks = [name for name in ("fit", "predict_proba") if not hasattr(estimator, name)]
        return {"returns": type(estimator).__name__, "lacks": lacks}


def _error(exc: BaseException, root: Path) -> dict[str, Any]:
    """What went wrong in the user's own words, and the last line of the project that it went through."""
    cause = exc.__cause__ if isinstance(exc, TradewindError) and exc.__cause__ else exc
    if isinstance(cause, SyntaxError) and cause.filename:
        return {"message": f"{type(cause).__name__}: {cause.msg}", "file": cause.filename, "line": cause.lineno}
    words = str(exc) if isinstance(exc, TradewindError) and cause is exc else f"{type(cause).__name__}: {cause}"
    frames = traceback.extract_tb(cause.__traceback__)
    own = Path(tradewind.__file__).parent
    lines = [f for f in frames if (p := Path(f.filename)).is_relative_to(root) and not p.is_relative_to(own)]
    return {"message": words, "file": lines[-1].filename, "line": lines[-1].lineno} if lines else {"message": words}
