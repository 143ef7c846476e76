"""Processes of one session: find them, stop them, read what they wrote last."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import psutil


def in_session(session: int, *, home: Path) -> list[psutil.Process]:
    """Living processes of a session that belong to ``home``; the number of a dead session may have a new owner.

    :param session: session id
    :param home: value of ``TRADEWIND_HOME`` in their environment
    """
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE:
                # A process that has just been forked, or is about to end, shows no environment: the session decides.
                if (environment := _environment(process)) and environment.get("TRADEWIND_HOME") != str(home):
                    continue
                found.append(process)
    return found


def stop_session(session: int, *, home: Path, patience: float) -> None:
    """Stop every process of a session but this one: SIGTERM, and SIGKILL for what is left after ``patience`` seconds.

    Each task of Airflow has its own process group, so that only the session knows them all.
    """
    _signal(session, signal.SIGTERM, home=home)
    end = time.monotonic() + patience
    while _others(session, home=home) and time.monotonic() < end:
        time.sleep(0.1)
    while _others(session, home=home):  # again and again: one of them may be forking
        _signal(session, signal.SIGKILL, home=home)
        time.sleep(0.05)


def tail(log: Path, *, lines: int = 25) -> str:
    """The last lines of a log file; empty if there is none."""
    with suppress(OSError):
        return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
    return ""


def _others(session: int, *, home: Path) -> list[psutil.Process]:
    return [process for process in in_session(session, home=home) if process.pid != os.getpid()]


def _signal(session: int, number: signal.Signals, *, home: Path) -> None:
    for process in _others(session, home=home):
        with suppress(psutil.Error):
            process.send_signal(number)


def _environment(process: psutil.Process) -> dict[str, str]:
    try:
        found: dict[str, str] = process.environ()
        return found
    except (psutil.Error, OSError):
        return {}
