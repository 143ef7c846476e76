from __future__ import annotations

from datetime import date, datetime, time, timedelta

import pytest
from croniter import CroniterBadDateError, croniter
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.spec.cron import PRESETS, cron_error, cron_ticks


def items(low: int, high: int) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    spans = st.tuples(number, number).map(lambda pair: f"{min(pair)}-{max(pair)}")
    item = st.one_of(st.just("*"), number.map(str), spans, st.integers(1, high).map(lambda step: f"*/{step}"))
    return st.lists(item, min_size=1, max_size=3).map(",".join)


FIELDS = ["*", "5", "0-3", "7", "60", "*/2", "mon"]
expressions = st.tuples(items(0, 59), items(0, 23), items(1, 31), items(1, 12), items(0, 6)).map(" ".join)


@given(expressions)
def test_what_cron_allows_has_no_flaw(expression: str) -> None:
    assert cron_error(expression) is None


@given(st.one_of(expressions, st.lists(st.sampled_from(FIELDS), min_size=4).map(" ".join)))
def test_what_has_no_flaw_is_accepted_by_the_library_that_runs_it(expression: str) -> None:
    if cron_error(expression) is None:
        assert croniter.is_valid(expression)


@pytest.mark.parametrize(
    "expression", [*PRESETS, "0 6 * * 1", "*/15 0-6,20 * jan-mar mon-fri", "5/15 * * * *", "0 0 * * 7"]
)
def test_common_schedules_have_no_flaw(expression: str) -> None:
    assert cron_error(expression) is None
    assert croniter.is_valid(expression)


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("0 6 * *", "4 fields"),
        ("0 0 6 * * 1", "6 fields"),
        ("", "0 fields"),
        ("60 * * * *", "invalid minute `60`"),
        ("0 24 * * *", "invalid hour `24`"),
        ("0 6 0 * *", "invalid day of month `0`"),
        ("0 6 * 13 *", "invalid month `13`"),
        ("0 6 * * 8", "invalid day of week `8`"),
        ("0 6 * * tues", "invalid day of week `tues`"),
        ("*/0 * * * *", "invalid minute `*/0`"),
        ("5-1 * * * *", "invalid minute `5-1`"),
        ("1,,2 * * * *", "invalid minute ``"),
        ("@yearly", "is not a preset"),
    ],
)
def test_a_flaw_is_told_in_words(expression: str, words: str) -> None:
    assert words in (cron_error(expression) or "")


def by_the_library(expression: str, first: date, days: int) -> set[datetime]:
    begin = datetime.combine(first, time())
    found, end = croniter(expression, begin - timedelta(seconds=1), ret_type=datetime), begin + timedelta(days=days)
    hours = set()
    try:
        while (tick := found.get_next()) < end:
            hours.add(tick.replace(minute=0))
    except CroniterBadDateError:  # a 31st of February never comes
        pass
    return hours


def by_us(expression: str, first: date, days: int) -> set[datetime]:
    known = cron_ticks(expression)
    dates = [first + timedelta(days=number) for number in range(days)]
    return {datetime.combine(day, time(hour)) for day in dates for hour in known.on(day)}


@settings(deadline=None)
@given(st.tuples(items(0, 23), items(1, 31), items(1, 12), items(0, 6)), st.dates(date(2012, 1, 1), date(2014, 12, 1)))
def test_a_schedule_ticks_when_the_library_that_runs_it_says(fields: tuple[str, ...], first: date) -> None:
    expression = " ".join(("0", *fields))
    assert by_us(expression, first, 9) == by_the_library(expression, first, 9)


@pytest.mark.parametrize(
    "expression",
    [*PRESETS, "0 6 * * 5-7", "0 6 * * 7", "0 6 * jan-mar MON,wed", "0 6 1,15 * mon", "0 6 */2 * 1", "0 6 1-31 * 1",
     "0 6 */1 * 1", "5/15 3/6 5/10 * *", "0 6 * * 1/2"],
)  # fmt: skip
def test_names_and_combinations_tick_when_the_library_that_runs_them_says(expression: str) -> None:
    first = date(2013, 1, 28)
    assert by_us(expression, first, 70) == by_the_library(expression, first, 70)
