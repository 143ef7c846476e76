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

from tradewind.alerting import model_alarms
from tradewind.deployment import Deployment
from tradewind.isolation.project_code import import_project_code
from tradewind.ledger.journal import Entry
from tradewind.registry.mlflow_run import MODEL_DIGEST, NestedRun, TrainingRecord
from tradewind.registry.model_registry import ModelRegistry, RegisteredVersion, open_registry
from tradewind.training import estimator as estimators
from tradewind.training import evidence
from tradewind.training.early_gate import EarlyGateResult
from tradewind.training.fitting import fit_candidate, plan_training
from tradewind.training.model_inputs import train_config
from tradewind.training.prediction_rows import require_same_task
from tradewind.training.training_plan import FittedCandidate, TrainingPlan

if TYPE_CHECKING:
    from tradewind.training.parameter_search import SearchResult

log = logging.getLogger(__name__)

TRAINED, REFITTED = "trained", "refitted"
"""Outcomes of an entry `trained`: a candidate, which is judged; or a judged one, fitted once more on everything."""


@dataclass(frozen=True, slots=True)
class TrainedCandidate:
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
class EarlyRejection:
    """The early gate was not reached: nothing more was fitted, and there is no candidate.

    :param value: of the metric on the validation rows; None if it has none there
    """

    metric: str
    value: float | None
    bound: float
    reason: str


def train_candidate(deployment: Deployment, partition: str) -> TrainedCandidate | EarlyRejection:
    """Fit a candidate on the window that ends with ``partition``, evaluate it on the window's last part, register it.

    Nothing is fitted if a version with the same cause is there already, or was found not worth it.

    :raises UsageError: what was predicted until now was of another task
    :raises MissingInput: the window is not complete
    :raises MissingExtra: a search is asked for and Optuna is not installed
    :raises ModelError: the rows are not fit for training, or the model cannot be built, fitted, or logged
    """
    spec = deployment.spec
    require_same_task(deployment)
    planned = plan_training(deployment, partition)
    ledger = deployment.ledger
    if (rejected := ledger.get(spec.pipeline, "early", key=planned.cause)) is not None:
        return _early_rejection(rejected)
    registry = open_registry(deployment)
    version = registry.find(planned.cause)
    changed = version is None
    if version is None:
        made = _fit_and_register(planned, registry)
        if isinstance(made, EarlyGateResult):
            return _early_rejection(_journal_early_rejection(planned, made))
        version = made
    journal_version(planned, registry, version=version, cause=planned.cause)
    learned, test = planned.learned, planned.judging
    log.info(
        "%s at %s: %s is %s; fitted on %s … %s, tested on %s … %s",
        spec.pipeline, partition, version, "new" if changed else "there already",
        learned[0], learned[-1], test[0], test[-1],
    )  # fmt: skip
    return TrainedCandidate(
        version.version, version.mlflow_run_id, version.experiment_id, planned.cause, learned, test, changed
    )


def _fit_and_register(planned: TrainingPlan, registry: ModelRegistry) -> RegisteredVersion | EarlyGateResult:
    with import_project_code(planned.code) as build_model:
        built = fit_candidate(planned, build_model)
        if not isinstance(built, FittedCandidate):
            return built
        return log_model_version(planned, built, registry, cause=planned.cause)


def log_model_version(
    planned: TrainingPlan, built: FittedCandidate, registry: ModelRegistry, *, cause: str
) -> RegisteredVersion:
    """Log a fitted model with its evidence and register it. Inside :func:`code.imported`.

    :param cause: hash of all that determined it; what an earlier attempt with it has left is used
    :raises ModelError: the model holds types that are not trusted, or MLflow refuses it
    """
    train, what = train_config(planned.spec), "refit" if planned.refit_of else "train"
    with tempfile.TemporaryDirectory() as scratch:
        folder, example = Path(scratch), built.test.inputs().slice(0, evidence.EXAMPLE_ROWS)
        evidence.write_evidence(folder, planned, built)
        record = TrainingRecord(
            save=estimators.make_model_writer(built.fitted, train, planned.code, example),
            name=f"{what} {planned.partition}",
            params={**built.params, "seed": train.seed, "model": train.model},
            metrics=_logged_metrics(built, test="seen" if planned.refit_of else "test"),
            tags={"tradewind.partition": planned.partition, **evidence.lineage_tags(planned, built)},
            evidence=folder,
            nested=_trial_runs(built.search),
            datasets=[
                (name, number, planned.pinned.digests.get(name, {}))
                for name, number in sorted(planned.pinned.versions.items())
            ],
        )
        return registry.log(record, cause=cause)


def _logged_metrics(built: FittedCandidate, *, test: str) -> dict[str, float]:
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


def _trial_runs(found: SearchResult | None) -> list[NestedRun]:
    if found is None:
        return []
    states = {"complete": "FINISHED", "failed": "FAILED", "pruned": "KILLED"}
    return [
        NestedRun(
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


def journal_version(planned: TrainingPlan, registry: ModelRegistry, *, version: RegisteredVersion, cause: str) -> None:
    """Write down how a version was trained. The newest entry of a partition is its candidate, or its refit, also when
    its inputs changed and changed back.
    """
    deployment, pipeline, partition = planned.deployment, planned.spec.pipeline, planned.partition
    ledger, runtime = deployment.ledger, deployment.runtime
    outcome = REFITTED if planned.refit_of else TRAINED
    earlier = ledger.find(pipeline, "trained", partition=partition)
    same = [entry for entry in earlier if entry.outcome == outcome]
    if same and same[-1].subject == version.version:
        return
    learned = planned.learned
    text = {
        name: json.loads(version.tags[f"tradewind.{name}"])
        for name in ("params", "majority", "warnings", "positive_share", "scores", "early", "search")
        if f"tradewind.{name}" in version.tags
    }
    manifest = registry.manifest(version)
    if manifest is not None:
        text["model_files"] = manifest.as_json()
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
        **text,
    }
    again = f", as version {planned.refit_of} was" if planned.refit_of else ""
    key = f"{cause}/{len(earlier)}" if ledger.get(pipeline, "trained", key=cause) else cause
    entry = Entry(
        pipeline, "trained", version.version, partition, key,
        outcome=outcome, reason=f"fitted on {learned[0]} … {learned[-1]}{again}", evidence=facts,
        actor=runtime.actor, run_id=runtime.run_id,
    )  # fmt: skip
    ledger.append(entry)


def _journal_early_rejection(planned: TrainingPlan, chance: EarlyGateResult) -> Entry:
    runtime = planned.deployment.runtime
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
    planned.deployment.ledger.append(entry)
    model_alarms.check_rejected_candidates(planned.deployment)
    return entry


def _early_rejection(entry: Entry) -> EarlyRejection:
    log.info("%s at %s: not worth continuing: %s", entry.pipeline, entry.partition, entry.reason)
    found = entry.evidence
    return EarlyRejection(str(found["metric"]), found["value"], float(found["bound"]), entry.reason)
