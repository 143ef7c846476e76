"""Cron expressions: five fields or one of the presets, checked without a library."""

from __future__ import annotations

import re

from tradewind.spec.problems import listed

PRESETS = ("@hourly", "@daily", "@weekly", "@monthly")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day of month", 1, 31, ()),
    ("month", 1, 12, _MONTHS),
    ("day of week", 0, 7, _DAYS),
)


def flaw(expression: str) -> str | None:
    """What is wrong with a cron expression, in words; None if nothing is.

    Accepted are lists, ranges, steps and the English names of months and days.
    """
    if expression.startswith("@"):
        return None if expression in PRESETS else f"is no preset; there are {listed(PRESETS, 'and')}"
    fields = expression.split()
    if len(fields) != len(_FIELDS):
        return f"has {len(fields)} fields; cron has five: minute hour day-of-month month day-of-week"
    for text, (name, low, high, words) in zip(fields, _FIELDS, strict=True):
        for item in text.split(","):
            if not _fits(item.lower(), low, high, words):
                return (
                    f"`{item}` is no {name}: expected {low}-{high}, *, a list, a range or a step like */{min(high, 5)}"
                )
    return None


def _fits(item: str, low: int, high: int, words: tuple[str, ...]) -> bool:
    match = re.fullmatch(r"(?:\*|(\w+)(?:-(\w+))?)(?:/([1-9]\d*))?", item)
    if not match:
        return False
    first, last, step = match.groups()
    if step and int(step) > high:
        return False
    # Names count from the field's lowest value: jan is 1, sun is 0.
    values = [words.index(word) + low if word in words else _number(word) for word in (first, last) if word]
    return all(low <= value <= high for value in values) and values == sorted(values)


def _number(word: str) -> int:
    return int(word) if re.fullmatch(r"\d{1,2}", word) else -1
