from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

REACH = (
    "from tradewind.core import fault_points; fault_points.reach_fault_point('after-ledger-before-alias'); "
    "print('alive')"
)


def reach(fault: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TRADEWIND_FAULT": fault}
    return subprocess.run([sys.executable, "-c", REACH], env=environment, capture_output=True, text=True, check=False)


def test_a_process_dies_once_at_the_point_that_is_asked_for(tmp_path: Path) -> None:
    trigger = tmp_path / "fault"
    trigger.touch()
    assert reach(f"after-ledger-before-alias:{trigger}").returncode == -signal.SIGKILL
    assert not trigger.exists()
    assert reach(f"after-ledger-before-alias:{trigger}").stdout == "alive\n"


def test_other_points_are_passed(tmp_path: Path) -> None:
    trigger = tmp_path / "fault"
    trigger.touch()
    assert reach(f"after-commit-before-event:{trigger}").stdout == "alive\n"
    assert reach("").stdout == "alive\n"
    assert trigger.exists()
