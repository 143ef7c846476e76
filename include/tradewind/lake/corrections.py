"""What each partition was before it was corrected, and from when its correction was known.

A correction has no time of its own in the lake: the clock on the wall means nothing in a replay. The table does have an
order, and partitions are time. A partition that is published again when the table has reached partition *n* was not
known to be different before *n* ended.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tradewind.lake.dataset import Dataset, Lake
    from tradewind.lake.snapshot import Snapshot

ERASED = "erased"
"""Note of a commit's cause: it removed the rows of one entity, and what the partition was before is gone."""

Program = frozenset[tuple[str, str, str]]
"""``(dataset, configuration, code)`` of everything that a partition was computed by."""


@dataclass(frozen=True, slots=True)
class Revision:
    """One publication of one partition.

    :param version: table version that it made
    :param reached: newest partition that the table had by then; what this publication changed is known from its end
    :param digest: content hash of its rows
    """

    version: int
    reached: str
    digest: str


@dataclass(frozen=True, slots=True)
class _Commit:
    version: int
    reached: str
    digest: str
    cause: Mapping[str, Any]
    erased: bool


def corrected_partitions(
    lake: Lake, pipeline: str, snapshot: Snapshot, keys: Collection[str] | None = None
) -> dict[str, tuple[Revision, ...]]:
    """Publications of each partition that was corrected, oldest first; partitions that never were are not there.

    Only publications of the same program follow one another: where SQL, configuration or code changed, also of a
    dataset further up, the partition was computed anew, and what it was before is not what anybody would know today.

    :param keys: partitions to look at; None for all
    """
    # One commit makes the table, one each partition: no more, and nothing was ever published again. That is the rule,
    # and it costs no look at the log.
    if snapshot.version <= len(snapshot.partitions):
        return {}
    logs = _Logs(lake, pipeline)
    found = {}
    for key, commits in logs.of(snapshot.name).items():
        if key not in snapshot.partitions or (keys is not None and key not in keys):
            continue
        lasting = logs.lasting(snapshot.name, [commit for commit in commits if commit.version <= snapshot.version])
        if len(text := _distinct_commits(lasting)) > 1:
            found[key] = tuple(Revision(one.version, one.reached, one.digest) for one in text)
    return found


def earlier_versions(lake: Lake, pipeline: str, name: str, versions: Collection[int]) -> set[int]:
    """Versions that published what partitions held before they were corrected, as ``versions`` still know it."""
    logs = _Logs(lake, pipeline)
    found: set[int] = set()
    for commits in logs.of(name).values():
        if len(commits) == 1:
            continue
        # what a version knows of a partition changes with the partition's publications only
        counts = {sum(commit.version <= version for commit in commits) for version in versions}
        for count in counts:
            text = _distinct_commits(logs.lasting(name, commits[:count]))
            found |= {commit.version for commit in text[:-1]}
    return found


def _distinct_commits(commits: Sequence[_Commit]) -> list[_Commit]:
    """Without corrections that were overtaken before anybody could know them, and those that changed nothing."""
    after = [*commits[1:], None]
    seen = [
        one for n, one in enumerate(commits) if n == 0 or (next_ := after[n]) is None or next_.reached != one.reached
    ]
    return [one for n, one in enumerate(seen) if n == 0 or one.digest != seen[n - 1].digest]


class _Logs:
    """The commits of a pipeline's tables, each read once."""

    def __init__(self, lake: Lake, pipeline: str) -> None:
        self._lake, self._pipeline = lake, pipeline
        self._read: dict[str, dict[str, list[_Commit]]] = {}
        self._programs: dict[tuple[str, str, str], Program] = {}

    def of(self, name: str) -> dict[str, list[_Commit]]:
        if name not in self._read:
            self._read[name] = _commits(self._lake.dataset(self._pipeline, name))
        return self._read[name]

    def lasting(self, name: str, commits: Sequence[_Commit]) -> list[_Commit]:
        """The newest commits that came from the newest one's program."""
        lasting = list(commits[-1:])
        for commit in reversed(commits[:-1]):
            if lasting[0].erased or self._program(name, commit) != self._program(name, lasting[0]):
                break
            lasting.insert(0, commit)
        return lasting

    def _program(self, name: str, commit: _Commit) -> Program:
        parts = {(name, str(commit.cause.get("config", "")), str(commit.cause.get("code", "")))}
        for given, digest in commit.cause.get("inputs", {}).items():
            dataset, _, key = str(given).rpartition("/")
            if dataset and dataset != name:
                parts |= self._input(dataset, key, str(digest))
        return frozenset(parts)

    def _input(self, dataset: str, key: str, digest: str) -> Program:
        asked = (dataset, key, digest)
        if asked not in self._programs:
            made = [commit for commit in self.of(dataset).get(key, []) if commit.digest == digest]
            self._programs[asked] = self._program(dataset, made[-1]) if made else frozenset()
        return self._programs[asked]


def _commits(dataset: Dataset) -> dict[str, list[_Commit]]:
    """Publications by partition, oldest first."""
    snapshot = dataset.snapshot()
    found: dict[str, list[_Commit]] = {}
    reached = ""
    # The log is never cut, so a commit's place is its version; what deltalake says of a pinned table's is not.
    for version, info in enumerate(reversed(snapshot.table.history() if snapshot else [])):
        key = info.get("partition")
        if not isinstance(key, str) or "digest" not in info:
            continue
        reached = max(reached, key)
        cause = json.loads(info.get("cause") or "{}")
        found.setdefault(key, []).append(
            _Commit(version, reached, str(info["digest"]), cause, ERASED in cause.get("notes", {}))
        )
    return found
