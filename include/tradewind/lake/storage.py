"""The few file operations that the lake needs beside Delta's own; the place where S3 is added."""

from __future__ import annotations

import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tradewind.errors import UsageError

STAGING = "_staging"
QUARANTINE = "_quarantine"
_LEFTOVER_SECONDS = 24 * 3600


def local(uri: str) -> Path:
    """Folder of a table.

    :raises UsageError: the lake is not on a local disk
    """
    if "://" in uri:
        raise UsageError(f"the lake at {uri} is not a local path; only local lakes can be written")
    return Path(uri)


def new_folder(table: str, token: str) -> Path:
    """Make the private folder of one staging; what killed runs left more than a day ago is removed."""
    staging = local(table) / STAGING
    staging.mkdir(parents=True, exist_ok=True)
    for folder in staging.iterdir():
        if _age_seconds(folder) > _LEFTOVER_SECONDS:
            remove(folder)
    (staging / token).mkdir()
    return staging / token


@contextmanager
def scratch(table: str) -> Iterator[Path]:
    """A private folder for whatever does not fit in memory; it is gone afterwards."""
    folder = new_folder(table, f"scratch-{uuid.uuid4().hex[:12]}")
    try:
        yield folder
    finally:
        remove(folder)


def move(files: list[tuple[Path, Path]]) -> None:
    """Rename files within one table; parent folders are made."""
    for source, target in files:
        target.parent.mkdir(parents=True, exist_ok=True)
        source.replace(target)


def move_folder(source: Path, target: Path) -> None:
    """Rename a folder; one that is already there (the same rows, seen before) is replaced."""
    target.parent.mkdir(parents=True, exist_ok=True)
    remove(target)
    source.replace(target)


def remove(path: Path) -> None:
    """Remove a file or folder; nothing happens if it is gone already."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _age_seconds(folder: Path) -> float:
    """Seconds since anything in the folder changed; a folder that another run just removed is young."""
    try:
        newest = max([folder.stat().st_mtime, *(file.stat().st_mtime for file in folder.iterdir())])
    except OSError:
        return 0.0
    return time.time() - newest
