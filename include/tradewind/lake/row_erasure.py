"""Removing the rows of one entity from a dataset: from what is published, from every old version, from quarantine."""

from __future__ import annotations

import random
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from tradewind.engine.database import connect_duckdb, quote_identifier, quote_string, quote_strings
from tradewind.errors import Unavailable
from tradewind.lake import publish, storage
from tradewind.lake import table_log as logs
from tradewind.lake.cause import Cause
from tradewind.lake.corrections import ERASED
from tradewind.lake.snapshot import PartitionState, Snapshot, file_name
from tradewind.lake.table_log import FileSpan
from tradewind.lake.vacuum import last_change

if TYPE_CHECKING:
    import pyarrow as pa

    from tradewind.lake.dataset import Dataset

_ATTEMPTS = 20
# A file that is there and not in the log may be committed in the next moment; after a day it will not be.
_UNCOMMITTED = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class ErasedRows:
    """What was removed from one dataset, or would be.

    :param partitions: published partitions that held rows of the entity
    :param rows: how many rows, in these
    :param files: files of old versions that held some, relative to the table
    :param quarantined: folders of the quarantine that held some; they are removed whole
    :param gone: the files of old versions as the log knows them: what can no longer be read
    :param staged: whether a run has staged rows of the entity right now; erase again when it has ended
    """

    dataset: str
    partitions: tuple[str, ...]
    rows: int
    files: tuple[str, ...]
    quarantined: tuple[str, ...]
    gone: tuple[FileSpan, ...]
    staged: bool

    @property
    def versions(self) -> list[int]:
        """Versions that can no longer be read whole."""
        return sorted({v for span in self.gone for v in range(span.added, span.removed or span.added + 1)})

    @property
    def found(self) -> bool:
        """Whether there was anything of the entity."""
        return bool(self.partitions or self.files or self.quarantined or self.staged)


def erase_rows(
    dataset: Dataset,
    entity: Mapping[str, str],
    *,
    run_id: str,
    run_columns: Collection[str] = (),
    now: datetime,
    dry_run: bool = False,
) -> ErasedRows:
    """Remove every row whose columns have the values of ``entity``, and every old file that holds one.

    Each partition is replaced with one commit that keeps its cause, so it is not taken for stale; a commit that another
    run overtakes is made again on top of that. A run that was killed is finished by the next one.

    :param entity: text of the values by column; rows with all of them are the entity's
    :param run_columns: columns of the dataset that its digests leave out
    :param now: the present, aware
    :raises Unavailable: others publish the same partitions all the time
    """
    root = storage.local_path(dataset.uri)
    partitions: dict[str, int] = {}
    for _ in range(_ATTEMPTS):
        snapshot = dataset.snapshot()
        try:
            held = _held(dataset, snapshot, entity) if snapshot else {}
        except _Overtaken:
            continue
        partitions |= held
        if not held or dry_run or snapshot is None:
            break
        causes = _causes(snapshot)
        for key in held:
            state, cause = snapshot.partitions[key], causes.get(key, Cause({}, "", ""))
            cause = replace(cause, notes={**cause.notes, ERASED: True})
            _replace(dataset, state, entity, cause=cause, run_id=run_id, run_columns=run_columns)
    else:
        raise Unavailable(
            f"dataset {dataset.name}: {_newest_run(dataset)} publishes while rows are erased, {_ATTEMPTS} times in a "
            "row; erase again when it has ended"
        )
    files = _old(dataset, root, entity, now=now, dry_run=dry_run)
    quarantined = _quarantined(root, entity)
    if not dry_run:
        for path in (*files, *quarantined):
            storage.remove_path(root / path)
    gone = tuple(span for span in logs.read_table_log(dataset).files if span.path in files)
    staged = bool(files_with_entity(list((root / storage.STAGING).rglob("*.parquet")), entity))
    rows = sum(partitions.values())
    return ErasedRows(dataset.name, tuple(sorted(partitions)), rows, files, quarantined, gone, staged)


class _Overtaken(Exception):
    """Published files are gone: another run has replaced them since the snapshot was read."""


def _newest_run(dataset: Dataset) -> str:
    """The run that committed last, in words."""
    snapshot = dataset.snapshot()
    commits = snapshot.table.history(1) if snapshot else []
    run = commits[0].get("run_id") if commits else None
    return f"run {run}" if run else "another run"


def missing_files(dataset: Dataset, *, besides: Collection[str] = ()) -> list[FileSpan]:
    """Files that versions have by the log and that are not there any more.

    :param besides: files that count as gone already
    """
    root = storage.local_path(dataset.uri)
    return [
        span for span in logs.read_table_log(dataset).files if span.path in besides or not (root / span.path).exists()
    ]


def breaks_version(gone: Sequence[FileSpan], version: int, partitions: Collection[str] | None = None) -> bool:
    """Whether something of ``version`` is gone; with ``partitions``, something of these."""
    return any(span.within(version) and (partitions is None or _partition(span) in partitions) for span in gone)


def _partition(span: FileSpan) -> str:
    return span.path.split("/", 1)[0].removeprefix("partition=")


def files_with_entity(paths: Collection[Path], entity: Mapping[str, str]) -> dict[Path, int]:
    """Rows of the entity by Parquet file; files without any, or without one of the columns, are not there."""
    import duckdb

    while fit := [path for path in paths if set(entity) <= _names(path)]:
        try:
            with connect_duckdb() as connection:
                options = "union_by_name = true, hive_partitioning = false, filename = true"
                read = f"read_parquet({quote_strings(fit)}, {options})"
                query = f"SELECT filename, count(*) FROM {read} WHERE {_is(entity)} GROUP BY filename"
                return {Path(name): int(rows) for name, rows in connection.execute(query).fetchall()}
        except duckdb.IOException:
            if all(path.exists() for path in fit):
                raise
            paths = fit  # another run removed some in between; the others are looked at again
    return {}


