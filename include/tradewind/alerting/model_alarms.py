"""What is an incident although every task succeeds: decay, drift, rejected candidates, and no champion.

All of it is looked at in the order of partitions. What a partition finds that is not the newest one decided is history:
running it again opens nothing that has healed, and heals nothing that is open.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tradewind.alerting.drift_alarms import has_drifted, read_drift_rows
from tradewind.alerting.incidents import NO_PARTITION, open_incidents
from tradewind.alerting.lasting_conditions import LastingCondition, heal_condition, open_condition
from tradewind.core import retraining
from tradewind.core.drift import IN_TRAINING
from tradewind.core.drift_tests import drift_test_words
from tradewind.core.monitoring_rows import DriftRow, PerformanceRow
from tradewind.ledger.journal import Entry, Ledger

if TYPE_CHECKING:
    from tradewind.alerting.drift_alarms import JudgedPartition
    from tradewind.core.retraining import QuorumState
    from tradewind.deployment import Deployment
    from tradewind.spec.pipeline import Pipeline

RULE = "2 of 4"
"""When decay and drift are incidents, where neither `alerts` nor `retrain.when` says it."""
DECAY, DECAY_NOT_JUDGED, DRIFT, NOT_JUDGED, REJECTED, NO_CHAMPION = (
    "Decay", "DecayNotJudged", "Drift", "DriftNotJudged", "CandidatesRejected", "NoChampion",
)  # fmt: skip
_MONITOR, _TRAIN = "monitor", "train"
_NAMED = 4
_REASON = 200


def decay_rule(spec: Pipeline) -> str:
    """So many populations, as "m of n", that decayed are an incident."""
    return spec.alerts.decay or spec.retrain.when.decay or RULE


def drift_rule(spec: Pipeline) -> str:
    """So many partitions, as "m of n", that drifted are an incident."""
    return spec.alerts.drift or spec.retrain.when.drift or RULE


def check_pipeline_health(
    deployment: Deployment, partition: str, *, decay: Sequence[JudgedPartition[PerformanceRow]]
) -> None:
    """Open and heal what this partition says of the pipeline's life, after it was decided.

    :param decay: the newest judged populations of one champion, oldest first, as many as :func:`decay_rule` looks at
    """
    ledger = deployment.ledger
    newest = _newest_decisions(deployment.spec, ledger)
    if max(newest, default=partition) > partition:
        return
    if deployment.spec.monitor is not None:
        _check_decay(deployment, partition, decay=decay)
        _check_decay_judged(deployment, partition, decay=decay)
        _check_drift(deployment, partition)
    check_rejected_candidates(deployment)
    _check_champion(deployment, partition, decisions=newest)


def check_rejected_candidates(deployment: Deployment) -> None:
    """Open an incident for `alerts.rejected` rejected candidates in a row; one that passes heals it."""
    spec, ledger = deployment.spec, deployment.ledger
    judged = _judged_candidates(spec, ledger)
    last = next((number for number, entry in enumerate(reversed(judged)) if entry.outcome == "passed"), len(judged))
    row = judged[len(judged) - last :]
    limit = spec.alerts.rejected
    if limit is None or len(row) < limit:
        passed = judged[-1 - last] if last < len(judged) else None
        why = (
            f"{_describe_candidate(passed)} passed its verdict"
            if passed
            else f"{len(row)} candidates in a row were rejected"
        )
        heal_condition(ledger, spec, kind=REJECTED, stage=_TRAIN, because=why, run_id=deployment.runtime.run_id)
        return
    champions = ledger.champions(spec.pipeline)
    stays = f"version {champions[-1].model_version} stays champion" if champions else "there is no champion"
    reasons = "; ".join(f"{_describe_candidate(entry)}: {_shorten_reason(entry.reason)}" for entry in row[-_NAMED:])
    earlier = f"the last {_NAMED} of them: " if len(row) > _NAMED else ""
    message = f"{len(row)} candidates in a row were rejected since partition {row[0].partition}, {stays}; "
    values = {
        "since": row[0].partition,
        "candidates": {_describe_candidate(entry): _shorten_reason(entry.reason) for entry in row},
    }
    condition = LastingCondition(REJECTED, _TRAIN, message=f"{message}{earlier}{reasons}", evidence=values)
    open_condition(ledger, spec, condition, run_id=deployment.runtime.run_id)


def close_champion_incident(spec: Pipeline, ledger: Ledger, *, version: str, run_id: str) -> None:
    """A version became champion."""
    because = f"version {version} is champion"
    heal_condition(ledger, spec, kind=NO_CHAMPION, stage=_TRAIN, because=because, run_id=run_id)


def _check_decay(deployment: Deployment, partition: str, *, decay: Sequence[JudgedPartition[PerformanceRow]]) -> None:
    spec, ledger = deployment.spec, deployment.ledger
    assert spec.monitor is not None
    rule, limit = decay_rule(spec), spec.monitor.performance
    state = retraining.evaluate_quorum(rule, [one.violated for one in decay])
    if state.met:
        rows = {one.key: one.rows[-1] for one in decay if one.violated and one.rows}
        since = _condition_since(spec, ledger, DECAY, default=min(rows))
        values = {key: row.value for key, row in rows.items()}
        version = rows[max(rows)].model_version
        message = (
            f"{limit.metric} is {'below' if limit.at_most is None else 'above'} {limit.bound:g} in "
            f"{_describe_count(state)} populations (incident: {rule}), since population {since}: "
            f"{_describe_values(values)}; version {version} "
            f"served them. {_report_hint(deployment, partition)}"
        )
        evidence = {"since": since, "rule": rule, "metric": limit.metric, "limit": limit.bound, "values": values}
        condition = LastingCondition(DECAY, _MONITOR, message=message, evidence={**evidence, "version": version})
        open_condition(ledger, spec, condition, run_id=deployment.runtime.run_id)
    elif _is_rule_missed(state):
        because = f"{limit.metric} misses its limit in {_describe_count(state)} populations, fewer than {rule}"
        heal_condition(ledger, spec, kind=DECAY, stage=_MONITOR, because=because, run_id=deployment.runtime.run_id)


def _check_decay_judged(
    deployment: Deployment, partition: str, *, decay: Sequence[JudgedPartition[PerformanceRow]]
) -> None:
    """Open an incident if all populations that the rule looks at have a few labelled rows, and too few to judge."""
    spec, ledger = deployment.spec, deployment.ledger
    assert spec.monitor is not None
    rule, limit = decay_rule(spec), spec.monitor.performance
    state = retraining.evaluate_quorum(rule, [one.violated for one in decay])
    rows = {one.key: one.rows[-1].rows for one in decay if one.violated is None and one.rows}
    if state.given == state.of == sum(0 < number < limit.min_rows for number in rows.values()):
        since = _condition_since(spec, ledger, DECAY_NOT_JUDGED, default=min(rows))
        few = f"{min(rows.values())} to {max(rows.values())}" if len(set(rows.values())) > 1 else max(rows.values())
        message = (
            f"{limit.metric} could not be judged since population {since}, in any of the last {len(rows)} populations: "
            f"{few} rows with a label each, fewer than {limit.min_rows}. {_report_hint(deployment, partition)}"
        )
        evidence = {"since": since, "rule": rule, "rows": rows, "min_rows": limit.min_rows}
        condition = LastingCondition(DECAY_NOT_JUDGED, _MONITOR, message=message, evidence=evidence)
        open_condition(ledger, spec, condition, run_id=deployment.runtime.run_id)
    elif state.newest is not None:
        because = f"{limit.metric} was judged on population {decay[-1].key}"
        heal_condition(
            ledger, spec, kind=DECAY_NOT_JUDGED, stage=_MONITOR, because=because, run_id=deployment.runtime.run_id
        )


def _check_drift(deployment: Deployment, partition: str) -> None:
    spec, ledger = deployment.spec, deployment.ledger
    rule = drift_rule(spec)
    judged = _drift_rows(deployment, partition, length=int(rule.rsplit(" ", 1)[1]))
    state = retraining.evaluate_quorum(rule, [has_drifted(rows) for rows in judged.values()])
    _check_drift_judged(deployment, partition, judged=judged, whole=len(judged) == state.of)
    if state.met:
        alarms = {key: [row for row in rows if row.alarm] for key, rows in judged.items()}
        since = _condition_since(spec, ledger, DRIFT, default=next(key for key, rows in alarms.items() if rows))
        # A feature may be an alarm of several tests at one partition.
        often = Counter(name for rows in alarms.values() for name in dict.fromkeys(row.feature for row in rows))
        newest = {row.feature: row for rows in alarms.values() for row in rows}
        features = {name: _alarm_evidence(newest[name], times) for name, times in often.most_common()}
        named = list(often.most_common())[: 2 * _NAMED]
        words = ", ".join(f"{name} ({_describe_alarm(newest[name], times)})" for name, times in named)
        more = f" and {len(features) - 2 * _NAMED} more" if len(features) > 2 * _NAMED else ""
        message = (
            f"drift {_describe_horizon(spec)} in {_describe_count(state)} partitions (incident: {rule}), since "
            f"partition {since}: {words}"
            f"{more}. {_report_hint(deployment, partition)}"
        )
        condition = LastingCondition(
            DRIFT, _MONITOR, message=message, evidence={"since": since, "rule": rule, "features": features}
        )
        open_condition(ledger, spec, condition, run_id=deployment.runtime.run_id)
    elif _is_rule_missed(state):
        because = f"drift in {_describe_count(state)} partitions, fewer than {rule}"
        heal_condition(ledger, spec, kind=DRIFT, stage=_MONITOR, because=because, run_id=deployment.runtime.run_id)


def _check_drift_judged(
    deployment: Deployment, partition: str, *, judged: Mapping[str, Sequence[DriftRow]], whole: bool
) -> None:
    """Open an incident if nothing could be judged in all partitions that the rule looks at."""
    spec, ledger = deployment.spec, deployment.ledger
    missing = [key for key, rows in judged.items() if rows and all(row.outcome == "insufficient" for row in rows)]
    newest = list(judged.values())[-1] if judged else []
    if whole and len(missing) == len(judged):
        if _passes_by_itself(deployment, partition, newest=newest, more=len(judged)):
            return
        since = _condition_since(spec, ledger, NOT_JUDGED, default=missing[0])
        reasons = Counter(row.reason for row in newest)
        words = "; ".join(f"{reason} ({times} of {len(newest)})" for reason, times in reasons.most_common(_NAMED))
        message = (
            f"drift {_describe_horizon(spec)} could not be judged since partition {since}, in any of the last "
            f"{len(missing)} partitions: {words}. {_report_hint(deployment, partition)}"
        )
        condition = LastingCondition(
            NOT_JUDGED, _MONITOR, message=message, evidence={"since": since, "reasons": dict(reasons)}
        )
        open_condition(ledger, spec, condition, run_id=deployment.runtime.run_id)
    elif has_drifted(newest) is not None:
        because = f"drift was judged at partition {partition}"
        heal_condition(ledger, spec, kind=NOT_JUDGED, stage=_MONITOR, because=because, run_id=deployment.runtime.run_id)


def _passes_by_itself(deployment: Deployment, partition: str, *, newest: Sequence[DriftRow], more: int) -> bool:
    """Whether only a training is in the way, as after each; not where trainings follow each other before it has passed.

    :param newest: judgements of this partition
    :param more: so many partitions beside those of the horizon are looked at
    """
    assert deployment.spec.monitor is not None
    if not all(IN_TRAINING in row.reason for row in newest):
        return False
    length = min(deployment.spec.monitor.horizons) + more
    judged = _drift_rows(deployment, partition, length=length)
    never = [rows for rows in judged.values() if rows and all(row.outcome == "insufficient" for row in rows)]
    return len(never) < length


def _check_champion(deployment: Deployment, partition: str, *, decisions: Mapping[str, Entry]) -> None:
    """Open an incident if the window was complete long ago and no candidate became champion since."""
    spec, ledger = deployment.spec, deployment.ledger
    if spec.score is None or spec.alerts.no_champion is None:
        return
    champion = ledger.champion_for(spec.pipeline, spec.partitioning.shift(partition, spec.score.ahead))
    if champion is not None:
        close_champion_incident(spec, ledger, version=champion.model_version, run_id=deployment.runtime.run_id)
        return
    without: list[Entry] = []
    for key in sorted(decisions, reverse=True):
        if decisions[key].evidence.get("has_champion"):
            break
        without.append(decisions[key])
    complete = [entry for entry in without if not entry.evidence.get("window_missing")]
    if not complete:
        return
    since = str(complete[-1].partition)
    waited = sum(str(entry.partition) >= since for entry in without)
    if waited <= spec.alerts.no_champion:
        return
    judged = [entry for entry in _judged_candidates(spec, ledger) if str(entry.partition) >= since]
    last = ""  # where no training ended with a verdict
    if judged:
        candidate, outcome = _describe_candidate(judged[-1]), judged[-1].outcome
        last = f"the last candidate, {candidate}, was {outcome}: {_shorten_reason(judged[-1].reason)}; "
    message = (
        f"no champion serves although the training window was complete at partition {since}, {waited} partitions "
        f"ago (at most {spec.alerts.no_champion}, `alerts.no_champion`): {_describe_number(judged)}; "
        f"{last}decision at {partition}: {_shorten_reason(decisions[partition].reason)}"
    )
    condition = LastingCondition(
        NO_CHAMPION, _TRAIN, message=message, evidence={"since": since, "waited": waited, "candidates": len(judged)}
    )
    open_condition(ledger, spec, condition, run_id=deployment.runtime.run_id)


def _newest_decisions(spec: Pipeline, ledger: Ledger) -> dict[str, Entry]:
    """The newest decision of each partition."""
    entries = ledger.find(spec.pipeline, "decision", subject="train")
    return {entry.partition: entry for entry in entries if entry.partition is not None}


def _judged_candidates(spec: Pipeline, ledger: Ledger) -> list[Entry]:
    """The newest verdict of each candidate that was rejected or passed, and those that were not worth a whole fit, in
    order of their partitions.
    """
    newest = {entry.subject: entry for entry in ledger.find(spec.pipeline, "verdict")}
    early = {entry.partition: entry for entry in ledger.find(spec.pipeline, "early")}
    found = [entry for entry in (*newest.values(), *early.values()) if entry.outcome in ("rejected", "passed")]
    return sorted(found, key=lambda entry: (entry.partition or "", entry.id or 0))


def _drift_rows(deployment: Deployment, partition: str, *, length: int) -> dict[str, list[DriftRow]]:
    """What was judged over the shortest horizon in the newest partitions, oldest first."""
    spec = deployment.spec
    keys = [key for key in spec.partitioning.window(partition, length) if key >= spec.start]
    return read_drift_rows(spec, keys, deployment.lake)


def _is_rule_missed(state: QuorumState) -> bool:
    """Whether the newest is known and the rule is missed also without asking that the newest is violated."""
    return state.newest is not None and state.violated < state.needed


def _condition_since(spec: Pipeline, ledger: Ledger, kind: str, *, default: str) -> str:
    """Since when the condition holds: what the open incident says, else ``default``."""
    for one in open_incidents(ledger, spec.pipeline):
        if (one.stage, one.error_type) == (_MONITOR, kind) and NO_PARTITION in one.by_partition:
            return str(one.by_partition[NO_PARTITION].evidence.get("since", default))
    return default


def _describe_count(state: QuorumState) -> str:
    return f"{state.violated} of the last {state.given}"


def _describe_horizon(spec: Pipeline) -> str:
    assert spec.monitor is not None
    horizon = min(spec.monitor.horizons)
    return f"over {horizon} partition{'' if horizon == 1 else 's'}"


def _describe_alarm(row: DriftRow, times: int) -> str:
    statistic = drift_test_words(row.test) + ("" if row.statistic is None else f" {row.statistic:.2f}")
    usual = "" if row.null_high is None else f", usual up to {row.null_high:.2f}"
    return f"{statistic}{usual}, in {times} partition{'' if times == 1 else 's'}"


def _alarm_evidence(row: DriftRow, times: int) -> dict[str, Any]:
    return {"partitions": times, "test": row.test, "statistic": row.statistic, "usual": row.null_high}


def _describe_values(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value:.4f}" for key, value in values.items())


def _describe_candidate(entry: Entry) -> str:
    about = f"version {entry.subject}" if entry.kind == "verdict" else "a candidate not worth a whole fit"
    return f"{about} at {entry.partition}"


def _describe_number(judged: Sequence[Entry]) -> str:
    return "1 candidate was judged" if len(judged) == 1 else f"{len(judged)} candidates were judged"


def _shorten_reason(text: str) -> str:
    return text if len(text) <= _REASON else f"{text[:_REASON]} …"


def _report_hint(deployment: Deployment, partition: str) -> str:
    return f"Report: {deployment.runtime.reports / deployment.spec.pipeline / 'monitor' / f'{partition}.html'}"
