"""The approval of a candidate: the verdict that is asked about, and the answer in the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tradewind.errors import UsageError
from tradewind.ledger.journal import Entry, Ledger
from tradewind.retraining import train_stage

if TYPE_CHECKING:
    from tradewind.core.runtime import Runtime
    from tradewind.deployment import Deployment
    from tradewind.spec.pipeline import Pipeline

WAITS_FOR_APPROVAL = "waits for approval"


def find_open_approval(deployment: Deployment, partition: str) -> Entry | None:
    """The verdict that must be approved before promotion; the training is settled meanwhile, so nothing waits for it.

    :return: None where this very verdict was approved and promoted before, as in a replay
    :raises UsageError: there is no verdict for the partition
    """
    ledger = deployment.ledger
    verdict = find_verdict_to_approve(deployment.spec, partition, ledger)
    if _is_promoted(verdict, ledger):
        return None
    train_stage.settle_training(deployment, partition, outcome=WAITS_FOR_APPROVAL)
    return verdict


def record_approval(
    verdict: Entry, runtime: Runtime, *,
    approved: bool, reason: str, actor: str, occasion: str, comment: str = "", timed_out: bool = False,
) -> Entry:  # fmt: skip
    """Write an answer into the ledger, also a "no"; the newest answer about a verdict holds.

    :param verdict: what the answer is about
    :param occasion: names the answer among those of one run, for example the time at which it was given
    :param comment: the words of who answered
    """
    entry = Entry(
        pipeline=verdict.pipeline,
        kind="approval",
        subject="promotion",
        partition=verdict.partition,
        key=f"{verdict.partition}/{runtime.run_id}/{occasion}",
        outcome="approved" if approved else "rejected",
        reason=reason,
        evidence={
            "timed_out": timed_out,
            "comment": comment,
            "version": verdict.evidence["version"],
            "verdict_key": verdict.key,
        },
        actor=actor,
        run_id=runtime.run_id,
    )
    Ledger(runtime.ledger).append(entry)
    return entry


def find_verdict_to_approve(spec: Pipeline, partition: str, ledger: Ledger, *, key: Any = None) -> Entry:
    """The newest verdict of a partition, or the one that was asked about, which may be older by now.

    :param key: of the verdict that was asked about
    :raises UsageError: there is no verdict for the partition
    """
    verdicts = ledger.find(spec.pipeline, "verdict", partition=partition)
    if not verdicts:
        raise UsageError(f"{spec.pipeline}: no verdict at partition {partition}; judge the candidate before asking")
    return next((entry for entry in verdicts if entry.key == key), verdicts[-1])


def _is_promoted(verdict: Entry, ledger: Ledger) -> bool:
    return any(
        (change.decided_at, change.evidence.get("verdict_key")) == (verdict.partition, verdict.key)
        for change in ledger.champions(verdict.pipeline)
    )
