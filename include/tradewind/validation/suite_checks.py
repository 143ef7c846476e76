"""Expectation suites: whether Great Expectations can read each entry, and whether its columns are there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tradewind.errors import SpecError
from tradewind.spec.document import Document, Unreadable, parse_yaml
from tradewind.spec.problems import Finding, Path, Problem, join_words, nearest_word
from tradewind.validation.column_checks import project_columns
from tradewind.validation.sql_columns import SqlColumns
from tradewind.validation.validated_pipeline import NamedFile, ValidatedPipeline

if TYPE_CHECKING:
    import pyarrow as pa

_COLUMN = ("column", "column_A", "column_B")
_COLUMNS = ("column_list", "column_set")


def check_suites(subject: ValidatedPipeline, tables: SqlColumns) -> Iterator[Problem]:
    """Everything that is wrong with the suites of all datasets."""
    for name, dataset in subject.spec.datasets.items():
        if dataset.expectations is None:
            continue
        suite = subject.file(dataset.expectations, ("datasets", name, "expectations"))
        if suite is not None:
            yield from _check_suite(suite, tables.datasets.get(name), sql=dataset.sql)


def _check_suite(suite: NamedFile, schema: pa.Schema | None, *, sql: str) -> Iterator[Problem]:
    """What is wrong with one suite.

    :param schema: columns of the rows that it is about; None while these are not known
    """
    from tradewind.checks.expectations import expectation_condition, parse_expectation, read_suite_entries

    try:
        found = read_suite_entries(suite.path)
    except SpecError as exc:
        yield _unreadable(suite, exc)
        return
    document = _positions(suite)
    for number, entry in enumerate(found):
        place: Path = ("expectations", number)
        try:
            read = parse_expectation(entry, number, suite.path)
        except SpecError as exc:
            yield _problem_at_finding(suite, document, _finding(exc, place, suite))
            continue
        if schema is not None:
            columns, kwargs = project_columns(schema), (*place, "kwargs")
            for finding in _unknown_columns(entry.get("kwargs") or {}, kwargs, columns, sql=sql):
                yield _problem_at_finding(suite, document, finding)
            if flaw := _condition_flaw(expectation_condition(read), schema, kwargs, number=number):
                yield _problem_at_finding(suite, document, flaw)


def _condition_flaw(condition: str | None, schema: pa.Schema, place: Path, *, number: int) -> Finding | None:
    """What is wrong with the rows that an expectation looks at."""
    from tradewind.checks.row_conditions import VIEW
    from tradewind.engine.condition_sql import find_condition_flaw

    flaw = None if condition is None else find_condition_flaw(_rows(schema), condition, view=VIEW)
    if flaw is None:
        return None
    message = f"expectation {number + 1}: row_condition: {flaw.message}"
    return Finding((*place, "row_condition"), message, expected=flaw.expected, suggestion=flaw.suggestion)


def _rows(schema: pa.Schema) -> pa.Schema:
    import pyarrow as pa

    return pa.schema([schema.field(name) for name in project_columns(schema)])


def _unreadable(suite: NamedFile, exc: SpecError) -> Problem:
    if isinstance(exc.__cause__, json.JSONDecodeError):
        return suite.problem(exc.__cause__.pos, f"this is not JSON: {exc.__cause__.msg}")
    return suite.problem(0, str(exc).removeprefix(f"{suite.path}: "))


def _finding(exc: SpecError, place: Path, suite: NamedFile) -> Finding:
    """The place inside the entry, and the suggestion out of the sentence."""
    message = str(exc).removeprefix(f"{suite.path}: ")
    hint = re.search(r"; did you mean `(.+)`\?$", message)
    if hint or "knows no" in message:
        return Finding((*place, "type"), message[: hint.start()] if hint else message, suggestion=hint and hint[1])
    errors: Any = getattr(exc.__cause__, "errors", list)()
    loc = errors[0].get("loc", ()) if errors else ()
    if not loc or not isinstance(loc[0], str) or loc[0] == "__root__":
        return Finding((*place, "kwargs"), message)
    where, path = message.partition(" (")[0], (*place, "kwargs", loc[0])
    if errors[0].get("type") == "value_error.extra":
        fields: Any = getattr(getattr(exc.__cause__, "model", None), "__fields__", {})
        near = nearest_word(loc[0], fields)
        return Finding(path, f"{where}: there is no argument `{loc[0]}`", suggestion=near, on_key=True)
    return Finding(path, f"{where}: {loc[0]}: {errors[0].get('msg', '')}")


def _unknown_columns(kwargs: dict[str, Any], place: Path, columns: list[str], *, sql: str) -> Iterator[Finding]:
    named: list[tuple[Path, Any]] = [((*place, name), kwargs[name]) for name in _COLUMN if name in kwargs]
    for name in _COLUMNS:
        values = kwargs.get(name)
        named += [((*place, name, i), value) for i, value in enumerate(values if isinstance(values, list) else [])]
    for path, column in named:
        if column not in columns:
            near = nearest_word(column, columns)
            expected = None if near else f"one of {join_words(columns)}"
            yield Finding(path, f"{sql} has no column `{column}`", expected=expected, suggestion=near)


def _positions(suite: NamedFile) -> Document | None:
    """JSON is YAML, nearly always."""
    try:
        return parse_yaml(suite.text, file=suite.shown)
    except Unreadable:
        return None


def _problem_at_finding(suite: NamedFile, document: Document | None, finding: Finding) -> Problem:
    if document is None:
        return suite.problem(0, finding.message, expected=finding.expected, suggestion=finding.suggestion)
    return document.problem(finding)
