"""docker/ and astro/ as far as they can be checked without building images."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tradewind.local_airflow.home import Home
from tradewind.local_airflow.settings import airflow_environment

AIRFLOW = {"api-server", "scheduler", "dag-processor", "triggerer", "worker", "init"}
DEFAULT = re.compile(r"\$\{[A-Z_]+:-([^}]*)\}")
WEIRD = """p@ss'w"o%rd/$x:\\{1}#"""


@pytest.fixture
def compose(project: Path) -> dict[str, Any]:
    return yaml.safe_load((project / "docker" / "compose.yaml").read_text())


def test_compose_has_every_process_of_a_deployment(compose: dict[str, Any]) -> None:
    assert set(compose["services"]) == AIRFLOW | {"postgres", "redis", "mlflow"}


def test_every_lasting_service_has_a_health_check(compose: dict[str, Any]) -> None:
    lasting = {name: service for name, service in compose["services"].items() if name != "init"}

    assert [name for name, service in lasting.items() if not service["healthcheck"]["test"]] == []


def test_services_wait_for_what_exists(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        for other, how in service.get("depends_on", {}).items():
            wanted = "service_completed_successfully" if other == "init" else "service_healthy"
            assert other in compose["services"], name
            assert how["condition"] == wanted, f"{name} waits for {other}"


def test_workers_start_after_the_api_server(compose: dict[str, Any]) -> None:
    for name in ("scheduler", "worker", "triggerer", "dag-processor"):
        assert "api-server" in compose["services"][name]["depends_on"]


def test_every_secret_can_be_set_from_outside(compose: dict[str, Any]) -> None:
    environment = compose["services"]["scheduler"]["environment"]
    secret = [value for name, value in environment.items() if re.search("KEY|SECRET|CONN|BACKEND", name)]

    assert secret
    # No URL and no connection holds a secret; what is one comes from outside.
    assert {
        name for name in environment if re.search("KEY|SECRET|PASSWORD$", name) and "${" not in environment[name]
    } == set()
    assert [value for value in secret if "PASSWORD" in value] == []
    assert compose["services"]["postgres"]["environment"]["POSTGRES_PASSWORD"].startswith("${")


def test_ports_are_open_on_this_machine_only(compose: dict[str, Any]) -> None:
    ports = [port for service in compose["services"].values() for port in service.get("ports", [])]

    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_connections_name_every_place_of_a_runtime(compose: dict[str, Any]) -> None:
    from tradewind.hooks.tradewind import TradewindHook

    text = compose["services"]["worker"]["environment"]["AIRFLOW_CONN_TRADEWIND_DEFAULT"]
    connection = json.loads(DEFAULT.sub(r"\1", text))

    assert connection["conn_type"] == TradewindHook.conn_type
    assert set(connection["extra"]) == {
        "project", "lake", "landing", "ledger", "feast_registry", "feast_online", "reports",
    }  # fmt: skip


def test_the_secrets_for_trying_out_are_accepted_by_airflow(compose: dict[str, Any]) -> None:
    from cryptography.fernet import Fernet

    environment = compose["services"]["worker"]["environment"]
    Fernet(DEFAULT.sub(r"\1", environment["AIRFLOW__CORE__FERNET_KEY"]))

    assert len(DEFAULT.sub(r"\1", environment["AIRFLOW__API_AUTH__JWT_SECRET"])) >= 64


@pytest.mark.parametrize("name", ["docker/Dockerfile", "astro/Dockerfile"])
def test_hadolint_finds_nothing(project: Path, name: str) -> None:
    hadolint = Path(sys.executable).with_name("hadolint")

    done = subprocess.run([hadolint, project / name], capture_output=True, text=True, check=False)

    assert done.stdout == ""
    assert done.returncode == 0


def test_what_the_image_copies_is_not_ignored(project: Path) -> None:
    copied = re.findall(
        r"^COPY (?!--from)(?:--chown=\S+ )?(.+) \S+$", (project / "docker/Dockerfile").read_text(), re.M
    )
    names = {name.split("/")[0] for line in copied for name in line.split()}
    kept = set((project / "docker/Dockerfile.dockerignore").read_text().split())

    assert "include" in names
    assert {f"!{name}" for name in names} <= kept
    assert [name for name in names if not (project / name).exists()] == []


def test_astro_requirements_are_our_constraints(project: Path) -> None:
    lines = [Requirement(line) for line in (project / "constraints.txt").read_text().splitlines()]
    pins = {line.name: str(line.specifier) for line in lines}
    wanted = {line.name: str(line.specifier) for line in _requirements(project)}

    assert {name: pins.get(name) for name in wanted} == wanted, "write the versions of constraints.txt there"


def test_astro_requirements_hold_all_that_the_runtime_lacks(project: Path) -> None:
    """Airflow itself needs the others, so the runtime has them, at versions of its own."""
    meta = tomllib.loads((project / "pyproject.toml").read_text())["project"]["dependencies"]
    of_airflow = {
        "alembic", "apache-airflow", "apache-airflow-providers-standard", "click", "croniter", "fastapi", "httpx",
        "psutil", "pydantic", "pyyaml", "sqlalchemy",
    }  # fmt: skip

    assert {Requirement(text).name for text in meta} - of_airflow <= {line.name for line in _requirements(project)}


def _requirements(project: Path) -> list[Requirement]:
    return [Requirement(line) for line in (project / "astro/requirements.txt").read_text().splitlines()]


@pytest.mark.slow
def test_an_astro_project_is_put_together(project: Path, tmp_path: Path) -> None:
    environment = {"PYTHON": sys.executable, "PATH": os.defpath}
    subprocess.run([project / "astro/assemble", tmp_path], check=True, capture_output=True, env=environment)

    assert list(tmp_path.glob("wheels/airflow_provider_tradewind-*.whl"))
    assert (tmp_path / "dags/flight_delay.yaml").exists()
    assert (tmp_path / "include/flight_delay").is_dir()
    assert not (tmp_path / "include/tradewind").exists()
    assert (tmp_path / ".dockerignore").exists()


def built(value: Any, **given: str) -> Any:
    """What Compose makes of values: defaults, and in their place what is set outside, in each text as it is read."""
    if isinstance(value, dict):
        return {name: built(inner, **given) for name, inner in value.items()}
    if isinstance(value, list):
        return [built(inner, **given) for inner in value]
    if not isinstance(value, str):
        return value
    return re.sub(r"\$\{([A-Z_]+):-([^}]*)\}|\$(\$)", lambda m: m[3] or given.get(m[1], m[2]), value)


def test_a_password_may_hold_any_character(compose: dict[str, Any]) -> None:
    services = built(compose["services"], POSTGRES_USER="me@x", POSTGRES_PASSWORD=WEIRD)
    assert services["postgres"]["environment"]["POSTGRES_PASSWORD"] == WEIRD
    for name in AIRFLOW | {"mlflow"}:
        environment = services[name]["environment"]
        assert (environment["PGUSER"], environment["PGPASSWORD"]) == ("me@x", WEIRD)
        assert [key for key, value in environment.items() if WEIRD in value] == ["PGPASSWORD"]
        extra = json.loads(environment["AIRFLOW_CONN_TRADEWIND_DEFAULT"])["extra"]
        places = {
            environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]: "airflow",
            environment["AIRFLOW__CELERY__RESULT_BACKEND"].removeprefix("db+"): "airflow",
            extra["ledger"]: "tradewind",
            extra["feast_registry"]: "tradewind",
            services["mlflow"]["command"][4].removeprefix("--backend-store-uri="): "mlflow",
        }
        for text, database in places.items():
            url = sqlalchemy.make_url(text)
            assert (url.host, url.database, url.username, url.password) == ("postgres", database, None, None)


