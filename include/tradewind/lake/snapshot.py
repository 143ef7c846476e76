"""One version of a dataset: which partitions it has, and their rows."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from tradewind.errors import MissingInput

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.dataset as pads
    from deltalake import DeltaTable

# partition=<key>/<cause>-<digest>-<staging><n>.parquet: the active files of a version say what its partitions are.
_FILE = re.compile(r"partition=[^/]+/(?P<cause>[0-9a-f]{32})-(?P<digest>[0-9]+\.[0-9a-f]{32})-[0-9a-f]+-\d+\.parquet")


def file_name(key: str, *, cause: str, digest: str, token: str, number: int) -> str:
    """Path of a published file below its table."""
    return f"partition={key}/{cause}-{digest}-{token}-{number}.parquet"


@dataclass(frozen=True, slots=True)
class PartitionState:
    """One partition of one version.

    :param digest: content hash of its rows
    :param cause: hash of what made it (:class:`tradewind.lake.cause.Cause`)
    :param rows: number of rows
    :param files: its files, relative to the table
    """

    key: str
    digest: str
    cause: str
    rows: int
    files: frozenset[str]


class Snapshot:
    """A dataset as it is at one table version; later commits do not change what it gives."""

    def __init__(self, table: DeltaTable, *, name: str, uri: str) -> None:
        self.table = table
        self.name = name
        self._uri = uri
        self.version = table.version()

    @cached_property
    def partitions(self) -> Mapping[str, PartitionState]:
        """State of every partition, by key, in order; read from the table's file list alone."""
        import pyarrow as pa

        found: dict[str, list[tuple[str, int]]] = {}
        actions = pa.table(self.table.get_add_actions(flatten=True))
        wanted = ("partition.partition", "path", "num_records")
        columns = [actions[name].to_pylist() for name in wanted] if actions.num_rows else [[], [], []]
        for key, path, rows in zip(*columns, strict=True):
            found.setdefault(key, []).append((path, rows))
        return {key: _state(key, found[key]) for key in sorted(found)}

    @property
    def schema(self) -> pa.Schema:
        """Columns of the table, `partition` included."""
        import pyarrow as pa

        return pa.schema(self.table.schema().to_arrow())

    def arrow(self, keys: Sequence[str] | None = None) -> pads.Dataset:
        """The rows, read lazily; the schema has the column `partition`.

        :param keys: partitions; None for all
        :raises MissingInput: a partition that this version does not have, or whose files were removed since
        """
        import pyarrow.dataset as pads

        missing = [key for key in keys or () if key not in self.partitions]
        if missing:
            raise MissingInput(
                f"dataset {self.name}, version {self.version}: no partition {', '.join(missing)}; run its etl"
            )
        self._require_files(keys)
        if keys is None:
            return self.table.to_pyarrow_dataset()
        if not keys:
            return pads.dataset(self.schema.empty_table())
        return self.table.to_pyarrow_dataset(file_pruning_predicate=[("partition", "in", list(keys))])

    def _require_files(self, keys: Sequence[str] | None) -> None:
        """See that the files of an old version are still there; an object store says so by itself when it is read."""
        if "://" in self._uri:
            return
        root = Path(self._uri)
        for key in self.partitions if keys is None else keys:
            if not all((root / file).exists() for file in self.partitions[key].files):
                raise MissingInput(
                    f"dataset {self.name}, version {self.version}: files of partition {key} are gone, vacuumed or "
                    "erased; what was made from this version cannot be made again. `tradewind history` tells when"
                )


def _state(key: str, files: list[tuple[str, int]]) -> PartitionState:
    paths = frozenset(path for path, _ in files)
    rows = sum(count or 0 for _, count in files)
    names = {(m["cause"], m["digest"]) if (m := _FILE.fullmatch(path)) else None for path in paths}
    if len(names) == 1 and (name := names.pop()):
        return PartitionState(key, name[1], name[0], rows, paths)
    return PartitionState(key, "unknown", "unknown", rows, paths)
