"""A training against a real MLflow server: artifacts go through it and come back; away is away."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pyarrow.parquet as pq
import pytest

from tradewind.deployment import Deployment
from tradewind.errors import ModelError, Unavailable
from tradewind.registry.manifest import Manifest
from tradewind.registry.model_registry import ModelRegistry, set_champion_alias
from tradewind.training.candidate import train_candidate

pytestmark = pytest.mark.slow


@pytest.fixture
def server(house, tmp_path: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """An MLflow server over the database that the deployment would have beside it, with artifacts of its own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
        "--backend-store-uri", house.runtime.mlflow, "--artifacts-destination", (tmp_path / "theirs").as_uri(),
    ]  # fmt: skip
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (tmp_path / "server.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=tmp_path)
    address = f"http://127.0.0.1:{port}"
    try:
        _wait(address, process, tmp_path / "server.log")
        yield address, process
    finally:
        process.terminate()
        process.wait(timeout=30)


def _wait(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + 120
    while time.monotonic() < until and process.poll() is None:
        try:
            if httpx.get(f"{address}/health").is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    pytest.fail(f"the MLflow server does not answer: {log.read_text()}")


def test_a_training_through_a_server_is_whole_and_an_absent_server_is_away(house, server, monkeypatch) -> None:
    address, process = server
    runtime = replace(house.runtime, mlflow=address)
    trained = train_candidate(Deployment(house.spec, runtime), house.week(5))
    assert not train_candidate(Deployment(house.spec, runtime), house.week(5)).changed
    registry = ModelRegistry(runtime, "delays")
    version = registry.get(trained.version)
    assert version.tags["tradewind.cause"] == trained.cause
    with registry.evidence(version) as files, registry.folder(version) as folder:
        rows = pq.read_table(files / "test.parquet")
        assert len(json.loads((files / "example.json").read_text())["predictions"]) == 20
        assert set(rows["partition"].to_pylist()) == {house.week(5)}
        assert {"explanation.html", "environment.json", "profile.json"} <= {path.name for path in files.iterdir()}
        assert Manifest.from_folder(folder) == registry.manifest(version)
        assert Manifest.from_folder(folder).digest == version.tags["tradewind.model_digest"]
        assert (folder / "MLmodel").is_file()
    assert not files.exists(), "what was downloaded is removed"
    assert set_champion_alias(runtime, "delays", "1") is not None
    with pytest.raises(ModelError, match="version 9 is not in the model registry"):
        registry.get("9")

    process.terminate()
    process.wait(timeout=30)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    for ask in (lambda: registry.get("1"), lambda: registry.find(trained.cause), lambda: registry.folder(version)):
        with pytest.raises(Unavailable):
            _entered(ask())


def _entered(asked: object) -> None:
    """Go into what is a context manager."""
    if hasattr(asked, "__enter__"):
        with asked:
            pass
