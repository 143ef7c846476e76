"""How far each stage of each partition is: what was started, what is complete, and what got lost in between."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from tradewind.errors import NotReady
from tradewind.ledger.journal import Entry

if TYPE_CHECKING:
    from tradewind.ledger.journal import Ledger

CHAIN: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"etl": ("features",), "features": ("monitor", "score"), "monitor": ("train",)}
)
"""Which stages each stage's event starts."""


def upstream_stage(stage: str, present: Sequence[str]) -> str | None:
    """The stage whose event starts ``stage``; one that the pipeline lacks is passed over; None for the first.

    :param present: the stages that the pipeline has
    """
    earlier = next((name for name, after in CHAIN.items() if stage in after), None)
    return earlier if earlier is None or earlier in present else upstream_stage(earlier, present)


def record_start(
    ledger: Ledger, pipeline: str, stage: str, partition: str, *, cause: str, run_id: str = "local"
) -> bool:
    """Record that a stage began to work on what its upstream stage completed.

    :param cause: the cause with which the *upstream* stage is complete (:func:`latest_cause`); this is how
        :func:`lost_events` knows that the upstream's event arrived
    :return: False if the stage's newest start has this cause already
    """
    return _record(ledger, "started", pipeline, stage, partition, cause=cause, evidence={}, run_id=run_id)


def record_begin(
    ledger: Ledger, pipeline: str, stage: str, partition: str, *, stages: Sequence[str], run_id: str = "local"
) -> None:
    """Record that a stage begins to work on what the stage before it completed last.

    Every stage function does this itself: whatever calls it, a plan knows afterwards what the stage has seen.

    :param stages: the stages that the pipeline has
    """
    upstream = upstream_stage(stage, stages)
    cause = latest_cause(ledger, pipeline, upstream, partition) if upstream else None
    record_start(ledger, pipeline, stage, partition, cause=cause or "", run_id=run_id)


def record_completion(
    ledger: Ledger,
    pipeline: str,
    stage: str,
    partition: str,
    *,
    cause: str,
    evidence: Mapping[str, Any] | None = None,
    run_id: str = "local",
) -> bool:
    """Record that all a stage does for a partition is done.

    :param cause: hash of what the result was made from; a result that changes has another cause
    :return: False if the stage's newest completion has this cause already
    """
    return _record(ledger, "complete", pipeline, stage, partition, cause=cause, evidence=evidence or {}, run_id=run_id)


def latest_cause(ledger: Ledger, pipeline: str, stage: str, partition: str) -> str | None:
    """Cause of the newest completion; None while there is none."""
    return _cause(ledger.find(pipeline, "complete", subject=stage, partition=partition))


def is_complete(ledger: Ledger, pipeline: str, stage: str, partition: str) -> bool:
    """Whether the stage was ever completed for the partition."""
    return ledger.has(pipeline, "complete", subject=stage, partition=partition)


def require_completion(ledger: Ledger, pipeline: str, stage: str, partition: str) -> None:
    """Go on only when a stage is complete for a partition.

    :raises NotReady: it is not; the message names it
    """
    if not is_complete(ledger, pipeline, stage, partition):
        raise not_ready(pipeline, stage, partition)


def not_ready(pipeline: str, stage: str, partition: str) -> NotReady:
    """The error that names a stage of a partition which is not complete."""
    return NotReady(
        f"{pipeline}: {stage} of partition {partition} is not complete yet; "
        f"if no run of {pipeline}__{stage} is on its way, start one with that partition key",
        stage=stage,
        partition=partition,
    )


def lost_events(
    ledger: Ledger,
    pipeline: str,
    chain: Mapping[str, Sequence[str]],
    partitions: Collection[str] | None = None,
    *,
    older_than: timedelta,
    now: datetime | None = None,
) -> list[tuple[str, str]]:
    """Completions whose event never reached a stage that waits for it.

    :param chain: stage to the stages that its event starts, usually :data:`CHAIN`; leave out stages the pipeline lacks
    :param partitions: partition keys to look at; None for all
    :param older_than: leave alone what was completed within this time: its event may be on its way
    :param now: the present, aware; for tests
    :return: ``(stage, partition)`` whose event must be sent again, in order of partition, then of the chain
    """
    before = (now or datetime.now(UTC)) - older_than
    completed = _newest(ledger.find(pipeline, "complete"))
    started = _newest(ledger.find(pipeline, "started"))
    found = []
    for (stage, partition), entry in completed.items():
        arrived = all(
            (begun := started.get((after, partition))) is not None
            and begun.evidence["cause"] == entry.evidence["cause"]
            for after in chain.get(stage, ())
        )
        if (partitions is None or partition in partitions) and entry.at <= before and not arrived:
            found.append((stage, partition))
    order = list(chain)
    return sorted(found, key=lambda pair: (pair[1], order.index(pair[0])))


def _record(
    ledger: Ledger,
    kind: Literal["started", "complete"],
    pipeline: str,
    stage: str,
    partition: str,
    *,
    cause: str,
    evidence: Mapping[str, Any],
    run_id: str,
) -> bool:
    # The ordinal is part of the key, so that inputs that change and change back are two more entries;
    # two writers with the same cause make the same key, and one of them writes.
    earlier = ledger.find(pipeline, kind, subject=stage, partition=partition)
    if _cause(earlier) == cause:
        return False
    key = f"{stage}/{partition}/{len(earlier)}/{cause}"
    outcome = "again" if earlier else "first"
    entry = Entry(
        pipeline, kind, stage, partition, key, outcome=outcome, evidence={**evidence, "cause": cause}, run_id=run_id
    )
    return ledger.append(entry)


def _cause(entries: Sequence[Entry]) -> str | None:
    return str(entries[-1].evidence["cause"]) if entries else None


def _newest(entries: Sequence[Entry]) -> dict[tuple[str, str], Entry]:
    return {(entry.subject, entry.partition): entry for entry in entries if entry.partition is not None}
