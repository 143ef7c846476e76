"""Cron expressions: five fields or one of the presets, read by the library that Airflow runs them with."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date

from tradewind.spec.problems import join_words

PRESETS = ("@hourly", "@daily", "@weekly", "@monthly")
_FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day of month", 1, 31), ("month", 1, 12), ("day of week", 0, 7))
# What every cron understands. croniter takes more (`L`, `#`, `R` for a random value), and ranges that run backwards.
_ITEM = re.compile(r"(?:\*|(?P<first>\d+|[a-z]{3})(?:-(?P<last>\d+|[a-z]{3}))?)(?:/(?P<step>\d+))?")


@dataclass(frozen=True, slots=True)
class Ticks:
    """The days of a schedule, and its hours of such a day; every one of these hours has a tick.

    :param either: a day of the month *or* of the week is enough, as cron has it where both are restricted
    :param weekdays: 0 is Sunday
    """

    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either: bool

    def on(self, day: date) -> frozenset[int]:
        """The hours of a day that have a tick; none if the schedule leaves the day out."""
        fits = (day.day in self.days, day.isoweekday() % 7 in self.weekdays)
        wanted = any(fits) if self.either else all(fits)
        return self.hours if wanted and day.month in self.months else frozenset()


def cron_ticks(expression: str) -> Ticks:
    """When an expression without a :func:`cron_error` ticks, by the clock of its zone."""
    from croniter import croniter

    (_, hours, days, months, weekdays), _ = croniter.expand(expression)
    ranges = (range(24), range(1, 32), range(1, 13), range(7))
    sets = [
        frozenset(every if "*" in values else [int(value) for value in values])
        for values, every in zip((hours, days, months, weekdays), ranges, strict=True)
    ]
    return Ticks(sets[0], sets[1], sets[2], sets[3], either="*" not in days and "*" not in weekdays)


def cron_error(expression: str) -> str | None:
    """What is wrong with a cron expression, in words; None if nothing is.

    Accepted are lists, ranges, steps and the English names of months and days.
    """
    if expression.startswith("@"):
        return None if expression in PRESETS else f"is not a preset; there are {join_words(PRESETS, 'and')}"
    fields = expression.split()
    if len(fields) != len(_FIELDS):
        return f"has {len(fields)} fields; cron has five: minute hour day-of-month month day-of-week"
    for number, (text, (name, low, high)) in enumerate(zip(fields, _FIELDS, strict=True)):
        for item in text.split(","):
            if not _is_valid_item(item.lower(), number=number, high=high):
                expected = f"{low}-{high}, *, a list, a range or a step like */{min(high, 5)}"
                return f"invalid {name} `{item}`: expected {expected}"
    return None


def _is_valid_item(item: str, *, number: int, high: int) -> bool:
    """Whether one part of the field ``number`` is right; it stands alone, so the message can name it."""
    from croniter import croniter

    found = _ITEM.fullmatch(item)
    if found is None or int(found["step"] or 1) > high:
        return False
    first, last = found["first"] or "", found["last"] or ""
    if first.isdigit() and last.isdigit() and int(first) > int(last):
        return False
    return bool(croniter.is_valid(" ".join([*["*"] * number, item, *["*"] * (len(_FIELDS) - 1 - number)])))
