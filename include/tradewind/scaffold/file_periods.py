"""Periods in the names of files: which hour, day, week or month each holds, and how the YAML spells that."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from tradewind.errors import UsageError
from tradewind.spec.partitions import Kind

KINDS: tuple[Kind, ...] = ("hour", "day", "week", "month")
"""From the shortest to the longest."""


@dataclass(frozen=True, slots=True)
class _Form:
    """One way to write a period in a file's name.

    :param shown: where it stands in the name
    :param parsed: for ``strptime``; a week's is completed with its Monday
    :param placeholder: what the YAML has in its place
    """

    kind: Kind
    shown: re.Pattern[str]
    parsed: str
    placeholder: str


# Digits without dashes count only where no other digit is near. The longer forms come first.
_FORMS = (
    _Form("hour", re.compile(r"\d{4}-\d\d-\d\dT\d\d(?!\d)"), "%Y-%m-%dT%H", "{partition}"),
    _Form("day", re.compile(r"\d{4}-\d\d-\d\d(?!\d)"), "%Y-%m-%d", "{day}"),
    _Form("day", re.compile(r"(?<!\d)(?:19|20)\d{6}(?!\d)"), "%Y%m%d", "{day:%Y%m%d}"),
    _Form("week", re.compile(r"\d{4}-W\d\d(?!\d)"), "%G-W%V", "{day:%G-W%V}"),
    _Form("month", re.compile(r"(?<!\d)(?:19|20)\d\d-\d\d(?![-\d])"), "%Y-%m", "{day:%Y-%m}"),
    _Form("month", re.compile(r"(?<!\d)(?:19|20)\d{4}(?!\d)"), "%Y%m", "{day:%Y%m}"),
)
_FEWEST = 3
"""Files of days that are all Mondays, or all firsts of a month, are taken for weeks or months from this many on."""


@dataclass(frozen=True, slots=True)
class Periods:
    """Files of one name that differ in their period only.

    :param kind: how long the period of one file is
    :param pattern: path with the placeholder of the YAML in place of the period
    :param files: those that are there, in the order of time
    :param begins: local time at which the period of each begins
    """

    kind: Kind
    pattern: str
    files: tuple[Path, ...]
    begins: tuple[datetime, ...]

    @property
    def end(self) -> datetime:
        """Local time at which the last period ends."""
        last = self.begins[-1]
        if self.kind == "month":
            return (last.replace(day=28) + timedelta(days=4)).replace(day=1)
        return last + {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(weeks=1)}[self.kind]

    def pattern_for(self, partition: Kind) -> str:
        """The path as a pipeline with partitions of this kind names the files.

        :raises UsageError: no placeholder can name them
        """
        if KINDS.index(partition) < KINDS.index(self.kind):
            raise UsageError(f"{self.files[0]} holds a {self.kind}; take --partition {self.kind}")
        if self.kind == "hour" and partition != "hour":
            return self.pattern.replace("{partition}", "{day}T*")
        if self.kind != "day" and partition != self.kind:
            raise UsageError(f"{self.files[0]}: there is one file a {self.kind}; take --partition {self.kind}")
        return self.pattern


def find_periods(path: Path) -> Periods | None:
    """The period in the name of a file, and the files beside it that differ in it only; None if the name has none."""
    for form in _FORMS:
        there = form.shown.search(path.name)
        if there is None or _begin(there[0], form) is None:
            continue
        before, after = path.name[: there.start()], path.name[there.end() :]
        named = re.compile(f"{re.escape(before)}({form.shown.pattern}){re.escape(after)}")
        found = sorted(
            (begin, each)
            for each in path.parent.iterdir()
            if (match := named.fullmatch(each.name)) and (begin := _begin(match[1], form)) is not None
        )
        begins, files = tuple(begin for begin, _ in found), tuple(each for _, each in found)
        kind, placeholder = _spacing(form, begins)
        return Periods(kind, str(path.parent / f"{before}{placeholder}{after}"), files, begins)
    return None


def strip_periods(name: str) -> str:
    """A file's name without any period."""
    for form in _FORMS:
        name = form.shown.sub("", name)
    return name


def _spacing(form: _Form, begins: Sequence[datetime]) -> tuple[Kind, str]:
    """The kind of the files' periods: days that are far apart are the first days of weeks or months."""
    if form.placeholder == "{day}" and len(begins) >= _FEWEST:
        if all(begin.day == 1 for begin in begins):
            return "month", "{partition}"
        if all(begin.weekday() == 0 for begin in begins):
            return "week", "{partition}"
    return form.kind, form.placeholder


def _begin(text: str, form: _Form) -> datetime | None:
    week = form.kind == "week"
    try:
        return datetime.strptime(f"{text}-1" if week else text, f"{form.parsed}-%u" if week else form.parsed)
    except ValueError:
        return None
