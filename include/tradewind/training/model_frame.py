"""Rows as the model sees them: entities, the columns of the YAML, and features as they were known."""

from __future__ import annotations

import logging
import shutil
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tradewind.errors import MalformedInput, MissingInput, ModelError, TransformError, UsageError
from tradewind.etl.inputs import SOURCE, Inputs, fetch_deliveries
from tradewind.etl.transform_step import MALFORMED
from tradewind.features.definitions import service_features
from tradewind.features.feature_join import TIME, join_features
from tradewind.isolation import task_outputs
from tradewind.lake import storage
from tradewind.training.model_inputs import feature_time, knowledge_end, score_config, train_config

if TYPE_CHECKING:
    import numpy.typing as npt
    import pyarrow as pa

    from tradewind.deployment import Deployment
    from tradewind.metrics.metric import Task
    from tradewind.spec.pipeline import Pipeline

log = logging.getLogger(__name__)

PARTITION = "partition"
_PREDICTIONS = "predictions"


@dataclass(frozen=True, slots=True)
class ModelFrame:
    """Entities with everything that a model needs, in a stable order.

    :param table: the entities' own columns, ``partition``, ``event_timestamp``, the features, and the label if any
    :param columns: the model's input columns, in order
    :param key: column that names the entity
    :param timestamp: column with the entity's own time
    :param label: column to predict; None for a population
    :param task: what the label is: one of two classes, one of several, or a number
    """

    table: pa.Table
    columns: tuple[str, ...]
    key: str
    timestamp: str
    label: str | None
    task: Task

    def inputs(self) -> pa.Table:
        """The model's input: strings, float64 (missing: NULL) and timestamps in UTC without a zone; never integers."""
        return cast_model_inputs(self.table.select(list(self.columns)))

    def labels(self) -> npt.NDArray[Any]:
        """Labels as :func:`task_outputs.task_labels` gives them, shape (rows,).

        :raises ModelError: values that are no labels of the task
        """
        assert self.label is not None
        return task_outputs.task_labels(self.table[self.label], self.task, self.label)

    def where(self, partitions: Sequence[str]) -> ModelFrame:
        """The rows of some partitions."""
        import pyarrow as pa
        import pyarrow.compute as pc

        keep = pc.is_in(self.table[PARTITION], pa.array(list(partitions), pa.string()))
        return replace(self, table=self.table.filter(keep))


def training_frame(
    deployment: Deployment,
    partitions: Sequence[str],
    *,
    known_by: datetime,
    versions: Mapping[str, int],
    labelled: bool = True,
) -> ModelFrame:
    """Rows of the label dataset whose label is known, with features as they were known when the rows were to be scored.

    :param partitions: partitions of the label dataset
    :param known_by: labels that are known later than this moment (aware) do not exist yet
    :param versions: table version of each dataset that is read
    :param labelled: False for all rows, whether their label is known or not, and without it
    :raises MissingInput: a partition is not there
    :raises ModelError: a column is not there
    """
    spec = deployment.spec
    label, population = train_config(spec).label, score_config(spec).population
    rows = _read_label_rows(deployment, partitions, versions)
    if labelled:
        rows = rows.filter(_keep_known_labels(spec, rows, known_by))
    rows = _sort_rows(rows, PARTITION, population.timestamp, population.key)
    frame = _join_features(deployment, rows.drop_columns([label.column]), versions)
    if not labelled:
        return frame
    # After the join: the label never reaches the feature store.
    table = frame.table.append_column(label.column, rows[label.column].combine_chunks())
    return replace(frame, table=table, label=label.column)


def population_frame(
    deployment: Deployment, population: str, *, versions: Mapping[str, int], delivered: Inputs | None = None
) -> ModelFrame:
    """The entities that must be predicted, with features as they are known to the run that predicts them.

    :param population: partition key of the entities
    :param versions: table version of each dataset that the features read
    :param delivered: its :func:`population_inputs`, if they have been hashed
    :raises MissingInput: a file is not there
    :raises MalformedInput: a file cannot be read, or an entity has no key, no time, or is there twice
    :raises Unavailable: a file is not what was hashed
    """
    import pyarrow as pa

    delivered = delivered or population_inputs(deployment, population)
    entities = _select_entities(deployment, population, delivered)
    entities = entities.append_column(PARTITION, pa.array([population] * entities.num_rows, pa.string()))
    return _join_features(deployment, entities, versions)


