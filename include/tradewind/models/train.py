"""Training: one candidate from one window, logged with everything that it came from."""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tradewind.core.metrics import HIGHER_IS_BETTER, compute
from tradewind.errors import ModelError, UsageError
from tradewind.lake.cause import Cause
from tradewind.ledger import absences
from tradewind.ledger.journal import Entry, Ledger
from tradewind.models import estimator as estimators
from tradewind.models.code import ProjectCode, imported, locate
from tradewind.models.frame import PARTITION, Frame, training_frame
from tradewind.models.inputs import Pinned, definitions_digest, feature_time, pin, scoring, training
from tradewind.models.registry import Registry, Version
from tradewind.spec.digest import config_hash
from tradewind.spec.gates import MetricGate

if TYPE_CHECKING:
    import pyarrow as pa

    from tradewind.core.runtime import Runtime
    from tradewind.spec.models import Pipeline

log = logging.getLogger(__name__)

CODE = "train/1"
EXAMPLE_ROWS = 20


@dataclass(frozen=True, slots=True)
class Trained:
    """A candidate.

    :param version: its number in the model registry
    :param cause: hash of all that determined it
    :param train_partitions: what it was fitted on
    :param test_partitions: what judges it
    :param changed: False if it was there already
    """

    version: str
    mlflow_run_id: str
    experiment_id: str
    cause: str
    train_partitions: tuple[str, ...]
    test_partitions: tuple[str, ...]
    changed: bool


@dataclass(frozen=True, slots=True)
class _Window:
    fit: tuple[str, ...]
    test: tuple[str, ...]

    @property
    def keys(self) -> tuple[str, ...]:
        return (*self.fit, *self.test)


def train(spec: Pipeline, partition: str, runtime: Runtime) -> Trained:
    """Fit a candidate on the window that ends with ``partition``, evaluate it on the window's last part, register it.

    Nothing is fitted if a version with the same cause is there already.

    :raises UsageError: the window begins before the pipeline does
    :raises MissingInput: a partition of the window is not there
    :raises ModelError: the model cannot be built, fitted, or logged
    """
    window = _window(spec, partition, Ledger(runtime.ledger))
    code = locate(training(spec).model, runtime.project)
    pinned = _pin(spec, window, runtime)
    cause = _cause(spec, code, pinned, runtime).hash
    registry = Registry(runtime, spec.model_name)
    version = registry.find(cause)
    changed = version is None
    if version is None:
        version = _train(
            spec, partition, runtime, window=window, code=code, pinned=pinned, cause=cause, registry=registry
        )
    _journal(spec, partition, runtime, version=version, window=window, cause=cause, pinned=pinned)
    log.info(
        "%s at %s: %s is %s; fitted on %s … %s, tested on %s … %s",
        spec.pipeline, partition, version, "new" if changed else "there already",
        window.fit[0], window.fit[-1], window.test[0], window.test[-1],
    )  # fmt: skip
    return Trained(
        version.version, version.mlflow_run_id, version.experiment_id, cause, window.fit, window.test, changed
    )


def _window(spec: Pipeline, partition: str, ledger: Ledger) -> _Window:
    asked = training(spec)
    keys = spec.partitioning.window(partition, asked.window)
    if keys[0] < spec.start:
        raise UsageError(
            f"{spec.pipeline}: the window of {asked.window} partitions that ends with {partition} begins at {keys[0]}, "
            f"before the pipeline's start {spec.start}; train at a later partition"
        )
    absent = absences.left_out(ledger, spec.pipeline)
    present = [key for key in keys if key not in absent]
    if len(present) <= asked.test:
        raise UsageError(
            f"{spec.pipeline}: of the {asked.window} partitions of the window that ends with {partition}, "
            f"{len(keys) - len(present)} are left out; train at a later partition"
        )
    return _Window(tuple(present[: -asked.test]), tuple(present[-asked.test :]))


def _pin(spec: Pipeline, window: _Window, runtime: Runtime) -> Pinned:
    since = feature_time(spec, window.keys[0]) or spec.partitioning.bounds(window.keys[0]).start
    last = spec.partitioning.shift(window.keys[-1], -scoring(spec).ahead)
    return pin(spec, runtime, since=since, last=last, rows={training(spec).label.dataset: window.keys})


def _cause(spec: Pipeline, code: ProjectCode, pinned: Pinned, runtime: Runtime) -> Cause:
    population = scoring(spec).population
    entity = [scoring(spec).ahead, scoring(spec).predict_at, population.key, population.timestamp]
    sliced = sorted({gate.slice for gate in spec.gates if isinstance(gate, MetricGate) and gate.slice})
    config = config_hash(training(spec), entity, spec.timezone, sliced, definitions_digest(spec, runtime))
    return Cause(pinned.by_name(), config, f"{CODE} {code.digest()}")


