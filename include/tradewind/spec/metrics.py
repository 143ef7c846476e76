"""The metrics that the YAML may name: for which tasks, in which direction, and between which values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Task = Literal["binary", "multiclass", "regression"]
Metric = Literal[
    "roc_auc",
    "average_precision",
    "log_loss",
    "brier",
    "ece",
    "accuracy",
    "balanced_accuracy",
    "f1",
    "mae",
    "rmse",
    "r2",
]


@dataclass(frozen=True, slots=True)
class MetricInfo:
    """What is known of a metric without any data.

    :param tasks: for which it means something
    :param higher_is_better: its direction
    :param lowest: smallest value that there can be
    :param highest: largest, likewise
    """

    tasks: frozenset[str]
    higher_is_better: bool
    lowest: float
    highest: float


_CLASSES = frozenset({"binary", "multiclass"})
_BINARY = frozenset({"binary"})
_NUMBERS = frozenset({"regression"})

MEASURES: Mapping[str, MetricInfo] = {
    "roc_auc": MetricInfo(_BINARY, True, 0.0, 1.0),
    "average_precision": MetricInfo(_BINARY, True, 0.0, 1.0),
    "log_loss": MetricInfo(_CLASSES, False, 0.0, math.inf),
    "brier": MetricInfo(_CLASSES, False, 0.0, 2.0),
    "ece": MetricInfo(_CLASSES, False, 0.0, 1.0),
    "accuracy": MetricInfo(_CLASSES, True, 0.0, 1.0),
    "balanced_accuracy": MetricInfo(_CLASSES, True, 0.0, 1.0),
    "f1": MetricInfo(_CLASSES, True, 0.0, 1.0),
    "mae": MetricInfo(_NUMBERS, False, 0.0, math.inf),
    "rmse": MetricInfo(_NUMBERS, False, 0.0, math.inf),
    "r2": MetricInfo(_NUMBERS, True, -math.inf, 1.0),
}


def task_metrics(task: str) -> list[str]:
    """Names of the metrics that mean something for a task."""
    return [name for name, measure in MEASURES.items() if task in measure.tasks]
