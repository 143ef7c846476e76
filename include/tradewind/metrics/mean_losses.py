"""Metrics that are means over rows: log loss, Brier score, accuracy, and errors of numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tradewind.metrics.additive_metric import AdditiveMetric, mean_from_sums, mean_parts, predicted_class
from tradewind.metrics.metric import CLASSES, NUMBERS

if TYPE_CHECKING:
    from tradewind.metrics.arrays import Floats


def _surprise(y: Floats, score: Floats) -> Floats:
    """-log p(truth), p clipped by the float64 epsilon (scikit-learn's)."""
    import numpy as np

    epsilon = np.finfo(np.float64).eps
    found: Floats = -np.log(np.clip(_chance_of_truth(y, score), epsilon, 1 - epsilon))
    return found


def _squared_probability_error(y: Floats, score: Floats) -> Floats:
    """Squared error of the probability of 1; of many classes Σ over all of them, so 0 to 2 (Brier 1950)."""
    import numpy as np

    if score.ndim == 1:
        error: Floats = (score - y) ** 2
        return error
    # Σ(p - [is the class])² = Σp² - 2·p(truth) + 1, also where no column is the truth's.
    total: Floats = np.sum(score**2, axis=1) - 2 * _chance_of_truth(y, score) + 1
    return total


def _is_right(y: Floats, score: Floats) -> Floats:
    import numpy as np

    right: Floats = np.equal(predicted_class(score), y).astype(np.float64)
    return right


def _absolute_error(y: Floats, score: Floats) -> Floats:
    import numpy as np

    error: Floats = np.abs(y - score)
    return error


def _squared_error(y: Floats, score: Floats) -> Floats:
    error: Floats = (y - score) ** 2
    return error


def _root_of_mean(sums: Floats) -> Floats:
    import numpy as np

    root: Floats = np.sqrt(mean_from_sums(sums))
    return root


def _chance_of_truth(y: Floats, score: Floats) -> Floats:
    """The probability that was given to what came true; 0 for an unknown class."""
    import numpy as np

    if score.ndim == 1:
        return np.where(y == 1, score, 1 - score)
    known = y >= 0
    return np.where(known, score[np.arange(len(y)), np.where(known, y, 0).astype(np.int64)], 0.0)


LOG_LOSS = AdditiveMetric("log_loss", CLASSES, False, 0.0, parts=mean_parts(_surprise))
BRIER = AdditiveMetric("brier", CLASSES, False, 0.0, 2.0, parts=mean_parts(_squared_probability_error))
ACCURACY = AdditiveMetric("accuracy", CLASSES, True, 0.0, 1.0, parts=mean_parts(_is_right))
MAE = AdditiveMetric("mae", NUMBERS, False, 0.0, parts=mean_parts(_absolute_error))
RMSE = AdditiveMetric("rmse", NUMBERS, False, 0.0, parts=mean_parts(_squared_error), formula=_root_of_mean)
