"""Fixtures of more than one room: a pipeline with eight weeks of flights, and one with versions in a registry."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from tests.delays_pipeline import House, build, carrier_week, flights, runtime, spec, write_population
from tests.registered_versions import Place, register, versions_runtime, versions_spec

from tradewind.spec.pipeline import Pipeline


@pytest.fixture(scope="session")
def pipeline() -> Pipeline:
    """The YAML alone, for what needs no deployment."""
    return spec()


@pytest.fixture(scope="session")
def empty_mlflow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow's database with nothing in it, to be copied: its tables are slow to make."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    folder = tmp_path_factory.mktemp("mlflow")
    SqlAlchemyStore(f"sqlite:///{folder}/mlflow.db", folder.as_uri())
    return folder / "mlflow.db"


@pytest.fixture(scope="session")
def built(empty_mlflow: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], House]:
    """Makes fresh deployments: copies of one, whose lake is slow to make."""
    template = tmp_path_factory.mktemp("template")
    shutil.copy(empty_mlflow, template)
    build(template)

    def make(folder: Path) -> House:
        shutil.copytree(template, folder, dirs_exist_ok=True)
        return House(spec(), runtime(folder))

    return make


@pytest.fixture
def house(built: Callable[[Path], House], tmp_path: Path) -> House:
    """A fresh deployment: eight weeks, no model."""
    return built(tmp_path)


@pytest.fixture
def publish_week() -> Callable[..., None]:
    """Publishes a week's flights, and what follows from them, as a correction would."""

    def publish(
        house: House,
        number: int,
        *,
        seed: int = 0,
        cause: str = "corrected",
        change: Callable[[pa.Table], pa.Table] | None = None,
    ) -> None:
        week = house.week(number)
        rows = flights(week, seed=seed)
        rows = change(rows) if change else rows
        house.publish("flights", week, rows, cause=cause)
        house.publish("carrier_week", week, carrier_week(week, rows), cause=cause)
        write_population(house, week)

    return publish


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Callable[[object, str, Callable[[], object]], None]:
    """Something else happens, once, right after a function of the code under test has done its work."""

    def after(owner: object, name: str, happens: Callable[[], object]) -> None:
        original = getattr(owner, name)

        def wrapped(*args: object, **kwargs: object) -> object:
            result = original(*args, **kwargs)
            monkeypatch.setattr(owner, name, original)
            happens()
            return result

        monkeypatch.setattr(owner, name, wrapped)

    return after


@pytest.fixture
def deliver() -> Callable[..., None]:
    """Delivers the schedule of a week again, changed."""

    def deliver(house: House, number: int, change: Callable[[pa.Table], pa.Table]) -> None:
        week = house.week(number)
        write_population(house, week, change(flights(week)))

    return deliver


@pytest.fixture(scope="session")
def mlflow_url(empty_mlflow: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A registry that tests share; each has a registered model of its own in it."""
    folder = tmp_path_factory.mktemp("shared")
    shutil.copy(empty_mlflow, folder)
    return f"sqlite:///{folder}/mlflow.db"


@pytest.fixture
def place(tmp_path: Path, mlflow_url: str) -> Place:
    name = f"flights_{tmp_path.parent.name.replace('-', '_')}_{tmp_path.name}"
    made = Place(versions_spec(name), versions_runtime(tmp_path, mlflow_url))
    register(made, number=3, folder=tmp_path / "models")
    return made


@pytest.fixture
def killed_at(tmp_path: Path) -> Callable[..., None]:
    """Calls a function in a fork of this process, which dies at a named point; it must not read the lake."""

    def run(point: str, function: Any, place: Place, *positional: Any, **arguments: Any) -> None:
        trigger = tmp_path / "fault"
        trigger.touch()
        if (child := os.fork()) == 0:
            os.environ["TRADEWIND_FAULT"] = f"{point}:{trigger}"
            try:
                function(place.deployment, *positional, **arguments)
            finally:
                os._exit(0)  # it did not die: the assertion below says so
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
        assert not trigger.exists()

    return run
