"""Malformed rows found one by one and put aside, for a delivery that cannot be read as it is."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from tradewind.core.disk import storage_fault, translate_disk_errors
from tradewind.engine.database import connect_duckdb, quote_identifier, quote_string, quote_strings
from tradewind.errors import MalformedInput
from tradewind.lake.parquet import select_files
from tradewind.sources import reader_sql
from tradewind.sources.decompression import open_delivered_file
from tradewind.sources.fetched import Fetched
from tradewind.sources.reader_sql import ViewShape
from tradewind.sources.text_records import CsvRecords, TextRecord, json_records
from tradewind.spec.sources import Source

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

_BATCH, _CHARACTERS = 20_000, 32 * 2**20
_TOLD = 3


@dataclass(frozen=True, slots=True)
class RejectedRows:
    """Malformed rows that were put aside.

    :param count: how many
    :param rows: how many rows there were in all, these included
    :param path: Parquet file in quarantine with `view`, `file`, `line`, `reason` and `text` of each
    """

    count: int
    rows: int
    path: Path


@dataclass(frozen=True, slots=True)
class Sifted:
    """Good rows in files of their own.

    :param good: Parquet files with the columns that SQL sees
    :param bad: None if every row is good
    """

    good: tuple[Path, ...]
    bad: RejectedRows | None


def sift_rows(
    source: Source, fetched: Fetched, shape: ViewShape, *, view: str, scratch: Path, quarantine: Path
) -> Sifted:
    """Read file by file, row by row; memory does not grow with them.

    :param view: what the SQL calls the delivery
    :param scratch: folder for the good rows
    :param quarantine: folder for the malformed ones
    :raises MalformedInput: a file cannot be read at all, a row has a column that is not declared, or there are more
        malformed rows than `max_bad_rows`
    """
    import duckdb

    bad = scratch / f"{view}-bad.parquet"
    with connect_duckdb(scratch / "spill") as connection:
        try:
            numbered = [
                _create_numbered_view(connection, source, fetched, shape, number, scratch, view)
                for number in range(len(fetched.paths))
            ]
            rows = _count_query_rows(
                connection, " UNION ALL ".join(f"SELECT * FROM {quote_identifier(name)}" for name in numbered)
            )
            good = tuple(_write_good(connection, name, shape, scratch) for name in numbered)
            count = _write_bad(connection, numbered, bad, view)
            first = connection.execute(
                f"SELECT file, line, reason FROM {select_files([bad])} ORDER BY ALL LIMIT {_TOLD}"
            ).fetchall()
        except duckdb.Error as exc:
            if (fault := storage_fault(exc, f"`{view}`: malformed rows cannot be put aside", scratch)) is not None:
                raise fault from exc
            raise MalformedInput(f"{', '.join(fetched.names)} cannot be read: {exc}") from exc
    if not count:
        bad.unlink()
        return Sifted(good, None)
    kept = _keep_in_quarantine(bad, quarantine)
    if exceeds_bad_row_limit(count, rows, source.max_bad_rows):
        text = "; ".join(f"{file}, line {line}: {reason}" for file, line, reason in first)
        more = f"; and {count - len(first)} more" if count > len(first) else ""
        what = "row is" if count == 1 else "rows are"
        raise MalformedInput(
            f"`{view}`: {count} {what} malformed, of {rows} (`max_bad_rows: {source.max_bad_rows}`): {text}{more}. "
            f"All of them: {kept}",
            kept=kept,
        )
    return Sifted(good, RejectedRows(count, rows, kept))


def exceeds_bad_row_limit(count: int, rows: int, most: int | str) -> bool:
    """Whether so many malformed rows are more than `max_bad_rows`, a number or a share like 0.5%."""
    if isinstance(most, str):
        return Fraction(count) > Fraction(most.removesuffix("%")) / 100 * rows
    return count > most


def _create_numbered_view(
    connection: duckdb.DuckDBPyConnection,
    source: Source,
    fetched: Fetched,
    shape: ViewShape,
    number: int,
    scratch: Path,
    view: str,
) -> str:
    """A view of one file with `file`, `line`, `text` and `reason` of each row beside its columns, which are typed."""
    path, called = fetched.paths[number], fetched.names[number]
    names = list(shape.found[number].kinds) if fetched.format != "jsonl" else []
    if fetched.format == "parquet":
        query = _parquet_rows_query(path, names, shape)
    else:
        lines = scratch / f"{view}-{number}-lines.parquet"
        _write_lines(path, called, names, fetched, lines)
        read = select_files([lines])
        query = (
            _json_rows_query(connection, source, shape, read, called)
            if fetched.format == "jsonl"
            else _csv_rows_query(shape, names, read)
        )
    made = f"{view}-{number}"
    connection.execute(
        f"CREATE VIEW {quote_identifier(made)} AS SELECT {number} AS number, {quote_string(called)} AS file, * FROM "
        f"({query})"
    )
    return made


def _write_lines(path: Path, called: str, names: list[str], fetched: Fetched, target: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = [("line", pa.int64()), ("text", pa.string()), ("broken", pa.string())]
    schema = pa.schema([*kinds, *((f"value {number}", pa.string()) for number in range(len(names)))])
    csv = fetched.format == "csv"
    with (
        open_delivered_file(path, called=called, limits=fetched.limits) as file,
        translate_disk_errors(f"{called}: its rows cannot be copied", target.parent),
        pq.ParquetWriter(target, schema) as writer,
    ):
        text = io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline="" if csv else "\n")
        records: Iterable[TextRecord] = (
            CsvRecords(text, delimiter=fetched.delimiter, fields=len(names)) if csv else json_records(text)
        )
        for batch in _batches(iter(records), schema, nulls=frozenset(["", *fetched.nulls])):
            writer.write_batch(batch)
        text.detach()


def _batches(records: Iterator[TextRecord], schema: pa.Schema, *, nulls: frozenset[str]) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    width = len(schema) - 3
    while some := _next_records(records):
        rows = [record.values or ("",) * width for record in some]
        values = [[None if value in nulls else value for value in column] for column in zip(*rows, strict=True)]
        columns = [[each.line for each in some], [each.text for each in some], [each.reason for each in some], *values]
        arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
        yield pa.RecordBatch.from_arrays(arrays, schema=schema)


def _next_records(records: Iterator[TextRecord]) -> list[TextRecord]:
    """The next rows, not too many and not too long together."""
    some, size = [], 0
    for record in islice(records, _BATCH):
        some.append(record)
        size += len(record.text)
        if size > _CHARACTERS:
            break
    return some


def _csv_rows_query(shape: ViewShape, names: list[str], read: str) -> str:
    given = {name: f'"value {number}"' for number, name in enumerate(names)}
    raw = ", ".join(
        f"{given.get(column.name, 'NULL::VARCHAR')} AS {quote_identifier(column.name)}" for column in shape.columns
    )
    reason = f"CASE WHEN broken IS NOT NULL THEN broken ELSE {reader_sql.text_reasons(shape.columns)} END"
    # The typed columns have the names of the raw ones: of two levels.
    return _typed_rows_query(
        shape,
        f"SELECT line, text, {reason} AS reason, {_all_columns(shape)} FROM (SELECT line, text, broken, {raw} FROM "
        f"{read})",
    )


def _json_rows_query(
    connection: duckdb.DuckDBPyConnection, source: Source, shape: ViewShape, read: str, called: str
) -> str:
    lines = (
        "SELECT line, text, CASE WHEN broken IS NOT NULL THEN broken WHEN NOT json_valid(text) THEN 'it is not JSON' "
        "WHEN json_type(text) <> 'OBJECT' THEN 'it is JSON, but not an object with columns' END AS broken "
        f"FROM {read}"
    )
    if source.new_columns == "refuse":
        _refuse_new_columns(connection, shape, lines, called)
    fields = reader_sql.json_fields(shape.columns, "CASE WHEN broken IS NULL THEN text END")
    rows = f"SELECT line, text, broken, unnest({fields}) FROM ({lines})"
    reason = f"CASE WHEN broken IS NOT NULL THEN broken ELSE {reader_sql.text_reasons(shape.columns)} END"
    return _typed_rows_query(shape, f"SELECT line, text, {reason} AS reason, {_all_columns(shape)} FROM ({rows})")


def _refuse_new_columns(connection: duckdb.DuckDBPyConnection, shape: ViewShape, lines: str, called: str) -> None:
    known = [column.name for column in shape.columns]
    found = connection.execute(
        f"SELECT line, key FROM (SELECT line, unnest(json_keys(text)) AS key FROM ({lines}) WHERE broken IS NULL) "
        f"WHERE NOT list_contains({quote_strings(known)}, key) ORDER BY line LIMIT 1"
    ).fetchone()
    if found:
        raise MalformedInput(
            f"{called}, line {found[0]}: there is {found[1]!r}, which `columns` does not name "
            f"(`new_columns: take` would take it). Declared: {', '.join(known)}"
        )


def _parquet_rows_query(path: Path, names: list[str], shape: ViewShape) -> str:
    typed = reader_sql.cast_columns(shape.columns, names)
    read = f"read_parquet({quote_string(str(path.absolute()))}, file_row_number = true, hive_partitioning = false)"
    fields = ", ".join(f"{quote_identifier(name)} := {quote_identifier(name)}" for name in names)
    text = f"CAST(to_json(struct_pack({fields})) AS VARCHAR)"
    inner = f"SELECT file_row_number + 1 AS line, {text} AS text, {typed} FROM {read}"
    return (
        f"SELECT line, text, {reader_sql.typed_reasons(shape.columns)} AS reason, {_all_columns(shape)} FROM ({inner})"
    )


def _typed_rows_query(shape: ViewShape, rows: str) -> str:
    """Rows of text as what is declared; those with a reason have no values."""
    values = ", ".join(
        f"CASE WHEN reason IS NULL THEN CAST({name} AS {column.kind}) END AS {name}"
        for column, name in ((column, quote_identifier(column.name)) for column in shape.columns)
    )
    return f"SELECT line, text, reason, {values} FROM ({rows})"


def _all_columns(shape: ViewShape) -> str:
    return ", ".join(quote_identifier(column.name) for column in shape.columns)


def _count_query_rows(connection: duckdb.DuckDBPyConnection, query: str) -> int:
    found = connection.execute(f"SELECT count(*) FROM ({query})").fetchone()
    return int(found[0]) if found else 0


def _write_good(connection: duckdb.DuckDBPyConnection, name: str, shape: ViewShape, scratch: Path) -> Path:
    path = scratch / f"{name}-good.parquet"
    connection.execute(
        f"COPY (SELECT {_all_columns(shape)} FROM {quote_identifier(name)} WHERE reason IS NULL) TO "
        f"{quote_string(str(path))} (FORMAT parquet)"
    )
    return path


def _write_bad(connection: duckdb.DuckDBPyConnection, names: list[str], path: Path, view: str) -> int:
    rows = " UNION ALL ".join(
        f"SELECT number, file, line, reason, text FROM {quote_identifier(name)} WHERE reason IS NOT NULL"
        for name in names
    )
    done = connection.execute(
        f"COPY (SELECT {quote_string(view)} AS view, file, line, reason, text FROM ({rows}) ORDER BY number, line) "
        f"TO {quote_string(str(path))} (FORMAT parquet)"
    ).fetchone()
    return int(done[0]) if done else 0


def _keep_in_quarantine(bad: Path, quarantine: Path) -> Path:
    """Copy to quarantine under a name that tells the content; who looks there never sees half a file."""
    import hashlib
    import shutil

    with bad.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()[:16]
    target = quarantine / f"bad_rows-{digest}.parquet"
    with translate_disk_errors("malformed rows cannot be kept in quarantine", quarantine):
        quarantine.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            part = quarantine / f".{target.name}.{os.getpid()}"
            shutil.copyfile(bad, part)
            part.replace(target)
    bad.unlink()
    return target
