"""What is written beside a model: the rows that judged it, what it came from, and what it looks at."""

from __future__ import annotations

import json
import math
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tradewind.core import profiles
from tradewind.errors import ModelError
from tradewind.isolation.thread_limits import limit_threads
from tradewind.spec.digest import config_hash
from tradewind.training import estimator as estimators
from tradewind.training import evaluation, explanation_page, importance
from tradewind.training.model_frame import PARTITION
from tradewind.training.model_inputs import train_config
from tradewind.training.requirements import exact_requirements

if TYPE_CHECKING:
    import pyarrow as pa

    from tradewind.spec.pipeline import Pipeline
    from tradewind.training.model_frame import ModelFrame
    from tradewind.training.training_plan import FittedCandidate, TrainingPlan

EXAMPLE_ROWS = 20
_LIBRARIES = (
    "airflow-provider-tradewind", "deltalake", "duckdb", "feast", "joblib", "mlflow", "numpy", "optuna", "pandas",
    "pyarrow", "scikit-learn", "scipy", "skops",
)  # fmt: skip


def write_evidence(folder: Path, plan: TrainingPlan, built: FittedCandidate) -> None:
    """Write every file of the evidence into ``folder``. Inside :func:`code.imported`.

    :raises ModelError: the model fails on its example
    """
    import pyarrow.parquet as pq

    spec, seed = plan.spec, train_config(plan.spec).seed
    pq.write_table(select_test_rows(spec, built.test), folder / "test.parquet")
    example = replace(built.test, table=built.test.table.slice(0, EXAMPLE_ROWS))
    pq.write_table(example.inputs(), folder / "example.parquet")
    answers, _ = estimators.predict_rows(built.fitted, example)
    _write_json(folder / "example.json", {"predictions": answers.tolist()})
    _write_json(folder / "lineage.json", {"versions": plan.pinned.versions, "digests": plan.pinned.digests})
    _write_json(folder / "row_checks.json", [asdict(finding) for finding in built.findings])
    _write_json(folder / "metrics.json", train_test_scores(built))
    _write_json(folder / "environment.json", training_environment(plan, built))
    _write_json(
        folder / "profile.json", _profile_inputs(built.fit), indent=None
    )  # thousands of bins, which no one reads
    if built.search is not None:
        _write_json(folder / "search.json", asdict(built.search))
    metric = evaluation.primary_metric(spec, train_config(spec))
    with limit_threads():
        important = importance.measure_importance(built.fitted, built.test, metric, seed=seed)
        page = explanation_page.render_explanation_page(spec, _explanation_facts(plan, built, metric, important))
    _write_json(folder / "importance.json", [asdict(one) for one in important])
    (folder / "explanation.html").write_text(page, encoding="utf-8")


def select_test_rows(spec: Pipeline, frame: ModelFrame) -> pa.Table:
    """Rows as they judge: key, time, partition, label (if there is one) and `verdict.columns` as they are; the model's
    columns as the model gets them.
    """
    own = [frame.key, frame.timestamp, PARTITION, *([frame.label] if frame.label else []), *spec.verdict.columns]
    inputs = frame.inputs()
    rows = frame.table.select([name for name in dict.fromkeys(own) if name not in frame.columns])
    for name in inputs.column_names:
        rows = rows.append_column(name, inputs[name])
    return rows


select_test_rows.__test__ = False  # type: ignore[attr-defined]  # pytest would take the name for a test


def require_verdict_columns(spec: Pipeline, frame: ModelFrame) -> None:
    """Stop before a fit if a column that the verdict will need is not there.

    :raises ModelError: `verdict.columns` names one that the label dataset does not have
    """
    if missing := sorted(set(spec.verdict.columns) - set(frame.table.column_names)):
        raise ModelError(
            f"pipeline {spec.pipeline}: label dataset {train_config(spec).label.dataset} has no column "
            f"{', '.join(missing)}, which `verdict.columns` names; add it to its SQL"
        )


def lineage_tags(plan: TrainingPlan, built: FittedCandidate) -> dict[str, str]:
    """Lineage of a version, for MLflow; all keys begin with ``tradewind.``."""
    train, window = train_config(plan.spec), plan.window
    facts: dict[str, Any] = {
        "pipeline": plan.spec.pipeline,
        "task": train.task,
        "train_partitions": plan.learned,
        "validation_partitions": window.validation,
        "test_partitions": plan.judging,
        "fit_until": plan.learned_until.isoformat(),
        "dataset_versions": dict(plan.pinned.versions),
        "data": config_hash(plan.pinned.by_name()),
        "code": plan.code.digest(),
        "config": plan.config,
        "params": dict(built.params),
        "majority": dict(built.majority),
        "serialization": train.serialization,
        "warnings": training_warnings(plan, built),
        "scores": _scores_for_ledger(plan, built),
    }
    if plan.refit_of:
        facts["refit_of"] = plan.refit_of
    if train.task == "binary":
        facts["positive_share"] = built.majority["shares"][1]
    if built.early is not None:
        facts["early"] = asdict(built.early)
    if built.search is not None:
        found = built.search
        facts["search"] = {"metric": found.metric, "value": found.value, "trials": len(found.trials)}
        facts["search"]["seconds"] = round(found.seconds, 1)
    if plan.metric_code:
        facts["metric_code"] = dict(plan.metric_code)
    if (commit := plan.commit or git_commit(plan.code.folder)) is not None:
        facts["git"] = commit
    return {f"tradewind.{name}": _tag_text(value) for name, value in facts.items()}


