"""Cron expressions: five fields or one of the presets, checked without a library."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date

from tradewind.spec.problems import join_words

PRESETS = ("@hourly", "@daily", "@weekly", "@monthly")
_MEANINGS = dict(zip(PRESETS, ("0 * * * *", "0 0 * * *", "0 0 * * 0", "0 0 1 * *"), strict=True))
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day of month", 1, 31, ()),
    ("month", 1, 12, _MONTHS),
    ("day of week", 0, 7, _DAYS),
)
_ITEM = r"(?:\*|(\w+)(?:-(\w+))?)(?:/([1-9]\d*))?"


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
    texts = _MEANINGS.get(expression, expression).lower().split()
    sets = [
        frozenset(value for item in text.split(",") for value in _values(item, low, high, words))
        for text, (_, low, high, words) in zip(texts, _FIELDS, strict=True)
    ]
    _, hours, days, months, weekdays = sets
    weekdays = frozenset(value % 7 for value in weekdays)
    # A field that names every value counts as one that restricts nothing only beside a field with a star in it.
    free = (
        "*" in texts[2].split(",") or (len(days) == 31 and "*" in texts[4]),
        "*" in texts[4].split(",") or (len(weekdays) == 7 and "*" in texts[2]),
    )
    return Ticks(hours, days, months, weekdays, either=not any(free))


def cron_error(expression: str) -> str | None:
    """What is wrong with a cron expression, in words; None if nothing is.

    Accepted are lists, ranges, steps and the English names of months and days.
    """
    if expression.startswith("@"):
        return None if expression in PRESETS else f"is not a preset; there are {join_words(PRESETS, 'and')}"
    fields = expression.split()
    if len(fields) != len(_FIELDS):
        return f"has {len(fields)} fields; cron has five: minute hour day-of-month month day-of-week"
    for text, (name, low, high, words) in zip(fields, _FIELDS, strict=True):
        for item in text.split(","):
            if not _fits(item.lower(), low, high, words):
                expected = f"{low}-{high}, *, a list, a range or a step like */{min(high, 5)}"
                return f"invalid {name} `{item}`: expected {expected}"
    return None


def _fits(item: str, low: int, high: int, words: tuple[str, ...]) -> bool:
    match = re.fullmatch(_ITEM, item)
    if not match:
        return False
    first, last, step = match.groups()
    if step and int(step) > high:
        return False
    values = [_number(word, low, words) for word in (first, last) if word]
    return all(low <= value <= high for value in values) and values == sorted(values)


def _values(item: str, low: int, high: int, words: tuple[str, ...]) -> range:
    match = re.fullmatch(_ITEM, item)
    assert match is not None, "an expression without a flaw"
    first, last, step = match.groups()
    top = 6 if words is _DAYS else high  # 7 is Sunday once more
    begin = _number(first, low, words) if first else low
    end = _number(last, low, words) if last else begin if first and not step else top
    if last and begin == end:  # croniter, by which it will run, reads 3-3 as a whole round
        begin, end = low, top
    return range(begin, end + 1, int(step or 1))


def _number(word: str, low: int, words: tuple[str, ...]) -> int:
    # Names count from the field's lowest value: jan is 1, sun is 0.
    if word in words:
        return words.index(word) + low
    return int(word) if re.fullmatch(r"\d{1,2}", word) else -1
