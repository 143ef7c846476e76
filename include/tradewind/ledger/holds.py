"""Pipelines that a person has stopped: held until a person resumes them, or decommissioned for good."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tradewind.errors import LeftOut, UsageError
from tradewind.ledger import completion, skipped_partitions
from tradewind.ledger.journal import Entry

if TYPE_CHECKING:
    from tradewind.ledger.journal import Ledger
    from tradewind.spec.pipeline import Pipeline

SUBJECT = "pipeline"


def hold_pipeline(ledger: Ledger, pipeline: str, *, reason: str, actor: str) -> Entry:
    """Record that nothing of a pipeline runs until a person resumes it.

    :return: the hold that is on now, another person's if that came first
    :raises UsageError: the pipeline is decommissioned
    """
    _refuse_decommissioned(ledger, pipeline)
    held = ledger.find(pipeline, "hold")
    if held and ledger.get(pipeline, "resume", key=held[-1].key) is None:
        return held[-1]
    # Holds and resumes alternate, and the ordinal, of the same look, is the key: of two people at once, one is written.
    key = str(len(held))
    ledger.append(Entry(pipeline, "hold", SUBJECT, None, key, outcome="held", reason=reason, actor=actor))
    written = ledger.get(pipeline, "hold", key=key)
    assert written is not None  # by this run, or by one that came first
    return written


def resume_pipeline(ledger: Ledger, pipeline: str, *, reason: str, actor: str) -> Entry:
    """Record that a held pipeline runs again.

    :return: the hold that is over
    :raises UsageError: it is not held, or it is decommissioned
    """
    _refuse_decommissioned(ledger, pipeline)
    found = stopping_entry(ledger, pipeline)
    if found is None:
        raise UsageError(f"nobody holds {pipeline}, so there is nothing to resume")
    ledger.append(Entry(pipeline, "resume", SUBJECT, None, found.key, outcome="resumed", reason=reason, actor=actor))
    return found


def record_decommission(
    ledger: Ledger, pipeline: str, *, reason: str, actor: str, evidence: Mapping[str, Any] | None = None
) -> Entry:
    """Record that a pipeline has ended for good.

    :return: the entry, an earlier one if there is one
    """
    entry = Entry(
        pipeline, "decommissioned", SUBJECT, None, SUBJECT,
        outcome="decommissioned", reason=reason, evidence=evidence or {}, actor=actor,
    )  # fmt: skip
    ledger.append(entry)
    return decommission_entry(ledger, pipeline) or entry


def decommission_entry(ledger: Ledger, pipeline: str) -> Entry | None:
    """The entry that ended the pipeline; None while it lives."""
    return ledger.get(pipeline, "decommissioned", key=SUBJECT)


def stopping_entry(ledger: Ledger, pipeline: str) -> Entry | None:
    """What keeps the whole pipeline from running: its end, or a hold that was not resumed; None if nothing does."""
    if (ended := decommission_entry(ledger, pipeline)) is not None:
        return ended
    held = ledger.find(pipeline, "hold")
    return held[-1] if held and ledger.get(pipeline, "resume", key=held[-1].key) is None else None


def describe_stop(ledger: Ledger, pipeline: str, partition: str | None = None) -> str | None:
    """Why a partition does not run, in words; None if it may.

    :param partition: None for the pipeline as a whole
    """
    found = stopping_entry(ledger, pipeline)
    if found is not None and found.kind == "decommissioned":
        return f"{pipeline} was decommissioned by {found.actor} on {found.at:%Y-%m-%d}: {found.reason}"
    if found is not None:
        return (
            f"{pipeline} is held by {found.actor} since {found.at:%Y-%m-%d %H:%M} UTC: {found.reason}; "
            f"it goes on with: tradewind resume {pipeline}"
        )
    kept = skipped_partitions.skipped_partitions(ledger, pipeline).get(partition) if partition else None
    if kept is not None:
        return (
            f"{pipeline}: partition {partition} is skipped by {kept.actor} since {kept.at:%Y-%m-%d %H:%M} UTC: "
            f"{kept.reason}; it may run again after: tradewind skip {pipeline} {partition} --take-back"
        )
    return None


def require_not_held(ledger: Ledger, spec: Pipeline, partition: str, *, stage: str, first: bool, run_id: str) -> None:
    """Go on only while no person holds the pipeline or keeps the partition out.

    Every task asks, not only the first: what begins after the hold publishes nothing. What stops in the middle of a
    run is written down as not started, so that upkeep sends its event again after `resume`.

    :param first: nothing of the stage has been done in this run
    :raises LeftOut: it is held or left out
    """
    reason = describe_stop(ledger, spec.pipeline, partition)
    if reason is None:
        return
    if not first and completion.upstream_stage(stage, spec.stages):
        completion.record_start(ledger, spec.pipeline, stage, partition, cause="held", run_id=run_id)
    raise LeftOut(f"nothing is done: {reason}")


def _refuse_decommissioned(ledger: Ledger, pipeline: str) -> None:
    if (ended := decommission_entry(ledger, pipeline)) is not None:
        raise UsageError(
            f"{pipeline} was decommissioned by {ended.actor} on {ended.at:%Y-%m-%d}: {ended.reason}; "
            "a pipeline that comes back gets a new name"
        )