@pytest.mark.services
@pytest.mark.parametrize("driver", ["psycopg2", "psycopg"])
def test_every_driver_takes_the_user_from_the_environment(
    driver: str, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the container does: the user cannot be in the URL, since its name has an @."""
    role = "tradewind_test@compose"
    owner = sqlalchemy.create_engine(postgres_url, isolation_level="AUTOCOMMIT")
    with owner.connect() as connection:
        if not connection.execute(sqlalchemy.text("SELECT 1 FROM pg_roles WHERE rolname = :r"), {"r": role}).scalar():
            connection.execute(sqlalchemy.text(f"""CREATE ROLE "{role}" LOGIN PASSWORD 'a@b%'"""))
    monkeypatch.setenv("PGUSER", role)
    monkeypatch.setenv("PGPASSWORD", "a@b%")
    url = sqlalchemy.make_url(postgres_url)
    bare = sqlalchemy.URL.create(f"postgresql+{driver}", host=url.host, port=url.port, database=url.database)
    engine = sqlalchemy.create_engine(bare)
    try:
        with engine.connect() as connection:
            assert connection.execute(sqlalchemy.text("SELECT current_user")).scalar() == role
    finally:
        engine.dispose()
        with owner.connect() as connection:
            connection.execute(sqlalchemy.text(f'DROP ROLE "{role}"'))
        owner.dispose()


USED = ("aws", "postgres")
"""Types of connections that deployments bring a hook for."""


def test_no_task_is_delivered_twice_while_it_runs(compose: dict[str, Any]) -> None:
    """Redis delivers again what is not confirmed in time; the tasks' own limit must end them long before."""
    for name in ("scheduler", "worker"):
        set_ = built(compose["services"][name]["environment"])
        seconds = int(set_["AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT"])
        assert seconds >= 86_400, name


IMPORTS = """
import sys
from importlib import import_module
from airflow.configuration import conf
from airflow.executors.executor_loader import ExecutorLoader
from sqlalchemy import create_engine

name = conf.get("core", "executor")
module, _, attribute = ExecutorLoader.executors[name].rpartition(".")
print(getattr(import_module(module), attribute).__name__)
if name == "CeleryExecutor":
    from airflow.providers.celery.cli.celery_command import worker
    from airflow.providers.celery.executors.celery_executor import app
    from celery.app.backends import by_url

    backend, _ = by_url(app.conf.result_backend, app.loader)
    print(backend.__module__, app.connection_for_write().transport.driver_name)
for url in sys.argv[1:]:
    create_engine(url)
"""


@pytest.mark.slow
@pytest.mark.parametrize("deployment", ["docker", "embedded"])
def test_every_executor_that_a_deployment_names_can_be_imported(
    deployment: str, compose: dict[str, Any], tmp_path: Path
) -> None:
    """With its broker, its result backend, its worker command and every database driver."""
    if deployment == "docker":
        settings = {**built(compose["services"]["worker"]["environment"])}
        extra = json.loads(settings["AIRFLOW_CONN_TRADEWIND_DEFAULT"])["extra"]
        urls, said = [extra["ledger"], extra["feast_registry"]], ["CeleryExecutor", "celery.backends.database redis"]
    else:
        home = Home(root=tmp_path, project=tmp_path)
        home.lay_out()
        settings = airflow_environment(home, port=1, mlflow_port=2)
        urls, said = [home.places()["ledger"]], ["LocalExecutor"]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS, *urls], env={**kept, "AIRFLOW_HOME": str(tmp_path), **settings},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stdout.splitlines() if line in said] == said, done.stdout


