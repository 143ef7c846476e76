"""Realised performance: predictions beside the labels that have fallen due."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tradewind.core import bootstrap
from tradewind.errors import MalformedInput, MetricError
from tradewind.isolation import task_outputs
from tradewind.isolation.project_metric import open_metric, project_metric_causes
from tradewind.lake.cause import Cause
from tradewind.metrics.judged_rows import UnitOfTime, local_blocks
from tradewind.monitoring import monitoring_datasets
from tradewind.monitoring.profile_rows import MAJORITY, PREDICTIONS, predicting_versions
from tradewind.spec.digest import config_hash
from tradewind.spec.metrics import is_project_metric
from tradewind.training.model_inputs import score_config, train_config
from tradewind.training.prediction_rows import COLUMNS, answers_from_columns, task_from_columns

if TYPE_CHECKING:
    import pyarrow as pa

    from tradewind.deployment import Deployment
    from tradewind.lake.publish import PublishedPartition
    from tradewind.lake.snapshot import Snapshot
    from tradewind.spec.pipeline import Pipeline
    from tradewind.spec.policy import Performance

log = logging.getLogger(__name__)
CODE = "3"  # raise it when the same predictions and labels are judged otherwise
WORSE = "worse"
"""Outcome of a population on the wrong side of the limit, whichever side that is."""
_CONFIDENCE = 0.9
_UNITS: tuple[UnitOfTime, ...] = ("day", "hour")
"""What is resampled as a whole: the longest of which a population has enough. Rows of a day share their circumstances,
and hours of one day share some, so an interval by hour is rather too narrow than too wide."""


def due_populations(spec: Pipeline, partition: str) -> list[str]:
    """Populations whose labels are complete at the end of ``partition`` and were not at the end of the one before.

    Labels of population p are complete when ``available_after`` has passed since its end. Populations before
    ``start`` + ``ahead`` are never scored and never due.
    """
    slices, label = spec.partitioning, train_config(spec).label
    now, before = slices.bounds(partition).end, slices.bounds(slices.shift(partition, -1)).end
    first = slices.shift(spec.start, score_config(spec).ahead)
    found, population = [], partition
    while population >= first and slices.bounds(population).end + label.available_after > before:
        if slices.bounds(population).end + label.available_after <= now:
            found.append(population)
        population = slices.shift(population, -1)
    return sorted(found)


def publish_performance(deployment: Deployment, partition: str) -> PublishedPartition | None:
    """Publish the dataset `performance` of one partition: one row for each population whose labels fell due in it.

    The metric is computed over the scored entities whose label is known; those without are counted. A population that
    that was not scored has the outcome `no data`; one that its model had seen in training is `in_sample`; one for which
    no model could serve is `fallback`. None of these counts for or against a model (`below`, whether it is worse
    than the limit, is NULL).

    :return: None if no population fell due
    :raises Conflict: another run published the partition meanwhile
    """
    spec = deployment.spec
    populations = due_populations(spec, partition)
    if not populations:
        return None
    label = train_config(spec).label
    base = monitoring_datasets.monitoring_base(deployment, "performance", partition)
    predictions, labels = (
        monitoring_datasets.monitoring_snapshot(deployment, name) for name in (PREDICTIONS, label.dataset)
    )
    inputs: dict[str, str] = {}
    for name, found in ((PREDICTIONS, predictions), (label.dataset, labels)):
        states = monitoring_datasets.partition_states(found)
        inputs |= {f"{name}/{key}": states[key].digest for key in populations if key in states}
    return monitoring_datasets.publish_monitoring_rows(
        deployment,
        "performance",
        partition=partition,
        cause=Cause(inputs, performance_config_hash(deployment, populations), CODE),
        base=base,
        rows=lambda: [_performance_row(deployment, population, predictions, labels) for population in populations],
    )


def performance_config_hash(deployment: Deployment, populations: Sequence[str]) -> str:
    """Hash of the configuration that determines the performance of these populations."""
    spec = deployment.spec
    train, limit = train_config(spec), monitoring_datasets.require_monitor(spec).performance
    # Of two classes it was not said before there were others: what is published of them stays as it is.
    task = [] if train.task == "binary" else [train.task]
    code = project_metric_causes([limit.metric], spec.metrics, deployment.runtime.project)
    metric = [code] if code else []  # likewise
    key = score_config(spec).population.key
    return config_hash(populations, limit, train.label.column, key, spec.timezone, *task, *metric)


def _performance_row(
    deployment: Deployment, population: str, scored: Snapshot | None, labelled: Snapshot | None
) -> Mapping[str, Any]:
    spec = deployment.spec
    label, limit = train_config(spec).label, monitoring_datasets.require_monitor(spec).performance
    row = {"population": population, "metric": limit.metric, "limit": limit.bound, "rows": 0}
    predictions, labels = (
        monitoring_datasets.snapshot_rows(scored, [population]),
        monitoring_datasets.snapshot_rows(labelled, [population]),
    )
    if predictions is None or not predictions.num_rows:
        row |= {"outcome": "no data", "reason": "nothing was scored"}
    elif (task := task_from_columns(predictions.column_names)) != train_config(spec).task:
        row |= {"outcome": "no data", "reason": f"the predictions are {task}, and `train.task` is another"}
    elif labels is None or not labels.num_rows:
        row |= {"outcome": "no data", "reason": f"dataset {label.dataset} has no partition {population}"}
    else:
        row |= _measure_population(deployment, population, predictions, labels)
    log.info("%s: population %s: %s, %s", spec.pipeline, population, row["outcome"], row["reason"])
    return row


def _measure_population(
    deployment: Deployment, population: str, predictions: pa.Table, labels: pa.Table
) -> Mapping[str, Any]:
    import pyarrow.compute as pc

    spec = deployment.spec
    limit = monitoring_datasets.require_monitor(spec).performance
    joined = _join_labels(spec, population, predictions, labels)
    # A join gives rows in any order, and sums of doubles depend on it.
    known = joined.filter(pc.is_valid(joined["label"])).sort_by([("timestamp", "ascending"), ("key", "ascending")])
    in_sample = bool(pc.any(predictions["in_sample"]).as_py())
    version = predicting_versions(predictions)
    try:
        interval, unit = _metric_interval(deployment, known, limit)
    except MetricError as exc:  # code of the project fails: nothing is known of the model
        interval = bootstrap.Interval(math.nan, math.nan, math.nan, 0, known.num_rows)
        outcome, reason = "insufficient", str(exc)
    else:
        outcome, reason = _limit_outcome(
            limit, interval, _interval_text(interval, unit), in_sample=in_sample, version=version
        )
    return {
        "outcome": outcome,
        "reason": reason,
        "value": _finite_or_none(interval.value),
        "low": _finite_or_none(interval.low),
        "high": _finite_or_none(interval.high),
        "below": {"ok": False, WORSE: True}.get(outcome),
        "rows": known.num_rows,
        "without_label": joined.num_rows - known.num_rows,
        "not_scored": labels.num_rows - known.num_rows - _count_null_labels(joined),
        "model_version": version,
        "in_sample": in_sample,
    }


def _join_labels(spec: Pipeline, population: str, predictions: pa.Table, labels: pa.Table) -> pa.Table:
    """Every prediction once, with its label; `labelled` says whether the label dataset has its entity at all."""
    import pyarrow as pa

    key, label = score_config(spec).population.key, train_config(spec).label
    right = labels.select([key, label.column]).rename_columns(["key", "label"])
    right = right.append_column("labelled", pa.array([True] * right.num_rows))
    predicted = COLUMNS[train_config(spec).task]
    left = predictions.select([key, score_config(spec).population.timestamp, *predicted])
    joined = left.rename_columns(["key", "timestamp", *predicted]).join(right, "key", join_type="left outer")
    if joined.num_rows != predictions.num_rows:
        raise MalformedInput(
            f"dataset {label.dataset}, partition {population}: {key} names some entities more than once, "
            f"so their labels are not certain; add {key} to the dataset's `keys` and run its etl again"
        )
    return joined


def _count_null_labels(joined: pa.Table) -> int:
    """Scored entities that the label dataset has, but without a label."""
    import pyarrow.compute as pc

    return int(pc.sum(pc.and_(pc.is_valid(joined["labelled"]), pc.is_null(joined["label"]))).as_py() or 0)


def _metric_interval(deployment: Deployment, known: pa.Table, limit: Performance) -> tuple[bootstrap.Interval, str]:
    """The metric with its interval, and the unit of time whose blocks are resampled."""
    import numpy as np
    import pyarrow as pa

    spec = deployment.spec
    task, label = train_config(spec).task, train_config(spec).label
    output, classes = answers_from_columns(task, known)
    order = task_outputs.class_order(classes)
    y = task_outputs.metric_targets(task, task_outputs.task_labels(known["label"], task, label.column), order)
    score = task_outputs.metric_scores(task, output, classes, order=order)
    timestamp = known["timestamp"].cast(pa.timestamp("us", "UTC")).cast(pa.int64()).to_numpy().astype("datetime64[us]")
    blocks, unit = np.empty(0), _UNITS[-1]
    for unit in _UNITS:
        blocks = local_blocks(timestamp, spec.timezone, by=unit)
        if len(np.unique(blocks)) >= bootstrap.blocks_for(_CONFIDENCE):
            break
    metric = open_metric(limit.metric, spec.metrics, task=task, project=deployment.runtime.project)
    return bootstrap.metric_interval(y, score, blocks, metric=metric, confidence=_CONFIDENCE, seed=0), unit


def _interval_text(interval: bootstrap.Interval, unit: str) -> str:
    if not math.isfinite(interval.low):
        return f" (no interval: {interval.missing}, by {unit})"
    ends = f"{interval.low:.4f} to {interval.high:.4f}"
    return f" ({_CONFIDENCE * 100:.0f} % interval {ends}, {interval.blocks} blocks by {unit})"


def _limit_outcome(
    limit: Performance, interval: bootstrap.Interval, words: str, *, in_sample: bool, version: str
) -> tuple[str, str]:
    found = f"{limit.metric} {interval.value:.4f} over {interval.rows} rows{words}"
    if interval.rows < limit.min_rows:
        return "insufficient", f"{interval.rows} rows with a label, fewer than {limit.min_rows}"
    if not math.isfinite(interval.value):
        why = "" if is_project_metric(limit.metric) else ": their labels do not differ"
        return "insufficient", f"{limit.metric} has no value on {interval.rows} rows{why}"
    if MAJORITY in version:
        return "fallback", f"{found}, but no model could serve: this says nothing about one"
    if in_sample:
        return "in_sample", f"{found}, but the model was trained on them: this is not its performance"
    if limit.missed_by(interval.value):
        return WORSE, f"{found} is worse than the limit {limit.bound:g}"
    return "ok", f"{found}, limit {limit.bound:g}"


def _finite_or_none(value: float) -> float | None:
    return value if math.isfinite(value) else None
