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

from tradewind.core.disk import storage_fault, storing
from tradewind.errors import MalformedInput
from tradewind.lake.database import connect, literal, literals, quoted
from tradewind.lake.parquet import files
from tradewind.sources import reading
from tradewind.sources.fetched import Fetched
from tradewind.sources.opening import opened
from tradewind.sources.reading import Shape
from tradewind.sources.records import CsvRecords, Record, json_records
from tradewind.spec.sources import Source

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

_BATCH, _CHARACTERS = 20_000, 32 * 2**20
_TOLD = 3


@dataclass(frozen=True, slots=True)
class BadRows:
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
    bad: BadRows | None


def sift(source: Source, fetched: Fetched, shape: Shape, *, view: str, scratch: Path, quarantine: Path) -> Sifted:
    """Read file by file, row by row; memory does not grow with them.

    :param view: what the SQL calls the delivery
    :param scratch: folder for the good rows
    :param quarantine: folder for the malformed ones
    :raises MalformedInput: a file cannot be read at all, a row has a column that nobody declared, or there are more
        malformed rows than `max_bad_rows`
    """
    import duckdb

    bad = scratch / f"{view}-bad.parquet"
    with connect(scratch / "spill") as connection:
        try:
            numbered = [
                _numbered(connection, source, fetched, shape, number, scratch, view)
                for number in range(len(fetched.paths))
            ]
            rows = _count(connection, " UNION ALL ".join(f"SELECT * FROM {quoted(name)}" for name in numbered))
            good = tuple(_write_good(connection, name, shape, scratch) for name in numbered)
            count = _write_bad(connection, numbered, bad, view)
            first = connection.execute(
                f"SELECT file, line, reason FROM {files([bad])} ORDER BY ALL LIMIT {_TOLD}"
            ).fetchall()
        except duckdb.Error as exc:
            if (fault := storage_fault(exc, f"`{view}`: malformed rows cannot be put aside", scratch)) is not None:
                raise fault from exc
            raise MalformedInput(f"{', '.join(fetched.names)} cannot be read: {exc}") from exc
    if not count:
        bad.unlink()
        return Sifted(good, None)
    kept = _keep(bad, quarantine)
    if too_many(count, rows, source.max_bad_rows):
        told = "; ".join(f"{file}, line {line}: {reason}" for file, line, reason in first)
        more = f"; and {count - len(first)} more" if count > len(first) else ""
        what = "row is" if count == 1 else "rows are"
        raise MalformedInput(
            f"`{view}`: {count} {what} malformed, of {rows} (`max_bad_rows: {source.max_bad_rows}`): {told}{more}. "
            f"All of them: {kept}",
            kept=kept,
        )
    return Sifted(good, BadRows(count, rows, kept))


def too_many(count: int, rows: int, most: int | str) -> bool:
    """Whether so many malformed rows are more than `max_bad_rows`, a number or a share like 0.5%."""
    if isinstance(most, str):
        return Fraction(count) > Fraction(most.removesuffix("%")) / 100 * rows
    return count > most


def _numbered(
    connection: duckdb.DuckDBPyConnection,
    source: Source,
    fetched: Fetched,
    shape: Shape,
    number: int,
    scratch: Path,
    view: str,
) -> str:
    """A view of one file with `file`, `line`, `text` and `reason` of each row beside its columns, which are typed."""
    path, called = fetched.paths[number], fetched.names[number]
    names = list(shape.found[number].kinds) if fetched.format != "jsonl" else []
    if fetched.format == "parquet":
        query = _parquet(path, names, shape)
    else:
        lines = scratch / f"{view}-{number}-lines.parquet"
        _write_lines(path, called, names, fetched, lines)
        read = files([lines])
        query = (
            _of_json(connection, source, shape, read, called)
            if fetched.format == "jsonl"
            else _of_csv(shape, names, read)
        )
    made = f"{view}-{number}"
    connection.execute(
        f"CREATE VIEW {quoted(made)} AS SELECT {number} AS number, {literal(called)} AS file, * FROM ({query})"
    )
    return made


def _write_lines(path: Path, called: str, names: list[str], fetched: Fetched, target: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = [("line", pa.int64()), ("text", pa.string()), ("broken", pa.string())]
    schema = pa.schema([*kinds, *((f"value {number}", pa.string()) for number in range(len(names)))])
    csv = fetched.format == "csv"
    with (
        opened(path, called=called, limits=fetched.limits) as file,
        storing(f"{called}: its rows cannot be copied", target.parent),
        pq.ParquetWriter(target, schema) as writer,
    ):
        text = io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline="" if csv else "\n")
        records: Iterable[Record] = (
            CsvRecords(text, delimiter=fetched.delimiter, fields=len(names)) if csv else json_records(text)
        )
        for batch in _batches(iter(records), schema, nulls=frozenset(["", *fetched.nulls])):
            writer.write_batch(batch)
        text.detach()


def _batches(records: Iterator[Record], schema: pa.Schema, *, nulls: frozenset[str]) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    width = len(schema) - 3
    while some := _some(records):
        rows = [record.values or ("",) * width for record in some]
        values = [[None if value in nulls else value for value in column] for column in zip(*rows, strict=True)]
        columns = [[each.line for each in some], [each.text for each in some], [each.reason for each in some], *values]
        arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
        yield pa.RecordBatch.from_arrays(arrays, schema=schema)


