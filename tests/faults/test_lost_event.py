"""An event that was sent while its consumer was paused is lost; upkeep finds the partition and sends it again."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.e2e.demo_home import DemoHome, empty_home

from tradewind.embedded.api import AirflowApi
from tradewind.embedded.home import Home
from tradewind.embedded.landing import deliver
from tradewind.embedded.running import login
from tradewind.spec.load import load

pytestmark = pytest.mark.slow

WEEK = "2013-01-28"


@pytest.fixture
def home(tmp_path: Path, project: Path) -> DemoHome:
    """A landing zone with one week."""
    made = empty_home(tmp_path, project)
    slicing = load(project / "dags" / "flight_delay.yaml").partitioning
    deliver(made.root / "landing", slicing.days(WEEK), schedule=slicing.days("2013-02-04"))
    return made


def until(condition: Callable[[], bool], *, seconds: float = 240) -> None:
    """Look again and again until something is so."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.5)


def states(api: AirflowApi, stage: str) -> list[str]:
    """States of the runs of a stage for the week."""
    return [run.state for run in api.runs(partition=WEEK) if run.dag_id == f"flight_delay__{stage}"]


def test_upkeep_sends_a_lost_event_again(home: DemoHome) -> None:
    up = home.run("up", "--no-mlflow")
    assert up.returncode == 0, up.stderr
    try:
        user, password = login(Home(root=home.root, project=home.project))
        with AirflowApi(home.state()["airflow"], user=user, password=password) as api:
            for stage in ("monitor", "train", "score", "etl"):
                api.unpause(f"flight_delay__{stage}")
            api.start("flight_delay__etl", WEEK)
            until(lambda: states(api, "etl") == ["success"])
            api.unpause("flight_delay__features")
            assert states(api, "features") == []
            api.start("tradewind__upkeep", conf={"grace_minutes": 0})
            until(lambda: [states(api, name) for name in ("features", "score", "train")] == [["success"]] * 3)
            assert states(api, "etl") == ["success"]
    finally:
        home.run("down")
    assert home.processes() == []
