"""What every test gets: a home of its own, no telemetry, and PostgreSQL when there is one."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

POSTGRES = "postgresql+psycopg://postgres@127.0.0.1:5432/postgres"
IN_CI = os.environ.get("CI", "").lower() in ("1", "true")

# Packages that were fetched once are not fetched again, although HOME is another from here on.
for _variable, _folder in (("PIP_CACHE_DIR", "pip"), ("UV_CACHE_DIR", "uv")):
    os.environ.setdefault(_variable, str(Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / _folder))

# Set before any test module is imported: Airflow writes into AIRFLOW_HOME as soon as somebody imports it.
HOME = Path(tempfile.mkdtemp(prefix="tradewind-tests-"))
os.environ.update(
    HOME=str(HOME),
    AIRFLOW_HOME=str(HOME / "airflow"),
    AIRFLOW__CORE__LOAD_EXAMPLES="False",
    AIRFLOW__CORE__UNIT_TEST_MODE="False",
    AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=f"sqlite:///{HOME}/airflow.db",
    AIRFLOW__USAGE_DATA_COLLECTION__ENABLED="False",
    DO_NOT_TRACK="true",
    FEAST_USAGE="False",
    GIT_PYTHON_REFRESH="quiet",
    GX_ANALYTICS_ENABLED="False",
    MLFLOW_DISABLE_TELEMETRY="true",
    SCARF_NO_ANALYTICS="true",
)
for name in ("TRADEWIND_HOME", "AIRFLOW_CONFIG", "MLFLOW_TRACKING_URI", "PYTHONWARNINGS"):
    os.environ.pop(name, None)


def pytest_unconfigure() -> None:
    """Leave nothing behind."""
    shutil.rmtree(HOME, ignore_errors=True)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """In CI a `services` test that was skipped is a failure: there the services must be there."""
    report = yield
    if IN_CI and report.skipped and item.get_closest_marker("services") and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid}: skipped, but CI is set and its services must be running: {report.longrepr}"
    return report


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """What starts a whole Airflow runs first, one after another, in one of the workers; all else where there is room.

    Tests of a file that shares something run in one worker, or it would be made in each. xdist has groups for this, but
    3.8 names them through an attribute that pytest 9.2 does not have any more.
    """
    from xdist.scheduler import LoadScopeScheduling

    config.option.loadscopereorder = False  # tests/dags, tests/e2e and tests/faults come first by their names
    shares = lru_cache(lambda path: 'scope="module"' in (config.rootpath / path).read_text(encoding="utf-8"))

    class AirflowsInOneWorker(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            path = nodeid.partition("::")[0]
            if path.startswith(("tests/e2e/", "tests/faults/")) and "empty_environment" not in path:
                return "airflow"
            return path if shares(path) else nodeid

    return AirflowsInOneWorker(config, log)


@pytest.fixture(scope="session")
def project() -> Path:
    """The checkout."""
    return Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def _postgres() -> str:
    """URL of a PostgreSQL in which databases may be made."""
    import sqlalchemy

    url = os.environ.get("TRADEWIND_TEST_POSTGRES", POSTGRES)
    engine = sqlalchemy.create_engine(url, connect_args={"connect_timeout": 3})
    try:
        engine.connect().close()
    except sqlalchemy.exc.OperationalError as error:
        pytest.skip(f"no PostgreSQL at {url} (set TRADEWIND_TEST_POSTGRES): {str(error.orig).splitlines()[0]}")
    finally:
        engine.dispose()
    return url


@pytest.fixture
def postgres_url(_postgres: str) -> Iterator[str]:
    """URL of an empty database of this test's own; dropped afterwards."""
    import sqlalchemy

    server = sqlalchemy.create_engine(_postgres, isolation_level="AUTOCOMMIT")
    name = f"tradewind_test_{uuid.uuid4().hex}"
    with server.connect() as connection:
        connection.execute(sqlalchemy.text(f'CREATE DATABASE "{name}"'))
    try:
        yield sqlalchemy.make_url(_postgres).set(database=name).render_as_string(hide_password=False)
    finally:
        with server.connect() as connection:
            connection.execute(sqlalchemy.text(f'DROP DATABASE "{name}" WITH (FORCE)'))
        server.dispose()


@pytest.fixture(scope="session")
def undisturbed_home(tmp_path_factory: pytest.TempPathFactory, project: Path) -> Any:
    """The home of a short life, from the first row to the champion's realised value; nobody killed anything in it."""
    from tests.e2e.demo_home import WEEKS, short_life

    home = short_life(tmp_path_factory.mktemp("undisturbed"), project)
    home.demo(WEEKS)
    assert home.result()["champions"], "without a champion these weeks prove little"
    assert home.result()["datasets"]["predictions"]["rows"], "and so without a prediction"
    return home


@pytest.fixture(scope="session")
def undisturbed(undisturbed_home: Any) -> dict[str, Any]:
    """The tables of that home."""
    from tests.e2e.demo_home import same_tables

    return same_tables(undisturbed_home)


class SmallDisk:
    """A disk of a few megabytes.

    :param folder: where it is mounted
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def remount(self, options: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{options}", str(self.folder)], check=True)

    def fill(self) -> None:
        file = os.open(self.folder / "filling", os.O_CREAT | os.O_WRONLY)
        with contextlib.suppress(OSError):
            while True:
                os.write(file, b"x" * 4096)
        os.close(file)

    def empty(self) -> None:
        (self.folder / "filling").unlink()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no disk can be mounted here: {mounted.stderr.strip()}")
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
