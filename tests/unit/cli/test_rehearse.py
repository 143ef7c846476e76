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

from tradewind.embedded.home import Home
from tradewind.embedded.supervisor import take_lock
from tradewind.planning.plan import make
from tradewind.spec.load import load

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
    # Mended, it goes on; and a plan of that home finds everything current, in the landing zone of the project.
    (project / ".tradewind/landing/2024-01-02.csv").write_text("id\n9\n")
    again = rehearse(project, "--from", "2024-01-02", "--to", "2024-01-02")
    assert again.returncode == 0, again.stderr
    assert f"home    {project}/.tradewind/rehearsal" in again.stdout
    home = Home(root=project / ".tradewind" / "rehearsal", project=project)
    states = {item.state for item in make(load(project / "dags" / "trips.yaml"), home.runtime()).items}
    assert states == {"current"}
    # Nothing is written outside, and others cannot look in.
    assert not (project / "user").exists()
    assert (project / ".tradewind").stat().st_mode & 0o077 == 0


def test_a_home_that_is_in_use_is_refused(project: Path) -> None:
    home = Home(root=project / "elsewhere", project=project)
    home.lay_out()
    lock = take_lock(home)
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
    lock = take_lock(Home(root=project / "own", project=project))
    assert lock is not None
    lock.close()
