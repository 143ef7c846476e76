"""Training: one candidate from one window, logged with everything that it came from."""

from __future__ import annotations

import json
import logging
import math
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tradewind.ledger.journal import Entry, Ledger
from tradewind.models import alarms, evidence
from tradewind.models import estimator as estimators
from tradewind.models.build import Built, Plan, build, plan
from tradewind.models.code import imported
from tradewind.models.early import Chance
from tradewind.models.inputs import training
from tradewind.models.predictions import require_same_task
from tradewind.models.registry import Registry, Version
from tradewind.models.runs import MODEL_DIGEST, Nested, Record

if TYPE_CHECKING:
    from tradewind.core.runtime import Runtime
    from tradewind.models.search import Found
    from tradewind.spec.models import Pipeline

log = logging.getLogger(__name__)

TRAINED, REFITTED = "trained", "refitted"
"""Outcomes of an entry `trained`: a candidate, which is judged; or a judged one, fitted once more on everything."""


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
class NotWorth:
    """The early gate was not reached: nothing more was fitted, and there is no candidate.

    :param value: of the metric on the validation rows; None if it has none there
    """

    metric: str
    value: float | None
    bound: float
    reason: str


def train(spec: Pipeline, partition: str, runtime: Runtime) -> Trained | NotWorth:
    """Fit a candidate on the window that ends with ``partition``, evaluate it on the window's last part, register it.

    Nothing is fitted if a version with the same cause is there already, or was found not worth it.

    :raises UsageError: what was predicted until now was of another task
    :raises MissingInput: the window is not complete
    :raises MissingExtra: a search is asked for and Optuna is not installed
    :raises ModelError: the rows are not fit for training, or the model cannot be built, fitted, or logged
    """
    require_same_task(spec, runtime)
    planned = plan(spec, partition, runtime)
    ledger = Ledger(runtime.ledger)
    if (rejected := ledger.get(spec.pipeline, "early", key=planned.cause)) is not None:
        return _not_worth(rejected)
    registry = Registry(runtime, spec.model_name)
    version = registry.find(planned.cause)
    changed = version is None
    if version is None:
        made = _made(planned, runtime, registry)
        if isinstance(made, Chance):
            return _not_worth(_reject(planned, runtime, ledger, made))
        version = made
    journal_version(planned, runtime, registry, version=version, cause=planned.cause)
    learned, test = planned.learned, planned.judging
    log.info(
        "%s at %s: %s is %s; fitted on %s … %s, tested on %s … %s",
        spec.pipeline, partition, version, "new" if changed else "there already",
        learned[0], learned[-1], test[0], test[-1],
    )  # fmt: skip
    return Trained(version.version, version.mlflow_run_id, version.experiment_id, planned.cause, learned, test, changed)


def _made(planned: Plan, runtime: Runtime, registry: Registry) -> Version | Chance:
    with imported(planned.code) as build_model:
        built = build(planned, runtime, build_model)
        if not isinstance(built, Built):
            return built
        return log_version(planned, built, registry, cause=planned.cause)


def log_version(planned: Plan, built: Built, registry: Registry, *, cause: str) -> Version:
    """Log a fitted model with its evidence and register it. Inside :func:`code.imported`.

    :param cause: hash of all that determined it; what an earlier attempt with it has left is used
    :raises ModelError: the model holds types that are not trusted, or MLflow refuses it
    """
    train, what = training(planned.spec), "refit" if planned.refit_of else "train"
    with tempfile.TemporaryDirectory() as scratch:
        folder, example = Path(scratch), built.test.inputs().slice(0, evidence.EXAMPLE_ROWS)
        evidence.write(folder, planned, built)
        record = Record(
            save=estimators.saver(built.fitted, train, planned.code, example),
            name=f"{what} {planned.partition}",
            params={**built.params, "seed": train.seed, "model": train.model},
            metrics=_numbers(built, test="seen" if planned.refit_of else "test"),
            tags={"tradewind.partition": planned.partition, **evidence.tags(planned, built)},
            evidence=folder,
            nested=_trials(built.search),
            datasets=[
                (name, number, planned.pinned.digests.get(name, {}))
                for name, number in sorted(planned.pinned.versions.items())
            ],
        )
        return registry.log(record, cause=cause)


