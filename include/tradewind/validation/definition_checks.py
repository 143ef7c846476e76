"""Feature definitions, against the datasets that they read and the YAML that names them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from tradewind.spec.pipeline import Score
from tradewind.spec.problems import Path, Problem, join_words, nearest_word
from tradewind.spec.training import Train
from tradewind.validation.code_places import problem_at_failure, problem_in
from tradewind.validation.column_checks import project_columns
from tradewind.validation.sql_columns import SqlColumns
from tradewind.validation.user_code import Answer
from tradewind.validation.validated_pipeline import NamedFile, ValidatedPipeline

if TYPE_CHECKING:
    import pyarrow as pa

_FIELD: Path = ("features", "definitions")


def check_definitions(subject: ValidatedPipeline, tables: SqlColumns, answer: Answer) -> Iterator[Problem]:
    """Everything that is wrong with the definitions.

    :param answer: what the file defines (:func:`tradewind.validation.user_code.run_user_code`)
    """
    features = subject.spec.features
    file = subject.file(features.definitions, _FIELD) if features else None
    if file is None:
        return
    if error := answer.get("error"):
        yield problem_at_failure(file, error, subject.shown_inside(error.get("file")))
        return
    for flaw in answer["flaws"]:
        message = f"{flaw['kind']} {flaw['name']}: {flaw['message']}" if flaw["name"] else flaw["message"]
        yield problem_in(file, flaw["name"], flaw["word"], message, expected=flaw["known"], suggestion=flaw["near"])
    for view in answer["views"]:
        schema = tables.datasets.get(view["dataset"])
        if schema is not None:
            yield from _check_view(file, view, schema, sql=subject.spec.datasets[view["dataset"]].sql)
    if subject.spec.train:
        yield from _check_service(subject, subject.spec.train, tables, answer)


def _check_view(file: NamedFile, view: Mapping[str, Any], schema: pa.Schema, *, sql: str) -> Iterator[Problem]:
    import pyarrow as pa

    known = project_columns(schema)
    moments = [view["timestamp"], *([view["created"]] if view["created"] else [])]
    for column in moments:
        if column not in known:
            yield _unknown_column(file, view, column, column, known, sql=sql)
        elif not pa.types.is_timestamp(schema.field(column).type):
            message = f"feature view {view['name']}: `{column}` of {sql} is {schema.field(column).type}"
            yield problem_in(file, view["name"], column, message, expected="a timestamp with time zone")
    for column, name, kind in [*view["keys"], *view["features"]]:
        if column not in known:
            yield _unknown_column(file, view, column, name, known, sql=sql)
        elif not _type_fits(kind, schema.field(column).type):
            message = f"feature view {view['name']}: `{name}` is {kind}, `{column}` of {sql} is"
            yield problem_in(file, view["name"], name, f"{message} {schema.field(column).type}")


def _unknown_column(
    file: NamedFile, view: Mapping[str, Any], column: str, word: str, known: list[str], *, sql: str
) -> Problem:
    near = nearest_word(column, known)
    expected = None if near else f"one of {join_words(known)}"
    message = f"feature view {view['name']}: {sql} has no column `{column}`"
    return problem_in(file, view["name"], word, message, expected=expected, suggestion=near)


def _check_service(subject: ValidatedPipeline, train: Train, tables: SqlColumns, answer: Answer) -> Iterator[Problem]:
    services = answer["services"]
    place: Path = ("train", "service")
    if train.service not in services:
        near = nearest_word(train.service, services)
        expected = (
            None if near else f"one of {join_words(services)}" if services else "a FeatureService in the definitions"
        )
        message = f"the definitions have no feature service `{train.service}`"
        yield subject.at(place, message, expected=expected, suggestion=near)
        return
    features = [name for _, names in services[train.service] for name in names]
    for index, column in enumerate(train.columns):
        if column in features:
            message = f"`{column}` is a feature of {train.service} too; keep one of them"
            yield subject.at(("train", "columns", index), message)
    if train.label.column in features:
        message = f"`{train.label.column}` is a feature of {train.service}: the model would see what it must predict"
        yield subject.at(("train", "label", "column"), message)
    if subject.spec.score:
        yield from _check_join_keys(subject, subject.spec.score, train, tables, answer)


def _check_join_keys(
    subject: ValidatedPipeline, score: Score, train: Train, tables: SqlColumns, answer: Answer
) -> Iterator[Problem]:
    """Who is scored, and who is learned from, must have the columns by which the features are joined."""
    used = {view for view, _ in answer["services"][train.service]}
    keys = {key: view["name"] for view in answer["views"] if view["name"] in used for _, key, _ in view["keys"]}
    labelled = subject.spec.datasets.get(train.label.dataset)
    for schema, sql, path in (
        (tables.population, score.population.sql, ("score", "population", "sql")),
        (tables.datasets.get(train.label.dataset), labelled.sql if labelled else "", ("train", "label", "dataset")),
    ):
        for key, view in keys.items():
            if schema is not None and key not in schema.names:
                message = f"{sql} has no column `{key}`, by which feature view {view} is joined"
                yield subject.at(path, message, suggestion=nearest_word(key, project_columns(schema)))


def _type_fits(kind: str, column: pa.DataType) -> bool:
    """Whether Feast can hold the values of a column in a feature or join key of a type; unknown types fit."""
    import pyarrow as pa

    types = pa.types

    def number(of: pa.DataType) -> bool:
        return bool(types.is_integer(of) or types.is_floating(of) or types.is_decimal(of))

    families: tuple[tuple[tuple[str, ...], Callable[[pa.DataType], bool]], ...] = (
        (("INT32", "INT64"), types.is_integer),
        (("FLOAT32", "FLOAT64", "FLOAT", "DOUBLE"), number),
        (("STRING",), types.is_string),
        (("BOOL",), types.is_boolean),
        (("BYTES",), types.is_binary),
        (("UNIX_TIMESTAMP", "UNIXTIMESTAMP"), types.is_timestamp),
    )
    return next((fits(column) for names, fits in families if kind.upper() in names), True)
