"""What a gate measures of the rows that it judges: a value, how resamples compute it, and both in words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tradewind.metrics.judged_rows import TestRows
    from tradewind.metrics.metric import ModelMetric, Statistic


def _no_statistic() -> Statistic:
    raise AssertionError("what has no value is not resampled")


@dataclass(frozen=True, slots=True)
class MeasuredValue:
    """A value, how resamples compute it, and what is to be said of it.

    :param value: NaN if there is none
    :param words: what was found; why nothing was, if there is no value
    :param statistic: makes what computes the value for draws of blocks; called only if there can be an interval
    """

    value: float
    words: str
    statistic: Callable[[], Statistic] = _no_statistic


def describe_extremes(names: Sequence[str], values: Sequence[float]) -> str:
    """The smallest and the largest value, each with its group."""
    low, high = values.index(min(values)), values.index(max(values))
    return f"from {values[low]:.4f} ({names[low]}) to {values[high]:.4f} ({names[high]})"


def undefined_reason(metric: ModelMetric, rows: TestRows, names: Sequence[str]) -> str:
    """Why a metric has no value on these rows, in words.

    :param names: whose predictions were measured
    """
    import numpy as np

    for name in names:
        if without := int((~metric.usable_rows(rows.scores[name])).sum()):
            return unpredicted_rows(name, without, len(rows.y))
    if len(np.unique(rows.y)) == 1:
        return f"{metric.name} has no value: all {len(rows.y)} rows have the label {rows.y[0]:g}"
    return f"{metric.name} has no value on these {len(rows.y)} rows"


def unpredicted_rows(name: str, without: int, rows: int) -> str:
    """That a model has no prediction for some rows."""
    return f"{name} has no usable prediction for {without} of {rows} rows"
