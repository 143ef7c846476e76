"""Judge one partition: drift against the champion's baseline, and performance where labels fell due."""

from __future__ import annotations

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tradewind.core.monitoring_rows import DriftRow
from tradewind.ledger import completion
from tradewind.monitoring import monitor_page, monitoring_datasets
from tradewind.monitoring.drift_rows import publish_drift
from tradewind.monitoring.performance_rows import publish_performance
from tradewind.monitoring.profile_rows import require_monitor_turn

if TYPE_CHECKING:
    from tradewind.deployment import Deployment
    from tradewind.lake.publish import PublishedPartition

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PartitionJudgement:
    """What was found for one partition.

    :param alarms: what drifted, as ``feature over h partitions``
    :param performance: the realised metric of each population that fell due; None where there is none
    :param report: the HTML report
    :param changed: False if all of it had been done before
    """

    alarms: tuple[str, ...]
    performance: Mapping[str, float | None]
    report: Path
    changed: bool


def judge_partition(deployment: Deployment, partition: str) -> PartitionJudgement:
    """Publish `drift` and `performance` of one partition, write the report, and complete the stage `monitor`.

    :param partition: partition key; it must have been profiled
    :raises NotReady: the population of ``partition`` has not been scored, or the partition before not been judged, yet
    :raises MissingInput: the partition has not been profiled
    :raises Conflict: another run published the partition meanwhile
    """
    spec, runtime, ledger = deployment.spec, deployment.runtime, deployment.ledger
    require_monitor_turn(spec, partition, ledger, alone=runtime.alone)
    drift = publish_drift(deployment, partition)
    performance = publish_performance(deployment, partition)
    drifts = [DriftRow.from_record(row) for row in _published_rows(deployment, drift)]
    realised = _published_rows(deployment, performance)
    path = runtime.reports / spec.pipeline / "monitor" / f"{partition}.html"
    monitor_page.write_monitor_page(
        path, pipeline=spec.pipeline, partition=partition, drift=drifts, performance=realised
    )
    # A feature may be an alarm of several tests.
    alarms = tuple(dict.fromkeys(f"{row.feature} over {row.horizon}" for row in drifts if row.alarm))
    values = {row["population"]: row["value"] for row in realised}
    outcomes = {row["population"]: row["outcome"] for row in realised}
    judged = count_judgements(drifts)
    numbers = ", ".join(f"{key} {'no data' if value is None else f'{value:.4f}'}" for key, value in values.items())
    log.info(
        "%s: partition %s: drift %s; performance %s",
        spec.pipeline, partition, describe_drift(alarms, judged), numbers or "of no population fell due",
    )  # fmt: skip
    done = completion.record_completion(
        ledger,
        spec.pipeline,
        "monitor",
        partition,
        cause=_monitoring_cause(deployment, partition),
        evidence={"alarms": alarms, "performance": values, "outcomes": outcomes, "judgements": judged},
        run_id=runtime.run_id,
    )
    changed = done or drift.changed or (performance is not None and performance.changed)
    return PartitionJudgement(alarms, values, path, changed)


def count_judgements(drifts: Iterable[DriftRow]) -> dict[str, Any]:
    """How many judgements of drift there are by outcome, and the most frequent reason why they are not possible."""
    rows = list(drifts)
    reasons = Counter(row.reason for row in rows if row.alarm is None)
    common = reasons.most_common(1)
    return {**Counter(row.outcome for row in rows), **({"reason": common[0][0]} if common else {})}


def describe_drift(alarms: Sequence[str], judged: Mapping[str, Any], *, most: int = 3) -> str:
    """What drifted in a partition, in words; what could not be judged is never "nothing".

    :param alarms: as ``feature over h``
    :param judged: what :func:`count_judgements` counted; empty where it was not counted
    :param most: so many alarms are named
    """
    counts = {name: int(judged.get(name, 0)) for name in ("ok", "drift", "insufficient", "no champion")}
    total, reason = sum(counts.values()), str(judged.get("reason", ""))
    if total and counts["no champion"] == total:
        return "not judged: there is no champion to compare with"
    if total and not counts["ok"] + counts["drift"]:
        return f"not judged: all {total} judgements are insufficient ({reason})"
    more = f" and {len(alarms) - most} more" if len(alarms) > most else ""
    found = f"in {', '.join(alarms[:most])}{more}" if alarms else "in nothing"
    missing = total - counts["ok"] - counts["drift"]
    return f"{found}; {missing} of {total} judgements are insufficient ({reason})" if missing else found


def _published_rows(deployment: Deployment, published: PublishedPartition | None) -> list[dict[str, Any]]:
    if published is None:
        return []
    table = monitoring_datasets.read_monitoring_rows(deployment, published.dataset, partitions=[published.partition])
    rows: list[dict[str, Any]] = table.to_pylist() if table is not None else []
    return rows


def _monitoring_cause(deployment: Deployment, partition: str) -> str:
    """Hash of what caused everything that monitoring published for the partition."""
    names = ("profiles", "drift", "performance")
    found = {
        name: monitoring_datasets.partition_states(monitoring_datasets.monitoring_snapshot(deployment, name)).get(
            partition
        )
        for name in names
    }
    causes = {name: state.cause for name, state in found.items() if state}
    return hashlib.sha256(json.dumps(causes, sort_keys=True).encode()).hexdigest()[:32]
