"""The folder of the embedded Airflow."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from tradewind.errors import UsageError
from tradewind.local_airflow.home import Home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(root=tmp_path / "home", project=tmp_path)
    made.lay_out()
    return made


def test_it_is_in_the_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRADEWIND_HOME", raising=False)
    (tmp_path / "dags").mkdir()
    assert Home.of(tmp_path).root == tmp_path.resolve() / ".tradewind"


def test_an_environment_variable_moves_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADEWIND_HOME", str(tmp_path / "elsewhere"))
    (tmp_path / "dags").mkdir()
    assert Home.of(tmp_path).root == (tmp_path / "elsewhere").resolve()


def test_a_folder_that_is_no_project_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no dags/ folder"):
        Home.of(tmp_path)


def test_secrets_survive_and_are_private(home: Home) -> None:
    before = home.secrets()
    home.lay_out()
    assert home.secrets() == before
    assert stat.S_IMODE(home.passwords.stat().st_mode) == 0o600


def test_nobody_else_on_the_machine_looks_into_it_nor_into_one_of_old(home: Home) -> None:
    assert stat.S_IMODE(home.root.stat().st_mode) == 0o700
    home.root.chmod(0o755)
    home.lay_out()
    assert stat.S_IMODE(home.root.stat().st_mode) == 0o700


def test_two_homes_have_different_passwords(home: Home, tmp_path: Path) -> None:
    other = Home(root=tmp_path / "other", project=tmp_path)
    other.lay_out()
    assert other.secrets()["password"] != home.secrets()["password"]


def test_everything_of_the_runtime_is_below_it(home: Home) -> None:
    runtime = home.runtime()
    places = (
        runtime.lake,
        runtime.landing,
        runtime.ledger,
        runtime.mlflow,
        runtime.feast_registry,
        str(runtime.reports),
    )
    assert all(str(home.root) in place for place in (*places, runtime.feast_online["path"]))
