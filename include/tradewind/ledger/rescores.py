"""Published predictions that a person lets a fallback's answers replace."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tradewind.ledger.journal import Entry

if TYPE_CHECKING:
    from tradewind.ledger.journal import Ledger


def accept_fallback(
    ledger: Ledger, pipeline: str, population: str, *, cause: str, replaces: str, reason: str, actor: str
) -> Entry:
    """Record that a fallback may replace, once, what is published of a population now.

    :param cause: hash of what is published of it
    :param replaces: who served it, in words
    :return: the entry that holds: of two people at once, the first one's
    """
    if (before := accepted_fallback(ledger, pipeline, population, cause=cause)) is not None:
        return before
    number = len(ledger.find(pipeline, "rescore", subject=population))
    key = f"{population}/{cause}/{number}"
    entry = Entry(
        pipeline, "rescore", population, population, key,
        outcome="accepted", reason=reason, evidence={"cause": cause, "replaces": replaces}, actor=actor,
    )  # fmt: skip
    ledger.append(entry)
    written = ledger.get(pipeline, "rescore", key=key)
    assert written is not None  # by this run, or by one that came first
    return written


def accepted_fallback(ledger: Ledger, pipeline: str, population: str, *, cause: str) -> Entry | None:
    """The entry by which a fallback may replace what is published of a population.

    :param cause: hash of what is published of it
    :return: None if it was not accepted, or if the population was scored since: what a person accepts, holds once
    """
    found = ledger.find(pipeline, "rescore", subject=population)
    if not found or found[-1].evidence["cause"] != cause:
        return None
    accepted = found[-1]
    scored = [
        entry
        for entry in ledger.find(pipeline, "complete", subject="score")
        if entry.evidence.get("population") == population and not entry.evidence.get("kept")
    ]
    return accepted if not scored or (scored[-1].id or 0) < (accepted.id or 0) else None
