"""What the YAML says that a missing, empty or late input means."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tradewind.errors import EmptyInput, LeftOut, MalformedInput, MissingInput, NotDelivered
from tradewind.etl.late_inputs import apply_late_policy, late_input_outcome, next_poll_time
from tradewind.spec.source_files import Files

START = datetime(2013, 11, 3, 6, tzinfo=UTC)
HOUR = timedelta(hours=1)


def source(**fields: Any) -> Files:
    return Files.model_validate({"files": "x.csv", **fields})


@pytest.mark.parametrize("said", ["fail", "wait", "skip"])
@pytest.mark.parametrize("there", [False, True])
def test_missing_and_empty_are_two_questions(said: str, there: bool) -> None:
    asked, other = ("empty", "missing") if there else ("missing", "empty")
    assert late_input_outcome(source(**{asked: said, other: "fail"}), there=there, waited=timedelta(0)) == said


@pytest.mark.parametrize("late", ["fail", "skip"])
def test_a_wait_ends_when_it_is_over(late: str) -> None:
    waiting = source(missing="wait", wait_for="2h", late=late)
    assert late_input_outcome(waiting, there=False, waited=2 * HOUR - timedelta(seconds=1)) == "wait"
    assert late_input_outcome(waiting, there=False, waited=2 * HOUR) == late


def meant(waiting: Files, problem: Exception, *, waited: timedelta = timedelta(0)) -> None:
    with apply_late_policy(waiting, waited=waited):
        raise problem


def test_without_a_word_it_is_the_error_that_it_was() -> None:
    problem = MissingInput("x.csv is missing")
    with pytest.raises(MissingInput) as caught:
        meant(source(), problem)
    assert caught.value is problem


def test_waiting_says_how_long() -> None:
    with pytest.raises(NotDelivered, match=r"^x\.csv is missing$") as caught:
        meant(source(missing="wait", wait_for="2h"), MissingInput("x.csv is missing"))
    assert caught.value.wait_for == 2 * HOUR


def test_a_wait_in_vain_names_what_has_not_come_and_how_long_it_was() -> None:
    waiting = source(empty="wait", wait_for="2h")
    with pytest.raises(EmptyInput, match=r"x\.csv has no row \(waited 2h for it since the run's start\)"):
        meant(waiting, EmptyInput("x.csv has no row"), waited=3 * HOUR)


def test_leaving_out_says_by_which_word() -> None:
    with pytest.raises(LeftOut, match="x is missing; left out by `missing: skip`"):
        meant(source(missing="skip"), MissingInput("x is missing"))
    with pytest.raises(LeftOut, match=r"x is missing \(waited 2h .*\); left out by `late: skip`"):
        meant(source(missing="wait", wait_for="2h", late="skip"), MissingInput("x is missing"), waited=3 * HOUR)


def test_what_is_malformed_is_never_waited_for_or_skipped() -> None:
    with pytest.raises(MalformedInput):
        meant(source(missing="skip", empty="skip"), MalformedInput("x"))


@pytest.mark.parametrize(
    ("wait_for", "every"),
    [(timedelta(minutes=1), 5), (timedelta(minutes=10), 30), (6 * HOUR, 300), (timedelta(days=7), 300)],
)
def test_it_looks_twenty_times_but_at_least_every_five_minutes(wait_for: timedelta, every: int) -> None:
    assert next_poll_time(START, started=START, wait_for=wait_for) - START == timedelta(seconds=every)


def test_the_last_look_is_when_the_wait_is_over() -> None:
    now = START + 6 * HOUR - timedelta(minutes=2)
    assert next_poll_time(now, started=START, wait_for=6 * HOUR) == START + 6 * HOUR


def test_it_never_looks_at_once() -> None:
    now = START + 6 * HOUR - timedelta(seconds=1)
    assert next_poll_time(now, started=START, wait_for=6 * HOUR) == now + timedelta(seconds=5)
