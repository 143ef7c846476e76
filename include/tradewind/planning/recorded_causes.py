"""What the commits of a dataset say about its partitions: what each was made from, and by what."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from tradewind.lake.cause import Cause

if TYPE_CHECKING:
    from tradewind.lake.snapshot import Snapshot

_MARGIN = 16


def read_recorded_causes(snapshot: Snapshot, keys: Collection[str]) -> dict[str, Cause]:
    """Cause of each partition, with its parts, from the newest commits backwards until all are found.

    A partition whose commit does not fit its files (another tool wrote it) is not there.

    :param keys: partitions of the snapshot
    """
    wanted = {key for key in keys if key in snapshot.partitions}
    limit: int | None = len(snapshot.partitions) + _MARGIN
    while True:
        commits = snapshot.table.history(limit)
        found = _newest_causes(commits, wanted, snapshot)
        if len(found) == len(wanted) or limit is None or len(commits) < limit:
            return found
        limit = None if limit > 1_000 else limit * 8


def _newest_causes(
    commits: Iterable[Mapping[str, Any]], wanted: Collection[str], snapshot: Snapshot
) -> dict[str, Cause]:
    newest: dict[str, Cause] = {}
    for commit in commits:
        key = commit.get("partition")
        if isinstance(key, str) and key in wanted and key not in newest and "cause" in commit:
            newest[key] = Cause.from_json(str(commit["cause"]))
    return {key: cause for key, cause in newest.items() if cause.hash == snapshot.partitions[key].cause}
