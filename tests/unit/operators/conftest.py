"""One small pipeline and a deployment in a temporary folder, reached through Airflow connections as in production."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tradewind.ledger.journal import Ledger
from tradewind.spec.pipeline import Pipeline


@pytest.fixture(scope="session")
def trips() -> Pipeline:
    """A daily pipeline with one dataset."""
    fields = {
        "pipeline": "trips",
        "owner": "a@example.com",
        "description": "x",
        "partition": "day",
        "timezone": "UTC",
        "start": "2024-01-01",
        "schedule": "@daily",
        "datasets": {"trips": {"source": {"files": "{landing}/{day}.csv"}, "sql": "trips.sql", "keys": ["id"]}},
    }
    return Pipeline.model_validate(fields)


@pytest.fixture(autouse=True)
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """The ledger of the deployment; the connections name it."""
    extra = {
        "project": str(tmp_path),
        "lake": str(tmp_path / "lake"),
        "landing": str(tmp_path),
        "ledger": f"sqlite:///{tmp_path}/ledger.db",
        "feast_registry": f"sqlite:///{tmp_path}/feast.db",
        "feast_online": {"type": "sqlite", "path": str(tmp_path / "online.db")},
        "reports": str(tmp_path / "reports"),
    }
    monkeypatch.setenv("AIRFLOW_CONN_TRADEWIND_DEFAULT", json.dumps({"conn_type": "tradewind", "extra": extra}))
    mlflow = {"conn_type": "mlflow", "extra": {"tracking_uri": f"sqlite:///{tmp_path}/mlflow.db"}}
    monkeypatch.setenv("AIRFLOW_CONN_MLFLOW_DEFAULT", json.dumps(mlflow))
    return Ledger(str(extra["ledger"]))
