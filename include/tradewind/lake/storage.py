"""The few file operations that the lake needs beside Delta's own; the place where S3 is added."""

from __future__ import annotations

import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from tradewind.core.disk import translate_disk_errors
from tradewind.errors import UsageError

STAGING = "_staging"
QUARANTINE = "_quarantine"
_LEFTOVER_SECONDS = 24 * 3600


def local_path(uri: str) -> Path:
    """Folder of a table.

    :raises UsageError: the lake is not on a local disk
    """
    if "://" in uri:
        raise UsageError(f"the lake at {uri} is not a local path; only local lakes can be written")
    return Path(uri)


def new_folder(table: str, token: str) -> Path:
    """Make the private folder of one staging; what killed runs left more than a day ago is removed."""
    staging = local_path(table) / STAGING
    with translate_disk_errors(f"{table}: nothing can be staged", staging):
        (staging / token).mkdir(parents=True)
        now = (staging / token).stat().st_mtime
        for folder in staging.iterdir():
            if now - _last_change(folder, otherwise=now) > _LEFTOVER_SECONDS:
                remove_path(folder)
    return staging / token


def clock_difference(folder: Path) -> timedelta:
    """How far the clock that stamps files in ``folder`` is ahead of this machine's.

    On a shared disk another worker, or the server, stamps them; ages are judged by that clock.
    """
    if not folder.is_dir():
        return timedelta(0)
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".clock-") as file:
        return timedelta(seconds=Path(file.name).stat().st_mtime - time.time())


@contextmanager
def scratch_folder(table: str) -> Iterator[Path]:
    """A private folder for whatever does not fit in memory; it is gone afterwards."""
    folder = new_folder(table, f"scratch-{uuid.uuid4().hex[:12]}")
    try:
        yield folder
    finally:
        remove_path(folder)


def move_files(files: list[tuple[Path, Path]]) -> None:
    """Rename files within one table; parent folders are made."""
    for source, target in files:
        target.parent.mkdir(parents=True, exist_ok=True)
        source.replace(target)


def move_folder(source: Path, target: Path) -> None:
    """Rename a folder; one that is already there (the same rows, seen before) is replaced."""
    target.parent.mkdir(parents=True, exist_ok=True)
    remove_path(target)
    source.replace(target)


def remove_path(path: Path) -> None:
    """Remove a file or folder; nothing happens if it is gone already."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _last_change(folder: Path, *, otherwise: float) -> float:
    """When anything in the folder changed, in seconds since 1970; ``otherwise`` if another run just removed it."""
    try:
        return max([folder.stat().st_mtime, *(file.stat().st_mtime for file in folder.iterdir())])
    except OSError:
        return otherwise
