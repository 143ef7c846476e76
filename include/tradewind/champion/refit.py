"""The refit: a version that passed its verdict is fitted once more, on its whole window, and serves in its place.

What judges a candidate is not learned from, so a champion starts to serve with its newest partitions unseen. The refit
has the judged version's data, code, parameters and seed, all as they were recorded with it, and learns from the
partitions that judged it too. Nothing is left to judge it by: it is held against what was judged.
"""

from __future__ import annotations

import json
import logging
import tempfile
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tradewind.core import fault_points, gates
from tradewind.core.refit_distance import RefitDistance, decide_refit, refit_distance
from tradewind.deployment import Deployment
from tradewind.errors import ModelError, UsageError
from tradewind.isolation import task_outputs
from tradewind.isolation.project_code import import_project_code
from tradewind.ledger import serving_versions
from tradewind.ledger.journal import Entry, Ledger
from tradewind.registry.mlflow_run import CAUSE
from tradewind.registry.model_registry import ModelRegistry, RegisteredVersion, open_registry
from tradewind.registry.version_files import judged_files, open_model
from tradewind.spec.digest import config_hash
from tradewind.spec.gates import serving_gates
from tradewind.training import model_signature, recorded_training
from tradewind.training.candidate import journal_version, log_model_version
from tradewind.training.fitting import fit_candidate, training_config_hash
from tradewind.training.model_inputs import train_config
from tradewind.training.training_plan import FittedCandidate
from tradewind.verdict import evaluation_processes, serving_checks

if TYPE_CHECKING:
    import pyarrow as pa

    from tradewind.core.gate_results import GateResult
    from tradewind.core.runtime import Runtime
    from tradewind.isolation.model_client import ModelHost
    from tradewind.spec.pipeline import Pipeline
    from tradewind.training.training_plan import TrainingPlan
    from tradewind.verdict.comparators import Answer

log = logging.getLogger(__name__)

CODE = "refit/1"  # raise it when the same judged version gives another refit


@dataclass(frozen=True, slots=True)
class RefitResult:
    """What came of a refit.

    :param version: the one that serves
    :param judged: the version that passed its verdict
    :param refitted: the version that was fitted on everything
    :param reason: why the one or the other serves, with the numbers
    """

    version: str
    judged: str
    refitted: str
    reason: str
    mlflow_run_id: str
    experiment_id: str


def refit_version(deployment: Deployment, partition: str) -> RefitResult:
    """Fit the candidate that passed its verdict at a partition once more, on its whole window, and register that.

    It serves if its answers to the test rows stay near those that were judged (``train.refit_change``), or are no
    further from the labels, and if it passes the checks of serving; else the judged version does. Done again, nothing
    is fitted twice.

    :raises UsageError: no candidate passed at this partition
    :raises MissingInput: data of the judged version is gone
    :raises ModelError: what was recorded of the judged version is gone or was edited, or the fit fails
    :raises Unavailable: MLflow or the lake does not answer
    """
    spec = deployment.spec
    ledger, registry = deployment.ledger, open_registry(deployment)
    verdict = _require_passed_verdict(spec, partition, ledger)
    judged = registry.get(str(verdict.evidence["version"]))
    cause = config_hash(CODE, judged.tags[CAUSE])
    version = _find_or_fit(deployment, judged, registry, cause=cause)
    fault_points.reach_fault_point("after-refit-before-ledger")
    entry = serving_versions.find_refit(ledger, spec.pipeline, judged.version)
    if entry is None or entry.outcome == serving_versions.KEPT or entry.evidence["refitted"] != version.version:
        entry = _journal_refit(
            _examine_refit(deployment, registry, judged, version, verdict=verdict), deployment.runtime, ledger
        )
    log.info("%s at %s: %s", spec.pipeline, partition, entry.reason)
    return RefitResult(
        serving_versions.serving_version(ledger, verdict), judged.version, version.version, entry.reason,
        version.mlflow_run_id, version.experiment_id,
    )  # fmt: skip


def _require_passed_verdict(spec: Pipeline, partition: str, ledger: Ledger) -> Entry:
    found = ledger.find(spec.pipeline, "verdict", partition=partition)
    of_tests = [entry for entry in found if entry.evidence.get("basis", "test") == "test"]
    if not of_tests or of_tests[-1].outcome != "passed":
        what = f"the verdict is {of_tests[-1].outcome}" if of_tests else "there is no verdict"
        raise UsageError(
            f"{spec.pipeline}: nothing is refitted at partition {partition}: {what}; only a candidate that passed is"
        )
    return of_tests[-1]


