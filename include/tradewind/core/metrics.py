"""Metrics of binary classifiers on plain arrays; a metric that cannot be computed is NaN, never a guess."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[Any]

HIGHER_IS_BETTER: Mapping[str, bool] = {"roc_auc": True, "log_loss": False, "brier": False, "accuracy": True}


def compute(metric: str, y: Floats, probability: Floats, *, weights: Floats | None = None) -> float:
    """Value of ``metric`` for labels and predicted probabilities.

    :param metric: a key of :data:`HIGHER_IS_BETTER`
    :param y: labels 0 or 1, shape (rows,)
    :param probability: predicted probability of 1, shape (rows,)
    :param weights: weight of each row, shape (rows,), not negative; equal weights if None
    :return: NaN without rows, with a NaN among the probabilities, or, for ``roc_auc``, with labels of one class only
    """
    metrics: dict[str, Callable[..., float]] = {
        "roc_auc": roc_auc,
        "log_loss": log_loss,
        "brier": brier,
        "accuracy": accuracy,
    }
    return metrics[metric](y, probability, weights=weights)


def roc_auc(y: Floats, score: Floats, *, weights: Floats | None = None) -> float:
    """Area under the ROC curve: P(score of a positive > score of a negative) + ½ P(equal).

    Computed from ranks with ties (Mann and Whitney 1947; Hanley and McNeil 1982). Parameters as in
    :func:`compute`; ``score`` may be any real number, infinite ones too.
    """
    import numpy as np

    y, score, weight = _arrays(y, score, weights)
    positive, negative = weight * (y == 1), weight * (y == 0)
    area = float(positive.sum() * negative.sum())
    if not area > 0 or np.isnan(score).any():
        return float("nan")
    _, group = np.unique(score, return_inverse=True)
    positives = np.bincount(group, weights=positive)
    negatives = np.bincount(group, weights=negative)
    return float(positives @ (np.cumsum(negatives) - negatives / 2)) / area


def log_loss(y: Floats, probability: Floats, *, weights: Floats | None = None) -> float:
    """Mean negative log-likelihood, probabilities clipped by the float64 epsilon. Parameters as in :func:`compute`."""
    return _mean(row_losses("log_loss", y, probability), weights)


def brier(y: Floats, probability: Floats, *, weights: Floats | None = None) -> float:
    """Mean squared error of the probability (Brier 1950). Parameters as in :func:`compute`."""
    return _mean(row_losses("brier", y, probability), weights)


def accuracy(y: Floats, probability: Floats, *, weights: Floats | None = None) -> float:
    """Share of rows where "probability above ½" is right; exactly ½ says 0. Parameters as in :func:`compute`."""
    return _mean(row_losses("accuracy", y, probability), weights)


def row_losses(metric: str, y: Floats, probability: Floats) -> Floats:
    """What each row adds to a metric that is a mean over rows (all but ``roc_auc``); shape (rows,), float64."""
    import numpy as np

    y, probability, _ = _arrays(y, probability, None)
    if metric == "brier":
        return (probability - y) ** 2
    if metric == "accuracy":
        return np.where(np.isnan(probability), np.nan, (probability > 0.5) == (y == 1))
    if metric == "log_loss":
        epsilon = np.finfo(np.float64).eps
        clipped = np.clip(probability, epsilon, 1 - epsilon)
        return -np.log(np.where(y == 1, clipped, 1 - clipped))
    raise ValueError(f"{metric} is not a mean over rows")


def _arrays(y: Floats, score: Floats, weights: Floats | None) -> tuple[Floats, Floats, Floats]:
    import numpy as np

    y, score = np.asarray(y, dtype=np.float64), np.asarray(score, dtype=np.float64)
    weight = np.ones(len(y)) if weights is None else np.asarray(weights, dtype=np.float64)
    if not y.shape == score.shape == weight.shape or y.ndim != 1:
        raise ValueError(
            f"labels {y.shape}, scores {score.shape} and weights {weight.shape} must be rows of one length"
        )
    if not np.isin(y, (0.0, 1.0)).all():
        raise ValueError("labels must be 0 or 1; leave rows without a label out before")
    return y, score, weight


def _mean(losses: Floats, weights: Floats | None) -> float:
    import numpy as np

    total = float(np.sum(weights)) if weights is not None else len(losses)
    if not total > 0:
        return float("nan")
    return float(np.average(losses, weights=weights))