def population_inputs(deployment: Deployment, population: str, *, waits: bool = False) -> Inputs:
    """What the sources of a population gave, hashed, by the view that its SQL sees it as.

    :param waits: what has not come may be waited for, or left out, as the YAML says; else it is an error
    :raises MissingInput: it is not there
    :raises NotDelivered: it has not come yet
    :raises LeftOut: the population does without
    """
    declared = score_config(deployment.spec).population
    sources = {SOURCE: declared, **declared.references}
    waited = deployment.runtime.waited if waits else None
    scratch = Path(tempfile.mkdtemp(prefix="tradewind-population-"))
    try:
        found = fetch_deliveries(deployment, sources, population, scratch=scratch, waited=waited)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise
    inputs = Inputs(found, {}, waited)
    # What was copied is needed for as long as a run may read it, also for another training of the same window.
    weakref.finalize(inputs, shutil.rmtree, scratch, ignore_errors=True)
    return inputs


def cast_model_inputs(table: pa.Table) -> pa.Table:
    """Cast to the types that models get.

    :raises ModelError: a column of a type that has no place in a model
    """
    return table.cast(_input_schema(table.schema))


def _input_schema(schema: pa.Schema) -> pa.Schema:
    import pyarrow as pa

    def kind(field: pa.Field) -> pa.DataType:
        of, types = field.type, pa.types
        if types.is_boolean(of) or types.is_integer(of) or types.is_floating(of) or types.is_decimal(of):
            return pa.float64()
        if types.is_string(of) or types.is_large_string(of) or types.is_string_view(of) or types.is_dictionary(of):
            return pa.string()
        if types.is_timestamp(of) or types.is_date(of):
            return pa.timestamp("us")
        raise ModelError(f"column {field.name} is {of}, which models do not take; turn it into a number or text in SQL")

    return pa.schema([pa.field(field.name, kind(field)) for field in schema])


def _read_label_rows(deployment: Deployment, partitions: Sequence[str], versions: Mapping[str, int]) -> pa.Table:
    spec = deployment.spec
    train, population = train_config(spec), score_config(spec).population
    name = train.label.dataset
    dataset = deployment.lake.dataset(spec.pipeline, name)
    snapshot = dataset.snapshot(versions.get(name))
    if snapshot is None:
        raise MissingInput(f"pipeline {spec.pipeline}: label dataset {name} has not been published yet; run its etl")
    needed = [population.key, population.timestamp, train.label.column, *train.columns]
    if missing := sorted(set(needed) - set(snapshot.schema.names)):
        raise ModelError(
            f"pipeline {spec.pipeline}: label dataset {name} has no column {', '.join(missing)}; add it to its SQL"
        )
    return snapshot.arrow(list(partitions)).to_table()


def _sort_rows(rows: pa.Table, *first: str) -> pa.Table:
    """The rows in an order that follows from their values alone: what is equal in ``first`` is not left to chance."""
    import pyarrow as pa

    others = [f.name for f in rows.schema if f.name not in first and not pa.types.is_nested(f.type)]
    return rows.sort_by([(name, "ascending") for name in (*first, *others)])


def _keep_known_labels(spec: Pipeline, rows: pa.Table, known_by: datetime) -> pa.ChunkedArray:
    import pyarrow.compute as pc

    label = train_config(spec).label
    happened = rows[score_config(spec).population.timestamp]
    return pc.and_(pc.is_valid(rows[label.column]), pc.less_equal(happened, known_by - label.available_after))


