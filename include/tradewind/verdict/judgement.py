"""The verdict: a candidate beside the champion on the same rows, judged by every gate."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from tradewind.alerting import model_alarms
from tradewind.core import gates
from tradewind.core.gate_results import GateResult, Measurement, decide_verdict
from tradewind.errors import ModelError, UsageError
from tradewind.isolation.project_code import locate_project_code
from tradewind.isolation.project_metric import project_metric_causes
from tradewind.ledger.journal import Entry, Ledger
from tradewind.metrics.judged_rows import TestRows
from tradewind.registry.model_registry import RegisteredVersion, open_registry
from tradewind.spec.digest import config_hash
from tradewind.spec.gates import prediction_gates
from tradewind.training.model_inputs import train_config
from tradewind.verdict import verdict_files, warning_texts
from tradewind.verdict.comparators import find_champion_to_replace, gate_heuristics, gate_metrics
from tradewind.verdict.evaluation_processes import CandidateEvaluation, evaluate_candidate
from tradewind.verdict.training_background import read_training_background, unseen_drift_warning

if TYPE_CHECKING:
    from tradewind.core.runtime import Runtime
    from tradewind.deployment import Deployment
    from tradewind.ledger.champions import ChampionChange
    from tradewind.spec.pipeline import Pipeline

log = logging.getLogger(__name__)

CODE = "verdict/2"
UNCHANGED = "unchanged"
VerdictBasis = Literal["test", "shadow"]


@dataclass(frozen=True, slots=True)
class CandidateVerdict:
    """What the gates say about a candidate.

    :param outcome: ``passed``, ``rejected``, or ``unchanged``: it predicts what the champion predicts
    :param gates: one result a gate, one for each slice
    :param candidate: version that was judged
    :param champion: version that it was compared with; None if there was none
    :param report: the self-contained HTML page
    :param warnings: what the person who decides should know, although no gate forbids it
    """

    outcome: str
    reason: str
    gates: tuple[GateResult, ...]
    candidate: str
    champion: str | None
    mlflow_run_id: str
    experiment_id: str
    report: str
    warnings: tuple[str, ...] = ()


def judge_candidate_version(deployment: Deployment, partition: str) -> CandidateVerdict:
    """Judge the candidate of ``partition`` at the gates, and write the verdict into ledger, MLflow and a report.

    Both models predict the candidate's test rows afresh, each in a process of its own. A verdict that is there already,
    on the same candidate, champion and gates, is returned as it was, with the latency that was measured then; only one
    for which a model could not be asked is made again.

    :raises UsageError: nothing was trained at this partition
    :raises ModelError: the candidate's files or its test rows are gone
    :raises Unavailable: the model registry does not answer
    """
    spec = deployment.spec
    ledger, registry = deployment.ledger, open_registry(deployment)
    candidate = registry.get(_find_candidate(spec, partition, ledger))
    champion = find_champion_to_replace(spec, partition, ledger, candidate=candidate.version)
    key = _verdict_key(deployment, candidate, champion)
    entry = _find_known_verdict(ledger, spec, candidate, key)
    if entry is not None and _is_complete(entry):
        return _settle_verdict(entry, deployment, partition, candidate=candidate)
    found = evaluate_candidate(deployment, registry, candidate=candidate, champion=champion)
    return _judge_and_publish(
        deployment, partition, candidate=candidate, champion=champion, found=found, key=key, basis="test"
    )


def judge_prepared_rows(
    deployment: Deployment,
    partition: str,
    *,
    candidate: RegisteredVersion,
    champion: ChampionChange | None,
    test: TestRows,
    key: str,
    basis: VerdictBasis,
    measurements: Mapping[int, Measurement] | None = None,
    partitions: Sequence[str] | None = None,
    classes: Sequence[str] = (),
    notes: Sequence[str] = (),
) -> CandidateVerdict:
    """Judge rows that the caller has put together, and write the verdict like any other.

    Checks of serving are judged where something was measured for them, and left out otherwise: they were judged when
    the candidate was.

    :param measurements: what was measured for the checks, by the position of their gate
    :param key: names the verdict: with the same key nothing is judged again
    :param basis: ``test``, or ``shadow`` for what a candidate predicted beside the champion
    :param partitions: partitions of the rows; the candidate's test partitions if None
    :param classes: the classes by number, for ``multiclass``
    :param notes: what a reader should know of the rows
    :raises Unavailable: the model registry does not answer
    """
    spec = deployment.spec
    entry = _find_known_verdict(deployment.ledger, spec, candidate, key)
    if entry is not None and _is_complete(entry):
        return _settle_verdict(entry, deployment, partition, candidate=candidate)
    asked = spec.gates if measurements else prediction_gates(spec.gates).values()
    # What stands here is what would serve, also where it is a refit.
    same = champion.model_version if champion is not None and test.same_as_champion else None
    found = CandidateEvaluation(
        tuple(asked), test, dict(measurements or {}), tuple(classes), tuple(notes), partitions, same
    )
    return _judge_and_publish(
        deployment, partition, candidate=candidate, champion=champion, found=found, key=key, basis=basis
    )


def _find_candidate(spec: Pipeline, partition: str, ledger: Ledger) -> str:
    entries = ledger.find(spec.pipeline, "trained", partition=partition)
    trained = [entry for entry in entries if "refit_of" not in entry.evidence]
    if not trained:
        raise UsageError(
            f"{spec.pipeline}: no candidate was trained at {partition}; run train for this partition first"
        )
    return str(trained[-1].evidence["version"])


def _verdict_key(deployment: Deployment, candidate: RegisteredVersion, champion: ChampionChange | None) -> str:
    other = champion.model_version if champion else "-"
    return f"{candidate.version}/{other}/{verdict_config_hash(deployment, champion)}"


def verdict_config_hash(deployment: Deployment, champion: ChampionChange | None) -> str:
    """Hash of all that a verdict on the same rows depends on beside the candidate."""
    spec = deployment.spec
    change, train = champion.seq if champion else 0, train_config(spec)
    rules = {
        name: _heuristic_digest(reference, deployment.runtime) for name, reference in gate_heuristics(spec).items()
    }
    # What the model would get now, which the schema is held against.
    definitions = deployment.runtime.project / spec.features.definitions if spec.features else None
    given = [*train.columns, train.service, definitions.read_text() if definitions and definitions.is_file() else ""]
    if train.refit:  # then a candidate that predicts what the champion predicts may change what serves
        given.append("refit")
    code = gate_metric_code(deployment)
    metrics = [code] if code else []  # without one, the hash is what it was before there were any
    return config_hash(CODE, spec.gates, spec.verdict, train.seed, spec.timezone, change, rules, given, *metrics)


def gate_metric_code(deployment: Deployment) -> dict[str, Any]:
    """What the metrics of the project depend on that gates name, by their names."""
    spec = deployment.spec
    return project_metric_causes(gate_metrics(spec), spec.metrics, deployment.runtime.project)


def _heuristic_digest(reference: str, runtime: Runtime) -> str:
    try:
        return locate_project_code(reference, runtime.project).digest()
    except ModelError as exc:
        return str(exc)


def _find_known_verdict(ledger: Ledger, spec: Pipeline, candidate: RegisteredVersion, key: str) -> Entry | None:
    """The newest verdict with this key."""
    found = ledger.find(spec.pipeline, "verdict", subject=candidate.version)
    return next((entry for entry in reversed(found) if _recorded_key(entry) == key), None)


def _recorded_key(entry: Entry) -> str:
    """What the verdict was asked by; entries that repeat it have keys of their own."""
    return str(entry.evidence.get("key") or entry.key.split("#")[0])


def _is_complete(entry: Entry) -> bool:
    """Whether everybody could be asked: that files were away, or a process died, may be over by now."""
    return not entry.evidence.get("absent")


def _has_same_outcomes(before: Entry, entry: Entry) -> bool:
    """Whether judging again found what was found before; measured times are never the same."""
    said = [[one["outcome"] for one in each.evidence["gates"]] for each in (before, entry)]
    return said[0] == said[1] and before.evidence.get("absent") == entry.evidence.get("absent")


def _judge_and_publish(
    deployment: Deployment,
    partition: str,
    *,
    candidate: RegisteredVersion,
    champion: ChampionChange | None,
    found: CandidateEvaluation,
    key: str,
    basis: VerdictBasis,
) -> CandidateVerdict:
    spec = deployment.spec
    ledger, registry = deployment.ledger, open_registry(deployment)
    seed = train_config(spec).seed
    results = gates.judge_gates(
        found.gates, found.test, measurements=found.measurements, verdict=spec.verdict, seed=seed
    )  # fmt: skip
    trained = _find_training_entry(ledger, spec, candidate)
    entry = _verdict_entry(
        deployment,
        partition,
        candidate=candidate,
        champion=champion,
        found=found,
        results=results,
        trained=trained,
        key=key,
        basis=basis,
    )
    before = _find_known_verdict(ledger, spec, candidate, key)
    if before is not None and _has_same_outcomes(before, entry):
        return _settle_verdict(before, deployment, partition, candidate=candidate)
    report = verdict_files.verdict_page_path(entry, deployment.runtime)
    drawn = verdict_files.draw_verdict_pictures(registry, candidate, found.test, classes=found.classes)
    verdict_files.publish_verdict(
        entry, spec, registry, candidate=candidate, report=report, drawn=drawn, trained=trained
    )  # fmt: skip
    return _settle_verdict(entry, deployment, partition, candidate=candidate)


def _settle_verdict(
    entry: Entry, deployment: Deployment, partition: str, *, candidate: RegisteredVersion
) -> CandidateVerdict:
    """Make sure that the ledger's newest verdict of the partition is this one and that its report is there."""
    spec, runtime = deployment.spec, deployment.runtime
    ledger, entry = deployment.ledger, replace(entry, partition=partition)
    report = verdict_files.verdict_page_path(entry, runtime)
    changed = _journal_verdict(ledger, entry, run_id=runtime.run_id)
    model_alarms.check_rejected_candidates(deployment)
    if not report.exists() or (changed and entry.id is not None):
        registry, trained = open_registry(deployment), _find_training_entry(ledger, spec, candidate)
        verdict_files.restore_verdict_page(entry, spec, registry, candidate=candidate, report=report, trained=trained)
    log.info("%s at %s: %s is %s: %s", spec.pipeline, partition, candidate, entry.outcome, entry.reason)
    evidence = entry.evidence
    return CandidateVerdict(
        entry.outcome, entry.reason, tuple(GateResult(**result) for result in evidence["gates"]), candidate.version,
        evidence["champion"], candidate.mlflow_run_id, candidate.experiment_id, str(report),
        tuple(evidence.get("warnings", ())),
    )  # fmt: skip


