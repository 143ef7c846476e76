"""Removing what no version needs any more: files of old versions, what was never committed, old quarantine."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

from tradewind.lake import storage
from tradewind.lake import table_log as logs
from tradewind.lake.table_log import FileSpan

if TYPE_CHECKING:
    from tradewind.lake.dataset import Dataset

# Between a file's move to its place and its commit lie milliseconds; a day is for clocks and network disks.
_UNCOMMITTED = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class VacuumedFiles:
    """What was removed from one dataset, or would be.

    :param files: files of versions that are not needed, relative to the table
    :param uncommitted: files that no version ever had
    :param quarantined: folders of the quarantine
    :param bytes: size of all of these
    :param versions: number of versions that can still be read whole
    """

    dataset: str
    files: tuple[str, ...]
    uncommitted: tuple[str, ...]
    quarantined: tuple[str, ...]
    bytes: int
    versions: int

    @property
    def removed(self) -> int:
        """Number of things removed."""
        return len(self.files) + len(self.uncommitted) + len(self.quarantined)


def vacuum_dataset(
    dataset: Dataset,
    *,
    pinned: Collection[int],
    history: timedelta,
    quarantine: timedelta,
    now: datetime,
    before_corrections: Callable[[Collection[int]], Collection[int]] = lambda _: (),
    dry_run: bool = False,
) -> VacuumedFiles:
    """Remove files of versions that are neither pinned, nor the newest, nor younger than ``history``.

    Staged rows are not touched, nor is a file that is younger than a day: its commit may be on its way. The log stays
    whole, so every version is still known; one whose files are gone says so when it is read.

    :param pinned: versions that something refers to
    :param history: how long every version is kept
    :param quarantine: how long rows in quarantine are kept
    :param now: the present, aware
    :param before_corrections: versions that published what the given versions need beside their own files
    """
    root = storage.local_path(dataset.uri)
    found = _published(root)  # before the log: what is committed after this line is in neither and stays
    log = logs.read_table_log(dataset)
    newest = len(log.committed) - 1
    kept = {version for version in pinned if version <= newest} | set(range(log.version_at(now - history), newest + 1))
    earlier = set(before_corrections(kept))
    known = {span.path for span in log.files}
    stamped = now + storage.clock_difference(root)
    stale = tuple(sorted(set(found) & (known - _needed(log.files, sorted(kept), earlier))))
    young = stamped - _UNCOMMITTED
    lost = tuple(sorted(path for path in found if path not in known and last_change(root / path) < young))
    old = tuple(sorted(_old(root / storage.QUARANTINE, stamped - quarantine)))
    size = sum(_size(root / path) for path in (*stale, *lost, *old))
    if not dry_run:
        for path in (*stale, *lost, *old):
            storage.remove_path(root / path)
    versions = _whole_versions(log.files, set(found) - set(stale), newest)
    return VacuumedFiles(dataset.name, stale, lost, old, size, versions)


def _needed(spans: Sequence[FileSpan], kept: Sequence[int], earlier: Collection[int]) -> set[str]:
    """Files of the newest version, of those that are ``kept`` (in order), and those that ``earlier`` ones published."""
    needed = set()
    for span in spans:
        first = bisect_left(kept, span.added)
        if span.removed is None or span.added in earlier or (first < len(kept) and kept[first] < span.removed):
            needed.add(span.path)
    return needed


def _whole_versions(spans: Sequence[FileSpan], there: Collection[str], newest: int) -> int:
    """How many versions have all their files; in one walk, for after years there are many of both."""
    begins_or_ends = [0] * (newest + 2)
    for span in spans:
        if span.path not in there:
            begins_or_ends[span.added] += 1
            begins_or_ends[newest + 1 if span.removed is None else span.removed] -= 1
    return sum(not gone for gone in accumulate(begins_or_ends[: newest + 1]))


def _published(root: Path) -> list[str]:
    return [path.relative_to(root).as_posix() for path in root.glob("partition=*/*.parquet")]


def _old(folder: Path, before: datetime) -> list[str]:
    """Folders ``<partition>/<digest>`` of the quarantine in which nothing changed since ``before``."""
    return [
        found.relative_to(folder.parent).as_posix()
        for found in folder.glob("*/*")
        if max((last_change(path) for path in (found, *found.rglob("*"))), default=before) < before
    ]


def last_change(path: Path) -> datetime:
    """When the file was written or moved to where it is; a moved one keeps the time of its content."""
    from datetime import UTC

    try:
        state = path.stat()
    except OSError:  # it is gone already, or was just replaced
        return datetime.max.replace(tzinfo=UTC)
    return datetime.fromtimestamp(max(state.st_mtime, state.st_ctime), UTC)


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())
