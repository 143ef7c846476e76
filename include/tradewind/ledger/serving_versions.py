"""Refits: judged versions that were fitted once more on everything, and which of the two serves."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tradewind.ledger.journal import Entry, Ledger

SERVES, KEPT = "serves", "kept"
"""Outcomes of an entry `refit`: the refit serves in place of the judged version; or the judged version is kept."""


def find_refit(ledger: Ledger, pipeline: str, judged: str) -> Entry | None:
    """What came of fitting a judged version once more; None if that was not done."""
    found = ledger.find(pipeline, "refit", subject=judged)
    return found[-1] if found else None


def serving_version(ledger: Ledger, verdict: Entry) -> str:
    """The version that serves, or stands as shadow, after a verdict: the refit of what it judged where there is one."""
    judged = str(verdict.evidence["version"])
    found = find_refit(ledger, verdict.pipeline, judged)
    return str(found.evidence["refitted"]) if found is not None and found.outcome == SERVES else judged
