"""Publishing: one atomic commit that replaces one partition, as a compare-and-swap."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from tradewind.core.disk import storage_fault, translate_disk_errors
from tradewind.errors import Conflict, Unavailable, UsageError
from tradewind.lake import storage
from tradewind.lake.cause import Cause
from tradewind.lake.schema import PARTITION, extended_schema, schema_differences
from tradewind.lake.snapshot import PartitionState, Snapshot, file_name
from tradewind.lake.staging import StagedPartition, parquet_statistics

if TYPE_CHECKING:
    import pyarrow as pa


# Another partition's commit costs one attempt; 8 processes that commit without a pause need about ten.
_ATTEMPTS = 60
_CONFIGURATION = {"delta.enableExpiredLogCleanup": "false", "delta.checkpointInterval": "10"}


class PublishableTable(Protocol):
    """What publishing needs of a dataset; ``lake.dataset.Dataset`` is one."""

    uri: str
    name: str
    storage_options: Mapping[str, str]

    def snapshot(self) -> Snapshot | None:
        """The table as it is now; None if there is none."""


@dataclass(frozen=True, slots=True)
class PublishedPartition:
    """A partition as it is in the table now.

    :param version: table version in which it is (not necessarily the one that wrote it)
    :param changed: False if it was there already, from the same cause
    """

    dataset: str
    partition: str
    version: int
    digest: str
    rows: int
    changed: bool


def publish_partition(
    dataset: PublishableTable,
    staged: StagedPartition,
    *,
    cause: Cause,
    run_id: str,
    new_columns: Literal["refuse", "take"] = "refuse",
) -> PublishedPartition:
    """Replace the partition ``staged.key`` by the staged rows in one commit.

    Nothing happens if the partition is there already from the same cause. Commits of other partitions do no harm.

    :param new_columns: what columns mean that the table does not have: an error, or the same commit adds them
    :raises Conflict: the partition has changed since staging began
    :raises UsageError: the columns differ from the table's
    :raises StorageFault: the lake's disk is full, read-only or failing
    """
    with translate_disk_errors(f"dataset {dataset.name}, partition {staged.key}: it cannot be published", dataset.uri):
        return _publish(dataset, staged, cause=cause, run_id=run_id, take_new=new_columns == "take")


def _publish(
    dataset: PublishableTable, staged: StagedPartition, *, cause: Cause, run_id: str, take_new: bool
) -> PublishedPartition:
    ours = {_target(staged, cause, number): path for number, path in enumerate(staged.paths)}
    for attempt in range(_ATTEMPTS):
        snapshot = _open(dataset, staged.schema)
        found = snapshot.partitions.get(staged.key)
        if found and found.files == frozenset(ours):
            storage.remove_path(staged.folder)
            return _published(snapshot, found, changed=True)
        if found and found.cause == cause.hash:
            _withdraw(dataset, staged, ours)
            return _published(snapshot, found, changed=False)
        if refusal := _refusal(dataset, staged, snapshot, found, take_new=take_new):
            _withdraw(dataset, staged, ours)
            raise refusal
        if not attempt:
            storage.move_files([(path, storage.local_path(dataset.uri) / target) for target, path in ours.items()])
        if not commit_partition(dataset, staged, snapshot, ours, cause=cause, run_id=run_id):
            time.sleep(random.uniform(0, 0.01 * min(attempt + 1, 20)))
    storage.remove_path(staged.folder)
    raise Unavailable(
        f"dataset {dataset.name}, partition {staged.key}: {_ATTEMPTS} commits were overtaken by others; try again"
    )


def _target(staged: StagedPartition, cause: Cause, number: int) -> str:
    return file_name(staged.key, cause=cause.hash, digest=staged.digest, token=staged.token, number=number)


def _open(dataset: PublishableTable, schema: pa.Schema) -> Snapshot:
    """The newest snapshot; the table is made if there is none, by whichever process comes first."""
    import pyarrow as pa
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError

    if (snapshot := dataset.snapshot()) is not None:
        return snapshot
    columns = schema.append(pa.field(PARTITION, pa.string()))
    try:
        DeltaTable.create(
            dataset.uri,
            schema=columns,
            partition_by=[PARTITION],
            configuration=_CONFIGURATION,
            storage_options=dict(dataset.storage_options),
        )
    except DeltaError:
        if dataset.snapshot() is None:
            raise
    return _open(dataset, schema)


def _refusal(
    dataset: PublishableTable,
    staged: StagedPartition,
    snapshot: Snapshot,
    found: PartitionState | None,
    *,
    take_new: bool,
) -> Exception | None:
    what = f"dataset {dataset.name}, partition {staged.key}"
    if differing := schema_differences(staged.schema, snapshot.schema, take_new=take_new):
        new = any(f.name not in snapshot.schema.names for f in staged.schema) and not take_new
        return UsageError(
            f"{what}: the columns differ from the table's at {dataset.uri}: {'; '.join(differing)}. "
            "Change the SQL back, or give the dataset a new name"
            + ("; `new_columns: take` in the YAML adds new columns to the table" if new else "")
        )
    if (found.files if found else frozenset()) != staged.base:
        return Conflict(
            f"{what}: another run published it after this one began to stage it (table version {snapshot.version}); "
            "what that run published stands, this run's rows are dropped"
        )
    return None


def commit_partition(
    dataset: PublishableTable,
    staged: StagedPartition,
    snapshot: Snapshot,
    ours: Mapping[str, Path],
    *,
    cause: Cause,
    run_id: str,
) -> bool:
    """Commit on top of exactly ``snapshot``; False if any other commit came first.

    deltalake's own retries are off: it finds no conflict between two first writes of one partition and keeps both.
    """
    from deltalake import CommitProperties
    from deltalake.exceptions import CommitFailedError
    from deltalake.transaction import AddAction, RemoveAction

    root = storage.local_path(dataset.uri)
    now = int(time.time() * 1000)
    stats = partial(parquet_statistics, schema=staged.schema)
    actions: list[AddAction | RemoveAction] = [
        AddAction(target, (root / target).stat().st_size, {PARTITION: staged.key}, now, True, stats(root / target))
        for target in ours
    ]
    about = {"run_id": run_id, "partition": staged.key, "digest": staged.digest, "cause": cause.as_json()}
    try:
        snapshot.table.create_write_transaction(
            actions,
            mode="overwrite",
            schema=extended_schema(snapshot.schema, staged.schema),
            partition_by=[PARTITION],
            partition_filters=[(PARTITION, "=", staged.key)],
            commit_properties=CommitProperties(custom_metadata=about, max_commit_retries=0),
        )
    except CommitFailedError as exc:
        # What kept it from being written is not another commit.
        if storage_fault(exc, "") is not None:
            raise
        return False
    return True


def _withdraw(dataset: PublishableTable, staged: StagedPartition, ours: Mapping[str, Path]) -> None:
    """Remove files that a snapshot has just shown not to be in the table."""
    storage.remove_path(staged.folder)
    for target in ours:
        storage.remove_path(storage.local_path(dataset.uri) / target)


def _published(snapshot: Snapshot, state: PartitionState, *, changed: bool) -> PublishedPartition:
    return PublishedPartition(snapshot.name, state.key, snapshot.version, state.digest, state.rows, changed)
