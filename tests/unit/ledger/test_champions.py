from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import pytest

from tradewind.errors import Conflict
from tradewind.ledger.champions import Champion
from tradewind.ledger.journal import Ledger

PIPELINE = "flights"


def change(version: str, effective_from: str, *, decided_at: str | None = None, reason: str = "") -> Champion:
    return Champion(PIPELINE, 0, "flights", version, effective_from, decided_at=decided_at, reason=reason)


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


def attempt(url: str, barrier: object, number: int) -> bool:
    ledger = Ledger(url)
    ledger.champions(PIPELINE)
    barrier.wait()  # type: ignore[attr-defined]
    try:
        ledger.promote(change(str(number), "2013-04-01", decided_at="2013-03-18"), expected=0)
    except Conflict:
        return False
    return True


def test_of_twenty_promotions_at_once_one_wins_and_the_others_conflict(url: str) -> None:
    import threading

    barrier = threading.Barrier(20)
    outcomes: list[bool] = []
    threads = [threading.Thread(target=lambda n=n: outcomes.append(attempt(url, barrier, n))) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == [False] * 19 + [True]
    assert len(Ledger(url).champions(PIPELINE)) == 1


@pytest.mark.slow
def test_of_promotions_in_several_processes_at_once_one_wins(url: str) -> None:
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager:
        barrier = manager.Barrier(4)
        with ProcessPoolExecutor(4, mp_context=context) as pool:
            outcomes = list(pool.map(attempt, [url] * 4, [barrier] * 4, range(4)))
    assert sorted(outcomes) == [False] * 3 + [True]