def _select_entities(deployment: Deployment, population: str, delivered: Inputs) -> pa.Table:
    from tradewind.engine.query import run_select

    spec = deployment.spec
    bounds = spec.partitioning.bounds(population)
    parameters = {"partition": population, "partition_start": bounds.start, "partition_end": bounds.end}
    declared = score_config(spec).population

    def read(inputs: Inputs) -> pa.Table:
        with run_select(
            deployment.runtime.project / declared.sql,
            inputs.views(),
            parameters=parameters,
            deterministic=declared.deterministic,
            threads=deployment.runtime.threads,
        ) as rows:
            return rows.read_all()

    try:
        entities = read(delivered)
    except TransformError as exc:
        if not exc.running:
            raise
        predictions = deployment.lake.dataset(spec.pipeline, _PREDICTIONS)
        quarantine = storage.local_path(predictions.uri) / storage.QUARANTINE / population / MALFORMED
        with tempfile.TemporaryDirectory(prefix="tradewind-population-") as scratch:
            sifted = delivered.sift(scratch=Path(scratch), quarantine=quarantine)
            if sifted == delivered:
                raise
            entities = read(sifted)
        for view, bad in sifted.bad.items():
            log.warning("%s of population %s: %s of %s rows of `%s` are malformed: %s", spec.pipeline, population,
                        bad.count, bad.rows, view, bad.path)  # fmt: skip
    delivered.confirm()
    _check_entities(spec, population, entities)
    return entities.sort_by([(declared.timestamp, "ascending"), (declared.key, "ascending")])


def _check_entities(spec: Pipeline, population: str, entities: pa.Table) -> None:
    import pyarrow as pa

    declared, train = score_config(spec).population, train_config(spec)
    what = f"population {population} of {spec.pipeline} ({declared.sql})"
    if missing := sorted({declared.key, declared.timestamp, *train.columns} - set(entities.column_names)):
        raise ModelError(f"{what} has no column {', '.join(missing)}; add it to the SQL")
    kind = entities.schema.field(declared.timestamp).type
    if not pa.types.is_timestamp(kind) or kind.tz is None:
        raise UsageError(f"{what}: {declared.timestamp} is {kind}; it must be a timestamp with time zone")
    for column in (declared.key, declared.timestamp):
        if nulls := entities[column].null_count:
            raise MalformedInput(f"{what}: {nulls} rows have no {column}; nothing is scored until every entity has one")
    counts = entities[declared.key].value_counts()
    if len(counts) != entities.num_rows:
        twice = [str(c["values"]) for c in counts if c["counts"].as_py() > 1]
        raise MalformedInput(
            f"{what}: {len(twice)} values of {declared.key} are there more than once, for example {twice[0]}"
        )
    if not entities.num_rows:
        raise MalformedInput(f"{what} has no rows; check the delivered files and the SQL")


def _join_features(deployment: Deployment, entities: pa.Table, versions: Mapping[str, int]) -> ModelFrame:
    spec = deployment.spec
    train, population = train_config(spec), score_config(spec).population
    timed = entities.append_column(TIME, _feature_times(spec, entities))
    features = service_features(deployment)
    if both := sorted(set(train.columns) & set(features)):
        raise UsageError(
            f"pipeline {spec.pipeline}: {', '.join(both)} is a feature and in `train.columns`; keep one of them"
        )
    if train.label.column in (*train.columns, *features):
        raise UsageError(
            f"pipeline {spec.pipeline}: the label {train.label.column} is among the model's columns; take it out"
        )
    joined = join_features(deployment, timed, versions=versions)
    return ModelFrame(joined, (*train.columns, *features), population.key, population.timestamp, None, train.task)


def _feature_times(spec: Pipeline, entities: pa.Table) -> pa.ChunkedArray | pa.Array:
    """When each entity's features are looked up; the same rule for training and scoring."""
    import pyarrow as pa
    import pyarrow.compute as pc

    instant = pa.timestamp("us", "UTC")
    keys = pc.unique(entities[PARTITION]).cast(pa.string())
    partitions = pc.index_in(entities[PARTITION].cast(pa.string()), keys)
    bounds = pa.array([feature_time(spec, key) or knowledge_end(spec, key) for key in keys.to_pylist()], instant)
    latest = bounds.take(partitions)
    if score_config(spec).predict_at == "start":
        return latest
    own = entities[score_config(spec).population.timestamp].cast(instant)
    return pc.if_else(pc.less(own, latest), own, latest)