def _find_training_entry(ledger: Ledger, spec: Pipeline, candidate: RegisteredVersion) -> Entry | None:
    found = ledger.find(spec.pipeline, "trained", subject=candidate.version)
    return found[-1] if found else None


def _verdict_entry(
    deployment: Deployment,
    partition: str,
    *,
    candidate: RegisteredVersion,
    champion: ChampionChange | None,
    found: CandidateEvaluation,
    results: Sequence[GateResult],
    trained: Entry | None,
    key: str,
    basis: VerdictBasis,
) -> Entry:
    by_gates, reason = _decide_outcome(results, champion)
    outcome = by_gates
    if found.same_as:
        outcome = UNCHANGED
        same = f"{_reason_unchanged(found, champion)}, so a promotion would change nothing"
        reason = f"{same}; by its gates it is {by_gates}: {reason}"
    behind = read_training_background(deployment, trained)
    unseen = [warning] if (warning := unseen_drift_warning(behind.get("drifted", {}))) else []
    evidence = {
        "key": key,
        "version": candidate.version,
        "champion": champion.model_version if champion else None,
        # Promotion is refused when the champion was changed in between.
        "expected_seq": champion.seq if champion else 0,
        "basis": basis,
        "by_gates": by_gates,
        "same_as": found.same_as,
        "test_partitions": list(found.partitions or json.loads(candidate.tags["tradewind.test_partitions"])),
        "rows": len(found.test.y),
        "gates": [asdict(result) for result in results],
        "warnings": [
            *unseen,
            *warning_texts.verdict_warnings(found, results, candidate=candidate, champion=champion, trained=trained),
        ],
        **behind,
        "absent": dict(found.test.absent),
    }
    if code := gate_metric_code(deployment):
        evidence["metric_code"] = code
    return Entry(
        deployment.spec.pipeline,
        "verdict",
        candidate.version,
        partition,
        key,
        outcome=outcome,
        reason=reason,
        evidence=evidence,
        actor=deployment.runtime.actor,
        run_id=deployment.runtime.run_id,
    )


