"""How good a fitted model is on rows with labels: one metric, or all of its task with their intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from tradewind.core import bootstrap, metrics
from tradewind.core.blocks import local_blocks
from tradewind.models import estimator as estimators
from tradewind.models import tasks
from tradewind.spec.gates import MetricGate
from tradewind.spec.metrics import Metric, of_task

if TYPE_CHECKING:
    import numpy.typing as npt

    from tradewind.models.frame import Frame
    from tradewind.spec.models import Pipeline
    from tradewind.spec.training import Train

CONFIDENCE = 0.9
_DEFAULT: dict[str, Metric] = {"binary": "roc_auc", "multiclass": "log_loss", "regression": "rmse"}


def own_metric(spec: Pipeline, train: Train) -> Metric:
    """The metric that a pipeline cares about most: its first gate's, or the usual one of the task."""
    named = (gate.metric for gate in spec.gates if isinstance(gate, MetricGate))
    return next(named, _DEFAULT[train.task])


def value(fitted: Any, rows: Frame, metric: str, *, name: str) -> float:
    """A metric of a fitted model on rows with labels; NaN if it has none there.

    :param name: how messages call the model
    :raises ModelError: the model fails, or its answer is not what the task needs
    """
    output, classes = estimators.answers(fitted, rows, name=name)
    y, score = as_metrics_want(rows, output, classes)
    return metrics.compute(metric, y, score)


def values(fitted: Any, rows: Frame, *, name: str) -> dict[str, float | None]:
    """Every metric of the task, by name; None where it has no value on these rows.

    :param name: how messages call the model
    :raises ModelError: the model fails, or its answer is not what the task needs
    """
    output, classes = estimators.answers(fitted, rows, name=name)
    y, score = as_metrics_want(rows, output, classes)
    found = {metric: metrics.compute(metric, y, score) for metric in of_task(rows.task)}
    return {metric: one if math.isfinite(one) else None for metric, one in found.items()}


def evaluate(
    spec: Pipeline, rows: Frame, *, output: npt.NDArray[Any], classes: Sequence[Any] | None, seed: int
) -> dict[str, dict[str, Any]]:
    """Every metric of the task with its interval over local days, by name: value, low, high, blocks, rows.

    Ends of an interval that cannot be given are None; so many days are not there.

    :param output: the model's answers for the rows, shape (rows, outputs)
    :param classes: of the model; None for a regressor
    :param seed: of the resampling
    """
    import pyarrow as pa

    y, score = as_metrics_want(rows, output, classes)
    instants = rows.table[rows.timestamp].cast(pa.timestamp("us")).to_numpy()
    days = local_blocks(instants, spec.timezone, by="day")
    found = {}
    for metric in of_task(rows.task):
        measured = asdict(bootstrap.level(y, score, days, metric=metric, confidence=CONFIDENCE, seed=seed))
        ends = {end: measured[end] if math.isfinite(measured[end]) else None for end in ("low", "high")}
        found[metric] = {**measured, **ends}
    return found


def as_metrics_want(
    rows: Frame, output: npt.NDArray[Any], classes: Sequence[Any] | None
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Labels and scores in the shapes of ``core.metrics``; a class that the model does not know has the number -1."""
    order = tasks.order(classes)
    score = tasks.scores(rows.task, output, classes, order=order)
    return tasks.targets(rows.task, rows.labels(), order), score
