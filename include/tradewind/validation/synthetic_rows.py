"""Made-up values of columns, of the types that the model gets and within what the expectations allow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import pyarrow as pa

    from tradewind.metrics.metric import Task

ValueKind = Literal["number", "whole", "truth", "text", "time"]

WORDS = tuple(f"made-up-{letter}" for letter in "abcdef")
"""Values of a text column of which nothing is known."""

_LOW, _HIGH, _MISSING = 1.0, 100.0, 0.1
_PREDICTIONS = 200


@dataclass(frozen=True, slots=True)
class SyntheticColumn:
    """How the values of one column are made up.

    :param values: those that there can be; empty where they are not known
    :param low: least value
    :param high: largest value
    :param missing: whether some may be NULL
    """

    name: str
    kind: ValueKind
    values: tuple[Any, ...] = ()
    low: float | None = None
    high: float | None = None
    missing: bool = True


def synthetic_column(field: pa.Field) -> SyntheticColumn | None:
    """How a column of this type is made up; None for types that models do not take."""
    import pyarrow as pa

    of, types = field.type, pa.types
    kinds: list[tuple[bool, ValueKind]] = [
        (types.is_boolean(of), "truth"),
        (types.is_integer(of), "whole"),
        (types.is_floating(of) or types.is_decimal(of), "number"),
        (types.is_string(of) or types.is_large_string(of) or types.is_dictionary(of), "text"),
        (types.is_timestamp(of) or types.is_date(of), "time"),
    ]
    found = next((kind for fits, kind in kinds if fits), None)
    return SyntheticColumn(field.name, found) if found else None


def apply_expectations(column: SyntheticColumn, expectations: Sequence[Mapping[str, Any]]) -> SyntheticColumn:
    """The column within what a suite says of it: ranges, sets of values, no NULL. Conditional entries do not count.

    :param expectations: entries of a suite, with ``type`` and ``kwargs``
    """
    for entry in expectations:
        kwargs = entry.get("kwargs") or {}
        if kwargs.get("column") != column.name or "row_condition" in kwargs or kwargs.get("mostly", 1) != 1:
            continue
        kind = str(entry.get("type"))
        if kind == "expect_column_values_to_not_be_null":
            column = replace(column, missing=False)
        elif kind == "expect_column_values_to_be_in_set" and kwargs.get("value_set"):
            column = replace(column, values=tuple(kwargs["value_set"]))
        elif kind == "expect_column_values_to_be_between" and column.kind in ("number", "whole"):
            low, high = (kwargs.get(end) for end in ("min_value", "max_value"))
            column = replace(column, low=_number(low, column.low), high=_number(high, column.high))
    return column


def _number(given: Any, otherwise: float | None) -> float | None:
    return float(given) if isinstance(given, int | float) and not isinstance(given, bool) else otherwise


def make_synthetic_rows(columns: Sequence[SyntheticColumn], *, rows: int, seed: int, missing: bool) -> pa.Table:
    """A table of made-up rows.

    :param missing: whether columns that may be NULL are so in some rows
    """
    import numpy as np
    import pyarrow as pa

    random = np.random.default_rng(seed)
    made = {}
    for column in columns:
        values = _values(column, random, rows)
        gone = random.random(rows) < (_MISSING if missing and column.missing else 0.0)
        made[column.name] = pa.array(values, _type(column), mask=gone)
    return pa.table(made)


def make_synthetic_label(name: str, task: Task, kind: ValueKind, *, values: Sequence[Any], rows: int) -> pa.Array:
    """A label in which every class occurs equally often, or numbers."""
    import numpy as np

    if task == "regression":
        column = SyntheticColumn(name, kind, tuple(values), missing=False)
    else:
        classes = {"truth": (False, True), "whole": (0, 1), "text": WORDS[:3]}.get(kind, (0, 1))
        if task == "multiclass":
            classes = tuple(values) or ((0, 1, 2) if kind == "whole" else classes)
        column = SyntheticColumn(name, kind, (*classes,), missing=False)
    random = np.random.default_rng(0)
    turn = np.arange(rows) % len(column.values) if column.values and task != "regression" else None
    made = _values(column, random, rows) if turn is None else [column.values[at] for at in turn]
    import pyarrow as pa

    return pa.array(made, _type(column))


def _values(column: SyntheticColumn, random: Any, rows: int) -> list[Any]:
    if column.values:
        return [column.values[at] for at in random.integers(0, len(column.values), rows)]
    low = column.low if column.low is not None else min(_LOW, column.high if column.high is not None else _LOW)
    high = column.high if column.high is not None else max(_HIGH, 2 * low)
    made: dict[ValueKind, Any] = {
        "number": lambda: random.uniform(low, max(low, high), rows),
        "whole": lambda: random.integers(round(low), max(round(low), round(high)), rows, endpoint=True),
        "truth": lambda: random.random(rows) < 0.5,
        "text": lambda: [WORDS[at] for at in random.integers(0, len(WORDS), rows)],
        "time": lambda: 1_704_067_200_000_000 + random.integers(0, 86_400, rows) * 1_000_000,
    }
    found = made[column.kind]()
    return list(found if isinstance(found, list) else found.tolist())


def _type(column: SyntheticColumn) -> pa.DataType:
    import pyarrow as pa

    types: dict[ValueKind, pa.DataType] = {
        "number": pa.float64(),
        "whole": pa.int64(),
        "truth": pa.bool_(),
        "text": pa.string(),
        "time": pa.timestamp("us"),
    }
    return types[column.kind]


def synthetic_predictions(task: Task) -> tuple[Any, Any, str]:
    """Made-up labels and predictions as a metric gets them, and what they are, in words."""
    import numpy as np

    rng = np.random.default_rng(0)
    if task == "regression":
        values = rng.normal(10.0, 3.0, _PREDICTIONS)
        return values, values + rng.normal(size=_PREDICTIONS), f"{_PREDICTIONS} made-up values and predictions"
    classes = 2 if task == "binary" else 3
    labels = np.arange(_PREDICTIONS) % classes
    weights = rng.random((_PREDICTIONS, classes)) + np.eye(classes)[labels]
    chances = weights / weights.sum(axis=1, keepdims=True)
    words = f"{_PREDICTIONS} made-up labels of {classes} classes and probabilities"
    return labels, chances[:, 1] if task == "binary" else chances, words
