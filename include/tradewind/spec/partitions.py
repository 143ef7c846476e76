"""Partition keys: the one place that maps a key and a time zone to ``[start, end)`` in UTC."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from tradewind.errors import InvalidPartitionKey

Kind = Literal["hour", "day", "week", "month"]
_FORMAT = {"hour": "%Y-%m-%dT%H", "day": "%Y-%m-%d", "week": "%Y-%m-%d", "month": "%Y-%m-%d"}
_EXAMPLE = {"hour": "2013-02-01T05", "day": "2013-02-01", "week": "2013-01-28 (a Monday)", "month": "2013-02-01"}
_STEP = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(weeks=1)}
LONGEST = {**_STEP, "month": timedelta(days=31)}
"""How long a partition of each kind may be, but for the hours around a clock change."""
SHORTEST = {**_STEP, "month": timedelta(days=28)}
"""How short one may be, likewise."""
# Far from where datetime's arithmetic ends, and a typing error like 0213 or 20133 is caught.
_YEARS = range(1900, 3000)


@dataclass(frozen=True, slots=True)
class Bounds:
    """A half-open time slice ``[start, end)``; both are aware datetimes in UTC."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Partitioning:
    """How one pipeline slices time.

    Keys of one pipeline sort as text in the order of time, and their slices tile time without gap or overlap. A
    partition starts at the first instant at which the zone's clock shows its key or later. So where a clock is
    turned back, the hour that occurs twice is one partition of two hours; where it is turned forward, an hour
    (in a few zones once a day) that is skipped as a whole has no key.

    :param kind: length of a partition
    :param timezone: IANA name of the zone whose clock cuts the partitions
    :param start: key of the first partition
    :param end: key of the first partition that is *not* run any more; None for no end
    """

    kind: Kind
    timezone: str
    start: str
    end: str | None = None

    def bounds(self, key: str) -> Bounds:
        """The slice of time that ``key`` names.

        :raises InvalidPartitionKey: the key is malformed or names no partition of this kind
        """
        local = self._parse(key)
        return Bounds(self._instant(local), self._instant(self._step(local, 1)))

    def check(self, key: str | None) -> str:
        """Return ``key`` if a run may have it.

        :raises InvalidPartitionKey: no key, a malformed one, or one outside ``start…end``
        """
        if not key:
            raise InvalidPartitionKey(f"a run needs a partition key, for example {self.start}; there is none")
        self.bounds(key)
        if key < self.start or (self.end is not None and key >= self.end):
            until = f"before {self.end}" if self.end else "without end"
            raise InvalidPartitionKey(f"partition {key} is outside the pipeline's range: from {self.start}, {until}")
        return key

    def key_at(self, instant: datetime) -> str:
        """Key of the partition that contains ``instant``.

        :param instant: an aware datetime
        """
        local = self._floor(instant.astimezone(ZoneInfo(self.timezone)).replace(tzinfo=None))
        # A clock turned back across the edge of a partition shows an earlier key once more; time does not go back.
        while self._skipped(local) or self._instant(self._step(local, 1)) <= instant:
            local = self._step(local, 1)
        return local.strftime(_FORMAT[self.kind])

    def shift(self, key: str, steps: int) -> str:
        """Key ``steps`` partitions later (earlier if negative)."""
        local = self._parse(key)
        for _ in range(abs(steps)):
            local = self._step(local, 1 if steps > 0 else -1)
        return local.strftime(_FORMAT[self.kind])

    def between(self, first: str, last: str) -> list[str]:
        """Keys from ``first`` to ``last``, both included, in order; empty if ``last`` is earlier."""
        keys = []
        local = self._parse(first)
        while (key := local.strftime(_FORMAT[self.kind])) <= last:
            keys.append(key)
            local = self._step(local, 1)
        return keys

    def window(self, key: str, length: int) -> list[str]:
        """The ``length`` keys that end with ``key``, in order."""
        return self.between(self.shift(key, 1 - length), key)

    def days(self, key: str) -> list[str]:
        """Local calendar days, as ``YYYY-MM-DD``, that the partition touches; what ``{day}`` in a path runs over."""
        first = self._parse(key)
        last = self._step(first, 1) - timedelta(microseconds=1)
        return [(first.date() + timedelta(days=n)).isoformat() for n in range((last.date() - first.date()).days + 1)]

    def _parse(self, key: str) -> datetime:
        try:
            local = datetime.strptime(key, _FORMAT[self.kind])
        except (ValueError, TypeError):
            raise self._invalid(key) from None
        if local.strftime(_FORMAT[self.kind]) != key or local.year not in _YEARS or self._floor(local) != local:
            raise self._invalid(key)
        if self._skipped(local):
            raise InvalidPartitionKey(f"partition {key}: clocks in {self.timezone} skip this {self.kind}")
        return local

    def _invalid(self, key: object) -> InvalidPartitionKey:
        example = _EXAMPLE[self.kind]
        return InvalidPartitionKey(f"{key!r} is not a key of {self.kind} partitions; one looks like {example}")

    def _floor(self, local: datetime) -> datetime:
        local = local.replace(minute=0, second=0, microsecond=0, fold=0)
        if self.kind != "hour":
            local = local.replace(hour=0)
        if self.kind == "week":
            local -= timedelta(days=local.weekday())
        return local.replace(day=1) if self.kind == "month" else local

    def _step(self, local: datetime, sign: int) -> datetime:
        local = self._neighbour(local, sign)
        while self._skipped(local):
            local = self._neighbour(local, sign)
        return local

    def _neighbour(self, local: datetime, sign: int) -> datetime:
        if self.kind != "month":
            return local + sign * _STEP[self.kind]
        months = local.year * 12 + local.month - 1 + sign
        return local.replace(year=months // 12, month=months % 12 + 1)

    def _instant(self, local: datetime) -> datetime:
        """The first instant at which the zone's clock shows ``local`` or later."""
        zone = ZoneInfo(self.timezone)
        instant = local.replace(tzinfo=zone, fold=0).astimezone(UTC)
        if instant.astimezone(zone).replace(tzinfo=None, fold=0) == local:
            return instant
        # `local` lies in a gap: the clock jumps over it somewhere between its two readings.
        before, after = local.replace(tzinfo=zone, fold=1).astimezone(UTC), instant
        while after - before > timedelta(seconds=1):
            middle = before + timedelta(seconds=(after - before) // timedelta(seconds=2))
            if middle.astimezone(zone).replace(tzinfo=None) < local:
                before = middle
            else:
                after = middle
        return after

    def _skipped(self, local: datetime) -> bool:
        if self.kind not in ("hour", "day"):
            return False
        return self._instant(local) >= self._instant(self._neighbour(local, 1))


def normalise_partition_key(kind: Kind, value: date | datetime | str) -> str:
    """Spell a YAML date, datetime or string as a partition key.

    What does not lie on a key's edge (``05:30`` for hours) comes back as it was written and is not a valid key.
    """
    if isinstance(value, str):
        return value
    key = value.strftime(_FORMAT[kind])
    if isinstance(value, datetime) and value != datetime.strptime(key, _FORMAT[kind]):
        return str(value)
    return key
