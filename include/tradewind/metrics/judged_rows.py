"""The rows that judge a candidate, their groups, and the local blocks of time that they fall into."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal
from zoneinfo import ZoneInfo

from tradewind.metrics.metric_list import METRICS

if TYPE_CHECKING:
    from tradewind.metrics.arrays import Floats
    from tradewind.metrics.metric import ModelMetric, Task

_SAME = 1e-9
CANDIDATE, CHAMPION, MAJORITY = "candidate", "champion", "majority"


@dataclass(frozen=True, slots=True)
class TestRows:
    """The rows that judge, with what the candidate and everybody it is compared with predict for them.

    :param task: ``binary``, ``multiclass`` or ``regression``
    :param y: labels, shape (rows,): 0 or 1; the number of the class, -1 for an unknown one; or the value itself
    :param scores: predictions by whose they are (``candidate``, ``champion``, ``majority``, a heuristic's name):
        probability of 1, shape (rows,); class probabilities, shape (rows, classes); or values, shape (rows,)
    :param timestamp: each row's time in UTC, ``datetime64[us]``, shape (rows,)
    :param timezone: IANA zone whose days and hours are the blocks
    :param columns: columns that gates slice, group or resample by, each of shape (rows,)
    :param masks: for each condition of a gate's `where`, which rows fulfil it; bool, shape (rows,)
    :param fit_end: end (aware) of the time slices that a model was fitted on, by whose it is; rows before count neither
        for it nor in a comparison with it. A rule that was not fitted has none
    :param absent: why a model has no predictions, a condition no mask, or a metric of the project no function, although
        it was asked for
    :param project_metrics: metrics of the project that gates name, by name
    """

    __test__ = False  # pytest would take the name for a test class

    task: Task
    y: Floats
    scores: Mapping[str, Floats]
    timestamp: Floats
    timezone: str
    columns: Mapping[str, Floats] = field(default_factory=dict)
    masks: Mapping[str, Floats] = field(default_factory=dict)
    fit_end: Mapping[str, datetime] = field(default_factory=dict)
    absent: Mapping[str, str] = field(default_factory=dict)
    project_metrics: Mapping[str, ModelMetric] = field(default_factory=dict)

    def __post_init__(self) -> None:
        columns = {"timestamp": self.timestamp, **self.scores, **self.columns, **self.masks}
        if wrong := [f"{name} {len(values)}" for name, values in columns.items() if len(values) != len(self.y)]:
            raise ValueError(f"test rows of different length: labels {len(self.y)}, {', '.join(wrong)}")
        if self.timestamp.dtype.kind != "M":
            raise ValueError(f"timestamps of test rows must be datetime64 in UTC; found {self.timestamp.dtype}")

    @property
    def same_as_champion(self) -> bool:
        """Whether candidate and champion predict the same for every row, but for the last digits of a float.

        Also rows that one of them was fitted on count: what is predicted is compared, and not how good it is.
        """
        ours, theirs = self.scores.get(CANDIDATE), self.scores.get(CHAMPION)
        return ours is not None and theirs is not None and same_answers(ours, theirs)

    def metric(self, name: str) -> ModelMetric | None:
        """A metric by name; None for one that is neither built in nor at hand."""
        return METRICS.get(name) or self.project_metrics.get(name)

    def where(self, mask: Floats) -> TestRows:
        """The rows for which ``mask`` is true."""
        return replace(
            self,
            y=self.y[mask],
            scores={name: values[mask] for name, values in self.scores.items()},
            timestamp=self.timestamp[mask],
            columns={name: values[mask] for name, values in self.columns.items()},
            masks={name: values[mask] for name, values in self.masks.items()},
        )

    def since(self, moment: datetime) -> TestRows:
        """The rows at or after an instant (aware); a row without a time is at none."""
        import numpy as np

        instant = np.datetime64(moment.astimezone(UTC).replace(tzinfo=None), "us")
        return self.where(self.timestamp >= instant)


def same_answers(ours: Floats, theirs: Floats) -> bool:
    """Whether both predict the same for every row, but for the last digits of a float; never of no rows."""
    import numpy as np

    if not len(ours) or ours.shape != theirs.shape:
        return False
    return bool(np.allclose(ours, theirs, rtol=_SAME, atol=_SAME))


NULL = "NULL"


@dataclass(frozen=True, slots=True)
class Groups:
    """Which group each row is in.

    :param number: the row's group, 0…groups-1; int64, shape (rows,)
    :param names: the groups' values as text, in order; rows without a value are a group of their own, ``NULL``
    """

    number: Floats
    names: tuple[str, ...]

    def rows(self) -> list[int]:
        """How many rows each group has."""
        import numpy as np

        return [int(count) for count in np.bincount(self.number, minlength=len(self.names))]


def groups_of_column(values: Floats) -> Groups:
    """Group rows by a column.

    None, NaN and NaT are one group, and the text "NULL" another. The order of groups does not depend on that of rows.

    :param values: any dtype, also objects of several types, shape (rows,)
    """
    import numpy as np

    given = np.asarray(values)
    if given.dtype.kind in "biufmMUS":  # no objects: numpy sorts them, and counts NaN and NaT as one value, the last
        found, number = np.unique(given, return_inverse=True)
        return Groups(number, tuple(_name(value) for value in found.tolist()))
    numbers: dict[Any, int] = {}
    first = [numbers.setdefault(None if _is_null(value) else value, len(numbers)) for value in given.tolist()]
    order = sorted(numbers, key=lambda value: (value is None, _sortable(value)))
    position = np.empty(len(numbers), dtype=np.int64)
    position[[numbers[value] for value in order]] = np.arange(len(numbers))
    return Groups(position[np.array(first, dtype=np.int64)], tuple(_name(value) for value in order))


def _is_null(value: object) -> bool:
    # NaN of float and Decimal, NaT and pandas' NA are not equal to themselves.
    return value is None or (type(value).__name__ in ("float", "Decimal", "NaTType") and value != value) or (
        type(value).__name__ == "NAType"
    )  # fmt: skip


def _sortable(value: object) -> tuple[bool, float, str]:
    number = isinstance(value, int | float)
    return not number, float(value) if isinstance(value, int | float) else 0.0, str(value)


def _name(value: object) -> str:
    if _is_null(value):
        return NULL
    return repr(NULL) if str(value) == NULL else str(value)


UnitOfTime = Literal["hour", "day", "week", "month"]


def local_blocks(timestamp: Floats, timezone: str, *, by: UnitOfTime) -> Floats:
    """The local start of each row's block, as its wall clock shows it.

    The hour that a clock shows twice in autumn is one block.

    :param timestamp: UTC, ``datetime64`` of any unit, none missing, shape (rows,)
    :param timezone: IANA zone whose clock cuts the blocks
    :param by: length of a block; weeks start on Monday
    :return: ``datetime64[us]`` without zone, shape (rows,)
    :raises ValueError: a row has no timestamp, or they are no timestamps
    """
    import numpy as np

    given = np.asarray(timestamp)
    if given.dtype.kind != "M" or np.isnat(given).any():
        raise ValueError(f"blocks by {by} need the time of every row as datetime64 in UTC; found {given.dtype}, or NaT")
    utc = given.astype("datetime64[us]")
    # Zones change their offset at quarter hours at the finest, so one look-up for each of these is enough.
    quarters = utc.astype("int64") // 900_000_000
    moments, position = np.unique(quarters, return_inverse=True)
    zone = ZoneInfo(timezone)
    starts = (moments * 900_000_000).astype("datetime64[us]").tolist()
    offsets = [start.replace(tzinfo=UTC).astimezone(zone).utcoffset() for start in starts]
    local: Floats = utc + np.array(offsets, dtype="timedelta64[us]")[position]
    unit = {"hour": "h", "day": "D", "week": "D", "month": "M"}[by]
    start: Floats = local.astype(f"datetime64[{unit}]")
    if by == "week":
        start = start - (start.astype("int64") + 3) % 7  # 1970-01-01 was a Thursday
    return start.astype("datetime64[us]")