def _decide_outcome(results: Sequence[GateResult], champion: ChampionChange | None) -> tuple[str, str]:
    """As the gates decide, and what the candidate was not compared with."""
    outcome, reason = decide_verdict(results)
    skipped = any(result.outcome == "skipped" and result.versus == "champion" for result in results)
    if champion is None and outcome == "passed" and not skipped:  # else the gates have said so
        reason += "; not compared with a champion: there is none"
    return outcome, reason


def _reason_unchanged(found: CandidateEvaluation, champion: ChampionChange | None) -> str:
    these = f"its predictions of the {len(found.test.y)} judged rows are those of version {found.same_as}"
    if champion is None or found.same_as == champion.model_version:
        return f"{these}, the champion"
    return f"{these}, and fitted once more that is version {champion.model_version}, the champion"


def _journal_verdict(ledger: Ledger, entry: Entry, *, run_id: str) -> bool:
    """The newest entry of a partition is its verdict, also when its candidate changed and changed back.

    :return: whether the partition had another verdict, or none
    """
    earlier = ledger.find(entry.pipeline, "verdict", partition=entry.partition)
    same = [known for known in earlier if known.evidence.get("basis", "test") == entry.evidence.get("basis", "test")]
    if same and (_recorded_key(same[-1]), same[-1].outcome, same[-1].reason) == (
        _recorded_key(entry),
        entry.outcome,
        entry.reason,
    ):
        return False
    taken = ledger.get(entry.pipeline, "verdict", key=_recorded_key(entry)) is not None
    key = f"{_recorded_key(entry)}#{entry.partition}.{len(earlier)}" if taken else _recorded_key(entry)
    return ledger.append(replace(entry, key=key, id=None, run_id=run_id, at=datetime.now(UTC)))
