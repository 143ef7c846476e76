"""Profile one partition: its entities as the model sees them, and what was predicted for them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tradewind.core import profiles
from tradewind.lake.cause import Cause
from tradewind.ledger import absences, progress, turns
from tradewind.ledger.journal import Ledger
from tradewind.models.frame import training_frame
from tradewind.models.inputs import Pinned, definitions_digest, feature_time, pin, scoring, training
from tradewind.models.predictions import COLUMNS, task_of
from tradewind.monitoring import datasets
from tradewind.spec.digest import config_hash

if TYPE_CHECKING:
    import pyarrow as pa

    from tradewind.core.runtime import Runtime
    from tradewind.lake.publish import Published
    from tradewind.lake.snapshot import Snapshot
    from tradewind.spec.models import Pipeline

log = logging.getLogger(__name__)

PREDICTION = "prediction"
"""The name under which predictions are watched, beside the features."""
PREDICTIONS = "predictions"
MAJORITY = "majority"
CODE = "1"  # raise it when the profiles of the same input change


def profile(spec: Pipeline, partition: str, runtime: Runtime) -> Published:
    """Publish the dataset `profiles` of one partition: one row for each input of the model, one for the predictions.

    All entities of the partition count, also those whose label is not known. Predictions are there if the partition
    was scored. The same inputs, definitions and settings publish nothing again.

    :param partition: partition key; its features must be complete
    :raises NotReady: its features, the scoring of its population, or the stage of the partition before, is not complete
    :raises MissingInput: the label dataset lacks the partition
    """
    datasets.monitored(spec)
    ledger = Ledger(runtime.ledger)
    progress.require(ledger, spec.pipeline, "features", partition)
    upstream = progress.latest_cause(ledger, spec.pipeline, "features", partition)
    progress.start(ledger, spec.pipeline, "monitor", partition, cause=str(upstream), run_id=runtime.run_id)
    require_turn(spec, partition, ledger, alone=runtime.alone)
    base = datasets.base(spec, runtime, "profiles", partition)
    pinned = _pinned(spec, partition, runtime)
    predictions = datasets.snapshot(spec, runtime, PREDICTIONS)
    scored = datasets.states(predictions).get(partition)
    inputs = pinned.by_name() | ({f"{PREDICTIONS}/{partition}": scored.digest} if scored else {})
    return datasets.publish(
        spec,
        runtime,
        "profiles",
        partition=partition,
        cause=Cause(inputs, configuration(spec, runtime), CODE),
        base=base,
        rows=lambda: _rows(spec, partition, runtime, pinned, predictions=predictions if scored else None),
    )


def configuration(spec: Pipeline, runtime: Runtime) -> str:
    """Hash of the configuration that determines profiles."""
    train, score = training(spec), scoring(spec)
    return config_hash(
        *(train.service, train.columns, train.label.dataset, score.predict_at, score.ahead),
        *(spec.partition, spec.timezone, definitions_digest(spec, runtime)),
    )


def require_turn(spec: Pipeline, partition: str, ledger: Ledger, *, alone: bool = False) -> None:
    """Go on only when the partition before is monitored, and the population of ``partition`` is scored.

    Together that means: all partitions before are profiled, and every population whose labels fell due is scored. So
    what is published does not depend on the order in which runs start. Partitions that are left out are passed over,
    and those on which nobody works any more (:mod:`tradewind.ledger.turns`).

    :param alone: nobody else works on the pipeline, so nothing is waited for
    :raises NotReady: it is not so yet
    """
    turns.require_before(spec, ledger, partition, stage="monitor", of="monitor", alone=alone)
    scorer = spec.partitioning.shift(partition, -scoring(spec).ahead)
    if scorer >= spec.start and scorer not in absences.left_out(ledger, spec.pipeline):
        turns.require(spec, ledger, partition, stage="monitor", of="score", key=scorer, alone=alone)


def of_column(column: pa.ChunkedArray) -> profiles.Profile | None:
    """Profile of an Arrow column: numbers and booleans as numbers, text as categories; None for other types."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind, nulls = column.type, column.null_count
    if pa.types.is_dictionary(kind):
        column, kind = column.cast(kind.value_type), kind.value_type
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return profiles.numeric(pc.drop_null(column).cast(pa.float64(), safe=False).to_numpy(), null=nulls)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        counts = {c["values"]: c["counts"] for c in column.value_counts().to_pylist() if c["values"] is not None}
        return profiles.categorical(counts, null=nulls)
    return None


def _pinned(spec: Pipeline, partition: str, runtime: Runtime) -> Pinned:
    asked = feature_time(spec, partition) or spec.partitioning.bounds(partition).start
    newest = spec.partitioning.shift(partition, -scoring(spec).ahead)
    return pin(spec, runtime, since=asked, last=newest, rows={training(spec).label.dataset: [partition]})


def _rows(
    spec: Pipeline, partition: str, runtime: Runtime, pinned: Pinned, *, predictions: Snapshot | None
) -> list[Mapping[str, Any]]:
    end = spec.partitioning.bounds(partition).end
    frame = training_frame(spec, [partition], runtime, known_by=end, versions=pinned.versions, labelled=False)
    inputs = frame.inputs()
    rows = [row for name in inputs.column_names if (row := _row(name, inputs[name], None))]
    task, predicted = training(spec).task, datasets.rows_of(predictions, [partition])
    if predicted is not None and task_of(predicted.column_names) == task:
        rows += [row] if (row := _row(PREDICTION, predicted[COLUMNS[task][0]], versions_of(predicted))) else []
    log.info("%s: profiled %s inputs of %s rows of partition %s", spec.pipeline, len(rows), inputs.num_rows, partition)
    return rows


def _row(name: str, column: pa.ChunkedArray, model_version: str | None) -> Mapping[str, Any] | None:
    made = of_column(column)
    if made is None:
        log.info("input %s is %s, which has no profile: its drift is not judged", name, column.type)
        return None
    text = profiles.to_json(made)
    return {"feature": name, "kind": made.kind, "rows": made.rows, "model_version": model_version, "profile": text}


def versions_of(predictions: pa.Table) -> str:
    """What predicted: a model version, or ``majority`` where no model could serve; usually one of them."""
    served = predictions.group_by(["model_version", "served_by"]).aggregate([]).to_pylist()
    return ",".join(sorted({MAJORITY if s["served_by"] == MAJORITY else str(s["model_version"]) for s in served}))
