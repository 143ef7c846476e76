"""Start, find and stop the embedded Airflow from a command."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Self

from tradewind.errors import Conflict, Unavailable
from tradewind.local_airflow import processes
from tradewind.local_airflow.home import USER, Home
from tradewind.local_airflow.supervisor import PATIENCE, START_TIMEOUT, lock_home, read_state

BUSY = 3


class RunningAirflow:
    """An embedded Airflow that this process has started; leaving the ``with`` block stops all of it.

    :param home: the home
    :param mlflow: show MLflow's pages too
    :param attached: it ends with this process, however that ends; False lets it go on until :func:`stop_airflow`
    """

    def __init__(self, home: Home, *, mlflow: bool = False, attached: bool = True) -> None:
        home.lay_out()
        self.home = home
        self.attached = attached
        options = [*(["--mlflow"] if mlflow else []), *(["--attached"] if attached else [])]
        with (home.logs / "supervisor.log").open("ab") as log:
            self._supervisor = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "tradewind.local_airflow.supervisor",
                    str(home.root),
                    str(home.project),
                    *options,
                ],
                env={**os.environ, "TRADEWIND_HOME": str(home.root)},
                cwd=home.root,
                stdin=subprocess.PIPE if attached else subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self.attached or kind is not None:
            self.stop()

    def wait_until_ready(self, *, on_tick: Callable[[], None] = lambda: None) -> dict[str, Any]:
        """Wait until Airflow can run tasks.

        :param on_tick: called several times a second
        :returns: where it is: ``airflow`` and ``mlflow`` URLs, ``moved`` ports, ``processes``
        :raises Conflict: an Airflow runs in this home already
        :raises Unavailable: a process ended; the message has the end of its log
        """
        end = time.monotonic() + START_TIMEOUT
        while time.monotonic() < end:
            self.check()
            state = read_state(self.home)
            if state.get("session") == self._supervisor.pid and state.get("phase") == "ready":
                return state
            on_tick()
            time.sleep(0.1)
        raise Unavailable(f"Airflow did not start within {START_TIMEOUT:.0f} s; see {self.home.logs}")

    def check(self) -> None:
        """Return if all processes are alive.

        :raises Conflict: an Airflow runs in this home already
        :raises Unavailable: a process ended
        """
        code, state = self._supervisor.poll(), read_state(self.home)
        mine = state.get("session") == self._supervisor.pid
        if code is None and not (mine and state["phase"] in ("stopping", "failed", "stopped")):
            return
        if code == BUSY:
            raise Conflict(
                f"an Airflow runs in {self.home.root} already, since {state.get('since')}, at {state.get('airflow')}; "
                "wait for it, or end it with: tradewind down"
            )
        log = self.home.logs / "supervisor.log"
        raise Unavailable(
            state.get("reason") or f"the embedded Airflow ended; see {log}\n{processes.read_log_tail(log)}"
        )

    def stop(self) -> None:
        """Stop every process."""
        if self._supervisor.stdin:
            self._supervisor.stdin.close()
        with suppress(ProcessLookupError):
            self._supervisor.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self._supervisor.wait(timeout=PATIENCE + 10)
        processes.stop_session(self._supervisor.pid, home=self.home.root, patience=0)
        self._supervisor.wait()


def is_airflow_running(home: Home) -> bool:
    """Whether an Airflow runs in this home."""
    if not home.root.is_dir():
        return False
    lock = lock_home(home)
    if lock is None:
        return True
    lock.close()
    return False


def stop_airflow(home: Home) -> bool:
    """Stop the Airflow of this home, however it was started; False if none ran."""
    ran = is_airflow_running(home)
    if session := read_state(home).get("session"):
        ran = bool(processes.find_session_processes(session, home=home.root)) or ran
        processes.stop_session(session, home=home.root, patience=PATIENCE + 5)
    return ran


def read_login(home: Home) -> tuple[str, str]:
    """User and password of the pages."""
    return USER, home.secrets()["password"]
