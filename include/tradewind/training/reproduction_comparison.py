"""Two makings of one model, compared: rows, metrics, predictions; equal to the bit, within a tolerance, or not."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy.typing as npt
    import pyarrow as pa

DifferenceKind = Literal["data", "code", "configuration", "libraries", "metrics", "predictions"]
TOLERANCE = 1e-6
"""How far two numbers may lie apart, times 1 or the larger of them, and still be equal: sums of floating-point numbers
that threads add in another order differ in their last digits."""


@dataclass(frozen=True, slots=True)
class ReproductionDifference:
    """Something that is not as it was.

    :param text: what, with the numbers
    """

    about: DifferenceKind
    text: str


@dataclass(frozen=True, slots=True)
class ComparisonResult:
    """How two of something stand to each other.

    :param exact: they are equal to the bit
    :param differences: beyond the tolerance
    """

    exact: bool
    differences: tuple[ReproductionDifference, ...] = ()


def compare_test_rows(before: pa.Table, now: pa.Table) -> ComparisonResult:
    """The test rows, which are sorted: as many, with the same columns, and the same values."""
    had, has = set(before.column_names), set(now.column_names)
    if had != has:
        gone, new = ", ".join(sorted(had - has)) or "none", ", ".join(sorted(has - had)) or "none"
        return ComparisonResult(
            False, (ReproductionDifference("data", f"columns of the test rows: {gone} gone, {new} new"),)
        )
    if before.num_rows != now.num_rows:
        text = f"test rows: {before.num_rows} then, {now.num_rows} now"
        return ComparisonResult(False, (ReproductionDifference("data", text),))
    exact, found = True, []
    for name in before.column_names:
        then, again = before[name].combine_chunks(), now[name].combine_chunks()
        if _equal_columns(then, again):
            continue
        exact = False
        if count := int(_differing_rows(then, again).sum()):
            found.append(
                ReproductionDifference("data", f"column {name} differs in {count} of {before.num_rows} test rows")
            )
    return ComparisonResult(exact, tuple(found))


def compare_metrics(before: Mapping[str, float], now: Mapping[str, float]) -> ComparisonResult:
    """Metrics by name; a metric that one of them lacks is no difference of the model, but told as one."""
    exact, found = True, []
    for name in sorted({*before, *now}):
        then, again = before.get(name, math.nan), now.get(name, math.nan)
        if then == again or (math.isnan(then) and math.isnan(again)):
            continue
        exact = False
        if not _equal_within_tolerance(then, again):
            found.append(ReproductionDifference("metrics", f"{name} was {then:.6g} and is {again:.6g}"))
    return ComparisonResult(exact, tuple(found))


def compare_predictions(
    before: npt.NDArray[Any], now: npt.NDArray[Any], *, classes: tuple[Sequence[Any] | None, Sequence[Any] | None]
) -> ComparisonResult:
    """Answers of both for the same rows, shape (rows, outputs).

    :param classes: of the one and the other, in the order of the outputs
    """
    import numpy as np

    if (then := list(classes[0] or ())) != (again := list(classes[1] or ())):
        return ComparisonResult(
            False, (ReproductionDifference("predictions", f"the classes were {then} and are {again}"),)
        )
    if before.shape != now.shape:
        return ComparisonResult(
            False, (ReproductionDifference("predictions", f"their shape was {before.shape} and is {now.shape}"),)
        )
    if np.array_equal(before, now, equal_nan=True):
        return ComparisonResult(True)
    count = int((~_equal_within_tolerance(before, now)).any(axis=1).sum())
    if not count:
        return ComparisonResult(False)
    apart = np.abs(before - now)
    text = (
        f"{count} of {len(before)} test rows are predicted otherwise; the largest difference is {np.nanmax(apart):.6g}"
    )
    return ComparisonResult(False, (ReproductionDifference("predictions", text),))


def _equal_columns(then: pa.Array, again: pa.Array) -> bool:
    """Whether two columns are equal to the bit; Arrow takes one NaN for another than the next."""
    import numpy as np
    import pyarrow as pa

    if then.equals(again):
        return True
    if then.type != again.type or not pa.types.is_floating(then.type):
        return False
    one, other = (column.fill_null(0.0).to_numpy(zero_copy_only=False) for column in (then, again))
    return bool(then.is_null().equals(again.is_null()) and np.array_equal(one, other, equal_nan=True))


def _differing_rows(then: pa.Array, again: pa.Array) -> npt.NDArray[Any]:
    """Where two columns differ by more than the tolerance; bool, shape (rows,)."""
    import numpy as np
    import pyarrow as pa

    if pa.types.is_floating(then.type) and pa.types.is_floating(again.type):
        return ~_equal_within_tolerance(
            *(column.to_numpy(zero_copy_only=False).astype(float) for column in (then, again))
        )
    pairs = zip(then.to_pylist(), again.to_pylist(), strict=True)
    return np.array([one != other for one, other in pairs], dtype=bool)


def _equal_within_tolerance(one: Any, other: Any) -> npt.NDArray[Any]:
    """Where two numbers are equal within the tolerance: nothing finite is near to infinity."""
    import numpy as np

    with np.errstate(invalid="ignore"):
        near = np.abs(one - other) <= TOLERANCE * np.maximum(1.0, np.maximum(np.abs(one), np.abs(other)))
    alike = (one == other) | (np.isnan(one) & np.isnan(other))
    return np.asarray(np.where(np.isfinite(one) & np.isfinite(other), near, alike), dtype=bool)