def _find_or_fit(
    deployment: Deployment, judged: RegisteredVersion, registry: ModelRegistry, *, cause: str
) -> RegisteredVersion:
    """The refit, from the registry or fitted now; and the ledger knows of it."""
    spec, runtime, ledger = deployment.spec, deployment.runtime, deployment.ledger
    known = registry.find(cause)
    if known is not None and ledger.find(spec.pipeline, "trained", subject=known.version):
        return known
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tradewind-refit-")))
        files = stack.enter_context(judged_files(deployment, judged))
        was = recorded_training.read_recorded_training(spec, judged, stack.enter_context(registry.evidence(judged)))
        trained = ledger.find(spec.pipeline, "trained", subject=judged.version)[-1]
        was = replace(was, window=replace(was.window, absent=dict(trained.evidence.get("absent", {}))))
        code, _ = recorded_training.write_recorded_project(was, files, scratch / "project", runtime.project)
        with import_project_code(code) as build_model:
            then = Deployment(was.spec, recorded_training.scratch_runtime(runtime, scratch))
            config = training_config_hash(then, was.window, metric_code=was.metric_code)
            planned = was.plan(then, code, config=config, refit_of=judged.version)
            version = known or _fit_and_log(planned, build_model, registry, params=was.params, cause=cause)
        journal_version(planned, registry, version=version, cause=cause)
    return version


def _fit_and_log(
    planned: TrainingPlan, build_model: Any, registry: ModelRegistry, *, params: Any, cause: str
) -> RegisteredVersion:
    built = fit_candidate(planned, build_model, params=params)
    assert isinstance(built, FittedCandidate)  # there is no early gate where parameters are given
    return log_model_version(planned, built, registry, cause=cause)


@dataclass(frozen=True, slots=True)
class _RefitExamination:
    """The refit beside the judged version."""

    judged: RegisteredVersion
    refitted: RegisteredVersion
    verdict: Entry
    near: RefitDistance | None
    checks: tuple[GateResult, ...]


def _examine_refit(
    deployment: Deployment,
    registry: ModelRegistry,
    judged: RegisteredVersion,
    version: RegisteredVersion,
    *,
    verdict: Entry,
) -> _RefitExamination:
    """Let both predict the rows that judged, from the registry's files, and check that the refit can serve."""
    spec = deployment.spec
    with ExitStack() as stack:
        timeout = serving_checks.answer_timeout(spec.gates)
        opened = stack.enter_context(open_model(deployment, version, warm=False, timeout=timeout))
        before = stack.enter_context(open_model(deployment, judged, warm=False)).host
        logged = evaluation_processes.read_logged_rows(registry, version)
        running = evaluation_processes.make_running_candidate(spec, opened, logged)
        # How fast it answers was judged: it is the same model, and a busy machine would decide.
        named = [gate for gate in serving_gates(spec.gates).values() if gate.measured != "latency"]
        asked = list(serving_gates(serving_checks.gates_with_defaults(named, rows=logged.rows.num_rows)).values())
        loaded, answer = evaluation_processes.load_and_predict(running, asked)
        wanted = model_signature.expected_input_columns(deployment)
        measured = serving_checks.measure_serving(asked, running=running, loaded=loaded, wanted=wanted)
        near = (
            None if isinstance(answer, ModelError) else _measure_nearness(spec, logged.rows, before=before, now=answer)
        )
    checks = tuple(gates.judge_check(gate, measured[place]) for place, gate in enumerate(asked))
    return _RefitExamination(judged, version, verdict, near, checks)


def _measure_nearness(spec: Pipeline, table: pa.Table, *, before: ModelHost, now: Answer) -> RefitDistance:
    train = train_config(spec)
    answers = [(before.predict(table), before.classes), now]
    order = task_outputs.class_order(*(classes for _, classes in answers)) if train.task == "multiclass" else []
    y = task_outputs.metric_targets(
        train.task, task_outputs.task_labels(table[train.label.column], train.task, train.label.column), order
    )
    judged, refitted = (
        task_outputs.metric_scores(train.task, output, classes, order=order) for output, classes in answers
    )
    return refit_distance(train.task, y, judged, refitted, bound=train.refit_change)


def _journal_refit(found: _RefitExamination, runtime: Runtime, ledger: Ledger) -> Entry:
    """Write down which of the two serves; the newest entry of a judged version holds."""
    serves, why = decide_refit(found.near, found.checks)
    verdict, pipeline, judged = found.verdict, found.verdict.pipeline, found.judged.version
    evidence = {
        "judged": judged,
        "refitted": found.refitted.version,
        "verdict_key": verdict.key,
        "near": asdict(found.near) if found.near else None,
        "checks": [asdict(one) for one in found.checks],
        "train_partitions": json.loads(found.refitted.tags["tradewind.train_partitions"]),
    }
    outcome = serving_versions.SERVES if serves else serving_versions.KEPT
    learned = evidence["train_partitions"]
    follows = "serves in its place" if serves else f"does not serve, version {judged} does"
    reason = (
        f"version {judged}, fitted once more on {learned[0]} … {learned[-1]} as version {found.refitted.version}, "
        f"which {follows}: {why}"
    )
    earlier = ledger.find(pipeline, "refit", subject=judged)
    if earlier and (earlier[-1].outcome, earlier[-1].evidence["refitted"]) == (outcome, found.refitted.version):
        return earlier[-1]
    entry = Entry(
        pipeline, "refit", judged, verdict.partition, f"{judged}/{found.refitted.version}/{len(earlier)}",
        outcome=outcome, reason=reason, evidence=evidence, actor=runtime.actor, run_id=runtime.run_id,
    )  # fmt: skip
    ledger.append(entry)
    written = serving_versions.find_refit(ledger, pipeline, judged)
    assert written is not None  # by this run, or by one that came first
    if not serves:
        log.warning("%s: %s", pipeline, reason)
    return written
