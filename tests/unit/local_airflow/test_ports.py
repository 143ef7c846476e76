"""Ports of the embedded Airflow."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tradewind.local_airflow.ports import ReservedPorts


@pytest.fixture(autouse=True)
def _locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


@pytest.fixture
def port() -> Iterator[int]:
    """A port on which somebody listens."""
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        yield busy.getsockname()[1]


def test_a_busy_port_gives_the_next_free_one(port: int) -> None:
    ports = ReservedPorts.take({"airflow": port})
    assert ports.numbers["airflow"] > port
    ports.release()


def test_two_services_never_share_a_port(port: int) -> None:
    ports = ReservedPorts.take({"airflow": port, "mlflow": port})
    assert len(set(ports.numbers.values())) == 2
    ports.release()


def test_a_port_is_reserved_before_its_server_listens(port: int) -> None:
    first = ReservedPorts.take({"airflow": port})
    second = ReservedPorts.take({"airflow": port})
    assert second.numbers != first.numbers
    first.release()
    second.release()


def test_a_released_port_can_be_taken_again(port: int) -> None:
    first = ReservedPorts.take({"airflow": port})
    first.release()
    second = ReservedPorts.take({"airflow": port})
    assert second.numbers == first.numbers
    second.release()