def test_every_hook_of_every_provider_that_a_deployment_names_can_be_imported(project: Path) -> None:
    from importlib import import_module

    extras = {name for names in _extras_of_files(project).values() for name in names}
    named = [*_requirements(project), *(line for extra in sorted(extras) for line in _extra(project, extra))]
    providers = sorted({line.name for line in named if line.name.startswith("apache-airflow-providers-")})
    assert "apache-airflow-providers-celery" in providers
    for provider in providers:
        (entry,) = [
            point
            for point in importlib.metadata.distribution(provider).entry_points
            if point.group == "apache_airflow_provider"
        ]
        about = entry.load()()
        kinds = {each["connection-type"]: each["hook-class-name"] for each in about.get("connection-types", [])}
        paths = [path for kind, path in kinds.items() if kind in USED]
        # Those of Amazon, and the one for both, want a provider that no deployment names.
        executors = [path for path in about.get("executors", []) if path.endswith(".CeleryExecutor")]
        for path in [*paths, *executors]:
            module, _, name = path.rpartition(".")
            assert getattr(import_module(module), name), path


def test_the_versions_that_are_pinned_fit_one_another_in_each_extra(project: Path) -> None:
    """Each requirement of each distribution, from the project's own extras downwards, is met by its pin."""
    pins = {}
    for text in (project / "constraints.txt").read_text().splitlines():
        line = Requirement(text)
        if line.marker is None or line.marker.evaluate():
            pins[canonicalize_name(line.name)] = str(line.specifier).removeprefix("==")
    meta = tomllib.loads((project / "pyproject.toml").read_text())["project"]
    for names in [*([extra] for extra in meta["optional-dependencies"]), *_extras_of_files(project).values()]:
        wanted = [Requirement(text) for text in meta["dependencies"]]
        wanted += [line for name in names for line in _extra(project, name)]
        assert list(_unmet(wanted, pins)) == [], names


def test_what_ci_installs_has_what_the_deployments_have(project: Path) -> None:
    files = _extras_of_files(project)
    assert files["docker/Dockerfile"] >= {"celery", "postgres", "redis", "search"}
    assert files["docker/Dockerfile"] <= files["Makefile"]


def _extras_of_files(project: Path) -> dict[str, set[str]]:
    """The extras that are installed together, by the file that says so."""
    docker = re.search(r'"\.\[([a-z,]+)\]"', (project / "docker/Dockerfile").read_text())
    make = re.search(r"^DEV := (.+)$", (project / "Makefile").read_text(), re.M)
    assert docker
    assert make
    return {"docker/Dockerfile": set(docker[1].split(",")), "Makefile": set(make[1].split(","))}


def _extra(project: Path, name: str) -> list[Requirement]:
    meta = tomllib.loads((project / "pyproject.toml").read_text())["project"]
    return [Requirement(text) for text in meta["optional-dependencies"][name]]


def _unmet(wanted: list[Requirement], pins: dict[str, str]) -> Iterator[str]:
    """Requirements that a pin does not meet, or for which there is none."""
    seen: set[tuple[str, str]] = set()
    left = [(line, "the project") for line in wanted]
    while left:
        line, by = left.pop()
        name = canonicalize_name(line.name)
        pin = pins.get(name)
        if pin is None or not line.specifier.contains(pin, prereleases=True):
            yield f"{by} wants {line}, constraints.txt has {pin}"
            continue
        assert importlib.metadata.version(name) == pin, f"{name} is not installed as constraints.txt says"
        for extra in ("", *line.extras):
            if (name, extra) in seen:
                continue
            seen.add((name, extra))
            for text in importlib.metadata.requires(name) or []:
                inner = Requirement(text)
                if inner.marker is None or inner.marker.evaluate({"extra": extra}):
                    left.append((inner, f"{name} {pin}"))
