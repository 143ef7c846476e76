"""Columns that the YAML names, against those that the SQL returns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from tradewind.errors import ModelError
from tradewind.lake.schema import PARTITION
from tradewind.spec.pipeline import Score
from tradewind.spec.problems import Path, Problem
from tradewind.spec.training import Train
from tradewind.validation.sql_columns import SqlColumns
from tradewind.validation.validated_pipeline import ValidatedPipeline

if TYPE_CHECKING:
    import pyarrow as pa

    from tradewind.metrics.metric import Task


def check_columns(subject: ValidatedPipeline, tables: SqlColumns) -> Iterator[Problem]:
    """Keys, rules for duplicates, label, population and the model's columns."""
    for name, schema in tables.datasets.items():
        yield from _check_keys(subject, name, schema)
    score, train = subject.spec.score, subject.spec.train
    if score and tables.population is not None:
        yield from _check_population(subject, score, tables.population)
    if train and score:
        yield from _check_label(subject, train, score, tables)
    if train and train.label.dataset in tables.datasets:
        yield from _check_judging_columns(subject, train, tables.datasets[train.label.dataset])
    if train and tables.population is not None:
        yield from _check_model_columns(subject, train, tables)


def project_columns(schema: pa.Schema) -> list[str]:
    """The columns that the SQL returns, without the lake's own."""
    return [name for name in schema.names if name != PARTITION]


def _check_keys(subject: ValidatedPipeline, name: str, schema: pa.Schema) -> Iterator[Problem]:
    part, known = subject.spec.datasets[name], project_columns(schema)
    for index, column in enumerate(part.keys):
        if column not in known:
            yield subject.no_column(("datasets", name, "keys", index), column, known, of=part.sql)
    if part.duplicates and part.duplicates.by not in known:
        yield subject.no_column(("datasets", name, "duplicates", "by"), part.duplicates.by, known, of=part.sql)


def _check_population(subject: ValidatedPipeline, score: Score, schema: pa.Schema) -> Iterator[Problem]:
    part = score.population
    place: Path = ("score", "population")
    for field, column in (("key", part.key), ("timestamp", part.timestamp)):
        if column not in schema.names:
            yield subject.no_column((*place, field), column, schema.names, of=part.sql)
    yield from _check_instant(subject, (*place, "timestamp"), part.timestamp, schema, of=part.sql)


def _check_instant(
    subject: ValidatedPipeline, path: Path, column: str, schema: pa.Schema, *, of: str
) -> Iterator[Problem]:
    import pyarrow as pa

    if column not in schema.names:
        return
    kind = schema.field(column).type
    if not pa.types.is_timestamp(kind) or kind.tz is None:
        expected = f"a timestamp with time zone, for example {column} AT TIME ZONE 'Europe/Lisbon'"
        yield subject.at(path, f"`{column}` of {of} is {kind}", expected=expected)


_LABELS = {
    "binary": "a boolean, or an integer that is 0 or 1",
    "multiclass": "text, a boolean or an integer",
    "regression": "a number",
}


def is_label_type(task: Task, kind: pa.DataType) -> bool:
    """Whether a column of this type can be the label of a task."""
    import pyarrow as pa

    types = pa.types
    if task == "regression":
        return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind))
    text = task == "multiclass" and (types.is_string(kind) or types.is_large_string(kind))
    return bool(types.is_boolean(kind) or types.is_integer(kind) or text)


def _check_judging_columns(subject: ValidatedPipeline, train: Train, schema: pa.Schema) -> Iterator[Problem]:
    """What gates may use beside what the model sees."""
    sql, known = subject.spec.datasets[train.label.dataset].sql, project_columns(schema)
    for index, column in enumerate(subject.spec.verdict.columns):
        path: Path = ("verdict", "columns", index)
        if column not in known:
            yield subject.no_column(path, column, known, of=sql)
        elif column == train.label.column:
            message = f"`{column}` is the label: which rows judge must not depend on how they turned out"
            yield subject.at(path, message)


def _check_label(subject: ValidatedPipeline, train: Train, score: Score, tables: SqlColumns) -> Iterator[Problem]:
    """The label, and what training reads beside it: the population's key, time and columns."""
    name = train.label.dataset
    schema = tables.datasets.get(name)
    if schema is None:
        return
    sql, known = subject.spec.datasets[name].sql, project_columns(schema)
    place: Path = ("train", "label", "column")
    if train.label.column not in known:
        yield subject.no_column(place, train.label.column, known, of=sql)
    elif not is_label_type(train.task, schema.field(train.label.column).type):
        message = f"`{train.label.column}` of {sql} is {schema.field(train.label.column).type}"
        expected = f"{_LABELS[train.task]}, where `train.task` is {train.task}"
        yield subject.at(place, message, expected=expected)
    population = score.population
    read: list[tuple[Path, str]] = [
        (("score", "population", "key"), population.key),
        (("score", "population", "timestamp"), population.timestamp),
    ]
    read += [(("train", "columns", index), column) for index, column in enumerate(train.columns)]
    for path, column in read:
        if column not in known:
            yield subject.no_column(path, column, known, of=f"{sql}, which training reads,")
    yield from _check_instant(
        subject, ("score", "population", "timestamp"), population.timestamp, schema, of=f"{sql}, which training reads,"
    )


def _check_model_columns(subject: ValidatedPipeline, train: Train, tables: SqlColumns) -> Iterator[Problem]:
    assert tables.population is not None
    assert subject.spec.score is not None
    sql = subject.spec.score.population.sql
    labelled = tables.datasets.get(train.label.dataset)
    for index, column in enumerate(train.columns):
        path: Path = ("train", "columns", index)
        if column == train.label.column:
            yield subject.at(path, f"`{column}` is the label: the model would see what it must predict")
        if column not in tables.population.names:
            yield subject.no_column(path, column, tables.population.names, of=sql)
            continue
        flaw, scored = _model_input_type(column, tables.population)
        if flaw:
            yield subject.at(path, flaw)
        elif labelled is not None and column in labelled.names:
            learned = _model_input_type(column, labelled)[1]
            if learned != scored:
                of = subject.spec.datasets[train.label.dataset].sql
                message = f"`{column}` is {scored} for the model when it scores ({sql}) and {learned} when it learns"
                yield subject.at(path, f"{message} ({of})")


def _model_input_type(column: str, schema: pa.Schema) -> tuple[str | None, str]:
    """What is wrong with a column as input of a model, and what type the model sees."""
    import pyarrow as pa

    from tradewind.training.model_frame import cast_model_inputs

    try:
        seen: Sequence[pa.Field] = cast_model_inputs(pa.schema([schema.field(column)]).empty_table()).schema
    except ModelError as exc:
        return str(exc), ""
    return None, {"double": "a number", "string": "text"}.get(str(seen[0].type), "a time")
