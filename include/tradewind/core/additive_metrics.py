"""Metrics that are formulas of sums over rows: to resample blocks, it takes the sums of each block only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tradewind.core.calibration import BINS, calibration_bin, claimed_probabilities
from tradewind.spec.metrics import MEASURES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tradewind.core.arrays import Floats

ADDITIVE = frozenset(MEASURES) - {"roc_auc", "average_precision"}
"""Metrics of this kind."""


def metric_sums_by_block(
    metric: str, y: Floats, score: Floats, *,
    weights: Floats | None = None, block: Floats | None = None, blocks: int = 1,
) -> Floats:  # fmt: skip
    """The sums of each block that ``value`` makes the metric of.

    :param metric: one of :data:`ADDITIVE`
    :param y: labels as in ``metrics.compute``, shape (rows,)
    :param score: predictions, likewise, shape (rows,) or (rows, classes)
    :param weights: weight of each row, shape (rows,); equal weights if None
    :param block: number of each row's block, 0…blocks-1, shape (rows,); one block if None
    :return: float64, shape (blocks, sums, cells); cells are classes, or bins of probability, else there is one
    """
    import numpy as np

    block = np.zeros(len(y), dtype=np.int64) if block is None else block
    parts, cells = _parts(metric, y, score)
    tables = []
    for cell, values in parts:
        weighted = values if weights is None else values * weights
        summed = np.bincount(block * cells + cell, weights=weighted, minlength=blocks * cells)
        tables.append(summed.reshape(blocks, cells))
    return np.stack(tables, axis=1)


def metric_from_sums(metric: str, sums: Floats) -> Floats:
    """The metric, shape (…), from sums like those of ``by_block``, shape (…, sums, cells); NaN where there is none."""
    import numpy as np

    with np.errstate(invalid="ignore", divide="ignore"):
        found = np.asarray(_value(metric, sums))
    return np.where(np.isfinite(found), found, np.nan)


def _parts(metric: str, y: Floats, score: Floats) -> tuple[Sequence[tuple[Floats, Floats]], int]:
    """What is summed: for each sum the cell and the number that each row adds; and how many cells there are."""
    import numpy as np

    one, first = np.ones(len(y)), np.zeros(len(y), dtype=np.int64)
    if metric == "ece":
        claimed, true = claimed_probabilities(y, score)
        cell = calibration_bin(claimed)
        return [(cell, one), (cell, claimed), (cell, true)], BINS
    if metric == "r2":
        # Any centre gives the same r2. The median is exactly the value where all are the same, which a mean is not.
        centred = y - np.median(y)
        return [(first, (y - score) ** 2), (first, centred), (first, centred**2), (first, one)], 1
    if metric in ("f1", "balanced_accuracy"):
        return _class_parts(metric, y, score)
    return [(first, _losses(metric, y, score)), (first, one)], 1


def _class_parts(metric: str, y: Floats, score: Floats) -> tuple[Sequence[tuple[Floats, Floats]], int]:
    import numpy as np

    one, predicted = np.ones(len(y)), predicted_class(score)
    hit = (predicted == y).astype(np.float64)
    if metric == "f1" and score.ndim == 1:
        only = np.zeros(len(y), dtype=np.int64)  # the class 1; the F1 of the other is never asked for
        return [(only, y == 1), (only, predicted == 1), (only, hit * (y == 1))], 1
    classes = 3 if score.ndim == 1 else score.shape[1] + 1  # one more: -1 is a class as well
    truth, guess = y.astype(np.int64) + 1, predicted + 1
    if metric == "f1":
        return [(truth, one), (guess, one), (truth, hit)], classes
    return [(truth, one), (truth, hit)], classes


def predicted_class(score: Floats) -> Floats:
    """The class that is predicted: 1 above ½ (exactly ½ says 0), or the first of the most probable; int64, (rows,)."""
    import numpy as np

    return (score > 0.5).astype(np.int64) if score.ndim == 1 else score.argmax(axis=1)


def _losses(metric: str, y: Floats, score: Floats) -> Floats:
    """What each row adds to a metric that is a mean over rows, or the root of one; float64, shape (rows,)."""
    import numpy as np

    if metric == "accuracy":
        right: Floats = np.equal(predicted_class(score), y).astype(np.float64)
        return right
    if metric in ("mae", "rmse"):
        errors: Floats = np.abs(y - score) if metric == "mae" else (y - score) ** 2
        return errors
    if metric == "brier" and score.ndim == 1:
        error: Floats = (score - y) ** 2
        return error
    chance = _chance_of_truth(y, score)
    if metric == "brier":  # Σ(p - [is the class])² = Σp² - 2·p(truth) + 1, also where no column is the truth's
        total: Floats = np.sum(score**2, axis=1) - 2 * chance + 1
        return total
    epsilon = np.finfo(np.float64).eps
    surprise: Floats = -np.log(np.clip(chance, epsilon, 1 - epsilon))
    return surprise


def _chance_of_truth(y: Floats, score: Floats) -> Floats:
    """The probability that was given to what came true; 0 for an unknown class."""
    import numpy as np

    if score.ndim == 1:
        return np.where(y == 1, score, 1 - score)
    known = y >= 0
    return np.where(known, score[np.arange(len(y)), np.where(known, y, 0).astype(np.int64)], 0.0)


def _value(metric: str, sums: Floats) -> Floats:
    import numpy as np

    if metric == "ece":
        rows, claimed, true = (sums[..., part, :] for part in range(3))
        error: Floats = np.abs(claimed - true).sum(axis=-1) / rows.sum(axis=-1)
        return error
    if metric == "f1":
        truth, guess, hit = (sums[..., part, :] for part in range(3))
        return _mean_over_classes(2 * hit, truth + guess, least=1)
    if metric == "balanced_accuracy":
        return _mean_over_classes(sums[..., 1, :], sums[..., 0, :], least=2)
    if metric == "r2":
        residual, centred, squared, rows = (sums[..., part, 0] for part in range(4))
        total = squared - centred**2 / rows
        # Below this the difference is rounding: the labels are all the same, and nothing can be explained.
        return np.where(total > 1e-12 * squared, 1 - residual / total, np.nan)
    mean: Floats = sums[..., 0, 0] / sums[..., 1, 0]
    return np.sqrt(mean) if metric == "rmse" else mean


def _mean_over_classes(numerator: Floats, denominator: Floats, *, least: int) -> Floats:
    """Mean of the ratios of the classes that occur; NaN where fewer than ``least`` do."""
    import numpy as np

    occurs = denominator > 0
    ratio = np.where(occurs, numerator / np.where(occurs, denominator, 1), 0.0)
    count = occurs.sum(axis=-1)
    return np.where(count >= least, ratio.sum(axis=-1) / count, np.nan)
