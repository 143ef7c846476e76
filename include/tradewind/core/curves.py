"""Curves that a report draws: ROC, precision over recall, and reliability."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tradewind.metrics.calibration import BINS, ECE, calibration_bin, claimed_probabilities
from tradewind.metrics.ranking import ROC_AUC

if TYPE_CHECKING:
    from tradewind.metrics.arrays import Floats

    Points = list[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Rows whose predicted probability is about the same.

    :param low: the bin is (low, high], the first one [0, high]
    :param high: likewise
    :param rows: how many rows are in it; bins without any are left out
    :param predicted: mean of what was predicted for them
    :param observed: share of them for which it came true
    """

    low: float
    high: float
    rows: int
    predicted: float
    observed: float


def roc_curve(y: Floats, score: Floats, *, points: int = 200) -> Points:
    """The ROC curve: (false positive rate, true positive rate) from (0, 0) to (1, 1).

    :param y: labels 0 or 1, shape (rows,)
    :param score: any numbers, shape (rows,)
    :param points: at most so many are returned, of which the first and the last are exact and the others lie on the
        curve, about as far from each other everywhere; all of them if there are no more
    :return: empty where one class is missing, or a prediction
    """
    found, called, positives, negatives = _counts(y, score)
    if not positives or not negatives:
        return []
    return _thinned((called - found) / negatives, found / positives, points)


def precision_recall(y: Floats, score: Floats, *, points: int = 200) -> Points:
    """The curve of precision: (recall, precision) from (0, 1), which is no threshold's, to recall 1.

    Parameters and result as for :func:`roc_curve`. No line between two points is right (Davis and Goadrich 2006):
    draw steps.
    """
    import numpy as np

    found, called, positives, negatives = _counts(y, score)
    if not positives or not negatives:
        return []
    last = int(np.searchsorted(found, positives)) + 1  # beyond, recall stays 1 and precision only falls
    precision = np.concatenate(([1.0], found[1:last] / called[1:last]))
    return _thinned(found[:last] / positives, precision, points)


def reliability_curve(y: Floats, score: Floats, *, bins: int = BINS) -> list[ReliabilityBin]:
    """What came true beside what was predicted, in bins of equal width; the expected calibration error is of these.

    :param y: labels as in :meth:`ModelMetric.compute`, shape (rows,)
    :param score: probability of 1, shape (rows,), or of each class, shape (rows, classes): then the largest counts
    :return: bins with rows, lowest first; empty where a prediction is missing or no probability
    """
    import numpy as np

    y, score = ECE.check_arguments(y, score)
    if not ECE.usable_rows(score).all():
        return []
    claimed, true = claimed_probabilities(y, score)
    number, edges = calibration_bin(claimed, bins=bins), np.linspace(0, 1, bins + 1)
    rows, claim, came = (np.bincount(number, weights=w, minlength=bins) for w in (None, claimed, true))
    return [
        ReliabilityBin(
            float(edges[i]), float(edges[i + 1]), int(rows[i]), float(claim[i] / rows[i]), float(came[i] / rows[i])
        )
        for i in np.flatnonzero(rows)
    ]


def _counts(y: Floats, score: Floats) -> tuple[Floats, Floats, int, int]:
    """At each distinct score from the highest down: positives at or above it, rows at or above it; 0 and 0 first.

    And how many positives and negatives there are; none, if a prediction is missing.
    """
    import numpy as np

    y, score = ROC_AUC.check_arguments(y, score)
    if not len(y) or not ROC_AUC.usable_rows(score).all():
        return np.zeros(1), np.zeros(1), 0, 0
    order = np.argsort(-score, kind="stable")
    falling = score[order]
    last = np.append(np.flatnonzero(falling[1:] != falling[:-1]), len(y) - 1)
    found = np.concatenate(([0.0], np.cumsum(y[order])[last]))
    called = np.concatenate(([0.0], last + 1.0))
    return found, called, int(found[-1]), len(y) - int(found[-1])


def _thinned(x: Floats, y: Floats, points: int) -> Points:
    """At most ``points`` of a curve's, the ends among them, about equally far from each other along it."""
    import numpy as np

    if len(x) > points:
        walked = np.concatenate(([0.0], np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y)))))
        kept = np.unique(np.searchsorted(walked, np.linspace(0, walked[-1], points)))
        x, y = x[kept], y[kept]
    return list(zip(x.tolist(), y.tolist(), strict=True))
