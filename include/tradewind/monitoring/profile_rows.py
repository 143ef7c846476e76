"""Profile one partition: its entities as the model sees them, and what was predicted for them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tradewind.core import profiles
from tradewind.lake.cause import Cause
from tradewind.ledger import completion, ordering, skipped_partitions
from tradewind.ledger.journal import Ledger
from tradewind.monitoring import monitoring_datasets
from tradewind.spec.digest import config_hash
from tradewind.training.model_frame import training_frame
from tradewind.training.model_inputs import (
    PinnedInputs,
    definitions_digest,
    feature_time,
    pin_inputs,
    score_config,
    train_config,
)
from tradewind.training.prediction_rows import COLUMNS, task_from_columns

if TYPE_CHECKING:
    import pyarrow as pa

    from tradewind.deployment import Deployment
    from tradewind.lake.publish import PublishedPartition
    from tradewind.lake.snapshot import Snapshot
    from tradewind.spec.pipeline import Pipeline

log = logging.getLogger(__name__)

PREDICTION = "prediction"
"""The name under which predictions are watched, beside the features."""
PREDICTIONS = "predictions"
MAJORITY = "majority"
CODE = "1"  # raise it when the profiles of the same input change


def profile_partition(deployment: Deployment, partition: str) -> PublishedPartition:
    """Publish the dataset `profiles` of one partition: one row for each input of the model, one for the predictions.

    All entities of the partition count, also those whose label is not known. Predictions are there if the partition
    was scored. The same inputs, definitions and settings publish nothing again.

    :param partition: partition key; its features must be complete
    :raises NotReady: its features, the scoring of its population, or the stage of the partition before, is not complete
    :raises MissingInput: the label dataset lacks the partition
    """
    spec = deployment.spec
    monitoring_datasets.require_monitor(spec)
    ledger = deployment.ledger
    completion.require_completion(ledger, spec.pipeline, "features", partition)
    upstream = completion.latest_cause(ledger, spec.pipeline, "features", partition)
    completion.record_start(
        ledger, spec.pipeline, "monitor", partition, cause=str(upstream), run_id=deployment.runtime.run_id
    )
    require_monitor_turn(spec, partition, ledger, alone=deployment.runtime.alone)
    base = monitoring_datasets.monitoring_base(deployment, "profiles", partition)
    pinned = _pin_inputs(deployment, partition)
    predictions = monitoring_datasets.monitoring_snapshot(deployment, PREDICTIONS)
    scored = monitoring_datasets.partition_states(predictions).get(partition)
    inputs = pinned.by_name() | ({f"{PREDICTIONS}/{partition}": scored.digest} if scored else {})
    return monitoring_datasets.publish_monitoring_rows(
        deployment,
        "profiles",
        partition=partition,
        cause=Cause(inputs, profile_config_hash(deployment), CODE),
        base=base,
        rows=lambda: _profile_rows(deployment, partition, pinned, predictions=predictions if scored else None),
    )


def profile_config_hash(deployment: Deployment) -> str:
    """Hash of the configuration that determines profiles."""
    spec = deployment.spec
    train, score = train_config(spec), score_config(spec)
    return config_hash(
        *(train.service, train.columns, train.label.dataset, score.predict_at, score.ahead),
        *(spec.partition, spec.timezone, definitions_digest(deployment)),
    )


def require_monitor_turn(spec: Pipeline, partition: str, ledger: Ledger, *, alone: bool = False) -> None:
    """Go on only when the partition before is monitored, and the population of ``partition`` is scored.

    Together that means: all partitions before are profiled, and every population whose labels fell due is scored. So
    what is published does not depend on the order in which runs start. Partitions that are left out are passed over,
    and those on which no run works any more (:mod:`tradewind.ledger.ordering`).

    :param alone: no other run works on the pipeline, so nothing is waited for
    :raises NotReady: it is not so yet
    """
    ordering.require_stage_complete(spec, ledger, partition, stage="monitor", of="monitor", alone=alone)
    scorer = spec.partitioning.shift(partition, -score_config(spec).ahead)
    if scorer >= spec.start and scorer not in skipped_partitions.left_out(ledger, spec.pipeline):
        ordering.require_earlier_partition(
            spec, ledger, partition, stage="monitor", of="score", key=scorer, alone=alone
        )


def profile_column(column: pa.ChunkedArray) -> profiles.ColumnProfile | None:
    """Profile of an Arrow column: numbers and booleans as numbers, text as categories; None for other types."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind, nulls = column.type, column.null_count
    if pa.types.is_dictionary(kind):
        column, kind = column.cast(kind.value_type), kind.value_type
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return profiles.profile_numbers(pc.drop_null(column).cast(pa.float64(), safe=False).to_numpy(), null=nulls)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        counts = {c["values"]: c["counts"] for c in column.value_counts().to_pylist() if c["values"] is not None}
        return profiles.profile_texts(counts, null=nulls)
    return None


def _pin_inputs(deployment: Deployment, partition: str) -> PinnedInputs:
    spec = deployment.spec
    asked = feature_time(spec, partition) or spec.partitioning.bounds(partition).start
    newest = spec.partitioning.shift(partition, -score_config(spec).ahead)
    return pin_inputs(deployment, since=asked, last=newest, rows={train_config(spec).label.dataset: [partition]})


def _profile_rows(
    deployment: Deployment, partition: str, pinned: PinnedInputs, *, predictions: Snapshot | None
) -> list[Mapping[str, Any]]:
    spec = deployment.spec
    end = spec.partitioning.bounds(partition).end
    frame = training_frame(deployment, [partition], known_by=end, versions=pinned.versions, labelled=False)
    inputs = frame.inputs()
    rows = [row for name in inputs.column_names if (row := _profile_row(name, inputs[name], None))]
    task, predicted = train_config(spec).task, monitoring_datasets.snapshot_rows(predictions, [partition])
    if predicted is not None and task_from_columns(predicted.column_names) == task:
        rows += (
            [row]
            if (row := _profile_row(PREDICTION, predicted[COLUMNS[task][0]], predicting_versions(predicted)))
            else []
        )
    log.info("%s: profiled %s inputs of %s rows of partition %s", spec.pipeline, len(rows), inputs.num_rows, partition)
    return rows


def _profile_row(name: str, column: pa.ChunkedArray, model_version: str | None) -> Mapping[str, Any] | None:
    made = profile_column(column)
    if made is None:
        log.info("input %s is %s, which has no profile: its drift is not judged", name, column.type)
        return None
    text = profiles.to_json(made)
    return {"feature": name, "kind": made.kind, "rows": made.rows, "model_version": model_version, "profile": text}


def predicting_versions(predictions: pa.Table) -> str:
    """What predicted: a model version, or ``majority`` where no model could serve; usually one of them."""
    served = predictions.group_by(["model_version", "served_by"]).aggregate([]).to_pylist()
    return ",".join(sorted({MAJORITY if s["served_by"] == MAJORITY else str(s["model_version"]) for s in served}))
