"""The environment of the embedded Airflow's processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest

from tradewind.errors import UsageError
from tradewind.hooks.tradewind import TradewindHook
from tradewind.local_airflow.home import Home
from tradewind.local_airflow.settings import airflow_environment


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(root=tmp_path / "home", project=tmp_path)
    made.lay_out()
    return made


def test_settings_of_another_airflow_or_mlflow_do_not_leak_in(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://elsewhere")
    monkeypatch.setenv("AIRFLOW_HOME", "/elsewhere")
    found = airflow_environment(home, port=1, mlflow_port=2)
    assert (found["AIRFLOW__CORE__EXECUTOR"], found["AIRFLOW_HOME"]) == ("LocalExecutor", str(home.airflow))
    assert "MLFLOW_TRACKING_URI" not in found


def test_connections_that_pipelines_name_are_those_that_are_exported(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SHOP_DB", "postgres://db/shop")
    monkeypatch.setenv("AIRFLOW_VAR_WHERE", "shop_db")
    found = airflow_environment(home, port=1, mlflow_port=2)
    assert (found["AIRFLOW_CONN_SHOP_DB"], found["AIRFLOW_VAR_WHERE"]) == ("postgres://db/shop", "shop_db")


REDIS = {"type": "redis", "connection_string": "redis:6379,password=p@ss"}


@pytest.mark.parametrize("form", ["json", "uri"])
def test_an_exported_tradewind_default_holds_and_the_home_fills_what_it_leaves_out(
    home: Home, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    extra = {"feast_online": REDIS, "ledger": "postgresql+psycopg://me:{password}@db/ledger"}
    exported = json.dumps({"conn_type": "tradewind", "password": "s/1", "extra": extra})
    if form == "uri":
        exported = f"tradewind://:s%2F1@/?__extra__={quote(json.dumps(extra))}"
    monkeypatch.setenv("AIRFLOW_CONN_TRADEWIND_DEFAULT", exported)
    monkeypatch.setenv("AIRFLOW_CONN_MLFLOW_DEFAULT", "mlflow://mlflow:5000")
    found = airflow_environment(home, port=1, mlflow_port=2, exported=True)
    assert found["AIRFLOW_CONN_MLFLOW_DEFAULT"] == "mlflow://mlflow:5000"
    monkeypatch.setenv("AIRFLOW_CONN_TRADEWIND_DEFAULT", found["AIRFLOW_CONN_TRADEWIND_DEFAULT"])
    runtime = TradewindHook().runtime(run_id="r")
    assert dict(runtime.feast_online) == REDIS
    assert runtime.ledger == "postgresql+psycopg://me:s%2F1@db/ledger"
    assert (runtime.lake, runtime.project) == (str(home.root / "lake"), home.project)


def test_an_exported_connection_of_another_project_is_refused_loudly(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = {"conn_type": "tradewind", "extra": {"project": "/opt/project", "lake": "s3://lake"}}
    monkeypatch.setenv("AIRFLOW_CONN_TRADEWIND_DEFAULT", json.dumps(other))
    with pytest.raises(UsageError, match="exported for the project /opt/project, and this is"):
        airflow_environment(home, port=1, mlflow_port=2, exported=True)
    # What has a home of its own, as a rehearsal, does not look at it.
    assert "/opt/project" not in airflow_environment(home, port=1, mlflow_port=2)["AIRFLOW_CONN_TRADEWIND_DEFAULT"]


def test_the_connection_says_where_everything_is(home: Home) -> None:
    found = airflow_environment(home, port=1, mlflow_port=2)
    connection = json.loads(found["AIRFLOW_CONN_TRADEWIND_DEFAULT"])
    assert connection["conn_type"] == "tradewind"
    assert connection["extra"] == home.places()


def test_no_path_outside_the_home_is_for_writing(home: Home) -> None:
    found = airflow_environment(home, port=1, mlflow_port=2)
    for name in ("AIRFLOW_HOME", "MPLCONFIGDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"):
        assert Path(found[name]).is_relative_to(home.root)
    assert found["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] == f"sqlite:///{home.airflow}/airflow.db"


def test_telemetry_is_off(home: Home) -> None:
    found = airflow_environment(home, port=1, mlflow_port=2)
    assert (found["MLFLOW_DISABLE_TELEMETRY"], found["FEAST_USAGE"], found["DO_NOT_TRACK"]) == ("true", "False", "1")


@pytest.mark.slow
def test_every_option_is_one_that_airflow_knows(home: Home) -> None:
    found = airflow_environment(home, port=1, mlflow_port=2)
    names = [name for name in found if name.startswith("AIRFLOW__")]
    code = (
        "import os\n"
        "from airflow.configuration import conf\n"
        "known = conf.configuration_description\n"
        f"for name in {names!r}:\n"
        "    section, option = name.removeprefix('AIRFLOW__').lower().split('__', 1)\n"
        "    if option not in known.get(section, {}).get('options', {}): print(name)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ, **found}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    # [scheduler] mp_start_method is read, though described only in [core].
    assert done.stdout.split() in ([], ["AIRFLOW__SCHEDULER__MP_START_METHOD"])
