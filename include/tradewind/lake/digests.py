"""Content hash of the rows of one partition.

Every row becomes two 64-bit numbers made from all its values, and these are added up: neither the order of the rows
nor how they are cut into batches counts. The arithmetic is our own, on the bits of the values, so no version of a
library changes it. It finds changes; it is no protection against a person who constructs two tables of one digest.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tradewind.lake.hash_lanes import hash_lanes
from tradewind.lake.parquet import dictionary_columns

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

# Goes before every digest: a change of how rows are hashed must not look like a change of the rows.
FORMAT = "2"

_WORKERS = 2  # beside each other; each has one row group in memory


@dataclass(frozen=True, slots=True)
class PartitionContent:
    """What a partition holds.

    :param digest: content hash, ``<format>.<32 hex digits>``
    :param rows: number of rows
    """

    digest: str
    rows: int


def hash_rows(reader: pa.RecordBatchReader, *, without: Collection[str] = ()) -> PartitionContent:
    """Hash rows as a multiset: neither their order nor how they are cut into batches counts.

    Column names and types are hashed too; the order of the columns does not count. ``NaN`` is one value, and ``-0.0``
    is ``0.0``.

    :param reader: the rows; read to the end, in bounded memory
    :param without: columns that do not count (they differ between two runs over the same input)
    """
    return _content(reader.schema, without, (partial(_same, batch) for batch in reader))


def hash_files(paths: Sequence[Path], schema: pa.Schema, *, without: Collection[str] = ()) -> PartitionContent:
    """:func:`hash_rows` of the rows of Parquet files that have the columns of ``schema``."""
    return _content(schema, without, _groups(paths, schema, [f.name for f in schema if f.name not in without]))


def _content(
    schema: pa.Schema, without: Collection[str], parts: Iterable[Callable[[], pa.RecordBatch]]
) -> PartitionContent:
    counted = sorted((f for f in schema if f.name not in without), key=lambda f: f.name)
    names = [f.name for f in counted]
    rows = first = second = 0
    # Arrow and numpy let go of the interpreter while they work.
    with ThreadPoolExecutor(_WORKERS) as pool:
        for count, one, other in _ahead(pool, parts, names):
            rows, first, second = rows + count, (first + one) % 2**64, (second + other) % 2**64
    body = json.dumps([FORMAT, [[f.name, str(f.type)] for f in counted], rows, str(first), str(second)])
    return PartitionContent(f"{FORMAT}.{hashlib.sha256(body.encode()).hexdigest()[:32]}", rows)


def _ahead(
    pool: ThreadPoolExecutor, parts: Iterable[Callable[[], pa.RecordBatch]], names: Sequence[str]
) -> Iterator[tuple[int, int, int]]:
    waiting: list[Future[tuple[int, int, int]]] = []
    for part in parts:
        waiting.append(pool.submit(_sums, part, names))
        if len(waiting) > _WORKERS:
            yield waiting.pop(0).result()
    yield from (future.result() for future in waiting)


def _sums(part: Callable[[], pa.RecordBatch], names: Sequence[str]) -> tuple[int, int, int]:
    batch = part()
    first, second = hash_lanes([batch.column(name) for name in names], batch.num_rows)
    return batch.num_rows, int(first.sum()), int(second.sum())


def _groups(paths: Sequence[Path], schema: pa.Schema, names: list[str]) -> Iterator[Callable[[], pa.RecordBatch]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    counted = pa.schema([schema.field(name) for name in names])
    for path in paths:
        footer = pq.read_metadata(path)
        for number in range(footer.num_row_groups):
            yield partial(_group, path, footer, number, counted)


def _group(path: Path, footer: pq.FileMetaData, number: int, schema: pa.Schema) -> pa.RecordBatch:
    import pyarrow as pa
    import pyarrow.parquet as pq

    # Text that repeats is hashed once: it comes as numbers into a dictionary, as it is in the file.
    texts = dictionary_columns(footer.row_group(number))
    with pq.ParquetFile(path, metadata=footer, read_dictionary=texts) as file:
        rows = file.read_row_group(number, columns=schema.names, use_threads=False)
    if not schema.names:
        return pa.RecordBatch.from_struct_array(pa.array([{}] * rows.num_rows, pa.struct([])))
    columns = [_column(rows[f.name].combine_chunks(), f.type) for f in schema]
    return pa.RecordBatch.from_arrays(columns, names=schema.names)


def _column(column: pa.Array, kind: pa.DataType) -> pa.Array:
    import pyarrow as pa

    # The names of a list's elements differ between writers.
    return column if pa.types.is_dictionary(column.type) or column.type == kind else column.cast(kind)


def _same(batch: pa.RecordBatch) -> pa.RecordBatch:
    return batch
