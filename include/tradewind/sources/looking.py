"""What is in delivered files before any row is read: their columns, whether they are whole, whether they have rows."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tradewind.errors import EmptyInput, MalformedInput
from tradewind.lake import parquet
from tradewind.lake.database import connect, literals
from tradewind.sources.columns import TEXT, Found, agree, some
from tradewind.sources.fetched import Fetched
from tradewind.sources.opening import chunks, compression, opened, refuse_other_encoding
from tradewind.sources.records import LONGEST_LINE, CsvRecords, is_utf8
from tradewind.spec.sources import Limits, Source

if TYPE_CHECKING:
    import duckdb

_PIECE = 2**20


def found(source: Source, fetched: Fetched) -> list[Found]:
    """Columns of each file; of JSON lines of all files together.

    :raises MalformedInput: a file is not whole, not of its format, or names a column twice
    """
    files = list(zip(fetched.paths, fetched.names, strict=True))
    if fetched.format == "parquet":
        return [Found(name, _parquet(path, name, fetched.limits)) for path, name in files]
    for path, name in files:
        refuse_other_encoding(path, called=name, limits=fetched.limits)
        _whole(path, name, fetched)
    if fetched.format == "csv":
        return [Found(name, dict.fromkeys(header(path, name, fetched))) for path, name in files]
    if source.columns:
        for path, name in files:
            _keys_are_there(source.columns, path, name, fetched.limits)
    if source.columns and source.new_columns == "refuse":
        return [Found(fetched.names[0], dict.fromkeys(source.columns))]
    # Declared columns are read as they are declared, whatever the values look like.
    inferred = {**dict.fromkeys(source.columns), **_inferred(fetched)}
    return [
        Found(fetched.names[0], {name: None if name in source.columns else kind for name, kind in inferred.items()})
    ]


def header(path: Path, called: str, fetched: Fetched) -> list[str]:
    """Column names of a CSV file.

    :raises MalformedInput: it is empty, is not UTF-8, has a header that cannot be read, too many columns, or one twice
    """
    with _csv(path, called, fetched) as text:
        return _header(text, called, fetched)


def _header(text: io.TextIOWrapper, called: str, fetched: Fetched) -> list[str]:
    found = CsvRecords(text, delimiter=fetched.delimiter).header()
    if found is None:
        raise MalformedInput(f"{called}: the file is empty; not even a header is there")
    if not is_utf8(found.text):
        raise MalformedInput(f"{called}: this is not CSV text in UTF-8")
    if found.reason is not None:
        raise MalformedInput(f"{called}, line 1: this is no header: {found.reason}")
    if not found.text:
        raise MalformedInput(f"{called}: the first line is blank, and the header must stand there")
    few_columns(len(found.values), called, fetched.limits)
    if twice := repeated(found.values):
        raise MalformedInput(f"{called}: the header names {some([*map(repr, twice)])} more than once")
    return list(found.values)


def few_columns(count: int, called: str, limits: Limits) -> None:
    """See that there are not more columns than the limit.

    :raises MalformedInput: there are
    """
    if count > limits.columns:
        raise MalformedInput(
            f"{called}: {count:,} columns are more than {limits.columns:,}; if that is right, raise "
            "`limits: {columns: …}`"
        )


def repeated(names: Sequence[str]) -> list[str]:
    """Names that are there more than once; upper and lower case are the same."""
    counts = Counter(name.casefold() for name in names)
    return sorted({name for name in names if counts[name.casefold()] > 1})


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
        return _metadata(path, called, fetched.limits)[0] > 0
    refuse_other_encoding(path, called=called, limits=fetched.limits)
    if fetched.format == "jsonl":
        with opened(path, called=called, limits=fetched.limits) as file:
            return any(chunk.strip() for chunk in chunks(file))
    with _csv(path, called, fetched) as text:
        _header(text, called, fetched)
        return any(piece.strip("\r\n") for piece in iter(lambda: text.read(_PIECE), ""))


@contextmanager
def _csv(path: Path, called: str, fetched: Fetched) -> Iterator[io.TextIOWrapper]:
    with opened(path, called=called, limits=fetched.limits) as file:
        text = io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline="")
        try:
            yield text
        finally:
            text.detach()


def _whole(path: Path, called: str, fetched: Fetched) -> None:
    """Unpack a compressed file to its end, which DuckDB does not miss; look at the last byte of a CSV file."""
    with opened(path, called=called, limits=fetched.limits) as file:
        last = b""
        if compression(path) != "none":
            for chunk in chunks(file):
                last = chunk[-1:]
        elif file.seek(0, io.SEEK_END):
            file.seek(-1, io.SEEK_END)
            last = file.read(1)
    if fetched.format == "csv" and last not in (b"", b"\n", b"\r"):
        raise MalformedInput(f"{called}: the last line has no line break, so the file may be cut off; deliver it again")


def _keys_are_there(columns: Collection[str], path: Path, called: str, limits: Limits) -> None:
    """See that each declared column is in some row; most writers leave a key out where it has no value."""
    missing, seen = set(columns), dict[str, None]()
    with opened(path, called=called, limits=limits) as file:
        for line in iter(lambda: file.readline(LONGEST_LINE), b""):
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
            f"{called}: there is no column {some([*map(repr, wanted)])} in any row. "
            f"Found: {some([*seen])}; declared: {some([*columns])}"
        )


def _inferred(fetched: Fetched) -> dict[str, str]:
    import duckdb

    files = literals(path.absolute() for path in fetched.paths)
    with connect() as connection:
        try:
            few_columns(_keys(connection, files, fetched.limits.columns + 1), ", ".join(fetched.names), fetched.limits)
            rows = connection.execute(
                f"DESCRIBE SELECT * FROM read_json({files}, format = 'newline_delimited', records = true, "
                f"union_by_name = true, sample_size = -1, ignore_errors = true, hive_partitioning = false, "
                "map_inference_threshold = -1)"  # else an object of many keys would be one column
            ).fetchall()
        except duckdb.Error as exc:
            deep = "recursion depth" in str(exc)
            told = "lists or objects lie too deep inside each other to find their types" if deep else str(exc)
            raise MalformedInput(f"{', '.join(fetched.names)}: these are no JSON lines: {told}") from exc
    return {row[0]: row[1] if row[1] != "JSON" else TEXT for row in rows}


def _keys(connection: duckdb.DuckDBPyConnection, files: str, most: int) -> int:
    """How many different keys the objects have, or ``most``, where counting ends."""
    lines = (
        f"SELECT json FROM read_json({files}, format = 'newline_delimited', records = false, columns = {{'json': "
        f"'JSON'}}, maximum_object_size = {LONGEST_LINE}, ignore_errors = true, hive_partitioning = false)"
    )
    keys = f"SELECT DISTINCT unnest(json_keys(json)) FROM ({lines}) WHERE json_type(json) = 'OBJECT' LIMIT {most}"
    found = connection.execute(f"SELECT count(*) FROM ({keys})").fetchone()
    return int(found[0]) if found else 0


def _parquet(path: Path, called: str, limits: Limits) -> dict[str, str | None]:
    import duckdb

    few_columns(_metadata(path, called, limits)[1], called, limits)
    with connect() as connection:
        try:
            rows = connection.execute(f"DESCRIBE SELECT * FROM {parquet.files([path.absolute()])}").fetchall()
        except duckdb.Error as exc:
            raise MalformedInput(f"{called} cannot be read as Parquet: {exc}") from exc
    return {row[0]: row[1] for row in rows}


def _metadata(path: Path, called: str, limits: Limits) -> tuple[int, int]:
    """Rows and columns of a Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with opened(path, called=called, limits=limits) as file:
        try:
            found = pq.ParquetFile(file).metadata
            return found.num_rows, found.num_columns
        except pa.ArrowException as exc:
            raise MalformedInput(
                f"{called}: this is no whole Parquet file: {str(exc).splitlines()[0]}; deliver it again"
            ) from exc
