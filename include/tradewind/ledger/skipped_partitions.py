"""Partitions that stay out: the YAML's `skip` or a person said so. Later partitions go on without them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tradewind.errors import UsageError
from tradewind.ledger.journal import Entry

if TYPE_CHECKING:
    from tradewind.ledger.journal import Ledger
    from tradewind.spec.partitions import Partitioning

SKIPPED, TAKEN_BACK = "skipped", "taken back"


def leave_out(
    ledger: Ledger,
    pipeline: str,
    partition: str,
    *,
    dataset: str,
    reason: str,
    evidence: Mapping[str, Any] | None = None,
    actor: str = "airflow",
    run_id: str = "local",
) -> bool:
    """Record that the YAML's `skip` leaves a partition out, because an input of a dataset did not come or was empty.

    :param dataset: whose input it is
    :param reason: what was looked for and not found
    :return: False if this run has said so already
    """
    said = hashlib.sha256(reason.encode()).hexdigest()[:8]
    entry = Entry(
        pipeline, "left_out", dataset, partition, f"{partition}/{dataset}/{run_id}/{said}",
        outcome="left out", reason=reason, evidence=evidence or {}, actor=actor, run_id=run_id,
    )  # fmt: skip
    return ledger.append(entry)


def skip_partition(ledger: Ledger, pipeline: str, partition: str, *, reason: str, actor: str) -> Entry:
    """Record that a person decides that a partition stays out.

    :return: the entry that holds now, another person's if that came first
    """
    return _decide(ledger, pipeline, partition, outcome=SKIPPED, reason=reason, actor=actor)


def take_back(ledger: Ledger, pipeline: str, partition: str, *, reason: str, actor: str) -> Entry:
    """Record that a partition that was skipped shall be run after all.

    :raises UsageError: it was not skipped
    """
    if partition not in skipped_partitions(ledger, pipeline):
        raise UsageError(f"{pipeline}: nobody skipped partition {partition}, so there is nothing to take back")
    return _decide(ledger, pipeline, partition, outcome=TAKEN_BACK, reason=reason, actor=actor)


def skipped_partitions(ledger: Ledger, pipeline: str) -> dict[str, Entry]:
    """Partitions that a person keeps out, in order, with the entry that says who and why."""
    newest = {entry.partition: entry for entry in ledger.find(pipeline, "skip") if entry.partition is not None}
    return {key: newest[key] for key in sorted(newest) if newest[key].outcome == SKIPPED}


def left_out(ledger: Ledger, pipeline: str) -> dict[str, str]:
    """Partitions without which later ones go on, in order, with the reason; none whose etl was ever completed.

    They block no lookback, no window and no order of stages: what they would have held is not there and will not come.
    """
    entries = ledger.find(pipeline, "left_out")
    by_yaml = {entry.partition: entry.reason for entry in entries if entry.partition is not None}
    by_hand = {
        key: f"{entry.reason} (skipped by {entry.actor})" for key, entry in skipped_partitions(ledger, pipeline).items()
    }
    found = {**by_yaml, **by_hand}
    return {
        key: found[key] for key in sorted(found) if not ledger.has(pipeline, "complete", subject="etl", partition=key)
    }


def previous_partition(ledger: Ledger, pipeline: str, partition: str, *, partitioning: Partitioning) -> str | None:
    """The nearest earlier partition that is not left out; None if there is none since the pipeline's start."""
    absent = left_out(ledger, pipeline) if partition > partitioning.start else {}
    while partition > partitioning.start:
        partition = partitioning.shift(partition, -1)
        if partition not in absent:
            return partition
    return None


def is_settled(ledger: Ledger, pipeline: str, stage: str, partition: str) -> bool:
    """Whether there is nothing to wait for: the stage is complete for the partition, or the partition is left out."""
    complete = ledger.has(pipeline, "complete", subject=stage, partition=partition)
    return complete or partition in left_out(ledger, pipeline)


def _decide(ledger: Ledger, pipeline: str, partition: str, *, outcome: str, reason: str, actor: str) -> Entry:
    # Entries of one partition alternate, and the ordinal is their key: of two people at once, one is written.
    said = ledger.find(pipeline, "skip", partition=partition)
    if said and said[-1].outcome == outcome:
        return said[-1]
    key = f"{partition}/{len(said)}"
    ledger.append(Entry(pipeline, "skip", "etl", partition, key, outcome=outcome, reason=reason, actor=actor))
    written = ledger.get(pipeline, "skip", key=key)
    assert written is not None  # by this run, or by one that came first
    return written
