"""Running the demo as a user does: the command, in a home of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tradewind.local_airflow.home import Home
from tradewind.local_airflow.settings import airflow_environment

WEEKS = 5  # of the short life: the first champion is promoted at the third and scores the fifth
SHORT = """
train: {window: 3, test: 1}
gates:
  - {metric: roc_auc, at_least: 0.5}
  - {metric: roc_auc, versus: champion, lower_bound: -0.01, confidence: 0.90, by: day}
"""


@dataclass
class DemoHome:
    """A home of the demo and a user's empty home folder beside it."""

    root: Path
    user: Path
    project: Path
    extra: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """Of the commands; nothing of the tests' own Airflow."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
        return {**kept, "HOME": str(self.user), "TRADEWIND_HOME": str(self.root), **self.extra}

    def command(self, *arguments: str) -> list[str]:
        """``tradewind ARGUMENTS``."""
        return [sys.executable, "-m", "tradewind.cli.main", *arguments]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run ``tradewind ARGUMENTS`` to its end."""
        return subprocess.run(
            self.command(*arguments),
            cwd=self.project,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=1800,
        )

    def demo(self, partitions: int) -> dict[str, Any]:
        """Replay so many weeks; the results."""
        done = self.run("demo", "--exit", "--partitions", str(partitions))
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return self.result()

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start ``tradewind ARGUMENTS``, so that it hears Ctrl-C also where the tests run in a shell's background."""
        return subprocess.Popen(
            self.command(*arguments),
            cwd=self.project,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def result(self) -> dict[str, Any]:
        """What the last demo wrote."""
        found: dict[str, Any] = json.loads((self.root / "demo.json").read_text())
        return found

    def state(self) -> Mapping[str, Any]:
        """What runs now."""
        try:
            found: dict[str, Any] = json.loads((self.root / "processes.json").read_text())
        except (OSError, ValueError):
            return {}
        return found

    def processes(self) -> list[int]:
        """Living processes of this home, whoever started them; they work in its folder."""
        import psutil

        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                if process.cwd() == str(self.root) and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process.pid)
        return found


def wait_until(condition: Callable[[], bool], running: subprocess.Popen[str], *, seconds: float = 600) -> None:
    """Wait for something that a running command brings about."""
    end = time.monotonic() + seconds
    while not condition():
        if running.poll() is not None:
            output = running.stdout.read() if running.stdout else ""
            pytest.fail(f"the command ended with {running.returncode}:\n{output}")
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.1)


def interrupt(running: subprocess.Popen[str]) -> str:
    """Press Ctrl-C; everything that the command printed."""
    running.send_signal(signal.SIGINT)
    output, _ = running.communicate(timeout=120)
    return output


def empty_home(folder: Path, project: Path) -> DemoHome:
    """A home that does not exist yet, and a user's empty home folder."""
    (folder / "user").mkdir()
    return DemoHome(root=folder / "home", user=folder / "user", project=project)


def short_life(folder: Path, project: Path) -> DemoHome:
    """An empty home of the example with a shorter training window, so that few weeks hold a champion's whole life."""
    copied = folder / "project"
    for part in ("dags", "include/flight_delay"):
        shutil.copytree(project / part, copied / part, ignore=shutil.ignore_patterns("__pycache__"))
    (copied / "dags" / "flight_delay.short.yaml").write_text(SHORT)
    home = empty_home(folder, copied)
    home.extra = {"TRADEWIND_ENV": "short"}
    return home


def gather(home: DemoHome) -> None:
    """Write ``demo.json`` of a home that something else than ``tradewind demo`` has filled."""
    here = Home(root=home.root, project=home.project)
    arguments = [str(home.root), str(home.project), str(home.root / "demo.json")]
    subprocess.run(
        [sys.executable, "-m", "tradewind.local_airflow.demo_summary", *arguments],
        env={**airflow_environment(here, port=0, mlflow_port=0), **home.extra},
        check=True,
    )


def same_tables(home: DemoHome) -> dict[str, Any]:
    """All that must not depend on what happened on the way: every table without run ids, times and table versions."""
    from deltalake import DeltaTable

    of_the_run = {"run_id", "scored_at", "dataset_versions"}
    found: dict[str, Any] = {}
    for log in sorted(home.root.glob("lake/flight_delay/*/_delta_log")):
        table = DeltaTable(log.parent).to_pyarrow_table()
        kept = [name for name in table.column_names if name not in of_the_run]
        rows = table.select(kept).to_pylist()
        found[log.parent.name] = sorted(json.dumps(row, sort_keys=True, default=str) for row in rows)
    with sqlite3.connect(home.root / "feast" / "online.db") as online:
        for (name,) in online.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            values = online.execute(f'SELECT hex(entity_key), feature_name, hex(value), event_ts FROM "{name}"')
            found[f"online {name}"] = sorted(map(str, values))
    result = home.result()
    for gate in (gate for version in result["versions"] for gate in version["gates"] if gate["metric"] == "loads"):
        # Seconds are never the same.
        gate.update(value=None, reason=gate["reason"].partition(": ")[2].partition(" in ")[0])
    for name in ("versions", "champions", "decisions", "realised", "drift", "quarantined"):
        found[f"result {name}"] = result[name]
    return found
