"""Shall a candidate be trained for this partition? Gathers what the policy asks for, and journals its answer.

Everything is read as it was known at the partition: of the lake only partitions up to it, of the ledger only
decisions before it. So a replay decides as the first run did.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, cast

from tradewind.alerting import model_alarms
from tradewind.alerting.drift_alarms import (
    JudgedPartition,
    any_true,
    drift_judgements,
    performance_partitions,
    read_performance_rows,
)
from tradewind.core import retraining
from tradewind.core.monitoring_rows import DriftRow, PerformanceRow
from tradewind.core.retraining import RetrainingDecision
from tradewind.errors import UsageError
from tradewind.lake.dataset import Lake
from tradewind.ledger import completion, ordering, shadows
from tradewind.ledger.journal import Entry, Ledger
from tradewind.ledger.values import json_value
from tradewind.retraining import window_incident
from tradewind.training import window as windows

if TYPE_CHECKING:
    from tradewind.deployment import Deployment
    from tradewind.ledger.champions import ChampionChange
    from tradewind.spec.pipeline import Pipeline

log = logging.getLogger(__name__)

SUBJECT = "train"


def decide_training(
    deployment: Deployment, partition: str, *, by_hand: str | None = None, now: datetime | None = None
) -> RetrainingDecision:
    """Apply the retraining policy to a partition and journal the decision, also a "no".

    Deciding again on the inputs of the newest decision returns what is journalled. Decay counts only populations that
    were served by the champion of the newest judged one: what its predecessor did badly is no reason to replace it.
    Drift counts as it was judged over the shortest horizon; longer ones inform. With ``retrain.wait_for_drifted`` a
    drift is waited for until enough of it would be learned from.

    A training that has a reason and has waited for its window for longer than `train.patience` is an incident, and so
    is what :mod:`tradewind.alerting.model_alarms` finds.

    :param partition: partition key
    :param by_hand: the reason a person gives for training now
    :param now: the present, aware; it decides nothing but how long is waited, and whether that is an incident
    :raises NotReady: training of the partition before, or monitoring of this one, is not complete
    :raises UsageError: the pipeline trains nothing
    """
    spec = deployment.spec
    if spec.train is None:
        raise UsageError(f"pipeline {spec.pipeline} has no `train` in its YAML: there is nothing to decide")
    ledger, lake = deployment.ledger, deployment.lake
    now = now or datetime.now(UTC)
    completion.record_begin(
        ledger, spec.pipeline, "train", partition, stages=spec.stages, run_id=deployment.runtime.run_id
    )
    passed = ordering.require_stage_complete(
        spec, ledger, partition, stage="train", of="train", now=now, alone=deployment.runtime.alone
    )
    if spec.monitor is not None:
        completion.require_completion(ledger, spec.pipeline, "monitor", partition)
    window = windows.find_training_window(deployment, partition)
    performance = _judged_performance(spec, partition, lake, ledger, rule=spec.retrain.when.decay)
    drift = _judged_drift(spec, partition, lake)
    champion = ledger.champion_for(spec.pipeline, _scored_population(spec, partition))
    decision = retraining.decide_retraining(
        spec.retrain,
        partition=partition,
        window_missing=window.missing,
        has_champion=champion is not None,
        trainings=_distances_to_trainings(spec, partition, ledger),
        decay=[judged.violated for judged in performance],
        drift=[judged.violated for judged in drift],
        by_hand=by_hand,
        shadow=_current_shadow(spec, partition, ledger),
        regime=_drift_regime(spec, partition, ledger, champion=champion, drift=drift, learned=window.learned),
    )
    numbers: dict[str, Any] = {"performance": _numbers_by_key(performance), "drift_alarms": _numbers_by_key(drift)}
    numbers |= {"absent": dict(window.absent), "went_on_without": dict(passed)}
    journalled = _journal_decision(deployment, partition, decision=decision, numbers=numbers)
    log.info("%s %s: %s, because %s", spec.pipeline, partition, journalled.outcome, journalled.reason)
    window_incident.check_incomplete_window(deployment, now=now)
    decay = _judged_performance(spec, partition, lake, ledger, rule=model_alarms.decay_rule(spec))
    model_alarms.check_pipeline_health(deployment, partition, decay=decay)
    return journalled


def _current_shadow(spec: Pipeline, partition: str, ledger: Ledger) -> retraining.StandingShadow | None:
    """The candidate that stands beside the champion, as this partition's run knows it."""
    standing = shadows.standing_shadow(ledger, spec.pipeline, partition)
    if standing is None:
        return None
    if not spec.promotion.shadow:
        if standing == shadows.standing_shadow(ledger, spec.pipeline):
            why = "the YAML asks for no shadow any more (`promotion.shadow`)"
            shadows.record_shadow_end(ledger, standing, partition, outcome=shadows.WITHDRAWN, reason=why)
        return None
    judged_at = str(standing.evidence["judged_at"])
    return retraining.StandingShadow(standing.subject, judged_at, due=shadows.labels_are_due(standing, partition))


def _drift_regime(
    spec: Pipeline, partition: str, ledger: Ledger, *,
    champion: ChampionChange | None, drift: Sequence[JudgedPartition[DriftRow]], learned: Sequence[str],
) -> retraining.DriftRegime | None:  # fmt: skip
    """What drifted away from this champion since the last training, where the policy waits for it.

    It begins with the first alarm among the partitions that the rule looks at when it is met for the first time, and
    lasts until a training or another champion: the decision before this one says so, also when the alarms are over.
    """
    rule = spec.retrain.when.drift
    if not spec.retrain.wait_for_drifted or rule is None or champion is None:
        return None
    since = _awaited_drift_since(spec, partition, ledger, champion=champion.model_version)
    if since is None and retraining.evaluate_quorum(rule, [one.violated for one in drift]).met:
        since = next(one.key for one in drift if one.violated)
    if since is None:
        return None
    return retraining.DriftRegime(since, tuple(key for key in learned if key >= since), champion.model_version)


