"""The lake: Delta tables that are written partition by partition.

A partition is staged (written and hashed in private), then published with one atomic commit or put in quarantine.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from tradewind.lake import publish, staging, storage
from tradewind.lake.cause import Cause
from tradewind.lake.duplicates import DuplicateRule
from tradewind.lake.parquet import CopyableRows
from tradewind.lake.publish import PublishedPartition
from tradewind.lake.snapshot import Snapshot
from tradewind.lake.staging import StagedPartition

if TYPE_CHECKING:
    import pyarrow as pa

_NOTHING: Mapping[str, str] = MappingProxyType({})


class Lake:
    """All datasets of a deployment, at ``<root>/<pipeline>/<dataset>``.

    :param root: a local folder
    :param storage_options: credentials, as deltalake takes them
    """

    def __init__(self, root: str, *, storage_options: Mapping[str, str] = _NOTHING) -> None:
        self.root = root.rstrip("/")
        self.storage_options = storage_options

    def dataset(self, pipeline: str, name: str) -> Dataset:
        """The dataset ``name`` of ``pipeline``, whether there is a table yet or not."""
        return Dataset(f"{self.root}/{pipeline}/{name}", name=name, storage_options=self.storage_options)


class Dataset:
    """One Delta table.

    :param uri: the table's folder
    :param name: what messages call it
    """

    def __init__(self, uri: str, *, name: str, storage_options: Mapping[str, str] = _NOTHING) -> None:
        self.uri = uri
        self.name = name
        self.storage_options = storage_options
        self._newest: Snapshot | None = None

    def snapshot(self, version: int | None = None) -> Snapshot | None:
        """The dataset as it is now, or at a version; None if nothing has been published yet."""
        from deltalake import DeltaTable
        from deltalake.exceptions import TableNotFoundError

        if version is None and self._newest is not None and self._is_newest(self._newest.version):
            return self._newest
        try:
            table = DeltaTable(self.uri, version=version, storage_options=dict(self.storage_options))
        except TableNotFoundError:
            return None
        found = Snapshot(table, name=self.name, uri=self.uri)
        if version is None:
            self._newest = found
        return found

    def _is_newest(self, version: int) -> bool:
        """Whether no commit came after ``version``; reading the log again takes longer the more of it there is."""
        if "://" in self.uri:
            return False
        log = storage.local_path(self.uri) / "_delta_log"
        return (log / f"{version:020}.json").exists() and not (log / f"{version + 1:020}.json").exists()

    def base(self, key: str) -> frozenset[str]:
        """The partition's published files: what it is, for :meth:`stage` to compare with later."""
        snapshot = self.snapshot()
        found = snapshot.partitions.get(key) if snapshot else None
        return found.files if found else frozenset()

    def stage(
        self,
        key: str,
        rows: pa.RecordBatchReader | CopyableRows,
        *,
        run_columns: Sequence[str] = (),
        base: frozenset[str] | None = None,
        duplicates: DuplicateRule | None = None,
    ) -> StagedPartition:
        """Write rows where no reader sees them, and hash them; memory does not grow with the rows.

        :param key: partition key
        :param rows: the rows, without the column `partition`
        :param run_columns: columns that differ between two runs over the same input; not part of the digest
        :param base: the partition's :meth:`base` before its inputs were looked up; None: as it is now. Publishing is
            refused if it has changed since
        :param duplicates: which of the rows with the same keys is kept; None: all
        :raises UsageError: a column that a Delta table cannot hold, or a timestamp without a zone
        :raises MalformedInput: ``duplicates`` cannot decide between rows
        """
        base = self.base(key) if base is None else base
        return staging.stage_rows(
            rows,
            table=self.uri,
            name=self.name,
            key=key,
            base=base,
            run_columns=run_columns,
            duplicates=duplicates,
        )

    def publish(
        self, staged: StagedPartition, *, cause: Cause, run_id: str, new_columns: Literal["refuse", "take"] = "refuse"
    ) -> PublishedPartition:
        """Replace the partition by the staged rows with one commit; see :func:`publish.publish_partition`.

        :raises Conflict: the partition has changed since staging began
        :raises UsageError: the columns differ from the table's
        """
        return publish.publish_partition(self, staged, cause=cause, run_id=run_id, new_columns=new_columns)

    def quarantine(self, staged: StagedPartition, *, reasons: Sequence[str]) -> str:
        """Put the staged rows aside together with the reasons; the same rows are kept once.

        :returns: the folder that holds them
        """
        about = {
            "dataset": self.name,
            "partition": staged.key,
            "digest": staged.digest,
            "rows": staged.rows,
            "reasons": list(reasons),
        }
        (staged.folder / "reasons.json").write_text(json.dumps(about, indent=2), encoding="utf-8")
        target = storage.local_path(self.uri) / storage.QUARANTINE / staged.key / staged.digest
        storage.move_folder(staged.folder, target)
        return str(target)

    def discard(self, staged: StagedPartition) -> None:
        """Remove the staged rows; nothing happens if they are gone already."""
        storage.remove_path(staged.folder)
