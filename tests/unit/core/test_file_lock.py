from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tradewind.core.file_lock import hold_file_lock, try_file_lock


def test_a_second_holder_gets_nothing_until_the_first_lets_go(tmp_path: Path) -> None:
    path = tmp_path / "it.lock"
    first = try_file_lock(path)
    assert first is not None
    assert try_file_lock(path) is None
    first.close()
    again = try_file_lock(path)
    assert again is not None
    again.close()


def test_waiting_ends_with_an_error_that_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "it.lock"
    message = r"it\.lock is still locked after 0 s"
    with hold_file_lock(path), pytest.raises(TimeoutError, match=message), hold_file_lock(path, wait_seconds=0):
        pytest.fail("two hold it")


def test_what_a_killed_holder_held_is_free(tmp_path: Path) -> None:
    path = tmp_path / "it.lock"
    ready, told = os.pipe()
    if (child := os.fork()) == 0:
        with hold_file_lock(path):
            os.write(told, b"1")
            signal.pause()
        os._exit(0)
    os.read(ready, 1)
    assert try_file_lock(path) is None
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with hold_file_lock(path, wait_seconds=10):
        pass
    os.close(ready)
    os.close(told)
