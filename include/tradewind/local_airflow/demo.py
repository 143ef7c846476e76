"""The demo: lay out the flights of 2013, start Airflow, replay the weeks one after another."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from tradewind.errors import SpecError, TradewindError, Unavailable
from tradewind.hooks.airflow_api import AirflowApi
from tradewind.ledger.journal import Ledger
from tradewind.local_airflow import flight_landing
from tradewind.local_airflow.home import Home
from tradewind.local_airflow.replay import Replay
from tradewind.local_airflow.running_airflow import RunningAirflow, read_login
from tradewind.local_airflow.settings import airflow_environment
from tradewind.spec.pipeline import Pipeline

PIPELINE = "flight_delay"
PARSED_WITHIN = 120.0


class DemoListener(Protocol):
    """What the demo says while it works."""

    def say(self, text: str) -> None:
        """One line of text."""

    def progress(self, partition: str, done: frozenset[str]) -> None:
        """These stages of a partition are done."""

    def tick(self) -> None:
        """Time passes; called several times a second."""


@dataclass(frozen=True)
class Demo:
    """One replay.

    :param home: where everything goes
    :param spec: the example pipeline
    :param partitions: partition keys, in order
    :param listener: hears what happens
    :param keep: leave Airflow and MLflow running
    :param shuffle: seed of a random calendar; None for the real one
    """

    home: Home
    spec: Pipeline
    partitions: Sequence[str]
    listener: DemoListener
    keep: bool = False
    shuffle: int | None = None

    def run(self) -> dict[str, Any]:
        """Replay, then gather what came of it; the same is in ``demo.json`` of the home.

        :raises TradewindError: a stage failed, or Airflow did not start or went away
        """
        began = time.monotonic()
        with RunningAirflow(self.home, mlflow=self.keep, attached=not self.keep) as running:
            self._deliver()
            self.listener.say("Airflow is starting…")
            state = running.wait_until_ready(on_tick=self.listener.tick)
            self.listener.say(f"Airflow is up after {time.monotonic() - began:.0f} s at {state['airflow']}")
            for name, port in state["moved"].items():
                self.listener.say(f"the usual port of {name} is busy: it listens at {port}")
            seconds = self._replay(running, state["airflow"])
            return self._summary(state, seconds=seconds, began=began)

    def _deliver(self) -> None:
        slicing = self.spec.partitioning
        outcomes = [day for key in self.partitions for day in slicing.days(key)]
        ahead = self.spec.score.ahead if self.spec.score else 0
        schedule = [day for key in self.partitions for day in slicing.days(slicing.shift(key, ahead))]
        done = flight_landing.deliver_flights(self.home.landing, outcomes, schedule=schedule, moved=self._calendar())
        self.listener.say(f"landing zone {self.home.landing}: {done.files} files, {done.written} of them new")

    def _calendar(self) -> Mapping[str, str]:
        """Over all days of the pipeline, so that going on with more partitions goes on with the same calendar."""
        slicing = self.spec.partitioning
        last = slicing.shift(self.spec.end, -1) if self.spec.end else self.partitions[-1]
        days = [day for key in slicing.between(self.spec.start, last) for day in slicing.days(key)]
        return flight_landing.shuffle_calendar(days, self.shuffle)

    def _replay(self, running: RunningAirflow, url: str) -> dict[str, float]:
        user, password = read_login(self.home)
        seconds = {}
        with AirflowApi(url, user=user, password=password, check=running.check) as api:
            replay = Replay(
                api=api,
                pipeline=PIPELINE,
                stages=self.spec.stages,
                check=running.check,
                on_progress=self.listener.progress,
                ledger=Ledger(self.home.runtime().ledger),
            )
            self._unpause(api, running)
            for partition in self.partitions:
                began = time.monotonic()
                if replay.run(partition):
                    seconds[partition] = round(time.monotonic() - began, 2)
            replay.wait_for_rest()
        return seconds

    def _unpause(self, api: AirflowApi, running: RunningAirflow) -> None:
        """Wait until the DAGs are parsed: an event that is sent before its consumer exists is lost."""
        wanted = {f"{PIPELINE}__{stage}" for stage in self.spec.stages}
        end = time.monotonic() + PARSED_WITHIN
        while missing := wanted - api.dags():
            running.check()
            if errors := api.import_errors():
                raise SpecError("\n".join(f"{name}:\n{text}" for name, text in errors.items()))
            if time.monotonic() > end:
                raise Unavailable(f"Airflow does not show {', '.join(sorted(missing))}; see {self.home.logs}")
            self.listener.tick()
            time.sleep(0.2)
        for dag_id in sorted(wanted):
            api.unpause(dag_id)

    def _summary(self, state: dict[str, Any], *, seconds: dict[str, float], began: float) -> dict[str, Any]:
        self.listener.say("gathering the results…")
        result = self.home.root / "demo.json"
        # In a process of its own, with the environment of the tasks: it writes nothing outside the home.
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "tradewind.local_airflow.demo_summary",
                str(self.home.root),
                str(self.home.project),
                str(result),
            ],
            env=airflow_environment(self.home, port=0, mlflow_port=0),
            cwd=self.home.root,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise TradewindError(f"the results could not be gathered:\n{done.stderr[-2000:]}")
        found: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
        found |= {
            "seconds": seconds,
            "total_seconds": round(time.monotonic() - began, 1),
            "airflow": state["airflow"],
            "mlflow": state["mlflow"],
        }
        result.write_text(json.dumps(found, indent=2), encoding="utf-8")
        return found
