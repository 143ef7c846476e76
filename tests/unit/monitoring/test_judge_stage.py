from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tradewind.errors import NotReady
from tradewind.ledger import completion
from tradewind.monitoring.partition_judgement import describe_drift, judge_partition

if TYPE_CHECKING:
    from conftest import World


@pytest.fixture
def ready(world: World) -> World:
    """Week 6 can be judged: champion 1 scored week 5, and `wind` is destroyed in week 6."""
    rng = np.random.default_rng(0)
    for number in range(6):
        world.profiled(world.week(number), wind=rng.normal(rng.normal(0, 0.1), 1, 700))
    world.profiled(world.week(6), wind=np.zeros(700))
    world.champion("1", train=world.weeks(0, 4), effective_from=world.week(5))
    world.scored(world.week(5), world.flights(world.week(5)))
    world.complete("score", world.week(5))
    world.complete("monitor", world.week(5))
    return world


def test_a_partition_is_judged_reported_and_completed(ready: World) -> None:
    judged = judge_partition(ready.deployment, ready.week(6))
    assert judged.alarms == ("wind over 1", "wind over 2")
    assert list(judged.performance) == [ready.week(5)]
    assert judged.changed
    assert "wind" in judged.report.read_text()
    assert completion.is_complete(ready.ledger, "flights", "monitor", ready.week(6))


def test_the_journal_says_how_many_judgements_could_be_made(ready: World) -> None:
    judge_partition(ready.deployment, ready.week(6))
    (entry,) = ready.ledger.find("flights", "complete", subject="monitor", partition=ready.week(6))
    assert entry.evidence["judgements"]["drift"] == 2
    assert list(entry.evidence["outcomes"]) == list(entry.evidence["performance"]) == [ready.week(5)]


@pytest.mark.parametrize(
    ("alarms", "judged", "words"),
    [
        ((), {}, "in nothing"),
        ((), {"ok": 3}, "in nothing"),
        (("wind over 1",), {"ok": 3, "drift": 1}, "in wind over 1"),
        (tuple("abcd"), {"drift": 4}, "in a, b, c and 1 more"),
        ((), {"no champion": 2, "reason": "x"}, "not judged: there is no champion to compare with"),
        (
            (),
            {"insufficient": 4, "reason": "61 rows, fewer than 500"},
            "not judged: all 4 judgements are insufficient (61 rows, fewer than 500)",
        ),
        (
            (),
            {"ok": 3, "insufficient": 1, "reason": "61 rows"},
            "in nothing; 1 of 4 judgements are insufficient (61 rows)",
        ),
    ],
)
def test_what_could_not_be_judged_is_never_nothing(alarms: tuple[str, ...], judged: dict[str, Any], words: str) -> None:
    assert describe_drift(alarms, judged) == words


def test_judging_again_changes_nothing(ready: World) -> None:
    first = judge_partition(ready.deployment, ready.week(6))
    versions = [ready.version(name) for name in ("drift", "performance")]
    page = first.report.read_bytes()
    again = judge_partition(ready.deployment, ready.week(6))
    assert not again.changed
    assert (again.alarms, again.performance) == (first.alarms, first.performance)
    assert [ready.version(name) for name in ("drift", "performance")] == versions
    assert len(ready.ledger.find("flights", "complete", subject="monitor", partition=ready.week(6))) == 1
    assert again.report.read_bytes() == page


def test_a_partition_without_champion_and_without_due_labels_is_complete_too(world: World) -> None:
    world.profiled(world.week(0), wind=np.zeros(700))
    judged = judge_partition(world.deployment, world.week(0))
    assert (judged.alarms, judged.performance) == ((), {})
    assert completion.is_complete(world.ledger, "flights", "monitor", world.week(0))


def test_it_waits_for_the_scoring_of_its_population(world: World) -> None:
    world.profiled(world.week(3), wind=np.zeros(700))
    world.complete("monitor", world.week(2))
    with pytest.raises(NotReady, match="score of partition 2013-01-21"):
        judge_partition(world.deployment, world.week(3))


def test_weeks_that_start_in_any_order_end_in_the_same_performance(world: World) -> None:
    for number in (3, 4, 5):
        world.profiled(world.week(number), wind=np.zeros(700))
    world.complete("monitor", world.week(2))
    world.complete("score", world.week(2))
    world.complete("score", world.week(4))
    # Week 5 comes first: its population is scored, but that of week 4, whose labels fall due in it, is not.
    with pytest.raises(NotReady, match="monitor of partition 2013-02-04") as raised:
        judge_partition(world.deployment, world.week(5))
    assert (raised.value.stage, raised.value.partition) == ("monitor", world.week(4))
    assert world.rows("performance", world.week(5)) == []
    judge_partition(world.deployment, world.week(3))
    world.scored(world.week(4), world.flights(world.week(4)))
    world.complete("score", world.week(3))
    for number in (4, 5):
        judge_partition(world.deployment, world.week(number))
    (row,) = world.rows("performance", world.week(5))
    assert (row["population"], row["outcome"]) == (world.week(4), "ok")
