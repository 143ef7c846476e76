"""The commits of a table's log: when each version came to be, and from which version to which each file belongs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import unquote

from tradewind.lake import storage

if TYPE_CHECKING:
    from tradewind.lake.dataset import Dataset


@dataclass(frozen=True, slots=True)
class FileSpan:
    """A file and the versions that it belongs to.

    :param path: relative to the table
    :param added: first version that has it
    :param removed: first later version that does not; None while the newest has it
    """

    path: str
    added: int
    removed: int | None

    def within(self, version: int) -> bool:
        """Whether ``version`` has the file."""
        return self.added <= version and (self.removed is None or version < self.removed)


@dataclass(frozen=True, slots=True)
class TableLog:
    """What the log says.

    :param files: every file that ever belonged to the table
    :param committed: moment of each commit (wall clock, UTC), by version
    """

    files: tuple[FileSpan, ...]
    committed: tuple[datetime, ...]

    def version_at(self, moment: datetime) -> int:
        """Version that was the newest at ``moment``; 0 if there was none yet."""
        return max((version for version, at in enumerate(self.committed) if at <= moment), default=0)


def read_table_log(dataset: Dataset) -> TableLog:
    """Read the whole log; it is never cut, so every version is in it. Empty if there is no table."""
    folder = storage.local_path(dataset.uri) / "_delta_log"
    files: dict[str, FileSpan] = {}
    committed: list[datetime] = []
    for version, path in enumerate(sorted(folder.glob("[0-9]*[0-9].json")) if folder.is_dir() else []):
        milliseconds = 0
        for line in path.read_text(encoding="utf-8").splitlines():
            action = json.loads(line)
            milliseconds = action.get("commitInfo", {}).get("timestamp", milliseconds)
            if "add" in action:
                name = unquote(action["add"]["path"])
                files[name] = FileSpan(name, version, None)
            elif "remove" in action:
                name = unquote(action["remove"]["path"])
                # a commit may remove and add one name; what is added stays
                if name in files and files[name].added < version:
                    files[name] = FileSpan(name, files[name].added, version)
        committed.append(datetime.fromtimestamp(milliseconds / 1000, UTC))
    return TableLog(tuple(files.values()), tuple(committed))
