"""Pins: a person rolled back, and no candidate becomes champion by itself until a person lifts the pin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tradewind.errors import UsageError
from tradewind.ledger.journal import Entry

if TYPE_CHECKING:
    from tradewind.ledger.champions import ChampionChange
    from tradewind.ledger.journal import Ledger


def pin_entry(champion: ChampionChange, *, reason: str) -> Entry:
    """The pin that goes with a person's change of champion; :meth:`Ledger.promote` writes both or neither."""
    return Entry(
        champion.pipeline, "pin", champion.model_version, None, "",
        outcome="pinned", reason=reason, evidence={"version": champion.model_version},
        actor=champion.actor, run_id=champion.run_id,
    )  # fmt: skip


def current_pin(ledger: Ledger, pipeline: str) -> Entry | None:
    """The pin that is on, its subject is the version; None if there is none."""
    return ledger.pinned(pipeline)


def lift_pin(ledger: Ledger, pipeline: str, *, reason: str, actor: str, run_id: str = "local") -> Entry:
    """Record that candidates may become champion again.

    :return: the pin that is lifted
    :raises UsageError: no reason, or nothing is pinned
    """
    if not reason.strip():
        raise UsageError(f"lifting the pin of {pipeline} needs a reason: it goes into the ledger")
    if (held := current_pin(ledger, pipeline)) is None:
        raise UsageError(f"nobody pinned the champion of {pipeline}, so there is nothing to lift")
    over = Entry(
        pipeline, "unpin", held.subject, None, held.key,
        outcome="lifted", reason=reason, actor=actor, run_id=run_id,
    )  # fmt: skip
    ledger.append(over)
    return held


def describe_pin(held: Entry) -> str:
    """The pin in words, with what to do about it."""
    return (
        f"{held.actor} pinned version {held.subject} on {held.at:%Y-%m-%d %H:%M} UTC: {held.reason}; candidates are "
        f"judged and not promoted until: tradewind unpin {held.pipeline} --reason TEXT"
    )
