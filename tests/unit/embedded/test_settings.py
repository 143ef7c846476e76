"""The environment of the embedded Airflow's processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tradewind.embedded.home import Home
from tradewind.embedded.settings import environment


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(root=tmp_path / "home", project=tmp_path)
    made.lay_out()
    return made


def test_settings_of_another_airflow_or_mlflow_do_not_leak_in(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")
    monkeypatch.setenv("AIRFLOW_CONN_SOMETHING", "{}")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://elsewhere")
    found = environment(home, port=1, mlflow_port=2)
    assert found["AIRFLOW__CORE__EXECUTOR"] == "LocalExecutor"
    assert not {"AIRFLOW_CONN_SOMETHING", "MLFLOW_TRACKING_URI"} & set(found)


def test_the_connection_says_where_everything_is(home: Home) -> None:
    found = environment(home, port=1, mlflow_port=2)
    connection = json.loads(found["AIRFLOW_CONN_TRADEWIND_DEFAULT"])
    assert connection["conn_type"] == "tradewind"
    assert connection["extra"] == home.places()


def test_no_path_outside_the_home_is_for_writing(home: Home) -> None:
    found = environment(home, port=1, mlflow_port=2)
    for name in ("AIRFLOW_HOME", "MPLCONFIGDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"):
        assert Path(found[name]).is_relative_to(home.root)
    assert found["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] == f"sqlite:///{home.airflow}/airflow.db"


def test_telemetry_is_off(home: Home) -> None:
    found = environment(home, port=1, mlflow_port=2)
    assert (found["MLFLOW_DISABLE_TELEMETRY"], found["FEAST_USAGE"], found["DO_NOT_TRACK"]) == ("true", "False", "1")


@pytest.mark.slow
def test_every_option_is_one_that_airflow_knows(home: Home) -> None:
    found = environment(home, port=1, mlflow_port=2)
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
