"""What a disk that is full, read-only or failing looks like in each library, as one named error."""

from __future__ import annotations

import errno
import getpass
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tradewind.errors import StorageFault, TradewindError

_FULL, _READ_ONLY, _REFUSED, _BROKEN = "is full", "is read-only", "is closed to", "fails"
_ERRNOS = {
    errno.ENOSPC: _FULL, errno.EDQUOT: _FULL,
    errno.EROFS: _READ_ONLY, errno.EACCES: _REFUSED, errno.EPERM: _REFUSED,
    errno.EIO: _BROKEN, errno.ESTALE: _BROKEN, errno.ENODEV: _BROKEN, errno.ENXIO: _BROKEN,
}  # fmt: skip
# DuckDB, Delta, Arrow and SQLite hand the number on in words only.
_WORDS = {
    r"No space left on device|Disk quota exceeded|database or disk is full|max_temp_directory_size": _FULL,
    r"Read-only file system|attempt to write a readonly database": _READ_ONLY,
    r"Permission denied": _REFUSED,
    r"Input/output error|disk I/O error|Stale file handle|No such device": _BROKEN,
}
# Whose words are about files; in an error of a user's own SQL or code the same words mean nothing.
_SPEAKERS = {"duckdb": ("IOException", "OutOfMemoryException"), "sqlite3": ("OperationalError",), "deltalake": ()}
_NOTHING = 65_536
"""Bytes: with less than this free an I/O error is a full disk; SQLite calls it so where its log finds no room."""
_DEEPEST = 10
_MOST_FILES = 10_000


@contextmanager
def translate_disk_errors(what: str, *folders: Path | str) -> Iterator[None]:
    """Around anything that writes to a disk: its errors become one kind of error that names the folder.

    :param what: what is written, with its object; begins the message
    :param folders: where it may be written; the error's own path counts first
    :raises StorageFault: a disk is full, read-only or failing
    """
    try:
        yield
    except TradewindError:
        raise
    except Exception as exc:
        if (fault := storage_fault(exc, what, *folders)) is not None:
            raise fault from exc
        raise


def storage_fault(exc: BaseException, what: str, *folders: Path | str) -> StorageFault | None:
    """The error to raise in place of ``exc`` where a disk is its reason; None where it is not.

    :param what: what was written; begins the message
    :param folders: see :func:`translate_disk_errors`
    """
    found = next((kind for each in _chain(exc) if (kind := _kind(each)) is not None), None)
    if found is None:
        return None
    folder = _place(exc, [Path(each) for each in folders])
    return StorageFault(f"{what}: {_describe_fault(found, folder)}; it is tried again by itself")


def _chain(exc: BaseException) -> Iterator[BaseException]:
    """An error and those that it was made from."""
    each: BaseException | None = exc
    for _ in range(_DEEPEST):
        if each is None:
            return
        yield each
        each = getattr(each, "orig", None) or each.__cause__ or each.__context__


def _kind(exc: BaseException) -> str | None:
    if isinstance(exc, OSError) and exc.errno is not None:
        return _ERRNOS.get(exc.errno)
    if not isinstance(exc, OSError) and not _speaks_of_files(exc):
        return None
    return next((kind for words, kind in _WORDS.items() if re.search(words, str(exc))), None)


def _speaks_of_files(exc: BaseException) -> bool:
    root = type(exc).__module__.partition(".")[0].lstrip("_")
    names = _SPEAKERS.get("deltalake" if root == "internal" else root)
    return names is not None and (not names or type(exc).__name__ in names)


def _place(exc: BaseException, folders: list[Path]) -> Path | None:
    """The folder that the error itself names, else the fullest of those where it can have happened."""
    for each in _chain(exc):
        named = getattr(each, "filename", None) or _quoted_path(str(each))
        if isinstance(named, str) and named.startswith("/"):
            return _there(Path(named).parent)
    there = [_there(folder) for folder in folders if "://" not in str(folder)]
    return min(there, key=lambda folder: shutil.disk_usage(folder).free, default=None)


def _quoted_path(text: str) -> str | None:
    found = re.search(r"""\\?["'](/[^"'\\]+)""", text)
    return found[1] if found else None


def _there(folder: Path) -> Path:
    """The folder, or the next one above that exists."""
    folder = folder.absolute()
    return next((each for each in (folder, *folder.parents) if each.is_dir()), Path("/"))


def _describe_fault(kind: str, folder: Path | None) -> str:
    if folder is None:
        return f"the disk {kind}; make room or mount it anew"
    if kind == _READ_ONLY:
        return f"the disk of {folder} {kind}; mount it so that the tasks can write"
    if kind == _REFUSED:
        return f"the folder {folder} {kind} {_user()}; give this user the right to write there"
    usage = shutil.disk_usage(folder)
    if kind == _BROKEN and usage.free >= _NOTHING:
        return f"the disk of {folder} {kind} (input/output error); look at the disk and its connection"
    taken = _size(folder)
    more = f"; {format_bytes(taken)} of it lie in that folder, and more was needed" if taken else ""
    return (
        f"the disk of {folder} {_FULL}: {format_bytes(usage.free)} of {format_bytes(usage.total)} are free{more}; make "
        "room there"
    )


def _size(folder: Path) -> int:
    """Bytes of the files below a folder, of not more than so many."""
    total = count = 0
    for above, _, names in os.walk(folder):
        for name in names:
            count += 1
            if count > _MOST_FILES:
                return total
            try:
                total += Path(above, name).lstat().st_size
            except OSError:
                continue  # another process removed it
    return total


def format_bytes(size: int) -> str:
    """Bytes as a person reads them."""
    number = float(size)
    for unit in ("bytes", "kB", "MB"):
        if number < 1000:
            return f"{number:.0f} {unit}"
        number /= 1000
    return f"{number:.1f} GB"


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        return f"user {os.getuid()}"
