"""An Airflow of one's own: up, an event that was lost, an ordinary backfill, down."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.demo_home import WEEKS, DemoHome, gather, same_tables, short_life

from tradewind.hooks.airflow_api import AirflowApi
from tradewind.local_airflow.flight_landing import deliver_flights
from tradewind.local_airflow.home import Home
from tradewind.local_airflow.running_airflow import read_login
from tradewind.spec.load import load_pipeline

pytestmark = pytest.mark.slow

STAGES = ("etl", "features", "monitor", "train", "score")
FIRST = "2013-01-28"


def until(condition: Callable[[], bool], *, seconds: float = 600) -> None:
    """Look again and again until something is so."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.3)


def states(api: AirflowApi, stage: str) -> list[str]:
    """States of the runs of a stage for the first week."""
    return [run.state for run in api.runs(partition=FIRST) if run.dag_id == f"flight_delay__{stage}"]


def unfinished(api: AirflowApi, keys: list[str]) -> list[str]:
    """Stages of partitions that have not succeeded yet; fails the test when one has failed."""
    runs = api.runs()
    assert [(run.dag_id, run.partition) for run in runs if run.state == "failed"] == []
    done = {(run.dag_id, run.partition) for run in runs if run.state == "success"}
    return [f"{stage} {key}" for key in keys for stage in STAGES if (f"flight_delay__{stage}", key) not in done]


@pytest.fixture(scope="module")
def weeks(project: Path) -> list[str]:
    """Those of the short life."""
    slicing = load_pipeline(project / "dags" / "flight_delay.yaml").partitioning
    return slicing.between(FIRST, slicing.shift(FIRST, WEEKS - 1))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, project: Path, weeks: list[str]) -> Iterator[DemoHome]:
    """All weeks are delivered and Airflow is up; its DAGs are paused."""
    made = short_life(tmp_path_factory.mktemp("up"), project)
    slicing = load_pipeline(project / "dags" / "flight_delay.yaml").partitioning
    days = [day for key in weeks for day in slicing.days(key)]
    deliver_flights(made.root / "landing", days, schedule=days + slicing.days(slicing.shift(weeks[-1], 1)))
    assert made.run("status").returncode == 1
    up = made.run("up", "--no-mlflow")
    assert up.returncode == 0, up.stderr
    assert "user admin, password" in up.stdout
    try:
        yield made
    finally:
        made.run("down")


@pytest.fixture(scope="module")
def api(home: DemoHome) -> Iterator[AirflowApi]:
    """Of that Airflow."""
    user, password = read_login(Home(root=home.root, project=home.project))
    with AirflowApi(home.state()["airflow"], user=user, password=password) as made:
        yield made


def test_status_knows_it_and_a_second_up_starts_nothing(home: DemoHome) -> None:
    assert home.run("status").returncode == 0
    again = home.run("up", "--no-mlflow")
    assert again.returncode == 0
    assert "up already" in again.stdout


def test_upkeep_sends_a_lost_event_again(api: AirflowApi) -> None:
    """An event that was sent while its consumer was paused is lost; upkeep finds the partition and sends it again."""
    for stage in ("monitor", "train", "score", "etl"):
        api.unpause(f"flight_delay__{stage}")
    api.start("flight_delay__etl", FIRST)
    until(lambda: states(api, "etl") == ["success"])
    api.unpause("flight_delay__features")
    assert states(api, "features") == []
    api.start("tradewind__upkeep", conf={"grace_minutes": 0})
    until(lambda: [states(api, name) for name in ("features", "score", "train")] == [["success"]] * 3)
    assert states(api, "etl") == ["success"]


def test_a_backfill_ends_in_the_tables_of_the_demo(
    undisturbed: dict[str, Any], home: DemoHome, api: AirflowApi, weeks: list[str]
) -> None:
    for stage in STAGES:
        api.unpause(f"flight_delay__{stage}")
    dates = ("--from-date", weeks[0], "--to-date", weeks[-1], "--max-active-runs", "2")
    made = home.run("airflow", "backfill", "create", "--dag-id", "flight_delay__etl", *dates)
    assert made.returncode == 0, made.stderr
    until(lambda: not unfinished(api, weeks), seconds=900)
    gather(home)
    assert same_tables(home) == undisturbed


def test_down_leaves_no_process(home: DemoHome) -> None:
    assert "stopped" in home.run("down").stdout
    assert home.processes() == []
    assert home.run("status").returncode == 1