def _awaited_drift_since(spec: Pipeline, partition: str, ledger: Ledger, *, champion: str) -> str | None:
    """Since when what the newest earlier decision waited for has drifted; None if it waited for nothing, or trained."""
    decisions = ledger.find(spec.pipeline, "decision", subject=SUBJECT, until=partition)
    earlier = [entry for entry in decisions if entry.partition != partition]
    if not earlier:
        return None
    newest = max(earlier, key=lambda entry: (entry.partition or "", entry.id or 0))
    regime = newest.evidence.get("regime")
    if newest.outcome == "train" or regime is None or regime["champion"] != champion:
        return None
    return str(regime["since"])


def _scored_population(spec: Pipeline, partition: str) -> str:
    """The population that the run of ``partition`` scores; its champion is the one this decision knows of."""
    return spec.partitioning.shift(partition, spec.score.ahead if spec.score else 0)


def _distances_to_trainings(spec: Pipeline, partition: str, ledger: Ledger) -> list[int]:
    """Distances, in partitions, to the earlier partitions for which it was decided to train; nearest first."""
    decisions = ledger.find(spec.pipeline, "decision", subject=SUBJECT, until=partition)
    keys = {entry.partition for entry in decisions if entry.outcome == "train" and entry.partition != partition}
    return sorted(len(spec.partitioning.between(key, partition)) - 1 for key in keys if key is not None)


def _judged_performance(
    spec: Pipeline, partition: str, lake: Lake, ledger: Ledger, *, rule: str | None
) -> list[JudgedPartition[PerformanceRow]]:
    """The newest judged populations of one champion, oldest first, at most as many as the rule looks at.

    The champion is the one that is effective for the newest of them. What was judged before it took over is left out;
    of what another version served since (a fallback), nothing is known about it.
    """
    if rule is None or spec.monitor is None:
        return []
    keys = [key for key in performance_partitions(spec, lake) if key <= partition]
    # Twice as many as are asked for: a population may be judged twice, or in sample, which does not count.
    rows = read_performance_rows(spec, keys[-2 * _rule_length(rule) :], lake)
    metric = spec.monitor.performance.metric
    found: dict[str, list[PerformanceRow]] = {}
    newest: dict[str, str] = {}
    for row in rows:
        if row.metric != metric or row.in_sample:
            continue
        if newest.get(row.population) != row.partition:
            found[row.population], newest[row.population] = [], row.partition
        found[row.population].append(row)
    champion = ledger.champion_for(spec.pipeline, max(found)) if found else None
    if champion is None:
        return []
    tenure = sorted(population for population in found if population >= champion.effective_from)
    return [_judge_decay(key, found[key], champion.model_version) for key in tenure[-_rule_length(rule) :]]


def _judge_decay(population: str, rows: Sequence[PerformanceRow], version: str) -> JudgedPartition[PerformanceRow]:
    return JudgedPartition(population, any_true(r.below if r.model_version == version else None for r in rows), rows)


def _judged_drift(spec: Pipeline, partition: str, lake: Lake) -> list[JudgedPartition[DriftRow]]:
    """The newest partitions, oldest first, as many as the policy looks at; one that was not judged has no data."""
    rule = spec.retrain.when.drift
    if rule is None or spec.monitor is None:
        return []
    keys = [key for key in spec.partitioning.window(partition, _rule_length(rule)) if key >= spec.start]
    return drift_judgements(spec, keys, lake)


def _rule_length(rule: str) -> int:
    return int(rule.rsplit(" ", 1)[1])


def _numbers_by_key(
    judged: Sequence[JudgedPartition[DriftRow]] | Sequence[JudgedPartition[PerformanceRow]],
) -> dict[str, Any]:
    return {one.key: [row.as_evidence() for row in one.rows] for one in judged}


def _journal_decision(
    deployment: Deployment, partition: str, *, decision: RetrainingDecision, numbers: dict[str, Any]
) -> RetrainingDecision:
    spec, ledger = deployment.spec, deployment.ledger
    inputs = hashlib.sha256(json.dumps(json_value(decision.evidence), sort_keys=True).encode()).hexdigest()[:32]
    before = ledger.find(spec.pipeline, "decision", subject=SUBJECT, partition=partition)
    if before and before[-1].key.endswith(f"/{inputs}"):
        return _recorded_decision(before[-1])
    # The ordinal is part of the key, so that inputs that change and change back are two more decisions.
    key = f"{partition}/{len(before)}/{inputs}"
    reason, evidence = decision.reason, {**decision.evidence, **numbers}
    if before:
        evidence["before"] = [{"id": entry.id, "outcome": entry.outcome, "reason": entry.reason} for entry in before]
        reason = f"{reason} (decided again, on other inputs: entry {before[-1].id} says {before[-1].outcome})"
    entry = Entry(
        spec.pipeline,
        "decision",
        SUBJECT,
        partition,
        key,
        outcome=decision.outcome,
        reason=reason,
        evidence=evidence,
        actor=deployment.runtime.actor,
        run_id=deployment.runtime.run_id,
    )
    ledger.append(entry)
    written = ledger.get(spec.pipeline, "decision", key=key)
    return _recorded_decision(written or entry)


def _recorded_decision(entry: Entry) -> RetrainingDecision:
    return RetrainingDecision(
        cast("Literal['train', 'judge', 'skip']", entry.outcome), entry.reason, dict(entry.evidence)
    )
