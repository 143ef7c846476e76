"""`tradewind rehearse`: a process of its own, since it takes the settings of its home over."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy

from tradewind.cli.airflow_client import connect_airflow
from tradewind.cli.rehearse import first_line, rehearsal_lines
from tradewind.deployment import Deployment
from tradewind.errors import UsageError
from tradewind.local_airflow.home import Home
from tradewind.local_airflow.supervisor import lock_home
from tradewind.planning.plan import make_plan
from tradewind.spec.load import load_pipeline

YAML = """\
pipeline: trips
owner: data@example.com
description: Counts trips.
partition: day
timezone: UTC
start: 2024-01-01
end: 2024-01-05
schedule: "@daily"
datasets:
  trips:
    source: {source}
    sql: include/trips.sql
"""
FILES = '{files: "{landing}/{day}.csv"}'
DATABASE = "{connection: shop_db, query: include/query.sql}"

pytestmark = pytest.mark.slow


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name, text in {
        "dags/trips.yaml": YAML.replace("{source}", FILES),
        "include/trips.sql": "SELECT * FROM source\n",
        ".tradewind/landing/2024-01-01.csv": "id\n1\n2\n",
        ".tradewind/landing/2024-01-03.csv": "id\n3\n",
        ".tradewind/landing/2024-01-04.csv": "id\n4\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def rehearse(project: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "TRADEWIND"))}
    command = [sys.executable, "-m", "tradewind.cli.main", "rehearse", "trips", *arguments]
    return subprocess.run(
        command, cwd=project, env={**kept, "HOME": str(project / "user"), **environment}, text=True,
        capture_output=True, check=False,
    )  # fmt: skip


def answer(done: subprocess.CompletedProcess[str]) -> Mapping[str, Any]:
    assert done.stdout, done.stderr
    found: Mapping[str, Any] = json.loads(done.stdout)
    return found


def test_a_failure_is_named_later_partitions_go_on_and_the_exit_code_is_1(project: Path) -> None:
    done = rehearse(project, "--json")
    found = answer(done)
    assert done.returncode == 1
    assert found["stages"] == {"etl": {"done": 3, "failed": 1}}
    (failed,) = found["failed"]
    assert (failed["partition"], failed["stage"]) == ("2024-01-02", "etl")
    assert "2024-01-02.csv" in failed["reason"]
    assert found["datasets"]["trips"]["by_partition"] == {"2024-01-01": 2, "2024-01-03": 1, "2024-01-04": 1}
    assert [one["fingerprint"] for one in found["incidents"]] == ["trips/etl/trips/MissingInput"]
    assert set(found["seconds"]) == {"etl"}
    assert "2024-01-02 etl failed: " in done.stderr
    assert "partition 2024-01-01: etl\n" in done.stderr
    assert "partition 2024-01-02: failed: etl\n" in done.stderr
    # Mended, it goes on; and a plan of that home finds everything current, in the landing zone of the project.
    (project / ".tradewind/landing/2024-01-02.csv").write_text("id\n9\n")
    again = rehearse(project, "--from", "2024-01-02", "--to", "2024-01-02")
    assert again.returncode == 0, again.stderr
    assert f"home    {project}/.tradewind/rehearsal" in again.stdout
    home = Home(root=project / ".tradewind" / "rehearsal", project=project)
    states = {
        item.state
        for item in make_plan(Deployment(load_pipeline(project / "dags" / "trips.yaml"), home.runtime())).items
    }
    assert states == {"current"}
    # Nothing is written outside, and others cannot look in.
    assert not (project / "user").exists()
    assert (project / ".tradewind").stat().st_mode & 0o077 == 0


def test_who_looks_around_in_a_rehearsal_goes_on_with_it(project: Path) -> None:
    """Its own last line says to name it in TRADEWIND_HOME."""
    only = ("--from", "2024-01-01", "--to", "2024-01-01")
    rehearse(project, *only)
    again = rehearse(project, *only, TRADEWIND_HOME=".tradewind/rehearsal")
    assert f"home    {project}/.tradewind/rehearsal\n" in again.stdout, again.stderr
    assert f"landing {project}/.tradewind/landing\n" in again.stdout
    assert not (project / ".tradewind/rehearsal/rehearsal").exists()


def test_what_needs_an_airflow_names_the_rehearsal_instead(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Home(root=project / "own", project=project)
    home.lay_out()
    monkeypatch.chdir(project)
    monkeypatch.setenv("TRADEWIND_HOME", "own")
    monkeypatch.delenv("TRADEWIND_AIRFLOW_URL", raising=False)
    with pytest.raises(UsageError, match="start it with: tradewind up"):
        connect_airflow()
    home.read_deliveries_from("landing")
    with pytest.raises(UsageError, match=r"is the home of a rehearsal.*tradewind rehearse NAME --from KEY"):
        connect_airflow()


def test_the_summary_tells_a_refit_from_what_was_judged_and_that_it_names_the_last_decisions_only() -> None:
    version = {"partition": "2024-01-01", "verdict": "passed", "reason": "2 of 2"}
    decisions = [{"partition": f"2024-01-0{day}", "outcome": "train", "reason": "drift"} for day in range(1, 8)]
    found = {
        "pipeline": "trips", "partitions": ["2024-01-01"], "total_seconds": 1, "home": "h", "landing": "l",
        "stages": {}, "datasets": {}, "champions": [], "failed": [], "skipped": [],
        "incidents": [{"fingerprint": "trips/monitor/-/Drift", "partitions": [], "message": "drift over 1"}],
        "versions": [{**version, "version": "1", "refit_of": None}, {**version, "version": "2", "refit_of": "1"}],
        "decisions": decisions,
    }  # fmt: skip
    told = "\n".join(rehearsal_lines(found))
    assert "  1 of 2024-01-01: passed: 2 of 2\n" in told
    assert "  2 of 2024-01-01: version 1 fitted once more, on the whole window\n" in told
    assert "  trips/monitor/-/Drift: drift over 1\n" in told
    assert "decisions: 7 train; the last 5 to train:\n  2024-01-03 train: drift\n" in told


def test_a_reason_that_is_cut_short_says_so() -> None:
    assert first_line("short\nmore") == "short"
    assert first_line("x" * 400).endswith("x …")
    assert first_line("") == ""


def test_a_home_that_is_in_use_is_refused(project: Path) -> None:
    home = Home(root=project / "elsewhere", project=project)
    home.lay_out()
    lock = lock_home(home)
    assert lock is not None
    with lock:
        done = rehearse(project, "--home", "elsewhere", "--from", "2024-01-01", "--to", "2024-01-01")
    assert done.returncode == 1
    assert f"{home.root} is in use by another rehearsal or an Airflow" in done.stderr


@pytest.mark.services
@pytest.mark.parametrize("form", ["uri", "json"])
def test_a_database_is_reached_by_an_exported_connection(project: Path, postgres_url: str, form: str) -> None:
    url = sqlalchemy.make_url(postgres_url)
    fields = {"host": url.host, "port": url.port, "login": url.username, "password": url.password or "",
              "schema": url.database}  # fmt: skip
    engine = sqlalchemy.create_engine(url)
    with engine.begin() as connection:
        connection.execute(
            sqlalchemy.text("CREATE TABLE trips AS SELECT 7 AS id, timestamptz '2024-01-01 12:00Z' AS at")
        )
    engine.dispose()
    (project / "dags/trips.yaml").write_text(YAML.replace("{source}", DATABASE))
    (project / "include/query.sql").write_text(
        "SELECT id FROM trips WHERE at >= $partition_start AND at < $partition_end\n"
    )
    exported = json.dumps({"conn_type": "postgres", **fields})
    if form == "uri":
        exported = url.set(drivername="postgres").render_as_string(hide_password=False)
    only = ("--from", "2024-01-01", "--to", "2024-01-01", "--json")
    done = rehearse(project, *only, AIRFLOW_CONN_SHOP_DB=exported)
    assert answer(done)["datasets"]["trips"]["rows"] == 1, done.stderr
    assert done.returncode == 0
    without = rehearse(project, "--home", "other", *only)
    assert (
        answer(without)["failed"][0]["reason"]
        == "connection shop_db is not in the environment; export AIRFLOW_CONN_SHOP_DB"
    )


def test_ctrl_c_leaves_with_a_word_and_the_home_free(project: Path) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "TRADEWIND"))}
    command = [sys.executable, "-m", "tradewind.cli.main", "rehearse", "trips", "--home", "own"]
    started = subprocess.Popen(
        command, cwd=project, env=kept, text=True, stderr=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert started.stderr is not None
    for line in started.stderr:
        if line.startswith("rehearsing trips"):
            started.send_signal(signal.SIGINT)
            break
    output, rest = started.communicate()
    assert started.returncode == 130, rest
    assert "stopped; what was done stays" in rest
    assert "Traceback" not in rest
    assert output == ""
    lock = lock_home(Home(root=project / "own", project=project))
    assert lock is not None
    lock.close()
