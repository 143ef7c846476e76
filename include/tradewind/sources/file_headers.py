"""What is in delivered files before any row is read: their columns, whether they are whole, whether they have rows."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tradewind.engine.database import connect_duckdb, quote_strings
from tradewind.errors import EmptyInput, MalformedInput
from tradewind.lake import parquet
from tradewind.sources.decompression import duckdb_compression, open_delivered_file, read_chunks, refuse_other_encoding
from tradewind.sources.delivered_columns import TEXT, FileColumns, agree_columns, shortened_names
from tradewind.sources.fetched import Fetched
from tradewind.sources.text_records import LONGEST_LINE, CsvRecords, is_utf8
from tradewind.spec.sources import Limits, Source

if TYPE_CHECKING:
    import duckdb

_PIECE = 2**20


def read_file_columns(source: Source, fetched: Fetched) -> list[FileColumns]:
    """Columns of each file; of JSON lines of all files together.

    :raises MalformedInput: a file is not whole, not of its format, or names a column twice
    """
    files = list(zip(fetched.paths, fetched.names, strict=True))
    if fetched.format == "parquet":
        return [FileColumns(name, _parquet_columns(path, name, fetched.limits)) for path, name in files]
    for path, name in files:
        refuse_other_encoding(path, called=name, limits=fetched.limits)
        _require_whole_file(path, name, fetched)
    if fetched.format == "csv":
        return [FileColumns(name, dict.fromkeys(read_csv_header(path, name, fetched))) for path, name in files]
    if source.columns:
        for path, name in files:
            _require_json_keys(source.columns, path, name, fetched.limits)
    if source.columns and source.new_columns == "refuse":
        return [FileColumns(fetched.names[0], dict.fromkeys(source.columns))]
    # Declared columns are read as they are declared, whatever the values look like.
    inferred = {**dict.fromkeys(source.columns), **_infer_json_columns(fetched)}
    return [
        FileColumns(
            fetched.names[0], {name: None if name in source.columns else kind for name, kind in inferred.items()}
        )
    ]


def read_csv_header(path: Path, called: str, fetched: Fetched) -> list[str]:
    """Column names of a CSV file.

    :raises MalformedInput: it is empty, is not UTF-8, has a header that cannot be read, too many columns, or one twice
    """
    with _open_csv(path, called, fetched) as text:
        return _read_header(text, called, fetched)


def _read_header(text: io.TextIOWrapper, called: str, fetched: Fetched) -> list[str]:
    found = CsvRecords(text, delimiter=fetched.delimiter).header()
    if found is None:
        raise MalformedInput(f"{called}: the file is empty; not even a header is there")
    if not is_utf8(found.text):
        raise MalformedInput(f"{called}: this is not CSV text in UTF-8")
    if found.reason is not None:
        raise MalformedInput(f"{called}, line 1: this is not a header: {found.reason}")
    if not found.text:
        raise MalformedInput(f"{called}: the first line is blank, and the header must stand there")
    refuse_many_columns(len(found.values), called, fetched.limits)
    if twice := repeated_names(found.values):
        raise MalformedInput(f"{called}: the header names {shortened_names([*map(repr, twice)])} more than once")
    return list(found.values)


def refuse_many_columns(count: int, called: str, limits: Limits) -> None:
    """See that there are not more columns than the limit.

    :raises MalformedInput: there are
    """
    if count > limits.columns:
        raise MalformedInput(
            f"{called}: {count:,} columns are more than {limits.columns:,}; if that is right, raise "
            "`limits: {columns: …}`"
        )


def repeated_names(names: Sequence[str]) -> list[str]:
    """Names that are there more than once; upper and lower case are the same."""
    counts = Counter(name.casefold() for name in names)
    return sorted({name for name in names if counts[name.casefold()] > 1})


def refuse_empty_files(source: Source, fetched: Fetched) -> None:
    """See that every file has a row.

    Columns are compared first: a page that tells of an error has no row either, and is no empty delivery.

    :raises EmptyInput: files have none; every one is named
    :raises MalformedInput: a file cannot be read, or one without rows makes the columns differ
    """
    pairs = zip(fetched.paths, fetched.names, strict=True)
    empty = [name for path, name in pairs if not _has_row(path, name, fetched)]
    if empty:
        if fetched.format != "jsonl":  # JSON lines have their columns in their rows
            agree_columns(source, read_file_columns(source, fetched))
        which = f"{len(empty)} of {len(fetched.paths)} files have" if len(fetched.paths) > 1 else "the file has"
        raise EmptyInput(
            f"{which} no row: {', '.join(empty)}. An empty delivery is a mistake until somebody says so: `empty: skip`"
        )


def _has_row(path: Path, called: str, fetched: Fetched) -> bool:
    if fetched.format == "parquet":
        return _parquet_size(path, called, fetched.limits)[0] > 0
    refuse_other_encoding(path, called=called, limits=fetched.limits)
    if fetched.format == "jsonl":
        with open_delivered_file(path, called=called, limits=fetched.limits) as file:
            return any(chunk.strip() for chunk in read_chunks(file))
    with _open_csv(path, called, fetched) as text:
        _read_header(text, called, fetched)
        return any(piece.strip("\r\n") for piece in iter(lambda: text.read(_PIECE), ""))


@contextmanager
def _open_csv(path: Path, called: str, fetched: Fetched) -> Iterator[io.TextIOWrapper]:
    with open_delivered_file(path, called=called, limits=fetched.limits) as file:
        text = io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline="")
        try:
            yield text
        finally:
            text.detach()


def _require_whole_file(path: Path, called: str, fetched: Fetched) -> None:
    """Unpack a compressed file to its end, which DuckDB does not miss; look at the last byte of a CSV file."""
    with open_delivered_file(path, called=called, limits=fetched.limits) as file:
        last = b""
        if duckdb_compression(path) != "none":
            for chunk in read_chunks(file):
                last = chunk[-1:]
        elif file.seek(0, io.SEEK_END):
            file.seek(-1, io.SEEK_END)
            last = file.read(1)
    if fetched.format == "csv" and last not in (b"", b"\n", b"\r"):
        raise MalformedInput(f"{called}: the last line has no line break, so the file may be cut off; deliver it again")


def _require_json_keys(columns: Collection[str], path: Path, called: str, limits: Limits) -> None:
    """See that each declared column is in some row; most writers leave a key out where it has no value."""
    missing, seen = set(columns), dict[str, None]()
    with open_delivered_file(path, called=called, limits=limits) as file:
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
            f"{called}: there is no column {shortened_names([*map(repr, wanted)])} in any row. "
            f"Found: {shortened_names([*seen])}; declared: {shortened_names([*columns])}"
        )


def _infer_json_columns(fetched: Fetched) -> dict[str, str]:
    import duckdb

    files = quote_strings(path.absolute() for path in fetched.paths)
    with connect_duckdb() as connection:
        try:
            refuse_many_columns(
                _count_json_keys(connection, files, fetched.limits.columns + 1),
                ", ".join(fetched.names),
                fetched.limits,
            )
            rows = connection.execute(
                f"DESCRIBE SELECT * FROM read_json({files}, format = 'newline_delimited', records = true, "
                f"union_by_name = true, sample_size = -1, ignore_errors = true, hive_partitioning = false, "
                "map_inference_threshold = -1)"  # else an object of many keys would be one column
            ).fetchall()
        except duckdb.Error as exc:
            deep = "recursion depth" in str(exc)
            text = "lists or objects lie too deep inside each other to find their types" if deep else str(exc)
            raise MalformedInput(f"{', '.join(fetched.names)}: these are no JSON lines: {text}") from exc
    return {row[0]: row[1] if row[1] != "JSON" else TEXT for row in rows}


def _count_json_keys(connection: duckdb.DuckDBPyConnection, files: str, most: int) -> int:
    """How many different keys the objects have, or ``most``, where counting ends."""
    lines = (
        f"SELECT json FROM read_json({files}, format = 'newline_delimited', records = false, columns = {{'json': "
        f"'JSON'}}, maximum_object_size = {LONGEST_LINE}, ignore_errors = true, hive_partitioning = false)"
    )
    keys = f"SELECT DISTINCT unnest(json_keys(json)) FROM ({lines}) WHERE json_type(json) = 'OBJECT' LIMIT {most}"
    found = connection.execute(f"SELECT count(*) FROM ({keys})").fetchone()
    return int(found[0]) if found else 0


def _parquet_columns(path: Path, called: str, limits: Limits) -> dict[str, str | None]:
    import duckdb

    refuse_many_columns(_parquet_size(path, called, limits)[1], called, limits)
    with connect_duckdb() as connection:
        try:
            rows = connection.execute(f"DESCRIBE SELECT * FROM {parquet.select_files([path.absolute()])}").fetchall()
        except duckdb.Error as exc:
            raise MalformedInput(f"{called} cannot be read as Parquet: {exc}") from exc
    return {row[0]: row[1] for row in rows}


def _parquet_size(path: Path, called: str, limits: Limits) -> tuple[int, int]:
    """Rows and columns of a Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with open_delivered_file(path, called=called, limits=limits) as file:
        try:
            found = pq.ParquetFile(file).metadata
            return found.num_rows, found.num_columns
        except pa.ArrowException as exc:
            raise MalformedInput(
                f"{called}: this is not a whole Parquet file: {str(exc).splitlines()[0]}; deliver it again"
            ) from exc
