"""The built-in metrics: one entry each, in the order in which pages show them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tradewind.metrics.calibration import ECE
from tradewind.metrics.class_means import BALANCED_ACCURACY, F1
from tradewind.metrics.explained_variance import R2
from tradewind.metrics.mean_losses import ACCURACY, BRIER, LOG_LOSS, MAE, RMSE
from tradewind.metrics.ranking import AVERAGE_PRECISION, ROC_AUC

if TYPE_CHECKING:
    from tradewind.metrics.arrays import Floats
    from tradewind.metrics.metric import ModelMetric

_ALL: tuple[ModelMetric, ...] = (
    ROC_AUC,
    AVERAGE_PRECISION,
    LOG_LOSS,
    BRIER,
    ECE,
    ACCURACY,
    BALANCED_ACCURACY,
    F1,
    MAE,
    RMSE,
    R2,
)

METRICS: Mapping[str, ModelMetric] = {metric.name: metric for metric in _ALL}
"""The built-in metrics by name."""


def task_metrics(task: str) -> list[str]:
    """Names of the built-in metrics that are defined for a task."""
    return [name for name, metric in METRICS.items() if task in metric.tasks]


def compute_metric(name: str, y: Floats, score: Floats, *, weights: Floats | None = None) -> float:
    """Value of a built-in metric; parameters as in :meth:`ModelMetric.compute`."""
    return METRICS[name].compute(y, score, weights=weights)


def roc_auc(y: Floats, score: Floats, *, weights: Floats | None = None) -> float:
    """Area under the ROC curve; parameters as in :meth:`ModelMetric.compute`."""
    return ROC_AUC.compute(y, score, weights=weights)
