"""Stopping everything that was started."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tradewind.local_airflow import processes

# A leader that starts a child in a process group of its own, as Airflow does with tasks; the child ignores SIGTERM.
LEADER = """
import subprocess, sys, time
ignores = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(600)"
child = subprocess.Popen([sys.executable, "-c", ignores], process_group=0, stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture
def leader(tmp_path: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "TRADEWIND_HOME": str(tmp_path)}
    return subprocess.Popen(
        [sys.executable, "-c", LEADER], stdout=subprocess.PIPE, text=True, start_new_session=True, env=environment
    )


def test_a_session_is_stopped_with_every_process_group_in_it(leader: subprocess.Popen[str], tmp_path: Path) -> None:
    assert leader.stdout is not None
    with leader, leader.stdout:
        child = int(leader.stdout.readline())
        assert {process.pid for process in processes.find_session_processes(leader.pid, home=tmp_path)} == {
            leader.pid,
            child,
        }
        processes.stop_session(leader.pid, home=tmp_path, patience=0.2)
        assert processes.find_session_processes(leader.pid, home=tmp_path) == []


def test_a_session_of_somebody_else_with_the_same_number_is_left_alone(
    leader: subprocess.Popen[str], tmp_path: Path
) -> None:
    assert leader.stdout is not None
    with leader, leader.stdout:
        leader.stdout.readline()
        processes.stop_session(leader.pid, home=tmp_path / "other", patience=0)
        assert leader.poll() is None
        processes.stop_session(leader.pid, home=tmp_path, patience=0)


def test_the_tail_of_a_log_is_its_last_lines(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text("\n".join(map(str, range(100))))
    assert processes.read_log_tail(tmp_path / "a.log", lines=2) == "98\n99"
    assert processes.read_log_tail(tmp_path / "none.log") == ""