def _numbers(built: Built, *, test: str) -> dict[str, float]:
    """What MLflow shows as metrics; values and interval ends that there are.

    :param test: how the test rows are called: a refit has seen them
    """
    named = {"value": "", "low": "_low", "high": "_high"}
    found = {
        f"{test}_{metric}{suffix}": float(measured[part])
        for metric, measured in built.metrics.items()
        for part, suffix in named.items()
        if measured[part] is not None and math.isfinite(measured[part])
    }
    if built.search is not None:
        found[f"validation_{built.search.metric}"] = built.search.value
    found |= {f"train_{metric}": value for metric, value in built.seen.items() if value is not None}
    rows = {"train_rows": float(built.fit.table.num_rows), f"{test}_rows": float(built.test.table.num_rows)}
    return {**found, **rows}


def _trials(found: Found | None) -> list[Nested]:
    if found is None:
        return []
    states = {"complete": "FINISHED", "failed": "FAILED", "pruned": "KILLED"}
    return [
        Nested(
            name=f"trial {one.number}",
            params=one.params,
            metrics={} if one.value is None else {f"validation_{found.metric}": one.value},
            tags={"tradewind.trial": one.state, **({"tradewind.error": one.error[:1000]} if one.error else {})},
            status=states[one.state],  # type: ignore[arg-type]  # each of them is one of MLflow's
            begun=one.begun,
            seconds=one.seconds,
        )
        for one in found.trials
    ]


def journal_version(planned: Plan, runtime: Runtime, registry: Registry, *, version: Version, cause: str) -> None:
    """Write down how a version was trained. The newest entry of a partition is its candidate, or its refit, also when
    its inputs changed and changed back.
    """
    ledger, pipeline, partition = Ledger(runtime.ledger), planned.spec.pipeline, planned.partition
    outcome = REFITTED if planned.refit_of else TRAINED
    earlier = ledger.find(pipeline, "trained", partition=partition)
    same = [entry for entry in earlier if entry.outcome == outcome]
    if same and same[-1].subject == version.version:
        return
    learned = planned.learned
    told = {
        name: json.loads(version.tags[f"tradewind.{name}"])
        for name in ("params", "majority", "warnings", "positive_share", "scores", "early", "search")
        if f"tradewind.{name}" in version.tags
    }
    manifest = registry.manifest(version)
    if manifest is not None:
        told["model_files"] = manifest.as_json()
    facts: Mapping[str, Any] = {
        "version": version.version,
        "mlflow_run_id": version.mlflow_run_id,
        "train_partitions": list(learned),
        "validation_partitions": list(planned.window.validation),
        "test_partitions": list(planned.judging),
        "absent": dict(planned.window.absent),
        "digests": {name: dict(found) for name, found in planned.pinned.digests.items()},
        "versions": dict(planned.pinned.versions),
        "made_from": planned.made_from,
        "model_digest": version.tags.get(MODEL_DIGEST),
        **({"refit_of": planned.refit_of} if planned.refit_of else {}),
        **told,
    }
    again = f", as version {planned.refit_of} was" if planned.refit_of else ""
    key = f"{cause}/{len(earlier)}" if ledger.get(pipeline, "trained", key=cause) else cause
    entry = Entry(
        pipeline, "trained", version.version, partition, key,
        outcome=outcome, reason=f"fitted on {learned[0]} … {learned[-1]}{again}", evidence=facts,
        actor=runtime.actor, run_id=runtime.run_id,
    )  # fmt: skip
    ledger.append(entry)


def _reject(planned: Plan, runtime: Runtime, ledger: Ledger, chance: Chance) -> Entry:
    facts = {
        **asdict(chance),
        "train_partitions": list(planned.window.fit),
        "validation_partitions": list(planned.window.validation),
        "versions": dict(planned.pinned.versions),
    }
    entry = Entry(
        planned.spec.pipeline, "early", "train", planned.partition, planned.cause,
        outcome="rejected", reason=chance.reason, evidence=facts, actor=runtime.actor, run_id=runtime.run_id,
    )  # fmt: skip
    ledger.append(entry)
    alarms.check_candidates(planned.spec, runtime)
    return entry


def _not_worth(entry: Entry) -> NotWorth:
    log.info("%s at %s: not worth continuing: %s", entry.pipeline, entry.partition, entry.reason)
    found = entry.evidence
    return NotWorth(str(found["metric"]), found["value"], float(found["bound"]), entry.reason)