def training_warnings(plan: TrainingPlan, built: FittedCandidate) -> list[str]:
    """What the verdict has to say beside its numbers."""
    found = [finding.sentence for finding in built.findings if finding.severity == "warning"]
    if train_config(plan.spec).serialization == "pickle":
        found.append("the model is stored with pickle, which runs code when it is loaded: load it only if you trust it")
    return found


def training_environment(plan: TrainingPlan, built: FittedCandidate) -> dict[str, Any]:
    """With what a version was made, so that it can be made again."""
    train, written = train_config(plan.spec), plan.spec.model_dump(mode="json")
    written["train"]["params"] = dict(train.params)  # as they are: pydantic makes null of .inf
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "libraries": {name: found for name in _LIBRARIES if (found := _installed_version(name)) is not None},
        "requirements": exact_requirements(plan.code),
        "seeds": {"train": train.seed},
        "code": plan.code.digest(),
        "git": plan.commit or git_commit(plan.code.folder),
        "config": plan.config,
        "data": config_hash(plan.pinned.by_name()),
        "train": written["train"],
        "pipeline": written,
        "window": {"fit": plan.window.fit, "validation": plan.window.validation, "test": plan.window.test},
        "refit_of": plan.refit_of,
        "params": dict(built.params),
        "params_yaml": _params_as_yaml(built.params),
    }


def train_test_scores(built: FittedCandidate) -> dict[str, dict[str, Any]]:
    """Every metric with its interval on the test rows, and its value on the rows that were learned from (``train``)."""
    return {name: {**one, "train": built.seen.get(name)} for name, one in built.metrics.items()}


def _scores_for_ledger(plan: TrainingPlan, built: FittedCandidate) -> dict[str, dict[str, float | None]]:
    """For the ledger: the score on the rows that were learned from, beside that of the test rows where it saw none."""
    found: dict[str, dict[str, float | None]] = {}
    for name, one in train_test_scores(built).items():
        test = None if plan.refit_of or not math.isfinite(one["value"]) else one["value"]
        found[name] = {"test": test, "train": one["train"]}
    return found


def git_commit(folder: Path) -> str | None:
    """Commit of the project's code, with ``+`` if the code was changed since; None outside of git, or without git."""
    try:
        head = _run_git(folder, "rev-parse", "HEAD")
        changed = _run_git(folder, "status", "--porcelain", "--", ".")
    except (OSError, subprocess.SubprocessError):
        return None
    return f"{head}+" if changed else head


def _run_git(folder: Path, *asked: str) -> str:
    done = subprocess.run(["git", "-C", str(folder), *asked], capture_output=True, text=True, check=True, timeout=10)
    return done.stdout.strip()


def _explanation_facts(
    plan: TrainingPlan, built: FittedCandidate, metric: str, important: list[importance.FeatureImportance]
) -> dict[str, Any]:
    first = [one.feature for one in important[: importance.FEATURES] if one.mean > 0]
    followed = importance.measure_partial_dependence(built.fitted, built.test, first, seed=train_config(plan.spec).seed)
    return {
        "partition": plan.partition,
        "metric": metric,
        "rows": built.test.table.num_rows,
        "importance": [asdict(one) for one in important],
        "dependence": followed,
        "columns": [{"name": field.name, "type": str(field.type)} for field in built.test.inputs().schema],
        "warnings": training_warnings(plan, built),
        "model": train_config(plan.spec).model,
        "params": dict(built.params),
    }


def _profile_inputs(rows: ModelFrame) -> dict[str, Any]:
    """How each input of the model was distributed in the rows that it learned from."""
    inputs = rows.inputs()
    made = {name: _profile_column(inputs[name]) for name in inputs.column_names}
    return {name: json.loads(profiles.to_json(profile)) for name, profile in made.items() if profile is not None}


def _profile_column(column: pa.ChunkedArray) -> profiles.ColumnProfile | None:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_floating(column.type):
        return profiles.profile_numbers(pc.drop_null(column).to_numpy(), null=column.null_count)
    if pa.types.is_string(column.type):
        counts = {c["values"]: c["counts"] for c in column.drop_null().value_counts().to_pylist()}
        return profiles.profile_texts(counts, null=column.null_count)
    return None


def _installed_version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _params_as_yaml(params: Mapping[str, Any]) -> str:
    """Parameters as a YAML file says them: JSON makes text of the names in `class_weight: {0: 1, 1: 5}`."""
    import yaml

    try:
        return str(yaml.safe_dump(dict(params), sort_keys=False))
    except yaml.YAMLError as exc:
        raise ModelError(
            f"parameters of the model cannot be written down: {exc}; give numbers, text and lists"
        ) from exc


def _write_json(path: Path, content: Mapping[str, Any] | list[Any], *, indent: int | None = 1) -> None:
    path.write_text(json.dumps(content, indent=indent, default=str), encoding="utf-8")


def _tag_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)
