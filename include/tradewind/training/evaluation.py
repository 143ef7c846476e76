"""How good a fitted model is on rows with labels: one metric, or all of its task with their intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from tradewind.core import bootstrap
from tradewind.isolation import task_outputs
from tradewind.metrics.judged_rows import local_blocks
from tradewind.metrics.metric_list import METRICS, task_metrics
from tradewind.spec.gates import prediction_gates
from tradewind.training import estimator as estimators

if TYPE_CHECKING:
    import numpy.typing as npt

    from tradewind.metrics.metric import ModelMetric
    from tradewind.spec.pipeline import Pipeline
    from tradewind.spec.training import Train
    from tradewind.training.model_frame import ModelFrame

CONFIDENCE = 0.9
_DEFAULT_METRIC: Mapping[str, str] = {"binary": "roc_auc", "multiclass": "log_loss", "regression": "rmse"}


def primary_metric(spec: Pipeline, train: Train) -> str:
    """The built-in metric that a pipeline cares about most: its first gate's, or the usual one of the task."""
    named = (gate.measured for gate in prediction_gates(spec.gates).values() if gate.measured in METRICS)
    return next(named, _DEFAULT_METRIC[train.task])


def evaluate_metric(fitted: Any, rows: ModelFrame, metric: ModelMetric, *, name: str) -> float:
    """A metric of a fitted model on rows with labels; NaN if it has none there.

    :param name: how messages call the model
    :raises ModelError: the model fails, its answer is not what the task needs, or a metric of the project fails
    """
    output, classes = estimators.predict_rows(fitted, rows, name=name)
    y, score = metric_arguments(rows, output, classes)
    return metric.compute(y, score)


def evaluate_metrics(fitted: Any, rows: ModelFrame, *, name: str) -> dict[str, float | None]:
    """Every metric of the task, by name; None where it has no value on these rows.

    :param name: how messages call the model
    :raises ModelError: the model fails, or its answer is not what the task needs
    """
    output, classes = estimators.predict_rows(fitted, rows, name=name)
    y, score = metric_arguments(rows, output, classes)
    found = {metric: METRICS[metric].compute(y, score) for metric in task_metrics(rows.task)}
    return {metric: one if math.isfinite(one) else None for metric, one in found.items()}


def evaluate_with_intervals(
    spec: Pipeline, rows: ModelFrame, *, output: npt.NDArray[Any], classes: Sequence[Any] | None, seed: int
) -> dict[str, dict[str, Any]]:
    """Every metric of the task with its interval over local days, by name: value, low, high, blocks, rows.

    Ends of an interval that cannot be given are None; so many days are not there.

    :param output: the model's answers for the rows, shape (rows, outputs)
    :param classes: of the model; None for a regressor
    :param seed: of the resampling
    """
    import pyarrow as pa

    y, score = metric_arguments(rows, output, classes)
    instants = rows.table[rows.timestamp].cast(pa.timestamp("us")).to_numpy()
    days = local_blocks(instants, spec.timezone, by="day")
    found = {}
    for metric in task_metrics(rows.task):
        interval = bootstrap.metric_interval(y, score, days, metric=METRICS[metric], confidence=CONFIDENCE, seed=seed)
        measured = asdict(interval)
        ends = {end: measured[end] if math.isfinite(measured[end]) else None for end in ("low", "high")}
        found[metric] = {**measured, **ends}
    return found


def metric_arguments(
    rows: ModelFrame, output: npt.NDArray[Any], classes: Sequence[Any] | None
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Labels and scores as :meth:`ModelMetric.compute` takes them; a class unknown to the model is -1."""
    order = task_outputs.class_order(classes)
    score = task_outputs.metric_scores(rows.task, output, classes, order=order)
    return task_outputs.metric_targets(rows.task, rows.labels(), order), score
