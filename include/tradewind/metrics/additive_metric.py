"""Metrics that are formulas of sums over rows: to resample blocks, it takes the sums of each block only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tradewind.metrics.metric import NUMBERS, ModelMetric, table_statistic, valid_predictions

if TYPE_CHECKING:
    from tradewind.metrics.arrays import Floats
    from tradewind.metrics.metric import Statistic

    Parts = tuple[Sequence[tuple[Floats, Floats]], int]
    """What is summed: for each sum the cell and the number that each row adds; and how many cells there are."""


def mean_from_sums(sums: Floats) -> Floats:
    """A mean over rows, from the sum of what each row adds and the number of rows."""
    mean: Floats = sums[..., 0, 0] / sums[..., 1, 0]
    return mean


@dataclass(frozen=True, kw_only=True)
class AdditiveMetric(ModelMetric):
    """A metric that is a formula of sums.

    :param parts: from labels, shape (rows,), and predictions, shape (rows,) or (rows, classes): what is summed
    :param formula: from sums of shape (…, sums, cells) to the metric, shape (…); cells are classes, or bins of
        probability, else there is one
    """

    parts: Callable[[Floats, Floats], Parts]
    formula: Callable[[Floats], Floats] = mean_from_sums

    def usable_rows(self, score: Floats) -> Floats:
        """Numbers are finite; what is predicted of classes is a probability."""
        return valid_predictions(score, probabilities=self.tasks != NUMBERS)

    def value_of_rows(self, y: Floats, score: Floats, *, weights: Floats | None) -> float:
        """From the sums over all rows."""
        return float(self.value_of_sums(self.sums_by_block(y, score, weights=weights))[0])

    def value_of_draws(self, y: Floats, score: Floats, *, block: Floats, blocks: int) -> Statistic:
        """From the sums of each block."""
        return table_statistic(self.sums_by_block(y, score, block=block, blocks=blocks), self.value_of_sums)

    def sums_by_block(
        self, y: Floats, score: Floats, *, weights: Floats | None = None, block: Floats | None = None, blocks: int = 1
    ) -> Floats:
        """The sums of each block that :meth:`value_of_sums` makes the metric of.

        :param weights: weight of each row, shape (rows,); equal weights if None
        :param block: number of each row's block, 0…blocks-1, shape (rows,); one block if None
        :return: float64, shape (blocks, sums, cells)
        """
        import numpy as np

        block = np.zeros(len(y), dtype=np.int64) if block is None else block
        parts, cells = self.parts(y, score)
        tables = []
        for cell, values in parts:
            weighted = values if weights is None else values * weights
            summed = np.bincount(block * cells + cell, weights=weighted, minlength=blocks * cells)
            tables.append(summed.reshape(blocks, cells))
        return np.stack(tables, axis=1)

    def value_of_sums(self, sums: Floats) -> Floats:
        """The metric, shape (…), from sums of shape (…, sums, cells); NaN where it is not defined."""
        import numpy as np

        with np.errstate(invalid="ignore", divide="ignore"):
            found = np.asarray(self.formula(sums))
        return np.where(np.isfinite(found), found, np.nan)


def mean_parts(losses: Callable[[Floats, Floats], Floats]) -> Callable[[Floats, Floats], Parts]:
    """What a mean over rows sums: what each row adds, and one a row.

    :param losses: from labels and predictions to what each row adds; shape (rows,)
    """

    def parts(y: Floats, score: Floats) -> Parts:
        import numpy as np

        first = np.zeros(len(y), dtype=np.int64)
        return [(first, losses(y, score)), (first, np.ones(len(y)))], 1

    return parts


def predicted_class(score: Floats) -> Floats:
    """The class that is predicted: 1 above ½ (exactly ½ says 0), or the first of the most probable; int64, (rows,)."""
    import numpy as np

    return (score > 0.5).astype(np.int64) if score.ndim == 1 else score.argmax(axis=1)
