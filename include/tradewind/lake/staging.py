"""Rows that are written and hashed, but that no reader sees yet."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tradewind.core.disk import translate_disk_errors
from tradewind.errors import UsageError
from tradewind.lake import parquet, storage
from tradewind.lake.digests import hash_files
from tradewind.lake.duplicates import DuplicateRule, resolve_duplicates
from tradewind.lake.parquet import ArrowRows, CopyableRows
from tradewind.lake.schema import lake_schema

if TYPE_CHECKING:
    import pyarrow as pa


_FIRST, _LAST = -719_162, 2_932_897  # days from 1970 to the year 1, and to the year 10000
_DAY = 86_400_000_000  # microseconds


@dataclass(frozen=True, slots=True)
class StagedPartition:
    """One partition's rows in a private folder.

    :param key: partition key
    :param schema: the rows' columns, without `partition`
    :param digest: content hash without the run columns
    :param base: the partition's published files when staging began; publishing is refused if these have changed
    :param dropped: rows that a rule for duplicates left out
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
    dropped: int = 0


def stage_rows(
    rows: pa.RecordBatchReader | CopyableRows,
    *,
    table: str,
    name: str,
    key: str,
    base: frozenset[str],
    run_columns: Sequence[str] = (),
    duplicates: DuplicateRule | None = None,
) -> StagedPartition:
    """Write rows as Parquet into a new private folder of ``table``, in bounded memory, and hash them.

    Nothing is left behind if that fails.

    :param duplicates: which of the rows with the same keys are kept; None: all
    :raises UsageError: a key or column that the lake cannot hold, or a time that is not in the years 1 to 9999
    :raises MalformedInput: rows with the same keys between which ``duplicates`` cannot decide
    :raises StorageFault: a disk is full, read-only or failing
    """
    what = f"dataset {name}, partition {key}"
    if not re.fullmatch(r"[0-9A-Za-z][0-9A-Za-z_.-]*", key):
        raise UsageError(f"dataset {name}: {key!r} cannot be a partition key; use letters, digits, `-`, `_` and `.`")
    schema = lake_schema(rows.schema, what=what)
    unknown = sorted(set(run_columns) - set(schema.names))
    if unknown:
        raise UsageError(f"{what}: no run column {', '.join(unknown)}; it has {', '.join(schema.names)}")
    token = uuid.uuid4().hex[:12]
    folder = storage.new_folder(table, token)
    try:
        with translate_disk_errors(f"{what}: its rows cannot be staged", folder):
            source = rows if isinstance(rows, CopyableRows) else ArrowRows(rows, folder)
            paths, dropped = parquet.write_parquet(source, schema, folder), 0
            if duplicates:
                paths, dropped = resolve_duplicates(paths, schema, folder, rule=duplicates, what=what)
            _refuse_far_times(paths, schema, what=what)
            hashed = hash_files(paths, schema, without=run_columns)
    except BaseException:
        storage.remove_path(folder)
        raise
    return StagedPartition(name, key, token, folder, paths, hashed.rows, hashed.digest, schema, base, dropped)


def _refuse_far_times(paths: Sequence[Path], schema: pa.Schema, *, what: str) -> None:
    """See in the files' footers that no time is infinite, before Christ or in a year that Python does not have."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    units = {f.name: 1 if pa.types.is_date(f.type) else _DAY for f in schema if pa.types.is_temporal(f.type)}
    for path in paths if units else ():
        footer = pq.read_metadata(path)
        for number in range(footer.num_row_groups):
            group = footer.row_group(number)
            for column in (group.column(place) for place in range(group.num_columns)):
                unit, found = units.get(column.path_in_schema), column.statistics
                if unit is None or found is None or not found.has_min_max:
                    continue
                if found.min_raw < _FIRST * unit or found.max_raw >= _LAST * unit:
                    raise UsageError(
                        f"{what}: column {column.path_in_schema} has a time that is infinite or not in the years 1 to "
                        "9999; leave it out in the SQL, or make it NULL"
                    )


def parquet_statistics(path: Path, schema: pa.Schema) -> str:
    """Row count of a Parquet file and NULLs of its columns, as Delta's log wants them."""
    import pyarrow.parquet as pq

    return json.dumps({"numRecords": pq.read_metadata(path).num_rows, "nullCount": null_counts(path, schema)})


def null_counts(path: Path, schema: pa.Schema) -> dict[str, int]:
    """NULLs of each column that is not nested, from the file's footer."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    footer = pq.read_metadata(path)
    found = {f.name: 0 for f in schema if not pa.types.is_nested(f.type)}
    for number in range(footer.num_row_groups):
        group = footer.row_group(number)
        for column in (group.column(place) for place in range(group.num_columns)):
            if column.path_in_schema not in found:
                continue
            if column.statistics is None or not column.statistics.has_null_count:
                del found[column.path_in_schema]
            else:
                found[column.path_in_schema] += column.statistics.null_count
    return found