def _names(path: Path) -> set[str]:
    """Columns of a Parquet file; none if it is gone by now, or is not whole."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return set(pq.read_schema(path).names)
    except (OSError, pa.ArrowInvalid):
        return set()


def published_and_old(dataset: Dataset) -> list[Path]:
    """Every file of every version that is still there."""
    return sorted(storage.local_path(dataset.uri).glob("partition=*/*.parquet"))


def _is(entity: Mapping[str, str]) -> str:
    """SQL: whether a row is the entity's; never NULL."""
    same = [f"CAST({quote_identifier(name)} AS VARCHAR) = {quote_string(value)}" for name, value in entity.items()]
    return f"coalesce({' AND '.join(same)}, false)"


def _held(dataset: Dataset, snapshot: Snapshot, entity: Mapping[str, str]) -> dict[str, int]:
    """Rows of the entity by published partition."""
    root = storage.local_path(dataset.uri)
    keys = {root / file: key for key, state in snapshot.partitions.items() for file in state.files}
    found: dict[str, int] = {}
    for path, rows in files_with_entity(keys, entity).items():
        found[keys[path]] = found.get(keys[path], 0) + rows
    if not all(path.exists() for path in keys):
        raise _Overtaken  # what replaced them may hold rows of the entity too
    return found


def _replace(
    dataset: Dataset,
    state: PartitionState,
    entity: Mapping[str, str],
    *,
    cause: Cause,
    run_id: str,
    run_columns: Collection[str],
) -> None:
    """Commit the partition without the entity, unless another commit of it came first."""
    import duckdb

    files = [str(storage.local_path(dataset.uri) / file) for file in sorted(state.files)]
    try:
        with _others(files, entity) as rows:
            columns = [name for name in run_columns if name in rows.schema.names]
            staged = dataset.stage(state.key, rows, run_columns=columns, base=state.files)
    except (OSError, RuntimeError, duckdb.Error):
        if all(Path(file).exists() for file in files):
            raise
        return  # another run has replaced the partition: the caller looks at what is published now
    try:
        ours = {
            file_name(state.key, cause=state.cause, digest=staged.digest, token=staged.token, number=number): path
            for number, path in enumerate(staged.paths)
        }
        root = storage.local_path(dataset.uri)
        storage.move_files([(path, root / target) for target, path in ours.items()])
        while (snapshot := dataset.snapshot()) is not None:
            found = snapshot.partitions.get(state.key)
            if found is None or found.files != state.files:
                for target in ours:
                    storage.remove_path(root / target)
                return
            if publish.commit_partition(dataset, staged, snapshot, ours, cause=cause, run_id=run_id):
                return
            time.sleep(random.uniform(0, 0.05))
    finally:
        dataset.discard(staged)


@contextmanager
def _others(files: Sequence[str], entity: Mapping[str, str]) -> Iterator[pa.RecordBatchReader]:
    """The rows that are not the entity's, in bounded memory."""
    with connect_duckdb() as connection:
        query = f"SELECT * FROM read_parquet({quote_strings(files)}, union_by_name = true, hive_partitioning = false)"
        yield connection.sql(f"{query} WHERE NOT {_is(entity)}").to_arrow_reader()


def _causes(snapshot: Snapshot) -> dict[str, Cause]:
    """Why each partition has its content, as its newest commit says."""
    found: dict[str, Cause] = {}
    for info in snapshot.table.history():
        if "cause" in info and "partition" in info:
            found.setdefault(info["partition"], Cause.from_json(info["cause"]))
    return found


def _old(dataset: Dataset, root: Path, entity: Mapping[str, str], *, now: datetime, dry_run: bool) -> tuple[str, ...]:
    """Files of old versions, and files that will never be committed, that hold rows of the entity."""
    spans = {root / span.path: span for span in logs.read_table_log(dataset).files}
    before = now + storage.clock_difference(root) - _UNCOMMITTED

    def old(path: Path) -> bool:
        if (span := spans.get(path)) is None:
            return last_change(path) < before
        return span.removed is not None or dry_run  # what is published would be replaced first

    there = [path for path in published_and_old(dataset) if old(path)]
    return tuple(sorted(path.relative_to(root).as_posix() for path in files_with_entity(there, entity)))


def _quarantined(root: Path, entity: Mapping[str, str]) -> tuple[str, ...]:
    """Folders of the quarantine with rows of the entity: as rows, or within the text of malformed ones."""
    folder = root / storage.QUARANTINE
    there = list(folder.rglob("*.parquet"))
    held = [*files_with_entity(there, entity), *(path for path in there if _mentions(path, entity))]
    found = {path.relative_to(folder).parts[:2] for path in held}
    return tuple(sorted(Path(storage.QUARANTINE, *parts).as_posix() for parts in found))


def _mentions(path: Path, entity: Mapping[str, str]) -> bool:
    """Whether a malformed row's text has all of the values in it: it was never taken apart."""
    if not {"line", "reason", "text"} <= _names(path):
        return False
    same = " AND ".join(f"contains(CAST(text AS VARCHAR), {quote_string(value)})" for value in entity.values())
    import duckdb

    try:
        with connect_duckdb() as connection:
            query = f"SELECT count(*) FROM read_parquet({quote_strings([path])}) WHERE {same}"
            return bool(connection.execute(query).fetchall()[0][0])
    except duckdb.IOException:
        if path.exists():
            raise
        return False  # released or removed in between
