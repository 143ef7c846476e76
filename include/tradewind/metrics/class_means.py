"""Metrics that are means over classes: F1 and balanced accuracy, of the class that is predicted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tradewind.metrics.additive_metric import AdditiveMetric, predicted_class
from tradewind.metrics.metric import CLASSES

if TYPE_CHECKING:
    from tradewind.metrics.additive_metric import Parts
    from tradewind.metrics.arrays import Floats


def _f1_parts(y: Floats, score: Floats) -> Parts:
    """Rows of each class, rows that are predicted as it, and rows that are both."""
    import numpy as np

    if score.ndim == 1:
        only = np.zeros(len(y), dtype=np.int64)  # the class 1; the F1 of the other does not count
        predicted = predicted_class(score)
        hit = (predicted == y).astype(np.float64)
        return [(only, y == 1), (only, predicted == 1), (only, hit * (y == 1))], 1
    truth, guess, hit, classes = _classes(y, score)
    one = np.ones(len(y))
    return [(truth, one), (guess, one), (truth, hit)], classes


def _recall_parts(y: Floats, score: Floats) -> Parts:
    import numpy as np

    truth, _, hit, classes = _classes(y, score)
    return [(truth, np.ones(len(y))), (truth, hit)], classes


def _classes(y: Floats, score: Floats) -> tuple[Floats, Floats, Floats, int]:
    """Number of the true and of the predicted class from 1 on, whether both are the same, and how many there are."""
    import numpy as np

    predicted = predicted_class(score)
    hit = (predicted == y).astype(np.float64)
    # One more: -1 is a class as well.
    return y.astype(np.int64) + 1, predicted + 1, hit, 3 if score.ndim == 1 else score.shape[1] + 1


def _mean_f1(sums: Floats) -> Floats:
    truth, guess, hit = (sums[..., part, :] for part in range(3))
    return _mean_over_classes(2 * hit, truth + guess, least=1)


def _mean_recall(sums: Floats) -> Floats:
    return _mean_over_classes(sums[..., 1, :], sums[..., 0, :], least=2)


def _mean_over_classes(numerator: Floats, denominator: Floats, *, least: int) -> Floats:
    """Mean of the ratios of the classes that occur; NaN where fewer than ``least`` do."""
    import numpy as np

    occurs = denominator > 0
    ratio = np.where(occurs, numerator / np.where(occurs, denominator, 1), 0.0)
    count = occurs.sum(axis=-1)
    return np.where(count >= least, ratio.sum(axis=-1) / count, np.nan)


F1 = AdditiveMetric("f1", CLASSES, True, 0.0, 1.0, parts=_f1_parts, formula=_mean_f1)
"""Of class 1; of many classes the plain mean over those that occur or are predicted."""
BALANCED_ACCURACY = AdditiveMetric(
    "balanced_accuracy", CLASSES, True, 0.0, 1.0, parts=_recall_parts, formula=_mean_recall
)
"""Mean recall of the classes that occur; NaN if only one does."""
