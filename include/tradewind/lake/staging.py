"""Rows that are written and hashed, but that nobody sees yet."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tradewind.errors import UsageError
from tradewind.lake import storage
from tradewind.lake.digests import content
from tradewind.lake.schema import conform, lake_schema

if TYPE_CHECKING:
    import pyarrow as pa

_ROWS_PER_GROUP = 131_072
_ROWS_PER_FILE = 32 * _ROWS_PER_GROUP


@dataclass(frozen=True, slots=True)
class Staged:
    """One partition's rows in a private folder.

    :param key: partition key
    :param schema: the rows' columns, without `partition`
    :param digest: content hash without the run columns
    :param base: the partition's published files when staging began; publishing is refused if these have changed
    """

    dataset: str
    key: str
    token: str
    folder: Path
    paths: tuple[Path, ...]
    rows: int
    digest: str
    schema: pa.Schema
    base: frozenset[str]


def write(
    reader: pa.RecordBatchReader, *, table: str, name: str, key: str, base: frozenset[str], run_columns: Sequence[str]
) -> Staged:
    """Write ``reader``'s rows as Parquet into a new private folder of ``table``, batch by batch, and hash them.

    Nothing is left behind if reading fails.

    :raises UsageError: a key or column that the lake cannot hold
    """
    import pyarrow.dataset as pads

    if not re.fullmatch(r"[0-9A-Za-z][0-9A-Za-z_.-]*", key):
        raise UsageError(f"dataset {name}: {key!r} cannot be a partition key; use letters, digits, `-`, `_` and `.`")
    schema = lake_schema(reader.schema, what=f"dataset {name}, partition {key}")
    unknown = sorted(set(run_columns) - set(schema.names))
    if unknown:
        raise UsageError(
            f"dataset {name}, partition {key}: no run column {', '.join(unknown)}; it has {', '.join(schema.names)}"
        )
    token = uuid.uuid4().hex[:12]
    folder = storage.new_folder(table, token)
    try:
        paths = tuple(_write_files(reader, schema, folder))
        written = pads.dataset([str(path) for path in paths], schema=schema, format="parquet").scanner(
            batch_readahead=2, fragment_readahead=1
        )
        hashed = content(written.to_reader(), without=run_columns)
    except BaseException:
        storage.remove(folder)
        raise
    return Staged(name, key, token, folder, paths, hashed.rows, hashed.digest, schema, base)


def read(staged: Staged) -> pa.Table:
    """All staged rows in memory, with the column `partition`."""
    import pyarrow as pa
    import pyarrow.dataset as pads

    rows = pads.dataset([str(path) for path in staged.paths], schema=staged.schema, format="parquet").to_table()
    return rows.append_column("partition", pa.array([staged.key] * rows.num_rows, pa.string()))


def statistics(path: Path) -> str:
    """Row count of a Parquet file, as Delta's log wants it."""
    import pyarrow.parquet as pq

    return json.dumps({"numRecords": pq.read_metadata(path).num_rows})


def _write_files(reader: pa.RecordBatchReader, schema: pa.Schema, folder: Path) -> Iterator[Path]:
    import pyarrow.parquet as pq

    groups = _groups(reader, schema)
    group = next(groups, schema.empty_table())
    number = 0
    while group is not None:
        path = folder / f"part-{number}.parquet"
        rows = 0
        with pq.ParquetWriter(path, schema, compression="zstd") as writer:
            while group is not None and rows < _ROWS_PER_FILE:
                writer.write_table(group)
                rows += group.num_rows
                group = next(groups, None)
        yield path
        number += 1


def _groups(reader: pa.RecordBatchReader, schema: pa.Schema) -> Iterator[pa.Table]:
    """Gather small batches, so that a row group is worth reading by itself."""
    import pyarrow as pa

    waiting: list[pa.RecordBatch] = []
    for batch in reader:
        waiting.append(conform(batch, schema))
        if sum(b.num_rows for b in waiting) >= _ROWS_PER_GROUP:
            yield pa.Table.from_batches(waiting, schema)
            waiting = []
    if waiting:
        yield pa.Table.from_batches(waiting, schema)
