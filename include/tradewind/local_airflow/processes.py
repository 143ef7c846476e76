"""Processes of one session: find them, stop them, read what they wrote last."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import psutil


def find_session_processes(session: int, *, home: Path) -> list[psutil.Process]:
    """Living processes of a session, if it belongs to ``home``: the number of a dead session may have a new owner.

    :param session: session id
    :param home: ``TRADEWIND_HOME`` and working directory of its processes
    """
    members = _session_members(session)
    return members if any(_belongs_to_home(process, home) for process in members) else []


def stop_session(session: int, *, home: Path, patience: float) -> None:
    """Stop every process of a session but this one: SIGTERM, and SIGKILL for what is left after ``patience`` seconds.

    Each task of Airflow has its own process group, so that only the session knows them all.
    """
    if not find_session_processes(session, home=home):
        return
    _signal_session(session, signal.SIGTERM)
    end = time.monotonic() + patience
    while _other_members(session) and time.monotonic() < end:
        time.sleep(0.1)
    while _other_members(session):  # again and again: one of them may be forking
        _signal_session(session, signal.SIGKILL)
        time.sleep(0.05)


def session_listens(session: int, port: int) -> bool:
    """Whether a process of the session listens at ``port``."""
    for process in _session_members(session):
        with suppress(psutil.Error, OSError):
            if any(
                found.laddr.port == port for found in process.net_connections() if found.status == psutil.CONN_LISTEN
            ):
                return True
    return False


def read_log_tail(log: Path, *, lines: int = 25) -> str:
    """The last lines of a log file; empty if there is none."""
    with suppress(OSError):
        return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
    return ""


def _session_members(session: int) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def _other_members(session: int) -> list[psutil.Process]:
    return [process for process in _session_members(session) if process.pid != os.getpid()]


def _signal_session(session: int, number: signal.Signals) -> None:
    for process in _other_members(session):
        with suppress(psutil.Error):
            process.send_signal(number)


def _belongs_to_home(process: psutil.Process, home: Path) -> bool:
    """Airflow's workers overwrite their environment with their title; the working directory stays."""
    with suppress(psutil.Error, OSError):
        if process.environ().get("TRADEWIND_HOME") == str(home):
            return True
    with suppress(psutil.Error, OSError):
        return bool(process.cwd() == str(home))
    return False
