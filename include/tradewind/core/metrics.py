"""Metrics of models on plain arrays; a metric that cannot be computed is NaN, never a guess."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from tradewind.core import additive_metrics
from tradewind.core.ranking import RankMetric, rank_metric
from tradewind.spec.metrics import MEASURES

if TYPE_CHECKING:
    from tradewind.core.arrays import Floats

_SLACK = 1e-6  # single-precision softmax may reach 1 + 1e-7


def compute_metric(metric: str, y: Floats, score: Floats, *, weights: Floats | None = None) -> float:
    """Value of ``metric`` for labels and predictions.

    The task follows from the metric and from the shape of ``score``. In words, where there is a choice:

    - ``log_loss``: mean of -log p(truth), p clipped by the float64 epsilon (scikit-learn's)
    - ``brier``: mean squared error of the probability of 1; of many classes Σ over all of them, so 0 to 2 (Brier 1950)
    - ``ece``: Σ over 10 bins of equal width of share of rows × |mean claim - share that came true|; see ``calibration``
    - ``accuracy``, ``balanced_accuracy``, ``f1``: of the class that is predicted: 1 above ½, or the most probable
    - ``f1``: of class 1; of many classes the plain mean over those that occur or are predicted
    - ``balanced_accuracy``: mean recall of the classes that occur; NaN if only one does
    - ``roc_auc``, ``average_precision``: from ranks; NaN if only one class occurs
    - ``r2``: NaN where all labels are the same

    :param metric: a key of ``spec.metrics.MEASURES``
    :param y: shape (rows,); labels 0 or 1; numbers of classes, -1 for an unknown one, which is always wrong and
        was given the probability 0; or values
    :param score: probability of 1 (for ranks any number), shape (rows,); class probabilities, shape (rows, classes);
        or predicted values, shape (rows,)
    :param weights: weight of each row, shape (rows,), finite and not negative; equal weights if None
    :return: NaN without rows, or where a prediction is missing, infinite or no probability
    :raises ValueError: shapes do not fit, a label is missing or is none
    """
    import numpy as np

    y, score = checked_arguments(metric, y, score)
    if weights is not None:
        weights = np.asarray(weights, dtype=np.float64)
        if weights.shape != y.shape or not (np.isfinite(weights) & (weights >= 0)).all():
            raise ValueError(f"weights {weights.shape} must be finite, not negative, and as many as rows {y.shape}")
    if not len(y) or not usable_rows(metric, score).all():
        return float("nan")
    if metric not in additive_metrics.ADDITIVE:
        return rank_metric(cast(RankMetric, metric), y, score, weights=weights)
    return float(
        additive_metrics.metric_from_sums(
            metric, additive_metrics.metric_sums_by_block(metric, y, score, weights=weights)
        )[0]
    )


def roc_auc(y: Floats, score: Floats, *, weights: Floats | None = None) -> float:
    """Area under the ROC curve; parameters as in :func:`compute_metric`."""
    return compute_metric("roc_auc", y, score, weights=weights)


def checked_arguments(metric: str, y: Floats, score: Floats) -> tuple[Floats, Floats]:
    """Labels and predictions as float64 (class numbers as int64), if they fit the metric and each other.

    :raises ValueError: they do not
    """
    import numpy as np

    tasks = MEASURES[metric].tasks
    score, given = np.asarray(score, dtype=np.float64), np.asarray(y)
    task = "regression" if "regression" in tasks else "multiclass" if score.ndim == 2 else "binary"
    if given.ndim != 1 or score.shape[:1] != given.shape or score.ndim not in (1, 2):
        raise ValueError(f"labels {given.shape} and predictions {score.shape} must be rows of one length")
    if task not in tasks or (task == "regression" and score.ndim == 2):
        raise ValueError(f"{metric} is for {' and '.join(sorted(tasks))}; predictions have the shape {score.shape}")
    values = np.asarray(given, dtype=np.float64)
    if not np.isfinite(values).all():
        raise ValueError("a label is missing or infinite; leave rows without a label out before")
    if task == "binary" and not np.isin(values, (0.0, 1.0)).all():
        raise ValueError("labels must be 0 or 1; leave rows without a label out before")
    if task != "multiclass":
        return values, score
    codes = values.astype(np.int64)
    if (codes != values).any() or (codes < -1).any() or (codes >= score.shape[1]).any():
        raise ValueError(f"labels must be the numbers of {score.shape[1]} classes, or -1 for one that nobody knows")
    return codes, score


def usable_rows(metric: str, score: Floats) -> Floats:
    """Which rows have a prediction that the metric can be computed with; bool, shape (rows,)."""
    import numpy as np

    if metric not in additive_metrics.ADDITIVE:
        return ~np.isnan(score)
    if "regression" in MEASURES[metric].tasks:
        return np.isfinite(score)
    valid = (score >= -_SLACK) & (score <= 1 + _SLACK)
    return valid if valid.ndim == 1 else np.logical_and.reduce(valid, axis=1)
