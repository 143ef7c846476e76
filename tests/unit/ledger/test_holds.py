"""Pipelines that a person has stopped."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tradewind.errors import UsageError
from tradewind.ledger import holds, skipped_partitions
from tradewind.ledger.journal import Ledger


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(f"sqlite:///{tmp_path}/ledger.db")


def test_a_hold_lasts_until_somebody_resumes(ledger: Ledger) -> None:
    holds.hold_pipeline(ledger, "p", reason="bad source", actor="ann")
    assert "p is held by ann since" in (holds.describe_stop(ledger, "p", "2024-01-01") or "")
    assert holds.describe_stop(ledger, "other") is None
    assert holds.resume_pipeline(ledger, "p", reason="mended", actor="bob").reason == "bad source"
    assert holds.describe_stop(ledger, "p") is None
    holds.hold_pipeline(ledger, "p", reason="again", actor="ann")
    assert holds.stopping_entry(ledger, "p") is not None
    assert [entry.actor for entry in ledger.find("p", "resume")] == ["bob"]


def test_of_two_people_who_hold_at_once_one_is_written_and_both_are_told_who(ledger: Ledger) -> None:
    holds.stopping_entry(ledger, "p")  # brings the schema up to date
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda who: holds.hold_pipeline(ledger, "p", reason="x", actor=who), "abcd"))
    assert len({entry.actor for entry in found}) == 1
    assert len(ledger.find("p", "hold")) == 1


def test_resuming_what_nobody_holds_says_so(ledger: Ledger) -> None:
    with pytest.raises(UsageError, match="nobody holds p"):
        holds.resume_pipeline(ledger, "p", reason="x", actor="ann")


def test_a_skipped_partition_stops_alone(ledger: Ledger) -> None:
    skipped_partitions.skip_partition(ledger, "p", "2024-01-02", reason="strike", actor="ann")
    assert "skipped by ann" in (holds.describe_stop(ledger, "p", "2024-01-02") or "")
    assert (holds.describe_stop(ledger, "p", "2024-01-03"), holds.describe_stop(ledger, "p")) == (None, None)


def test_what_is_decommissioned_is_stopped_for_good(ledger: Ledger) -> None:
    holds.hold_pipeline(ledger, "p", reason="x", actor="ann")
    first = holds.record_decommission(ledger, "p", reason="replaced by q", actor="ann")
    assert holds.record_decommission(ledger, "p", reason="again", actor="bob").id == first.id
    assert "was decommissioned by ann" in (holds.describe_stop(ledger, "p", "2024-01-01") or "")
    for change in (holds.hold_pipeline, holds.resume_pipeline):
        with pytest.raises(UsageError, match="gets a new name"):
            change(ledger, "p", reason="x", actor="bob")
