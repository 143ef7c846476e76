"""The rows that judge a candidate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tradewind.core.metrics import Floats
    from tradewind.spec.metrics import Task

_SAME = 1e-9
CANDIDATE, CHAMPION, MAJORITY = "candidate", "champion", "majority"


@dataclass(frozen=True, slots=True)
class TestRows:
    """The rows that judge, with what the candidate and everybody it is compared with predict for them.

    :param task: ``binary``, ``multiclass`` or ``regression``
    :param y: labels, shape (rows,): 0 or 1; the number of the class, -1 for one that nobody knows; or the value itself
    :param scores: predictions by whose they are (``candidate``, ``champion``, ``majority``, a heuristic's name):
        probability of 1, shape (rows,); class probabilities, shape (rows, classes); or values, shape (rows,)
    :param timestamp: each row's time in UTC, ``datetime64[us]``, shape (rows,)
    :param timezone: IANA zone whose days and hours are the blocks
    :param columns: columns that gates slice, group or resample by, each of shape (rows,)
    :param masks: for each condition of a gate's `where`, which rows fulfil it; bool, shape (rows,)
    :param fit_end: end (aware) of the time slices that a model was fitted on, by whose it is; rows before count neither
        for it nor in a comparison with it. A rule that was not fitted has none
    :param absent: why somebody has no predictions, or a condition no mask, although it was asked for
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
