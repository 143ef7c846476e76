"""An ordinary backfill of ``P__etl`` replays the whole life, and ends in the tables of the demo's steps."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.demo_home import WEEKS, empty_home, same_tables

from tradewind.embedded.api import AirflowApi
from tradewind.embedded.home import Home
from tradewind.embedded.landing import deliver
from tradewind.embedded.running import login
from tradewind.spec.load import load

pytestmark = pytest.mark.slow

STAGES = ("etl", "features", "monitor", "train", "score")


def until(condition: Callable[[], bool], *, seconds: float) -> None:
    """Look again and again until something is so."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(1)


def unfinished(api: AirflowApi, keys: list[str]) -> list[str]:
    """Stages of partitions that have not succeeded yet; fails the test when one has failed."""
    runs = api.runs()
    assert [(run.dag_id, run.partition) for run in runs if run.state == "failed"] == []
    done = {(run.dag_id, run.partition) for run in runs if run.state == "success"}
    return [f"{stage} {key}" for key in keys for stage in STAGES if (f"flight_delay__{stage}", key) not in done]


def test_a_backfill_ends_in_the_same_tables(undisturbed: dict[str, Any], tmp_path: Path, project: Path) -> None:
    home = empty_home(tmp_path, project)
    slicing = load(project / "dags" / "flight_delay.yaml").partitioning
    keys = slicing.between("2013-01-28", slicing.shift("2013-01-28", WEEKS - 1))
    ahead = slicing.days(slicing.shift(keys[-1], 1))
    days = [day for key in keys for day in slicing.days(key)]
    deliver(home.root / "landing", days, schedule=days + ahead)
    up = home.run("up", "--no-mlflow")
    assert up.returncode == 0, up.stderr
    try:
        user, password = login(Home(root=home.root, project=home.project))
        with AirflowApi(home.state()["airflow"], user=user, password=password) as api:
            for stage in STAGES:
                api.unpause(f"flight_delay__{stage}")
            dates = ("--from-date", keys[0], "--to-date", keys[-1], "--max-active-runs", "2")
            made = home.run("airflow", "backfill", "create", "--dag-id", "flight_delay__etl", *dates)
            assert made.returncode == 0, made.stderr
            until(lambda: not unfinished(api, keys), seconds=900)
    finally:
        home.run("down")
    home.demo(WEEKS)  # finds nothing to do, and gathers the results
    assert same_tables(home) == undisturbed
