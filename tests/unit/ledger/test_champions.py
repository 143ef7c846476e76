from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor

import pytest

from tradewind.errors import Conflict
from tradewind.ledger import pins
from tradewind.ledger.champions import ChampionChange
from tradewind.ledger.journal import Ledger

PIPELINE = "flights"


def change(version: str, effective_from: str, *, decided_at: str | None = None, reason: str = "") -> ChampionChange:
    return ChampionChange(PIPELINE, 0, "flights", version, effective_from, decided_at=decided_at, reason=reason)


def test_a_change_is_written_with_the_next_seq(url: str) -> None:
    ledger = Ledger(url)
    first = ledger.promote(change("1", "2013-04-01", decided_at="2013-03-18"), expected=0)
    second = ledger.promote(change("2", "2013-05-06", decided_at="2013-04-22"), expected=1)
    assert [first.seq, second.seq] == [1, 2]
    assert ledger.champions(PIPELINE) == [first, second]


def test_each_population_has_the_newest_champion_that_holds_for_it(url: str) -> None:
    ledger = Ledger(url)
    for expected, (version, since) in enumerate([("1", "2013-04-01"), ("2", "2013-05-06"), ("1", "2013-04-15")]):
        ledger.promote(change(version, since, reason=str(expected)), expected=expected)

    def version(population: str) -> str | None:
        champion = ledger.champion_for(PIPELINE, population)
        return champion and champion.model_version

    assert [version(day) for day in ("2013-03-25", "2013-04-01", "2013-04-15", "2013-06-03")] == [None, "1", "1", "1"]
    previous = ledger.previous_champion(PIPELINE, "2013-06-03")
    assert previous is not None
    assert previous.model_version == "2"
    assert ledger.previous_champion(PIPELINE, "2013-04-01") is None


def test_a_change_that_is_recorded_is_returned_as_written(url: str) -> None:
    ledger = Ledger(url)
    first = ledger.promote(change("1", "2013-04-01", decided_at="2013-03-18", reason="gates"), expected=0)
    ledger.promote(change("2", "2013-05-06", decided_at="2013-04-22"), expected=1)
    again = ledger.promote(change("1", "2013-09-02", decided_at="2013-03-18", reason="later"), expected=0)
    assert again == first
    assert len(ledger.champions(PIPELINE)) == 2


def test_a_change_by_hand_is_the_same_only_while_it_is_the_newest(url: str) -> None:
    ledger = Ledger(url)
    first = ledger.promote(change("1", "2013-04-01"), expected=0)
    assert ledger.promote(change("1", "2013-04-01"), expected=1) == first
    ledger.promote(change("2", "2013-04-01"), expected=1)
    assert ledger.promote(change("1", "2013-04-01"), expected=2).seq == 3


@pytest.mark.parametrize("expected", [0, 2])
def test_a_change_decided_against_another_state_is_a_conflict(url: str, expected: int) -> None:
    ledger = Ledger(url)
    ledger.promote(change("1", "2013-04-01", decided_at="2013-03-18", reason="passed"), expected=0)
    with pytest.raises(Conflict, match="make version 2 champion of flights"):
        ledger.promote(change("2", "2013-05-06", decided_at="2013-04-22"), expected=expected)
    assert len(ledger.champions(PIPELINE)) == 1


def attempt(url: str, barrier: object, number: int) -> str:
    """Why it lost; empty if it won."""
    ledger = Ledger(url)
    ledger.champions(PIPELINE)
    barrier.wait()  # type: ignore[attr-defined]
    try:
        ledger.promote(change(str(number), "2013-04-01", decided_at="2013-03-18", reason="gates"), expected=0)
    except Conflict as exc:
        return str(exc)
    return ""


def at_once(work: Callable[[int], str], number: int) -> list[str]:
    """What the same work says, done by so many threads."""
    told: list[str] = []
    threads = [threading.Thread(target=lambda n=n: told.append(work(n))) for n in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(told)


def test_of_twenty_promotions_at_once_one_wins_and_the_others_say_who_did(url: str) -> None:
    barrier = threading.Barrier(20)
    won, *lost = at_once(lambda number: attempt(url, barrier, number), 20)
    (champion,) = Ledger(url).champions(PIPELINE)
    assert won == ""
    assert len(lost) == 19
    assert all(f"after it came version {champion.model_version} (gates)" in why for why in lost)


def test_promotions_and_rollbacks_at_once_leave_a_journal_without_gaps_and_a_pin_that_holds(url: str) -> None:
    ledger, barrier = Ledger(url), threading.Barrier(12)
    ledger.promote(change("0", "2013-04-01", decided_at="2013-03-11"), expected=0)

    def work(number: int) -> str:
        mine, again = Ledger(url), True
        new = change(str(number), "2013-04-01", decided_at=None if number % 2 else f"2013-03-{number + 12}")
        barrier.wait()
        while again:
            expected = len(mine.champions(PIPELINE))
            try:
                mine.promote(new, expected=expected, pin=pins.pin_entry(new, reason="mine") if number % 2 else None)
                return ""
            except Conflict as exc:
                again = "pinned" not in str(exc)
        return "pinned"

    at_once(work, 12)
    changes = ledger.champions(PIPELINE)
    assert [one.seq for one in changes] == list(range(1, len(changes) + 1))
    by_person = [one for one in changes if one.decided_at is None and one.seq > 1]
    assert len(by_person) == 6
    assert [one.decided_at for one in changes[changes.index(by_person[0]) :]] == [None] * 6  # none after a pin
    held = pins.current_pin(ledger, PIPELINE)
    assert held is not None
    assert held.subject == changes[-1].model_version
    assert [int(entry.key) for entry in ledger.find(PIPELINE, "pin")] == list(range(6))


def test_a_pin_refuses_candidates_until_it_is_lifted(url: str) -> None:
    ledger = Ledger(url)
    first = ledger.promote(change("1", "2013-04-01", decided_at="2013-03-18"), expected=0)
    ledger.promote(first, expected=1, pin=pins.pin_entry(first, reason="stay"))
    with pytest.raises(Conflict, match="local pinned version 1 in the meantime: stay"):
        ledger.promote(change("2", "2013-04-08", decided_at="2013-03-25"), expected=1)
    assert "until: tradewind unpin flights --reason TEXT" in pins.describe_pin(pins.current_pin(ledger, PIPELINE))
    pins.lift_pin(ledger, PIPELINE, reason="go on", actor="ann")
    assert pins.current_pin(ledger, PIPELINE) is None
    assert ledger.promote(change("2", "2013-04-08", decided_at="2013-03-25"), expected=1).seq == 2


@pytest.mark.slow
def test_of_promotions_in_several_processes_at_once_one_wins(url: str) -> None:
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager:
        barrier = manager.Barrier(4)
        with ProcessPoolExecutor(4, mp_context=context) as pool:
            outcomes = list(pool.map(attempt, [url] * 4, [barrier] * 4, range(4)))
    assert [bool(why) for why in sorted(outcomes)] == [False, True, True, True]
