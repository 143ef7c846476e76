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

from tradewind.core import faults, judging
from tradewind.core.refits import Nearness, decide_refit, nearness
from tradewind.errors import ModelError, UsageError
from tradewind.ledger import refits
from tradewind.ledger.journal import Entry, Ledger
from tradewind.models import recorded, serving, signature, tasks, trial
from tradewind.models.build import Built, build, configuration
from tradewind.models.code import imported
from tradewind.models.inputs import training
from tradewind.models.opening import judged_files, open_model
from tradewind.models.registry import Registry, Version
from tradewind.models.runs import CAUSE
from tradewind.models.train import journal_version, log_version
from tradewind.spec.digest import config_hash
from tradewind.spec.gates import CheckGate

if TYPE_CHECKING:
    import pyarrow as pa

    from tradewind.core.results import GateResult
    from tradewind.core.runtime import Runtime
    from tradewind.models.build import Plan
    from tradewind.models.host import ModelHost
    from tradewind.models.opponents import Answer
    from tradewind.spec.models import Pipeline

log = logging.getLogger(__name__)

CODE = "refit/1"  # raise it when the same judged version gives another refit


@dataclass(frozen=True, slots=True)
class Refitted:
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


def refit(spec: Pipeline, partition: str, runtime: Runtime) -> Refitted:
    """Fit the candidate that passed its verdict at a partition once more, on its whole window, and register that.

    It serves if its answers to the test rows stay near those that were judged (``train.refit_change``), or are no
    further from the labels, and if it passes the checks of serving; else the judged version does. Done again, nothing
    is fitted twice.

    :raises UsageError: no candidate passed at this partition
    :raises MissingInput: data of the judged version is gone
    :raises ModelError: what was recorded of the judged version is gone or was edited, or the fit fails
    :raises Unavailable: MLflow or the lake does not answer
    """
    ledger, registry = Ledger(runtime.ledger), Registry(runtime, spec.model_name)
    verdict = _passed(spec, partition, ledger)
    judged = registry.get(str(verdict.evidence["version"]))
    cause = config_hash(CODE, judged.tags[CAUSE])
    version = _made(spec, judged, runtime, registry, cause=cause)
    faults.reach("after-refit-before-ledger")
    entry = refits.find_refit(ledger, spec.pipeline, judged.version)
    if entry is None or entry.outcome == refits.KEPT or entry.evidence["refitted"] != version.version:
        entry = _journal(_examined(spec, runtime, registry, judged, version, verdict=verdict), runtime, ledger)
    log.info("%s at %s: %s", spec.pipeline, partition, entry.reason)
    return Refitted(
        refits.serving_version(ledger, verdict), judged.version, version.version, entry.reason,
        version.mlflow_run_id, version.experiment_id,
    )  # fmt: skip


def _passed(spec: Pipeline, partition: str, ledger: Ledger) -> Entry:
    found = ledger.find(spec.pipeline, "verdict", partition=partition)
    of_tests = [entry for entry in found if entry.evidence.get("basis", "test") == "test"]
    if not of_tests or of_tests[-1].outcome != "passed":
        what = f"the verdict is {of_tests[-1].outcome}" if of_tests else "there is no verdict"
        raise UsageError(
            f"{spec.pipeline}: nothing is refitted at partition {partition}: {what}; only a candidate that passed is"
        )
    return of_tests[-1]


def _made(spec: Pipeline, judged: Version, runtime: Runtime, registry: Registry, *, cause: str) -> Version:
    """The refit, from the registry or fitted now; and the ledger knows of it."""
    ledger = Ledger(runtime.ledger)
    known = registry.find(cause)
    if known is not None and ledger.find(spec.pipeline, "trained", subject=known.version):
        return known
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tradewind-refit-")))
        files = stack.enter_context(judged_files(spec, judged, runtime, ledger))
        was = recorded.read(spec, judged, stack.enter_context(registry.evidence(judged)))
        trained = ledger.find(spec.pipeline, "trained", subject=judged.version)[-1]
        was = replace(was, window=replace(was.window, absent=dict(trained.evidence.get("absent", {}))))
        code, _ = recorded.lay_out(was, files, scratch / "project", runtime.project)
        with imported(code) as build_model:
            own = recorded.own_runtime(runtime, scratch)
            planned = was.plan(code, configuration(was.spec, was.window, own), refit_of=judged.version)
            version = known or _fitted(planned, own, build_model, registry, params=was.params, cause=cause)
        journal_version(planned, runtime, registry, version=version, cause=cause)
    return version


def _fitted(
    planned: Plan, runtime: Runtime, build_model: Any, registry: Registry, *, params: Any, cause: str
) -> Version:
    built = build(planned, runtime, build_model, params=params)
    assert isinstance(built, Built)  # there is no early gate where parameters are given
    return log_version(planned, built, registry, cause=cause)


@dataclass(frozen=True, slots=True)
class _Examined:
    """The refit beside the judged version."""

    judged: Version
    refitted: Version
    verdict: Entry
    near: Nearness | None
    checks: tuple[GateResult, ...]


def _examined(
    spec: Pipeline, runtime: Runtime, registry: Registry, judged: Version, version: Version, *, verdict: Entry
) -> _Examined:
    """Let both predict the rows that judged, from the registry's files, and check that the refit can serve."""
    ledger = Ledger(runtime.ledger)
    with ExitStack() as stack:
        timeout = serving.limit(spec.gates)
        opened = stack.enter_context(open_model(spec, version, runtime, ledger, warm=False, timeout=timeout))
        before = stack.enter_context(open_model(spec, judged, runtime, ledger, warm=False)).host
        logged = trial.logged_rows(registry, version)
        running = trial.running_candidate(spec, opened, logged)
        # How fast it answers was judged: it is the same model, and a busy machine would decide.
        named = [gate for gate in spec.gates if isinstance(gate, CheckGate) and gate.check != "latency"]
        asked = [gate for gate in serving.asked(named, rows=logged.rows.num_rows) if isinstance(gate, CheckGate)]
        loaded, answer = trial.begin_serving(running, asked)
        wanted = signature.expected(spec, runtime)
        measured = serving.measure(asked, running=running, loaded=loaded, wanted=wanted)
        near = None if isinstance(answer, ModelError) else _nearness(spec, logged.rows, before=before, now=answer)
    checks = tuple(judging.check(gate, measured[place]) for place, gate in enumerate(asked))
    return _Examined(judged, version, verdict, near, checks)


def _nearness(spec: Pipeline, table: pa.Table, *, before: ModelHost, now: Answer) -> Nearness:
    train = training(spec)
    answers = [(before.predict(table), before.classes), now]
    order = tasks.order(*(classes for _, classes in answers)) if train.task == "multiclass" else []
    y = tasks.targets(train.task, tasks.labels(table[train.label.column], train.task, train.label.column), order)
    judged, refitted = (tasks.scores(train.task, output, classes, order=order) for output, classes in answers)
    return nearness(train.task, y, judged, refitted, bound=train.refit_change)


def _journal(found: _Examined, runtime: Runtime, ledger: Ledger) -> Entry:
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
    outcome = refits.SERVES if serves else refits.KEPT
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
    written = refits.find_refit(ledger, pipeline, judged)
    assert written is not None  # by us, or by whoever came first
    if not serves:
        log.warning("%s: %s", pipeline, reason)
    return written
