"""Fields of a source and of a dataset that contradict each other, each shown at its place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tradewind.spec.load import list_problems

Write = Callable[[str], Path]
SOURCE = '{files: "{landing}/{day}.csv", nulls: ["NA"]}'

# The source of `flights`; field, suggestion, words of the message.
SOURCES = {
    "a delimiter in JSON": ("{files: a, format: jsonl, delimiter: ';'}", "delimiter", "means nothing with `format: j"),
    "nulls in Parquet": ("{files: a, format: parquet, nulls: [NA]}", "nulls", "means nothing with `format: parquet`"),
    "how long nobody waits": ("{files: a, wait_for: 2h}", "wait_for", "nothing is waited for"),
    "late where nobody waits": ("{files: a, missing: skip, late: skip}", "late", "nothing is waited for"),
    "new columns where all are": ("{files: a, new_columns: take}", "new_columns", "there are no `columns`"),
    "an empty delivery that cannot be told from an error page": (
        "{files: a, empty: skip}",
        "empty",
        "there are no `columns`",
    ),
    "files on S3 of nobody": ("{files: 's3://b/{day}.csv'}", "connection", "is missing: the files are on S3"),
    "a connection to local files": ("{files: /data/a.csv, connection: aws}", "files", "nothing is connected to"),
    "files of another store": ("{files: 'gs://b/a.csv'}", "files", "files at gs:// cannot be read"),
    "files of the web": ("{files: 'https://a/b.csv'}", "files", "for a web service `http`"),
    "an address in a path": ("{http: 'https://a/b', connection: c}", "http", "the address stands in the connection"),
    "days that look the same": ("{files: 'a/{day:%Y-%d}.csv'}", "files", "{day:%Y-%d} is the same for different weeks"),
    "an unknown placeholder of a path": ("{http: 'a/{day}', connection: c}", "http", "unknown placeholder {day}"),
    "an unknown placeholder of a parameter": (
        "{http: a, connection: c, parameters: {since: '{start}'}}",
        "parameters.since",
        "unknown placeholder {start}",
    ),
    "a bracket alone in a parameter": (
        "{http: a, connection: c, parameters: {q: '{'}}",
        "parameters.q",
        "stands alone",
    ),
    "records of lines": ("{http: a, connection: c, format: jsonl, records: x}", "records", "means nothing with `form"),
    "a cursor of pages": (
        "{http: a, connection: c, paging: {by: page, cursor: x}}",
        "paging.cursor",
        "means nothing with `by: page`",
    ),
    "the first of offsets": ("{http: a, connection: c, paging: {by: offset, first: 0}}", "paging.first", "`by: page`"),
    "a parameter of links": (
        "{http: a, connection: c, paging: {by: link, parameter: p}}",
        "paging.parameter",
        "nothing",
    ),
    "a cursor in CSV": ("{http: a, connection: c, format: csv, paging: {by: cursor}}", "paging.by", "has no cursor"),
    "a size that is not there": (
        "{http: a, connection: c, paging: {by: page, size_parameter: n}}",
        "paging.size",
        "`size_parameter` carries it",
    ),
    "a size that is not sent": ("{http: a, connection: c, paging: {by: link, size: 5}}", "paging.size", "is not sent"),
    "two kinds": ("{files: a, http: b, connection: c}", "files", "a source cannot have `http` and `files`"),
    "a query that is not there": ("{query: include/no.sql, connection: c}", "query", "there is no file include/no.sql"),
}


@pytest.mark.parametrize(("source", "field", "words"), SOURCES.values(), ids=SOURCES)
def test_fields_of_a_source_that_contradict_each_other(
    source: str, field: str, words: str, flights: str, write: Write
) -> None:
    (problem,) = list_problems(write(flights.replace(SOURCE, source)))

    assert (problem.line, problem.field) == (11, f"datasets.flights.source.{field}")
    assert words in problem.text()


@pytest.mark.parametrize(
    "source",
    [
        "{files: '{landing}/a.csv', connection: aws}",
        "{files: 's3://b/{partition}/*.csv', connection: c, empty: wait, wait_for: 2h, late: skip, columns: {a: INT}}",
        "{query: include/flights.sql, connection: db, max_bad_rows: 1%, columns: {a: INTEGER}, new_columns: take}",
        "{http: 'a/{partition}', connection: c, records: d.x, paging: {by: cursor, cursor: c}}",
        "{http: a, connection: c, paging: {by: link, size: 5, size_parameter: n}}",
        "{http: a, connection: c, format: csv, paging: {by: page, first: 0, size: 100}}",
        "{http: a, connection: c, parameters: {a: '{partition_start}/{partition_end}'}, paging: {by: link}}",
    ],
)
def test_fields_that_go_together(source: str, flights: str, write: Write) -> None:
    assert list_problems(write(flights.replace(SOURCE, source))) == []


def test_references_are_looked_at_too(flights: str, write: Write) -> None:
    reference = "references: {d: {files: a, late: skip}}"
    text = flights.replace("    keys: [flight_id]", f"    {reference}\n    keys: [flight_id]")
    text = text.replace("sql: include/population.sql", f"sql: include/population.sql, {reference}")

    fields = ["datasets.flights.references.d.late", "score.population.references.d.late"]
    assert [problem.field for problem in list_problems(write(text))] == fields


def test_a_population_that_is_a_query_is_not_told_that_its_files_are_local(flights: str, write: Write) -> None:
    text = flights.replace('{files: "{landing}/s/{day}.csv", sql', "{query: include/flights.sql, connection: db, sql")
    assert [problem.field for problem in list_problems(write(text))] == [
        "score.population.files", "score.population.query",
    ]  # fmt: skip


ROWS = {
    "which is kept of nothing": (
        "inputs: {flights: {lookback: 2}}",
        "inputs: {flights: {}}\n    duplicates: {keep: largest, by: at}",
        "datasets.carriers.duplicates",
        "no `keys`",
    ),
    "kept by a key": (
        "keys: [flight_id]",
        "keys: [flight_id]\n    duplicates: {keep: largest, by: flight_id}",
        "datasets.flights.duplicates.by",
        "it is equal in all",
    ),
    "a window that is never full": (
        "keys: [flight_id]",
        "keys: [flight_id]\n    audit: {window: 3}",
        "datasets.flights.audit.min_partitions",
        "nothing would ever be compared",
    ),
    "more rows than at most": (
        "keys: [flight_id]",
        "keys: [flight_id]\n    audit: {rows_at_least: 3, rows_at_most: 2}",
        "datasets.flights.audit.rows_at_least",
        "at least 3 and at most 2",
    ),
}


@pytest.mark.parametrize(("old", "new", "field", "words"), ROWS.values(), ids=ROWS)
def test_rules_of_a_dataset_that_contradict_each_other(
    old: str, new: str, field: str, words: str, flights: str, write: Write
) -> None:
    (problem,) = list_problems(write(flights.replace(old, new)))

    assert problem.field == field
    assert words in problem.message


@pytest.mark.parametrize(
    ("kind", "start", "day", "said"),
    [
        ("month", "2013-02-01", "{day:%Y-%m}", None),
        ("month", "2013-02-01", "{day:%m}", "{day:%m} is the same for different months"),
        ("week", "2013-01-28", "{day:%G-W%V}", None),
        ("week", "2013-01-28", "{day:%Y-%m}", "{day:%Y-%m} is the same for different weeks"),
        ("day", "2013-01-28", "{day:%Y-%m}", "{day:%Y-%m} is the same for different days"),
    ],
)
def test_a_file_may_hold_as_much_as_a_partition(
    flights: str, write: Write, kind: str, start: str, day: str, said: str | None
) -> None:
    text = flights.replace("partition: week", f"partition: {kind}").replace("{day}", day)
    found = [problem.message for problem in list_problems(write(text)) if problem.field.endswith("files")]
    assert found == ([said] * len(found) if said else [])
    assert bool(found) == bool(said)
