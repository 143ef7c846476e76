"""What is in delivered files before any row is read: their columns, whether they are whole, whether they have rows."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from tradewind.errors import EmptyInput, MalformedInput
from tradewind.lake import parquet
from tradewind.lake.database import connect, literals
from tradewind.sources.columns import TEXT, Found, agree
from tradewind.sources.fetched import Fetched
from tradewind.sources.opening import chunks, compression, opened
from tradewind.sources.records import is_utf8
from tradewind.spec.sources import Source

_LARGEST_HEADER = 2**20


def found(source: Source, fetched: Fetched) -> list[Found]:
    """Columns of each file; of JSON lines of all files together.

    :raises MalformedInput: a file is not whole, not of its format, or names a column twice
    """
    files = list(zip(fetched.paths, fetched.names, strict=True))
    if fetched.format == "parquet":
        return [Found(name, _parquet(path, name)) for path, name in files]
    for path, name in files:
        _whole(path, name, ends_in_line_break=fetched.format == "csv")
    if fetched.format == "csv":
        return [Found(name, dict.fromkeys(header(path, name, fetched.delimiter))) for path, name in files]
    if source.columns:
        for path, name in files:
            _keys_are_there(source.columns, path, name)
    if source.columns and source.new_columns == "refuse":
        return [Found(fetched.names[0], dict.fromkeys(source.columns))]
    # Declared columns are read as they are declared, whatever the values look like.
    inferred = {**dict.fromkeys(source.columns), **_inferred(fetched)}
    return [
        Found(fetched.names[0], {name: None if name in source.columns else kind for name, kind in inferred.items()})
    ]


def header(path: Path, called: str, delimiter: str) -> list[str]:
    """Column names of a CSV file.

    :raises MalformedInput: it is empty, is not UTF-8, or names a column twice
    """
    with _csv(path, called, delimiter) as rows:
        names = next(rows, None)
    if names is None:
        raise MalformedInput(f"{called}: the file is empty; not even a header is there")
    if any(not is_utf8(name) for name in names):
        raise MalformedInput(f"{called}: this is not CSV text in UTF-8")
    folded = [name.casefold() for name in names]
    if twice := sorted({name for name in names if folded.count(name.casefold()) > 1}):
        raise MalformedInput(f"{called}: the header names {', '.join(map(repr, twice))} more than once")
    return names


def refuse_empty(source: Source, fetched: Fetched) -> None:
    """See that every file has a row.

    Columns are compared first: a page that tells of an error has no row either, and is no empty delivery.

    :raises EmptyInput: files have none; every one is named
    :raises MalformedInput: a file cannot be read, or one without rows makes the columns differ
    """
    pairs = zip(fetched.paths, fetched.names, strict=True)
    empty = [name for path, name in pairs if not _has_row(path, name, fetched)]
    if empty:
        if fetched.format != "jsonl":  # JSON lines have their columns in their rows
            agree(source, found(source, fetched))
        which = f"{len(empty)} of {len(fetched.paths)} files have" if len(fetched.paths) > 1 else "the file has"
        raise EmptyInput(
            f"{which} no row: {', '.join(empty)}. An empty delivery is a mistake until somebody says so: `empty: skip`"
        )


def _has_row(path: Path, called: str, fetched: Fetched) -> bool:
    if fetched.format == "parquet":
        return _parquet_rows(path, called) > 0
    if fetched.format == "jsonl":
        with opened(path, called=called) as file:
            return any(chunk.strip() for chunk in chunks(file))
    with _csv(path, called, fetched.delimiter) as rows:
        if next(rows, None) is None:
            raise MalformedInput(f"{called}: the file is empty; not even a header is there")
        return any(rows)


@contextmanager
def _csv(path: Path, called: str, delimiter: str) -> Iterator[Iterator[list[str]]]:
    with opened(path, called=called) as file:
        text = io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline="")
        try:
            yield csv.reader(iter(lambda: text.readline(_LARGEST_HEADER), ""), delimiter=delimiter)
        except csv.Error as exc:
            raise MalformedInput(f"{called}: this is not CSV text: {exc}") from exc
        finally:
            text.detach()


def _whole(path: Path, called: str, *, ends_in_line_break: bool) -> None:
    """Unpack a compressed file to its end, which DuckDB does not miss; look at the last byte of a CSV file."""
    with opened(path, called=called) as file:
        last = b""
        if compression(path) != "none":
            for chunk in chunks(file):
                last = chunk[-1:]
        elif file.seek(0, io.SEEK_END):
            file.seek(-1, io.SEEK_END)
            last = file.read(1)
    if ends_in_line_break and last not in (b"", b"\n", b"\r"):
        raise MalformedInput(f"{called}: the last line has no line break, so the file may be cut off; deliver it again")


def _keys_are_there(columns: Collection[str], path: Path, called: str) -> None:
    """See that each declared column is in some row; most writers leave a key out where it has no value."""
    missing, seen = set(columns), dict[str, None]()
    with opened(path, called=called) as file:
        for line in file:
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(row, dict):
                missing.difference_update(row)
                seen.update(dict.fromkeys(row) if len(seen) < len(columns) else {})
            if not missing:
                return
    if seen:
        wanted = [name for name in columns if name in missing]
        raise MalformedInput(
            f"{called}: there is no column {', '.join(map(repr, wanted))} in any row. "
            f"Found: {', '.join(seen)}; declared: {', '.join(columns)}"
        )


def _inferred(fetched: Fetched) -> dict[str, str]:
    import duckdb

    files = literals(path.absolute() for path in fetched.paths)
    with connect() as connection:
        try:
            rows = connection.execute(
                f"DESCRIBE SELECT * FROM read_json({files}, format = 'newline_delimited', records = true, "
                f"union_by_name = true, sample_size = -1, ignore_errors = true, hive_partitioning = false)"
            ).fetchall()
        except duckdb.Error as exc:
            raise MalformedInput(f"{', '.join(fetched.names)}: these are no JSON lines: {exc}") from exc
    return {row[0]: row[1] if row[1] != "JSON" else TEXT for row in rows}


def _parquet(path: Path, called: str) -> dict[str, str | None]:
    import duckdb

    _parquet_rows(path, called)
    with connect() as connection:
        try:
            rows = connection.execute(f"DESCRIBE SELECT * FROM {parquet.files([path.absolute()])}").fetchall()
        except duckdb.Error as exc:
            raise MalformedInput(f"{called} cannot be read as Parquet: {exc}") from exc
    return {row[0]: row[1] for row in rows}


def _parquet_rows(path: Path, called: str) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with opened(path, called=called) as file:
        try:
            rows: int = pq.ParquetFile(file).metadata.num_rows
        except pa.ArrowException as exc:
            raise MalformedInput(
                f"{called}: this is no whole Parquet file: {str(exc).splitlines()[0]}; deliver it again"
            ) from exc
    return rows
