"""``tradewind demo`` from a user's chair: what it makes, what it leaves alone, and how it ends."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from tests.e2e.demo_home import WEEKS, DemoHome, empty_home, interrupt, wait_until

from tradewind.embedded.home import Home
from tradewind.embedded.settings import environment

pytestmark = pytest.mark.slow

STAGES = ("etl", "features", "monitor", "train", "score")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, project: Path) -> DemoHome:
    """A home in which two weeks have been replayed."""
    made = empty_home(tmp_path_factory.mktemp("demo"), project)
    made.demo(2)
    return made


def everything(home: DemoHome) -> dict[str, object]:
    """Delta versions, journal entries, champions and model versions: what a second run may not add to."""
    commits = Counter(path.parts[-3] for path in home.root.glob("lake/flight_delay/*/_delta_log/*.json"))
    found: dict[str, object] = dict(commits)
    with sqlite3.connect(home.root / "ledger.db") as ledger:
        for table in ("tradewind_journal", "tradewind_champions"):
            found[table] = ledger.execute(f"select count(*) from {table}").fetchone()
    with sqlite3.connect(home.root / "mlflow" / "mlflow.db") as registry:
        found["model versions"] = registry.execute("select count(*) from model_versions").fetchone()
    return found


def clear_all_tasks(home: DemoHome) -> None:
    """Forget in Airflow that anything was done."""
    here = Home(root=home.root, project=home.project)
    for stage in STAGES:
        subprocess.run(
            [sys.executable, "-m", "airflow", "tasks", "clear", "--yes", f"flight_delay__{stage}"],
            env=environment(here, port=8080, mlflow_port=5000),
            check=True,
            capture_output=True,
        )


def test_every_flight_of_the_weeks_is_published(home: DemoHome) -> None:
    flights = home.result()["datasets"]["flights"]
    assert flights["by_partition"] == {"2013-01-28": 6063, "2013-02-04": 6104}


def test_it_decides_each_week_and_says_why(home: DemoHome) -> None:
    decisions = home.result()["decisions"]
    assert [decision["partition"] for decision in decisions] == ["2013-01-28", "2013-02-04"]
    assert all("training window" in decision["reason"] for decision in decisions)


def test_nothing_is_written_to_the_home_folder(home: DemoHome) -> None:
    assert list(home.user.rglob("*")) == []


def test_no_process_is_left(home: DemoHome) -> None:
    assert home.processes() == []


def test_running_it_again_after_clearing_all_tasks_adds_nothing(undisturbed_home: DemoHome) -> None:
    before = everything(undisturbed_home)
    assert before["model versions"] == (1,)
    clear_all_tasks(undisturbed_home)
    undisturbed_home.demo(WEEKS)
    assert everything(undisturbed_home) == before


def test_ctrl_c_stops_everything_and_the_next_run_goes_on(home: DemoHome) -> None:
    with home.start("demo", "--partitions", "3") as running:
        wait_until(lambda: "scheduler" in home.state().get("processes", {}), running)
        wait_until(lambda: home.state()["phase"] == "ready", running)
        second = home.run("demo", "--partitions", "3")
        assert second.returncode == 1
        assert "runs in" in second.stderr
        assert "tradewind down" in second.stderr
        wait_until(lambda: (home.root / "lake/flight_delay/flights/partition=2013-02-11").exists(), running)
        interrupt(running)
        assert running.returncode != 0
    assert home.processes() == []
    assert home.demo(3)["datasets"]["flights"]["partitions"] == 3


def test_an_empty_file_stops_it_and_is_named(home: DemoHome) -> None:
    # The demo delivers files that are not there; one that was delivered empty stays as it is.
    broken = home.root / "landing" / "flights" / "2013-02-20.csv"
    broken.parent.mkdir(exist_ok=True)
    broken.write_text("")
    done = home.run("demo", "--partitions", "4")
    assert done.returncode == 1
    assert "task flights of flight_delay__etl failed for partition 2013-02-18" in done.stderr
    assert "2013-02-20.csv" in done.stderr
    assert home.processes() == []
    broken.unlink()
    assert home.demo(4)["datasets"]["flights"]["partitions"] == 4


def test_up_status_and_down(home: DemoHome) -> None:
    assert home.run("status").returncode == 1
    up = home.run("up", "--no-mlflow")
    assert up.returncode == 0, up.stderr
    assert "user admin, password" in up.stdout
    assert home.run("status").returncode == 0
    again = home.run("up", "--no-mlflow")
    assert again.returncode == 0
    assert "up already" in again.stdout
    assert "stopped" in home.run("down").stdout
    assert home.processes() == []
