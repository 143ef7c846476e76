"""Rows on their way into Parquet files, written by DuckDB with all its threads in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from tradewind.engine.database import connect_duckdb, quote_identifier, quote_string, quote_strings
from tradewind.errors import TradewindError

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

# Of the codecs measured this one is smaller than snappy and, with the encodings of version 2, no slower.
_OPTIONS = "FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, PARQUET_VERSION v2"
_FILES = "ROW_GROUP_SIZE 122880, FILE_SIZE_BYTES '128MB', FILENAME_PATTERN 'part-{i}'"


@runtime_checkable
class CopyableRows(Protocol):
    """Rows that can be copied into files once."""

    @property
    def schema(self) -> pa.Schema:
        """Their columns."""

    def copy(self, columns: str, options: str) -> Path:
        """Run ``COPY (SELECT columns FROM rows) TO folder (options)`` and return the folder, which is new."""


class ArrowRows:
    """Rows of an Arrow reader.

    :param folder: where they are copied to
    """

    def __init__(self, reader: pa.RecordBatchReader, folder: Path) -> None:
        self.schema = reader.schema
        self._reader = reader
        self._folder = folder

    def copy(self, columns: str, options: str) -> Path:
        """Copy the rows; what the reader raises is raised as it is."""
        import duckdb
        import pyarrow as pa

        raised: list[BaseException] = []
        rows = pa.RecordBatchReader.from_batches(self.schema, _remembering(self._reader, raised))
        target = self._folder / "copied"
        with connect_duckdb(self._folder) as connection:
            connection.register("rows", rows)
            try:
                connection.execute(f"COPY (SELECT {columns} FROM rows) TO {quote_string(str(target))} ({options})")
            except duckdb.Error as exc:
                raise (raised[0] if raised else exc) from None
        return target


def write_parquet(rows: CopyableRows, schema: pa.Schema, folder: Path) -> tuple[Path, ...]:
    """Write ``rows`` as files of ``schema`` (same columns, same order) into ``folder``.

    Files are cut at about 128 MB; there is one also when there is no row.
    """
    columns = ", ".join(
        f"CAST({quote_identifier(f.name)} AS {_type(f.type)}) AS {quote_identifier(f.name)}" for f in schema
    )
    copied = rows.copy(columns, f"{_OPTIONS}, {_FILES}")
    found = sorted(copied.iterdir(), key=lambda path: int(path.stem.removeprefix("part-")))
    moved = tuple(path.rename(folder / path.name) for path in found)
    copied.rmdir()
    return moved


def select_files(paths: Sequence[Path]) -> str:
    """SQL that reads published or staged files by the names of their columns."""
    return f"read_parquet({quote_strings(paths)}, union_by_name = true, hive_partitioning = false)"


def dictionary_columns(group: pq.RowGroupMetaData) -> list[str]:
    """Text columns of which every page is numbers into a dictionary."""
    columns = [group.column(number) for number in range(group.num_columns)]
    return [
        column.path_in_schema
        for column in columns
        if column.physical_type == "BYTE_ARRAY"
        and "RLE_DICTIONARY" in column.encodings
        and not {"PLAIN", "DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY"} & set(column.encodings)
    ]


def repeating_columns(paths: Sequence[Path]) -> frozenset[str]:
    """Text columns whose values come often, because they are :func:`dictionary_columns` in all of the files."""
    import pyarrow.parquet as pq

    footers = [pq.read_metadata(path) for path in paths]
    groups = [footer.row_group(number) for footer in footers for number in range(footer.num_row_groups)]
    return (
        frozenset.intersection(*(frozenset(dictionary_columns(group)) for group in groups)) if groups else frozenset()
    )


def _remembering(reader: pa.RecordBatchReader, raised: list[BaseException]) -> Iterator[pa.RecordBatch]:
    try:
        yield from reader
    except BaseException as exc:
        raised.append(exc)
        raise


def _type(kind: pa.DataType) -> str:
    import pyarrow as pa

    types = pa.types
    if types.is_decimal(kind):
        return f"DECIMAL({kind.precision}, {kind.scale})"
    if types.is_list(kind):
        return f"{_type(kind.value_type)}[]"
    if types.is_struct(kind):
        return f"STRUCT({', '.join(f'{quote_identifier(f.name)} {_type(f.type)}' for f in kind)})"
    try:
        return _TYPES[str(kind)]
    except KeyError as exc:
        raise TradewindError(f"the lake has no SQL type for {kind}; this is a mistake in Tradewind") from exc


_TYPES = {
    "bool": "BOOLEAN",
    "int8": "TINYINT",
    "int16": "SMALLINT",
    "int32": "INTEGER",
    "int64": "BIGINT",
    "float": "FLOAT",
    "double": "DOUBLE",
    "string": "VARCHAR",
    "binary": "BLOB",
    "date32[day]": "DATE",
    "timestamp[us, tz=UTC]": "TIMESTAMPTZ",
}
