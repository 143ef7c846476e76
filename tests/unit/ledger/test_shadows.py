"""Which shadow stands: one at a time, and for a replay the one that the first run knew."""

from __future__ import annotations

from tradewind.ledger import shadows
from tradewind.ledger.journal import Entry, Ledger

NAME = "flights"


def begin(ledger: Ledger, day: int, version: str) -> Entry:
    return shadows.record_shadow_begin(
        ledger, NAME, f"2013-03-{day:02}",
        version=version, populations=[f"2013-03-{day + 2:02}"], judged_at=f"2013-03-{day + 3:02}", verdict_key="v",
    )  # fmt: skip


def standing(ledger: Ledger, day: int | None = None) -> str | None:
    found = shadows.standing_shadow(ledger, NAME, f"2013-03-{day:02}" if day else None)
    return found.subject if found else None


def test_a_shadow_stands_from_the_partition_after_the_one_it_passed_at(url: str) -> None:
    ledger = Ledger(url)
    assert standing(ledger) is None
    entry = begin(ledger, 4, "2")
    assert [standing(ledger, day) for day in (4, 5, 9)] == [None, "2", "2"]
    assert [shadows.labels_are_due(entry, f"2013-03-{day:02}") for day in (6, 7, 8)] == [False, True, True]
    assert begin(ledger, 4, "2") == entry
    assert len(ledger.find(NAME, "shadow")) == 1


def test_its_end_is_known_from_the_partition_after_it_so_that_a_replay_judges_again(url: str) -> None:
    ledger = Ledger(url)
    shadows.record_shadow_end(ledger, begin(ledger, 4, "2"), "2013-03-07", outcome="passed", reason="r")
    assert [standing(ledger, day) for day in (7, 8)] == ["2", None]
    assert standing(ledger) is None


def test_a_failed_population_does_not_end_it(url: str) -> None:
    ledger = Ledger(url)
    shadows.record_shadow_failure(ledger, begin(ledger, 4, "2"), "2013-03-06", reason="cannot be loaded")
    assert standing(ledger) == "2"


def test_a_replay_of_an_older_partition_takes_no_newer_shadows_place(url: str) -> None:
    ledger = Ledger(url)
    begin(ledger, 8, "3")
    begin(ledger, 4, "2")
    assert [standing(ledger, day) for day in (5, 9, None)] == ["2", "3", "3"]
