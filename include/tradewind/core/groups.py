"""Groups: the rows that share a value of a column, whatever the column is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tradewind.core.metrics import Floats

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


def of_column(values: Floats) -> Groups:
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
