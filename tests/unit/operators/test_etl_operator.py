"""The task of one dataset links the report of what it built."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tradewind.errors import AuditFailed, MissingInput
from tradewind.operators.etl import BuildDatasetOperator
from tradewind.spec.models import Pipeline

DAY = "2024-01-01"
SPEC = Pipeline.model_validate(
    {
        "pipeline": "trips",
        "owner": "a@example.com",
        "description": "x",
        "partition": "day",
        "timezone": "UTC",
        "start": DAY,
        "schedule": "@daily",
        "datasets": {"trips": {"source": {"files": "{landing}/{day}.csv"}, "sql": "trips.sql", "keys": ["id"]}},
    }
)


class Task:
    """Builds the dataset from a delivery, each time as a new task."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "trips.sql").write_text("SELECT id FROM source")

    def run(self, *ids: int) -> BuildDatasetOperator:
        (self.folder / f"{DAY}.csv").write_text("".join(f"{line}\n" for line in ("id", *ids)))
        return self.execute(BuildDatasetOperator(task_id="trips", pipeline=SPEC, dataset="trips"))

    def execute(self, operator: BuildDatasetOperator) -> BuildDatasetOperator:
        operator.execute({"dag_run": SimpleNamespace(partition_key=DAY, run_id="run-1")})  # type: ignore[arg-type]
        return operator

    def linked(self, operator: BuildDatasetOperator) -> str:
        address: Any = operator.report_url
        return (self.folder / address.removeprefix("/tradewind/")).read_text()


@pytest.fixture
def task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Task:
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
    return Task(tmp_path)


def test_each_task_links_the_report_of_its_own_delivery(task: Task) -> None:
    assert "Passed: all" in task.linked(task.run(1, 2))
    failing = BuildDatasetOperator(task_id="trips", pipeline=SPEC, dataset="trips")
    (task.folder / f"{DAY}.csv").write_text("id\n1\n1\n")
    with pytest.raises(AuditFailed):
        task.execute(failing)
    assert "Not published" in task.linked(failing)
    assert "Passed: all" in task.linked(task.run(1, 2))


def test_a_task_that_audited_nothing_links_nothing(task: Task) -> None:
    task.run(1)
    (task.folder / f"{DAY}.csv").unlink()
    failing = BuildDatasetOperator(task_id="trips", pipeline=SPEC, dataset="trips")
    with pytest.raises(MissingInput):
        task.execute(failing)
    assert not getattr(failing, "report_url", "")
