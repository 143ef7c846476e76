"""The replay, against an Airflow that does what the test says."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from tradewind.errors import Unavailable
from tradewind.hooks.airflow_api import DagRun, TaskFailure
from tradewind.local_airflow.replay import LOST_AFTER, Replay, StageFailed

STAGES = ["etl", "features", "monitor", "train", "score"]
AFTER = {"etl": ["features"], "features": ["monitor", "score"], "monitor": ["train"], "train": [], "score": []}


@dataclass
class Airflow:
    """Runs move on by one state with each look; a run that succeeds starts those that follow."""

    found: list[DagRun] = field(default_factory=list)
    fails: set[str] = field(default_factory=set)
    loses: set[str] = field(default_factory=set)
    started: list[tuple[str, str]] = field(default_factory=list)
    url: str = "http://airflow"
    _count: Any = field(default_factory=itertools.count)

    def start(self, dag_id: str, partition: str) -> None:
        self.started.append((dag_id, partition))
        self._add(dag_id, partition)

    def runs(self, *, partition: str | None = None, states: tuple[str, ...] = ()) -> list[DagRun]:
        for run in list(self.found):
            self._move(run)
        return [run for run in self.found if partition in (None, run.partition) and (not states or run.state in states)]

    def failures(self, run: DagRun) -> list[TaskFailure]:
        return [TaskFailure(run.dag_id, run.run_id, "flights", 1)]

    def log(self, failure: TaskFailure) -> str:
        return "MissingInput: flights/2013-02-05.csv"

    def link(self, failure: TaskFailure) -> str:
        return f"{self.url}/{failure.task_id}"

    def _add(self, dag_id: str, partition: str | None) -> None:
        number = f"{next(self._count):03}"
        self.found.append(DagRun(dag_id, number, partition, "queued", number))

    def _move(self, run: DagRun) -> None:
        if run.over:
            return
        stage = run.dag_id.rpartition("__")[2]
        state = {"queued": "running", "running": "failed" if stage in self.fails else "success"}[run.state]
        self.found[self.found.index(run)] = replace(run, state=state)
        if state == "success":
            for following in AFTER[stage]:
                if following not in self.loses:
                    self._add(f"p__{following}", run.partition)


@dataclass
class Watch:
    now: float = 0.0
    told: list[tuple[str, frozenset[str]]] = field(default_factory=list)

    def clock(self) -> float:
        return self.now

    def pause(self, seconds: float) -> None:
        self.now += seconds

    def replay(self, airflow: Airflow) -> Replay:
        return Replay(
            api=airflow,  # type: ignore[arg-type]
            pipeline="p",
            stages=STAGES,
            check=lambda: None,
            on_progress=lambda partition, done: self.told.append((partition, done)),
            clock=self.clock,
            pause=self.pause,
        )


def test_it_starts_etl_alone_and_waits_for_all_that_follows() -> None:
    airflow, watch = Airflow(), Watch()
    assert watch.replay(airflow).run("2013-02-04")
    assert airflow.started == [("p__etl", "2013-02-04")]
    assert watch.told[-1] == ("2013-02-04", frozenset(STAGES))


def test_a_partition_that_is_done_is_left_alone() -> None:
    airflow, watch = Airflow(), Watch()
    watch.replay(airflow).run("2013-02-04")
    assert not watch.replay(airflow).run("2013-02-04")
    assert len(airflow.started) == 1


def test_a_failure_names_dag_task_partition_and_the_end_of_the_log() -> None:
    airflow = Airflow(fails={"etl"})
    with pytest.raises(StageFailed, match=r"task flights of p__etl failed for partition 2013-02-04(.|\n)*MissingInput"):
        Watch().replay(airflow).run("2013-02-04")


def test_a_failed_stage_is_tried_again_by_the_next_replay() -> None:
    airflow = Airflow(fails={"monitor"})
    with pytest.raises(StageFailed):
        Watch().replay(airflow).run("2013-02-04")
    airflow.fails.clear()
    assert Watch().replay(airflow).run("2013-02-04")
    assert airflow.started == [("p__etl", "2013-02-04"), ("p__monitor", "2013-02-04")]


def test_runs_that_are_on_their_way_are_waited_for() -> None:
    airflow = Airflow()
    airflow.start("p__etl", "2013-02-04")
    assert Watch().replay(airflow).run("2013-02-04")
    assert len(airflow.started) == 1


def test_a_stage_whose_event_was_lost_is_started() -> None:
    airflow, watch = Airflow(loses={"score"}), Watch()
    watch.replay(airflow).run("2013-02-04")
    assert airflow.started == [("p__etl", "2013-02-04"), ("p__score", "2013-02-04")]
    assert watch.now > LOST_AFTER


def test_other_pipelines_do_not_count() -> None:
    airflow = Airflow()
    airflow.found.append(DagRun("other__etl", "x", "2013-02-04", "failed", ""))
    assert Watch().replay(airflow).run("2013-02-04")


def test_an_airflow_that_went_away_ends_the_wait() -> None:
    def gone() -> None:
        raise Unavailable("scheduler ended")

    with pytest.raises(Unavailable, match="scheduler ended"):
        replace(Watch().replay(Airflow()), check=gone).run("2013-02-04")