def _some(records: Iterator[Record]) -> list[Record]:
    """The next rows, not too many and not too long together."""
    some, size = [], 0
    for record in islice(records, _BATCH):
        some.append(record)
        size += len(record.text)
        if size > _CHARACTERS:
            break
    return some


def _of_csv(shape: Shape, names: list[str], read: str) -> str:
    given = {name: f'"value {number}"' for number, name in enumerate(names)}
    raw = ", ".join(f"{given.get(column.name, 'NULL::VARCHAR')} AS {quoted(column.name)}" for column in shape.columns)
    reason = f"CASE WHEN broken IS NOT NULL THEN broken ELSE {reading.reasons(shape.columns)} END"
    # The typed columns have the names of the raw ones: of two levels.
    return _typed(
        shape,
        f"SELECT line, text, {reason} AS reason, {_all(shape)} FROM (SELECT line, text, broken, {raw} FROM {read})",
    )


def _of_json(connection: duckdb.DuckDBPyConnection, source: Source, shape: Shape, read: str, called: str) -> str:
    lines = (
        "SELECT line, text, CASE WHEN broken IS NOT NULL THEN broken WHEN NOT json_valid(text) THEN 'it is not JSON' "
        "WHEN json_type(text) <> 'OBJECT' THEN 'it is JSON, but not an object with columns' END AS broken "
        f"FROM {read}"
    )
    if source.new_columns == "refuse":
        _refuse_new(connection, shape, lines, called)
    fields = reading.fields(shape.columns, "CASE WHEN broken IS NULL THEN text END")
    rows = f"SELECT line, text, broken, unnest({fields}) FROM ({lines})"
    reason = f"CASE WHEN broken IS NOT NULL THEN broken ELSE {reading.reasons(shape.columns)} END"
    return _typed(shape, f"SELECT line, text, {reason} AS reason, {_all(shape)} FROM ({rows})")


def _refuse_new(connection: duckdb.DuckDBPyConnection, shape: Shape, lines: str, called: str) -> None:
    known = [column.name for column in shape.columns]
    found = connection.execute(
        f"SELECT line, key FROM (SELECT line, unnest(json_keys(text)) AS key FROM ({lines}) WHERE broken IS NULL) "
        f"WHERE NOT list_contains({literals(known)}, key) ORDER BY line LIMIT 1"
    ).fetchone()
    if found:
        raise MalformedInput(
            f"{called}, line {found[0]}: there is {found[1]!r}, which `columns` does not name "
            f"(`new_columns: take` would take it). Declared: {', '.join(known)}"
        )


def _parquet(path: Path, names: list[str], shape: Shape) -> str:
    typed = ", ".join(
        f"CAST({quoted(column.name) if column.name in names else 'NULL'} AS {column.kind}) AS {quoted(column.name)}"
        for column in shape.columns
    )
    read = f"read_parquet({literal(str(path.absolute()))}, file_row_number = true, hive_partitioning = false)"
    text = f"CAST(to_json(struct_pack({', '.join(f'{quoted(n)} := {quoted(n)}' for n in names)})) AS VARCHAR)"
    inner = f"SELECT file_row_number + 1 AS line, {text} AS text, {typed} FROM {read}"
    return f"SELECT line, text, {reading.typed_reasons(shape.columns)} AS reason, {_all(shape)} FROM ({inner})"


def _typed(shape: Shape, rows: str) -> str:
    """Rows of text as what is declared; those with a reason have no values."""
    values = ", ".join(
        f"CASE WHEN reason IS NULL THEN CAST({quoted(column.name)} AS {column.kind}) END AS {quoted(column.name)}"
        for column in shape.columns
    )
    return f"SELECT line, text, reason, {values} FROM ({rows})"


def _all(shape: Shape) -> str:
    return ", ".join(quoted(column.name) for column in shape.columns)


def _count(connection: duckdb.DuckDBPyConnection, query: str) -> int:
    found = connection.execute(f"SELECT count(*) FROM ({query})").fetchone()
    return int(found[0]) if found else 0


def _write_good(connection: duckdb.DuckDBPyConnection, name: str, shape: Shape, scratch: Path) -> Path:
    path = scratch / f"{name}-good.parquet"
    connection.execute(
        f"COPY (SELECT {_all(shape)} FROM {quoted(name)} WHERE reason IS NULL) TO {literal(str(path))} (FORMAT parquet)"
    )
    return path


def _write_bad(connection: duckdb.DuckDBPyConnection, names: list[str], path: Path, view: str) -> int:
    rows = " UNION ALL ".join(
        f"SELECT number, file, line, reason, text FROM {quoted(name)} WHERE reason IS NOT NULL" for name in names
    )
    done = connection.execute(
        f"COPY (SELECT {literal(view)} AS view, file, line, reason, text FROM ({rows}) ORDER BY number, line) "
        f"TO {literal(str(path))} (FORMAT parquet)"
    ).fetchone()
    return int(done[0]) if done else 0


def _keep(bad: Path, quarantine: Path) -> Path:
    """Copy to quarantine under a name that tells the content; who looks there never sees half a file."""
    import hashlib
    import shutil

    with bad.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()[:16]
    target = quarantine / f"bad_rows-{digest}.parquet"
    with storing("malformed rows cannot be kept in quarantine", quarantine):
        quarantine.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            part = quarantine / f".{target.name}.{os.getpid()}"
            shutil.copyfile(bad, part)
            part.replace(target)
    bad.unlink()
    return target
