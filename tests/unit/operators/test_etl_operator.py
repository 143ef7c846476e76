"""The task of one dataset links the report of what it built."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tradewind.errors import AuditFailed, MissingInput
from tradewind.operators.etl import BuildDatasetOperator
from tradewind.spec.models import Pipeline

DAY = "2024-01-01"


class Task:
    """Builds the dataset from a delivery, each time as a new task."""

    def __init__(self, folder: Path, spec: Pipeline) -> None:
        self.folder = folder
        self.spec = spec
        (folder / "trips.sql").write_text("SELECT id FROM source")

    def run(self, *ids: int) -> BuildDatasetOperator:
        (self.folder / f"{DAY}.csv").write_text("".join(f"{line}\n" for line in ("id", *ids)))
        return self.execute(BuildDatasetOperator(task_id="trips", pipeline=self.spec, dataset="trips"))

    def execute(self, operator: BuildDatasetOperator) -> BuildDatasetOperator:
        operator.execute({"dag_run": SimpleNamespace(partition_key=DAY, run_id="run-1")})  # type: ignore[arg-type]
        return operator

    def linked(self, operator: BuildDatasetOperator) -> str:
        address: Any = operator.report_url
        return (self.folder / address.removeprefix("/tradewind/")).read_text()


@pytest.fixture
def task(tmp_path: Path, trips: Pipeline) -> Task:
    return Task(tmp_path, trips)


def test_each_task_links_the_report_of_its_own_delivery(task: Task) -> None:
    assert "Passed: all" in task.linked(task.run(1, 2))
    failing = BuildDatasetOperator(task_id="trips", pipeline=task.spec, dataset="trips")
    (task.folder / f"{DAY}.csv").write_text("id\n1\n1\n")
    with pytest.raises(AuditFailed):
        task.execute(failing)
    assert "Not published" in task.linked(failing)
    assert "Passed: all" in task.linked(task.run(1, 2))


def test_a_task_that_audited_nothing_links_nothing(task: Task) -> None:
    task.run(1)
    (task.folder / f"{DAY}.csv").unlink()
    failing = BuildDatasetOperator(task_id="trips", pipeline=task.spec, dataset="trips")
    with pytest.raises(MissingInput):
        task.execute(failing)
    assert not getattr(failing, "report_url", "")
