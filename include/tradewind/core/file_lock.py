"""Locks on a file that hold between processes; the kernel lets go of a lock when its holder dies."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

_PAUSE_SECONDS = 0.05


def try_file_lock(path: Path) -> TextIO | None:
    """The open file that holds the lock for as long as it stays open; None if another holds it.

    The file is left in place: removing it would let a third process lock a file of the same name beside the second.
    Like every file of Python's it is not inherited by a program that is started, only by a fork.

    :raises OSError: the file cannot be opened
    """
    file = path.open("a", encoding="utf-8")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    except BaseException:
        file.close()
        raise
    return file


@contextmanager
def hold_file_lock(path: Path, *, wait_seconds: float | None = None) -> Iterator[None]:
    """Hold the lock; the folder is made if there is none.

    :param wait_seconds: how long to wait for another holder; None for as long as it takes
    :raises TimeoutError: another still holds it
    :raises OSError: the file cannot be made
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if wait_seconds is None:
        with path.open("a", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
        return
    deadline = time.monotonic() + wait_seconds
    while (held := try_file_lock(path)) is None:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{path} is still locked after {wait_seconds:.0f} s")
        time.sleep(_PAUSE_SECONDS)
    with held:
        yield
