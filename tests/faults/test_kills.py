"""Whatever is killed, whenever: another ``tradewind demo`` makes the tables of an undisturbed run."""

from __future__ import annotations

import contextlib
import os
import random
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.e2e.demo_home import WEEKS, DemoHome, same_tables, short_life, wait_until

pytestmark = pytest.mark.slow


def tasks(home: DemoHome) -> list[psutil.Process]:
    """Processes that run a task now: the children of the executor's workers."""
    scheduler = home.state().get("processes", {}).get("scheduler")
    if scheduler is None:
        return []
    try:
        workers = psutil.Process(scheduler).children()
        return [task for worker in workers for task in worker.children()]
    except psutil.Error:
        return []


def kill(process: psutil.Process) -> None:
    """SIGKILL, unless it has just ended."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(signal.SIGKILL)


@pytest.mark.parametrize("seed", [1])
def test_kills_at_named_points_and_at_random(
    undisturbed: dict[str, Any], tmp_path: Path, project: Path, seed: int
) -> None:
    home = short_life(tmp_path, project)
    generator = random.Random(seed)

    # A task dies after its commit and before its event; then, before there is a champion, the scheduler dies.
    point = tmp_path / "point"
    point.touch()
    home.extra["TRADEWIND_FAULT"] = f"after-commit-before-event:{point}"
    week = generator.choice(["2013-02-04", "2013-02-11"])
    with home.start("demo", "--partitions", str(WEEKS)) as running:
        wait_until((home.root / f"lake/flight_delay/route_week/partition={week}").exists, running)
        os.kill(home.state()["processes"]["scheduler"], signal.SIGKILL)
        output, _ = running.communicate(timeout=180)
    assert running.returncode == 1
    assert "scheduler was killed by SIGKILL" in output
    assert home.processes() == []
    assert not point.exists()

    # Tasks die at random; then one dies between the ledger and the alias.
    point.touch()
    home.extra["TRADEWIND_FAULT"] = f"after-ledger-before-alias:{point}"
    with home.start("demo", "--partitions", str(WEEKS)) as running:
        for _ in range(2):
            wait_until(lambda: bool(tasks(home)), running)
            if found := tasks(home):
                kill(generator.choice(found))
        output, _ = running.communicate(timeout=1500)
    if running.returncode:  # a task that is killed on its last try fails the run; the next demo tries it again
        home.demo(WEEKS)
    assert not point.exists()
    assert same_tables(home) == undisturbed
