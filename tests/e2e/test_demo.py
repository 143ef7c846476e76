"""``tradewind demo`` from a user's chair: what it makes, what it leaves alone, and how it ends.

One story, told once: Ctrl-C in the first week, a broken delivery in the second, then two weeks that are right.
"""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.e2e.demo_home import WEEKS, DemoHome, empty_home, interrupt, wait_until

from tradewind.local_airflow.home import Home
from tradewind.local_airflow.settings import airflow_environment

pytestmark = pytest.mark.slow

STAGES = ("etl", "features", "monitor", "train", "score")
FIRST, SECOND = "2013-01-28", "2013-02-04"
BROKEN = "2013-02-06.csv"


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what was left of it then."""

    returncode: int | None
    stderr: str
    processes: list[int]
    published: list[str]


def published(home: DemoHome) -> list[str]:
    """Weeks whose flights are there."""
    return sorted(path.name for path in home.root.glob("lake/flight_delay/flights/partition=*"))


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory, project: Path) -> tuple[DemoHome, Ended, Ended]:
    """Ctrl-C is pressed when the first week's flights are there; before, a second demo was tried in the same home."""
    home = empty_home(tmp_path_factory.mktemp("demo"), project)
    with home.start("demo", "--partitions", "1") as running:
        wait_until(lambda: "scheduler" in home.state().get("processes", {}), running)
        wait_until(lambda: home.state()["phase"] == "ready", running)
        second = home.run("demo", "--partitions", "1")
        wait_until((home.root / f"lake/flight_delay/flights/partition={FIRST}").exists, running)
        output = interrupt(running)
    refused = Ended(second.returncode, second.stderr, [], [])
    return home, refused, Ended(running.returncode, output, home.processes(), published(home))


@pytest.fixture(scope="module")
def stopped(interrupted: tuple[DemoHome, Ended, Ended]) -> tuple[DemoHome, Ended]:
    """It goes on, up to a file that was delivered empty: the demo delivers what is not there, and leaves the rest."""
    home = interrupted[0]
    broken = home.root / "landing" / "flights" / BROKEN
    broken.write_text("")
    done = home.run("demo", "--exit", "--partitions", "2")
    return home, Ended(done.returncode, done.stderr, home.processes(), published(home))


@pytest.fixture(scope="module")
def home(stopped: tuple[DemoHome, Ended]) -> DemoHome:
    """The file is taken away, so that it is delivered as it should be, and the two weeks end."""
    made = stopped[0]
    (made.root / "landing" / "flights" / BROKEN).unlink()
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
    script = "; ".join(
        ["from airflow.__main__ import main", "import sys"]
        + [f"sys.argv = ['airflow', 'tasks', 'clear', '--yes', 'flight_delay__{stage}']; main()" for stage in STAGES]
    )
    subprocess.run(
        [sys.executable, "-c", script],
        env={**airflow_environment(here, port=8080, mlflow_port=5000), **home.extra},
        check=True,
        capture_output=True,
    )


def test_ctrl_c_stops_everything(interrupted: tuple[DemoHome, Ended, Ended]) -> None:
    _, _, ended = interrupted
    assert ended.returncode == 130
    assert "Run this again to go on from here" in ended.stderr
    assert ended.processes == []


def test_a_second_demo_in_the_same_home_is_refused(interrupted: tuple[DemoHome, Ended, Ended]) -> None:
    _, refused, _ = interrupted
    assert refused.returncode == 1
    assert "runs in" in refused.stderr
    assert "tradewind down" in refused.stderr


def test_an_empty_file_stops_it_and_is_named(stopped: tuple[DemoHome, Ended]) -> None:
    _, ended = stopped
    assert ended.returncode == 1
    assert f"task flights of flight_delay__etl failed for partition {SECOND}" in ended.stderr
    assert BROKEN in ended.stderr
    assert ended.processes == []
    assert ended.published == [f"partition={FIRST}"]  # it went on after Ctrl-C, and no further than the broken week


def test_every_flight_of_the_weeks_is_published(home: DemoHome) -> None:
    flights = home.result()["datasets"]["flights"]
    assert flights["by_partition"] == {FIRST: 6063, SECOND: 6104}


def test_it_decides_each_week_and_says_why(home: DemoHome) -> None:
    decisions = home.result()["decisions"]
    assert [decision["partition"] for decision in decisions] == [FIRST, SECOND]
    assert all("training window" in decision["reason"] for decision in decisions)


def test_nothing_is_written_to_the_home_folder(home: DemoHome) -> None:
    assert list(home.user.rglob("*")) == []


def test_no_process_is_left(home: DemoHome) -> None:
    assert home.processes() == []


def test_running_it_again_after_clearing_all_tasks_adds_nothing(undisturbed_home: DemoHome) -> None:
    before = everything(undisturbed_home)
    assert before["model versions"] == (2,)  # the first candidate, and its refit, which serves
    clear_all_tasks(undisturbed_home)
    undisturbed_home.demo(WEEKS)
    assert everything(undisturbed_home) == before
