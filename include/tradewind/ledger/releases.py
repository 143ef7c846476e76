"""Partitions in quarantine that a person lets go: as they are, or without their bad rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tradewind.ledger.journal import Entry

if TYPE_CHECKING:
    from tradewind.ledger.journal import Ledger

AS_IT_IS, WITHOUT_BAD_ROWS = "as it is", "without its bad rows"


def record_release(
    ledger: Ledger,
    pipeline: str,
    dataset: str,
    partition: str,
    *,
    digest: str,
    cause: str,
    drop_bad_rows: bool,
    reason: str,
    actor: str,
) -> Entry:
    """Record that exactly these rows may be published.

    :param digest: of the rows in quarantine
    :param cause: hash of what they were made from; rows of another cause are audited anew
    :return: the entry that holds; of two people at once, the first one's
    """
    outcome = WITHOUT_BAD_ROWS if drop_bad_rows else AS_IT_IS
    key = f"{dataset}/{partition}/{cause}/{digest}/{outcome}"
    evidence = {"digest": digest, "cause": cause}
    ledger.append(Entry(pipeline, "release", dataset, partition, key, outcome, reason, evidence, actor))
    written = ledger.get(pipeline, "release", key=key)
    assert written is not None  # by this run, or by one that came first
    return written


def granted_release(ledger: Ledger, pipeline: str, dataset: str, partition: str, *, cause: str) -> Entry | None:
    """The newest release of rows of this cause; None if there is none."""
    found = ledger.find(pipeline, "release", subject=dataset, partition=partition)
    return next((entry for entry in reversed(found) if entry.evidence["cause"] == cause), None)