def _train(
    spec: Pipeline, partition: str, runtime: Runtime, *,
    window: _Window, code: ProjectCode, pinned: Pinned, cause: str, registry: Registry,
) -> Version:  # fmt: skip
    known_by = spec.partitioning.bounds(partition).end
    frame = training_frame(spec, window.keys, runtime, known_by=known_by, versions=pinned.versions)
    fit, test = frame.where(window.fit), frame.where(window.test)
    for name, part, keys in (("training", fit, window.fit), ("test", test, window.test)):
        _check_labels(f"{spec.pipeline} at {partition}: the {name} rows ({keys[0]} … {keys[-1]})", part)
    with imported(code) as build_model, tempfile.TemporaryDirectory() as scratch:
        fitted = estimators.fit(build_model, training(spec), fit, name=training(spec).model)
        probability = estimators.answers(fitted, test)[0][:, 1]
        metrics = {f"test_{metric}": compute(metric, test.labels(), probability) for metric in HIGHER_IS_BETTER}
        metrics |= {"train_rows": float(fit.table.num_rows), "test_rows": float(test.table.num_rows)}
        evidence = Path(scratch)
        _write_evidence(evidence, spec, test, fitted, pinned)
        return registry.log(
            estimators.saver(fitted, training(spec), code, test.inputs().slice(0, EXAMPLE_ROWS)),
            cause=cause,
            partition=partition,
            params={**training(spec).params, "seed": training(spec).seed, "model": training(spec).model},
            metrics=metrics,
            tags=_tags(spec, window, code, pinned, positive=float(fit.labels().mean())),
            evidence=evidence,
        )


def _check_labels(what: str, frame: Frame) -> None:
    if not frame.table.num_rows:
        raise ModelError(f"{what} have no known label; check the label column and `available_after`")
    if len(set(frame.labels().tolist())) < 2:
        raise ModelError(f"{what} have one class only; a classifier needs both")


def _tags(spec: Pipeline, window: _Window, code: ProjectCode, pinned: Pinned, *, positive: float) -> dict[str, str]:
    return {
        "tradewind.pipeline": spec.pipeline,
        "tradewind.train_partitions": json.dumps(window.fit),
        "tradewind.test_partitions": json.dumps(window.test),
        "tradewind.dataset_versions": json.dumps(pinned.versions, sort_keys=True),
        "tradewind.data": config_hash(pinned.by_name()),
        "tradewind.code": code.digest(),
        "tradewind.positive_share": repr(positive),
    }


def _write_evidence(folder: Path, spec: Pipeline, test: Frame, fitted: Any, pinned: Pinned) -> None:
    """The rows that judge, the example with its predictions, and the lineage."""
    import pyarrow.parquet as pq

    pq.write_table(_test_rows(spec, test), folder / "test.parquet")
    example = test.inputs().slice(0, EXAMPLE_ROWS)
    answers = estimators.answers(fitted, replace(test, table=test.table.slice(0, EXAMPLE_ROWS)))[0].tolist()
    (folder / "example.json").write_text(json.dumps({"predictions": answers}))
    pq.write_table(example, folder / "example.parquet")
    (folder / "lineage.json").write_text(json.dumps({"versions": pinned.versions, "digests": pinned.digests}, indent=1))


def _test_rows(spec: Pipeline, test: Frame) -> pa.Table:
    """Key, time, partition, label, slices as they are; the model's columns as the model gets them."""
    assert test.label is not None
    slices = [
        gate.slice for gate in spec.gates if isinstance(gate, MetricGate) and gate.slice in test.table.column_names
    ]
    names = dict.fromkeys([test.key, test.timestamp, PARTITION, test.label, *slices])
    rows, inputs = test.table.select([name for name in names if name not in test.columns]), test.inputs()
    for name in inputs.column_names:
        rows = rows.append_column(name, inputs[name])
    return rows


def _journal(
    spec: Pipeline, partition: str, runtime: Runtime, *, version: Version, window: _Window, cause: str, pinned: Pinned
) -> None:
    """The newest entry of a partition is its candidate, also when its inputs changed and changed back."""
    ledger = Ledger(runtime.ledger)
    earlier = ledger.find(spec.pipeline, "trained", partition=partition)
    if earlier and earlier[-1].subject == version.version:
        return
    evidence: Mapping[str, Any] = {
        "version": version.version,
        "mlflow_run_id": version.mlflow_run_id,
        "train_partitions": list(window.fit),
        "test_partitions": list(window.test),
        "digests": {name: dict(found) for name, found in pinned.digests.items()},
        "versions": dict(pinned.versions),
        "positive_share": float(version.tags["tradewind.positive_share"]),
    }
    key = f"{cause}/{len(earlier)}" if ledger.get(spec.pipeline, "trained", key=cause) else cause
    entry = Entry(
        spec.pipeline, "trained", version.version, partition, key,
        outcome="trained", reason=f"fitted on {window.fit[0]} … {window.fit[-1]}", evidence=evidence,
        actor=runtime.actor, run_id=runtime.run_id,
    )  # fmt: skip
    ledger.append(entry)
