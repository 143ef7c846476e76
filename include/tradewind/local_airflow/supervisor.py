"""The process that starts Airflow's others, watches them and stops them: the leader of their session."""

from __future__ import annotations

import argparse
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from tradewind.core.file_lock import try_file_lock
from tradewind.local_airflow import processes
from tradewind.local_airflow.home import Home
from tradewind.local_airflow.ports import PORTS, ReservedPorts
from tradewind.local_airflow.settings import MLFLOW_DEFAULT, airflow_environment, exported_names
from tradewind.operators.warm_start import WAIT_FOR, wait_for_url

PATIENCE = 4.0
START_TIMEOUT = 300.0


class StopRequested(Exception):
    """A stop was requested."""


class Supervisor:
    """Starts the processes of one home in this session.

    :param home: the home; its folders exist
    :param mlflow: show MLflow's pages too
    :param attached: stop when standard input is closed, that is, when the process that started this is gone
    """

    def __init__(self, home: Home, *, mlflow: bool, attached: bool) -> None:
        self.home = home
        # An exported tracking server has pages of its own.
        self.mlflow = mlflow and MLFLOW_DEFAULT not in exported_names()
        self.attached = attached
        self._ports = ReservedPorts.take()
        self.ports = self._ports.numbers
        self.environment = airflow_environment(
            home, port=self.ports["airflow"], mlflow_port=self.ports["mlflow"], exported=True
        )
        self.health = f"http://127.0.0.1:{self.ports['airflow']}/api/v2/monitor/health"
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.asked_to_stop = False

    def run(self) -> int:
        """Start everything, watch it until it must stop, stop it; the exit code says whether that was asked for."""
        reason = None
        try:
            self._start()
            self._report("ready")
            while True:
                self._look(0.5)
        except StopRequested:
            return 0
        except (RuntimeError, TimeoutError) as exc:
            reason = str(exc)
            return 1
        finally:
            self._report("stopping", reason=reason)
            processes.stop_session(os.getsid(0), home=self.home.root, patience=PATIENCE)
            self._report("failed" if reason else "stopped", reason=reason)

    def _start(self) -> None:
        """Start in the order of need; the heavy imports of the scheduler run while the database is made ready."""
        self._report("starting")
        self._launch(
            "scheduler", "-m", "tradewind.operators.warm_start", "scheduler", "--skip-serve-logs", wait=self.health
        )
        self._launch("migrate", "-m", "airflow", "db", "migrate")
        while (code := self.running["migrate"].poll()) is None:
            self._look(0.1)
        self._ended("migrate", code)
        self._launch("api-server", "-m", "airflow", "api-server")
        self._launch("dag-processor", "-m", "airflow", "dag-processor")
        end = time.monotonic() + START_TIMEOUT
        # Another Airflow that was started at the same moment may have taken the port: its answer is not ours.
        while not (processes.session_listens(os.getsid(0), self.ports["airflow"]) and _url_answers(self.health)):
            self._look(0.2)
            if time.monotonic() > end:
                raise TimeoutError(f"no answer within {START_TIMEOUT:.0f} s\n{self._tail('api-server')}")
        # The first call of the API that tasks talk to builds it, which takes seconds: not while a task waits for it.
        _url_answers(f"http://127.0.0.1:{self.ports['airflow']}/execution/health")
        self._launch("triggerer", "-m", "airflow", "triggerer", "--skip-serve-logs")
        if self.mlflow:
            store = ["--backend-store-uri", self.home.tracking_uri]
            where = ["--host", "127.0.0.1", "--port", str(self.ports["mlflow"])]
            made = ["-m", "tradewind.local_airflow.mlflow_server", self.home.tracking_uri]
            self._launch("mlflow", *made, "server", *store, *where)

    def stop(self, number: int, frame: object) -> None:
        """Signal handler: note it; the loop sees it within a moment, and the stopping itself is never interrupted."""
        self.asked_to_stop = True

    def _launch(self, name: str, *arguments: str, wait: str | None = None) -> None:
        extra = {WAIT_FOR: wait} if wait else {}
        with (self.home.logs / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(
                [sys.executable, *arguments],
                env={**self.environment, **extra},
                cwd=self.home.root,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def _look(self, seconds: float) -> None:
        """Wait a moment; then see whether to stop, or whether a process has ended.

        :raises Stopped: the process that started this is gone
        :raises RuntimeError: a process has ended
        """
        if self.asked_to_stop:
            raise StopRequested
        if self.attached:
            readable, _, _ = select.select([sys.stdin], [], [], seconds)
            if readable and not os.read(sys.stdin.fileno(), 1):
                raise StopRequested
        else:
            time.sleep(seconds)
        for name, process in list(self.running.items()):
            if name != "migrate" and (code := process.poll()) is not None:
                if self.asked_to_stop:  # and the others too
                    raise StopRequested
                self._ended(name, code or 1)

    def _ended(self, name: str, code: int) -> None:
        del self.running[name]
        if code:
            how = f"was killed by {signal.Signals(-code).name}" if code < 0 else "ended"
            log = self.home.logs / f"{name}.log"
            raise RuntimeError(f"{name} {how}; the end of {log}:\n{self._tail(name)}")

    def _tail(self, name: str) -> str:
        return processes.read_log_tail(self.home.logs / f"{name}.log")

    def _report(self, phase: str, *, reason: str | None = None) -> None:
        base = "http://127.0.0.1"
        write_state(
            self.home,
            {
                "phase": phase,
                "reason": reason,
                "session": os.getsid(0),
                "since": datetime.now(UTC).isoformat(timespec="seconds"),
                "airflow": f"{base}:{self.ports['airflow']}",
                "mlflow": f"{base}:{self.ports['mlflow']}" if self.mlflow else None,
                "exported": exported_names(),
                "moved": {name: port for name, port in self.ports.items() if port != PORTS[name]},
                "processes": {name: process.pid for name, process in self.running.items()},
            },
        )


def write_state(home: Home, state: dict[str, Any]) -> None:
    """Replace the file that says what runs, so that a reader sees the old or the new one."""
    part = home.state.with_suffix(f".{os.getpid()}")
    part.write_text(json.dumps(state, indent=2), encoding="utf-8")
    part.replace(home.state)


def read_state(home: Home) -> dict[str, Any]:
    """What was written last; empty if nothing ran yet."""
    try:
        found: dict[str, Any] = json.loads(home.state.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found


def lock_home(home: Home) -> TextIO | None:
    """Lock the home for as long as the file stays open; None if another process has it."""
    return try_file_lock(home.lock)


def _url_answers(url: str) -> bool:
    try:
        wait_for_url(url, timeout=0)
    except TimeoutError:
        return False
    return True


def main(arguments: Sequence[str]) -> int:
    """Run one home; exit code 3 if it is running already."""
    parser = argparse.ArgumentParser()
    parser.add_argument("root", type=Path)
    parser.add_argument("project", type=Path)
    parser.add_argument("--mlflow", action="store_true")
    parser.add_argument("--attached", action="store_true")
    options = parser.parse_args(arguments)
    home = Home(root=options.root, project=options.project)
    lock = lock_home(home)
    if lock is None:
        return 3
    with lock:
        if left := read_state(home).get("session"):  # of a supervisor that was killed
            processes.stop_session(left, home=home.root, patience=PATIENCE)
        supervisor = Supervisor(home, mlflow=options.mlflow, attached=options.attached)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, supervisor.stop)
        return supervisor.run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
