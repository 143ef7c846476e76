"""docker/ and astro/ as far as they can be checked without building images."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

AIRFLOW = {"api-server", "scheduler", "dag-processor", "triggerer", "worker", "init"}
DEFAULT = re.compile(r"\$\{[A-Z_]+:-([^}]*)\}")


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
    assert [value for value in secret if "${" not in value] == []
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
    import tomllib

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
