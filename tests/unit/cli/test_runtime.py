"""Which deployment a command works with, and how it finds a pipeline by its name."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from tradewind.cli import deployments
from tradewind.cli.main import command_line
from tradewind.errors import SpecError, UsageError
from tradewind.local_airflow.home import Home
from tradewind.local_airflow.supervisor import write_state

PIPELINE = """\
pipeline: {name}
owner: data@example.com
description: Copies files.
partition: day
timezone: UTC
start: 2024-01-01
schedule: "@daily"
datasets:
  copy:
    source: {{files: "{{landing}}/{{day}}.csv"}}
    sql: include/copy.sql
"""


@pytest.fixture(autouse=True)
def in_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "dags").mkdir()
    (tmp_path / "include").mkdir()
    (tmp_path / "include" / "copy.sql").write_text("SELECT 1 AS x\n")
    (tmp_path / "dags" / "trips.yaml").write_text(PIPELINE.format(name="trips"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_it_is_this_projects_home(in_project: Path) -> None:
    (in_project / ".tradewind").mkdir()
    found = deployments.find_runtime(actor="ann")
    assert (found.lake, found.actor) == (str(in_project / ".tradewind" / "lake"), "ann")


def test_a_connection_in_the_environment_goes_before_the_home(
    in_project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (in_project / ".tradewind").mkdir()
    fields = ("project", "lake", "landing", "ledger", "feast_registry", "reports")
    extra = {name: f"/srv/{name}" for name in fields} | {"feast_online": {"type": "sqlite"}}
    monkeypatch.setenv(deployments.CONNECTION, json.dumps({"conn_type": "tradewind", "extra": extra}))
    monkeypatch.setenv("AIRFLOW_CONN_MLFLOW_DEFAULT", json.dumps({"conn_type": "mlflow", "host": "http://m"}))
    assert deployments.find_runtime().lake == "/srv/lake"
    monkeypatch.setenv("TRADEWIND_HOME", str(in_project / ".tradewind"))
    assert deployments.find_runtime().lake == str(in_project / ".tradewind" / "lake")


def test_what_an_exported_connection_of_this_project_leaves_out_is_the_homes(
    in_project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (in_project / ".tradewind").mkdir()
    online = {"type": "redis", "connection_string": "localhost:6379"}
    exported = json.dumps({"conn_type": "tradewind", "extra": {"feast_online": online}})
    monkeypatch.setenv(deployments.CONNECTION, exported)
    monkeypatch.delenv("AIRFLOW_CONN_MLFLOW_DEFAULT", raising=False)
    # Set again by the command; taken back after the test.
    monkeypatch.setenv("AIRFLOW_CONN_MLFLOW_DEFAULT", "")
    found = deployments.find_runtime()
    assert (dict(found.feast_online), found.lake) == (online, str(in_project / ".tradewind" / "lake"))


def test_a_shell_that_lacks_what_the_local_airflow_was_started_with_is_refused(
    in_project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home.of(in_project)
    home.lay_out()
    write_state(home, {"exported": [deployments.CONNECTION]})
    monkeypatch.delenv(deployments.CONNECTION, raising=False)
    with pytest.raises(UsageError, match="was started with AIRFLOW_CONN_TRADEWIND_DEFAULT in its environment"):
        deployments.find_runtime()


def test_without_a_deployment_it_says_how_to_get_one(in_project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="no deployment to work with"):
        deployments.find_runtime()
    monkeypatch.setenv("TRADEWIND_HOME", str(in_project / "elsewhere"))
    with pytest.raises(UsageError, match="elsewhere, which is not there"):
        deployments.find_runtime()


def test_a_pipeline_is_found_by_its_name_whatever_its_file_is_called(in_project: Path) -> None:
    (in_project / "dags" / "other.yaml").write_text(PIPELINE.format(name="rides"))
    assert deployments.find_pipeline("rides").pipeline == "rides"


def test_an_unknown_pipeline_is_told_with_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"no pipeline tripz below .*dags; did you mean trips\?"):
        deployments.find_pipeline("tripz")
    with pytest.raises(UsageError, match="there are: trips"):
        deployments.find_pipeline("something_else")


def test_a_broken_file_is_its_own_error_and_nobody_elses(in_project: Path) -> None:
    (in_project / "dags" / "broken.yaml").write_text("pipeline: [\n")
    assert deployments.find_pipeline("trips").pipeline == "trips"
    with pytest.raises(SpecError, match=r"broken\.yaml"):
        deployments.find_pipeline("broken")


@pytest.mark.slow
def test_what_airflow_logs_does_not_come_between_the_answer(in_project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fields = ("project", "lake", "landing", "feast_registry", "reports")
    extra = {name: str(in_project / name) for name in fields} | {"feast_online": {"type": "sqlite"}}
    extra["ledger"] = f"sqlite:///{in_project}/ledger.db"  # making it is logged
    monkeypatch.setenv("AIRFLOW_HOME", str(in_project / "airflow"))
    monkeypatch.setenv(deployments.CONNECTION, json.dumps({"conn_type": "tradewind", "extra": extra}))
    monkeypatch.setenv("AIRFLOW_CONN_MLFLOW_DEFAULT", json.dumps({"conn_type": "mlflow", "host": "http://m"}))
    command = [sys.executable, "-m", "tradewind.cli.main", "history", "trips", "--json"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(result.stdout) == {"pipeline": "trips", "history": []}
    assert result.stderr == ""


def test_the_demo_takes_no_deployment_over(in_project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(deployments.CONNECTION, json.dumps({"conn_type": "tradewind", "extra": {"lake": "s3://lake"}}))
    done = CliRunner().invoke(command_line, ["demo"])
    assert isinstance(done.exception, UsageError)
    assert "AIRFLOW_CONN_TRADEWIND_DEFAULT is exported: unset it" in str(done.exception)
    assert not (in_project / ".tradewind").exists()


def test_up_refuses_a_connection_of_another_project_before_it_starts_anything(
    in_project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = {"conn_type": "tradewind", "extra": {"project": "/opt/project"}}
    monkeypatch.setenv(deployments.CONNECTION, json.dumps(other))
    done = CliRunner().invoke(command_line, ["up"])
    assert isinstance(done.exception, UsageError)
    assert "exported for the project /opt/project" in str(done.exception)
    assert not (in_project / ".tradewind").exists()
