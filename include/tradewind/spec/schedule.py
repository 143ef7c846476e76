"""Does every partition get a run? A schedule and a kind of partition can contradict each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date, timedelta
from functools import lru_cache
from types import MappingProxyType

from tradewind.spec import cron
from tradewind.spec.partitions import Kind, Partitioning

EVERY: Mapping[Kind, str] = MappingProxyType(
    {"hour": "0 * * * *", "day": "0 6 * * *", "week": "0 6 * * 1", "month": "0 6 1 * *"}
)
"""A schedule that fits, for each kind of partition."""
# In one of two years February has 28 days; a schedule that only knows the days of the week repeats itself sooner.
_YEARS, _WEEKS = timedelta(days=731), timedelta(days=70)


@lru_cache
def never_run(partitioning: Partitioning, schedule: str) -> str | None:
    """The first partition for which the schedule has no tick between its end and the end of the next one.

    A run gets the key of the partition that ended last before its tick. The first two years are looked at, or until the
    pipeline's end.

    :param schedule: a cron expression without a flaw
    :raises InvalidPartitionKey: ``start`` is not a key
    """
    # Ticks and edges both go by the zone's clock: which zone it is does not matter.
    slicing = replace(partitioning, timezone="UTC")
    first = slicing.shift(slicing.start, 1)
    ticks = cron.cron_ticks(schedule)
    sample = _WEEKS if len(ticks.days) == 31 and len(ticks.months) == 12 else _YEARS
    last = slicing.shift(slicing.key_at(slicing.bounds(first).start + sample), -1)
    silent = _silent(slicing.kind, ticks, sample, first=first, last=min(last, slicing.end or last))
    return None if silent is None else slicing.shift(silent, -1)


def _silent(kind: Kind, ticks: cron.Ticks, sample: timedelta, *, first: str, last: str) -> str | None:
    """The first key from ``first`` to ``last`` in whose time there is no tick."""
    begin, ticked = date.fromisoformat(first[:10]), dict[str, bool]()
    for number in range(sample.days + 1):
        for key, tick in _by_key(kind, ticks, begin + timedelta(days=number)):
            ticked[key] = ticked.get(key, False) or tick
    return next((key for key, tick in ticked.items() if not tick and first <= key <= last), None)


def _by_key(kind: Kind, ticks: cron.Ticks, day: date) -> Iterator[tuple[str, bool]]:
    """Whether there is a tick on ``day``, by the key that the day is in; of hours only those without one."""
    hours = ticks.on(day)
    if kind == "hour":
        yield from ((f"{day}T{hour:02}", False) for hour in range(24) if hour not in hours)
        return
    begin = {"day": day, "week": day - timedelta(days=day.weekday()), "month": day.replace(day=1)}[kind]
    yield begin.isoformat(), bool(hours)
