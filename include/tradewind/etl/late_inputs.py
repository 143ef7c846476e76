"""What it means that an input is missing, late or empty: the one place that decides it.

The first input that has not come decides for all, in the order of the YAML: `source`, then each of `references`. Any of
them that says `skip` leaves the partition out as a whole: its dataset is not built, what reads it neither, and no event
starts anything downstream. What other datasets of the partition have published stays.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Literal

from tradewind.errors import EmptyInput, LeftOut, MissingInput, NotDelivered
from tradewind.spec.scalars import format_duration
from tradewind.spec.sources import Source

LateInputOutcome = Literal["fail", "wait", "skip"]

_LOOKS = 20
_SOONEST, _LATEST = timedelta(seconds=5), timedelta(minutes=5)


def late_input_outcome(source: Source, *, there: bool, waited: timedelta) -> LateInputOutcome:
    """What becomes of a partition whose input did not come.

    :param there: it came, but has no row
    :param waited: time since the run's start
    """
    said = source.empty if there else source.missing
    if said != "wait":
        return said
    return "wait" if waited < source.wait_for else source.late


def next_poll_time(now: datetime, *, started: datetime, wait_for: timedelta) -> datetime:
    """When to look again: twenty times while it is waited for, but at least every five minutes, and at the end.

    Never at once: Airflow must have read that the task has deferred before it is resumed.

    :param started: the run's start
    """
    every = min(_LATEST, max(_SOONEST, wait_for / _LOOKS))
    return max(now + _SOONEST, min(now + every, started + wait_for))


@contextmanager
def apply_late_policy(source: Source, *, waited: timedelta) -> Iterator[None]:
    """Around looking for an input: what has not come becomes what the YAML says it means.

    :param waited: time since the run's start
    :raises MissingInput: it is not there, and that is an error
    :raises EmptyInput: it has no row, and that is an error
    :raises NotDelivered: it is waited for
    :raises LeftOut: the partition does without
    """
    try:
        yield
    except (MissingInput, EmptyInput) as exc:
        there = isinstance(exc, EmptyInput)
        field, outcome = "empty" if there else "missing", late_input_outcome(source, there=there, waited=waited)
        over = getattr(source, field) == "wait" and outcome != "wait"
        text = f"{exc} (waited {format_duration(source.wait_for)} for it since the run's start)" if over else str(exc)
        if outcome == "wait":
            raise NotDelivered(text, wait_for=source.wait_for) from exc
        if outcome == "skip":
            raise LeftOut(f"{text}; left out by `{'late' if over else field}: skip`") from exc
        if over:
            raise type(exc)(text) from exc
        raise
