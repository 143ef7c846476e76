"""Content hash of the rows of one partition."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

# Goes before every digest: a change of how rows are hashed must not look like a change of the rows.
FORMAT = "1"


@dataclass(frozen=True, slots=True)
class Content:
    """What a partition holds.

    :param digest: content hash, ``<format>.<32 hex digits>``
    :param rows: number of rows
    """

    digest: str
    rows: int


def content(reader: pa.RecordBatchReader, *, without: Collection[str] = ()) -> Content:
    """Hash rows as a multiset: neither their order nor how they are cut into batches counts.

    Every row becomes one text in which each value is NULL or its length and itself, columns by name; the 128-bit
    MD5s of these are added up. Column names and types are hashed too. ``NaN`` is one value, and ``-0.0`` is ``0.0``.

    :param reader: the rows; read to the end, in bounded memory
    :param without: columns that do not count (they differ between two runs over the same input)
    """
    import duckdb
    import pyarrow as pa

    counted = sorted((f for f in reader.schema if f.name not in without), key=lambda f: f.name)
    plain = pa.schema([pa.field(str(n), _plain_type(f.type)) for n, f in enumerate(counted)])
    text = " || ".join(f"coalesce(strlen(v{n}) || ':' || v{n}, 'N')" for n in range(len(counted))) or "''"
    casts = ", ".join(f"{_text(f.type, n)} AS v{n}" for n, f in enumerate(plain)) or "1"
    # Sums of 64-bit halves as 128-bit integers cannot overflow below 2^63 rows.
    query = f"""
        SELECT count(*), sum(md5_number_lower(t)::HUGEINT), sum(md5_number_upper(t)::HUGEINT)
        FROM (SELECT {text} AS t FROM (SELECT {casts} FROM rows))"""
    with duckdb.connect() as connection:
        rows = pa.RecordBatchReader.from_batches(plain, _plain(reader, [f.name for f in counted], plain))
        connection.register("rows", rows)
        count, lower, upper = connection.execute(query).fetchall()[0]
    parts = [[f.name, str(f.type)] for f in counted]
    body = json.dumps([FORMAT, parts, count, str(lower or 0), str(upper or 0)])
    return Content(f"{FORMAT}.{hashlib.sha256(body.encode()).hexdigest()[:32]}", count)


def _plain(reader: pa.RecordBatchReader, names: list[str], plain: pa.Schema) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    for batch in reader:
        columns = [_plain_column(batch.column(name), f.type) for name, f in zip(names, plain, strict=True)]
        if columns:
            yield pa.RecordBatch.from_arrays(columns, schema=plain)


def _plain_column(column: pa.Array, kind: pa.DataType) -> pa.Array:
    """Times and floats as the integers that they are in memory: their text differs between versions of libraries."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_floating(column.type):
        nan = pa.scalar(float("nan"), column.type)
        column = pc.if_else(pc.is_nan(column), nan, pc.add(column, pa.scalar(0.0, column.type)))
    return column if column.type == kind else column.view(kind)


def _plain_type(kind: pa.DataType) -> pa.DataType:
    import pyarrow as pa

    types = pa.types
    if types.is_date32(kind) or types.is_float32(kind):
        return pa.int32()
    return pa.int64() if types.is_timestamp(kind) or types.is_float64(kind) else kind


def _text(kind: pa.DataType, number: int) -> str:
    import pyarrow as pa

    if pa.types.is_nested(kind):
        return f'CAST(to_json("{number}") AS VARCHAR)'
    if pa.types.is_binary(kind):
        return f'hex("{number}")'
    return f'CAST("{number}" AS VARCHAR)'
