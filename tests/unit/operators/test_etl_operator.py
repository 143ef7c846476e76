"""The task of one dataset links the report of what it built."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import RetryAction
from airflow.sdk.execution_time import task_runner

from tradewind.alerting import incidents
from tradewind.errors import AuditFailed, MissingInput, NotReady, Unavailable
from tradewind.ledger import skipped_partitions
from tradewind.ledger.journal import Ledger
from tradewind.operators.etl import BuildDatasetOperator, CompleteEtlOperator
from tradewind.spec.pipeline import Pipeline

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


class Airflow:
    """What a task can ask of its supervisor: states of runs, and to clear one."""

    def __init__(self, **states: str) -> None:
        self.states = states
        self.cleared: list[str] = []
        self.dag_id = "trips__etl"

    def get_dagrun_state(self, dag_id: str, run_id: str) -> str:
        return self.states[run_id]

    def send(self, message: Any) -> None:
        assert message.reset_dag_run
        assert message.dag_id == self.dag_id
        if message.run_id == "broken":
            raise RuntimeError("the API server is away")
        self.cleared.append(message.run_id)


@pytest.fixture
def looking_back(trips: Pipeline, task: Task) -> Pipeline:
    """A dataset whose partition reads three partitions of another; the first partition is published."""
    (task.folder / "week.sql").write_text("SELECT count(*) AS n FROM trips")
    week = {"inputs": {"trips": {"lookback": 3}}, "sql": "week.sql"}
    fields = trips.model_dump(mode="json", exclude_unset=True)
    fields["datasets"] |= {"week": week}
    task.spec = Pipeline.model_validate(fields)
    task.run(1)
    task.execute(BuildDatasetOperator(task_id="week", pipeline=task.spec, dataset="week"))
    return task.spec


def waited(ledger: Ledger, key: str, run_id: str, error_type: str = "NotReady") -> None:
    incidents.report_failure(
        ledger, pipeline="trips", stage="etl", task="week", partition=key, run_id=run_id, error_type=error_type,
        message="not published yet",
    )  # fmt: skip


def complete(spec: Pipeline, airflow: Airflow, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", airflow, raising=False)
    context: Any = {"dag_run": SimpleNamespace(partition_key=DAY, run_id="run-1"), "ti": airflow}
    CompleteEtlOperator(task_id="complete", pipeline=spec).execute(context)
    return airflow.cleared


def test_runs_that_waited_for_a_partition_start_again_when_it_is_complete(
    looking_back: Pipeline, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    for day, run in ((2, "second"), (3, "third"), (4, "too-far")):
        waited(ledger, f"2024-01-0{day}", run)
    airflow = Airflow(second="failed", third="failed")
    assert complete(looking_back, airflow, monkeypatch) == ["second", "third"]


def test_a_run_that_failed_of_something_else_is_left_alone(
    looking_back: Pipeline, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited(ledger, "2024-01-02", "second", error_type="AuditFailed")
    assert complete(looking_back, Airflow(second="failed"), monkeypatch) == []


def test_a_run_that_waited_and_is_on_its_way_again_is_left_alone(
    looking_back: Pipeline, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited(ledger, "2024-01-02", "second")
    waited(ledger, "2024-01-03", "third")
    skipped_partitions.skip_partition(ledger, "trips", "2024-01-03", reason="strike", actor="ann")
    assert complete(looking_back, Airflow(second="queued", third="failed"), monkeypatch) == []


def test_a_follower_that_cannot_be_started_costs_no_event(
    looking_back: Pipeline, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited(ledger, "2024-01-02", "broken")
    waited(ledger, "2024-01-03", "third")
    assert complete(looking_back, Airflow(broken="failed", third="failed"), monkeypatch) == ["third"]
    assert ledger.has("trips", "complete", subject="etl", partition=DAY)


def test_a_dataset_that_lacks_an_earlier_partition_gets_out_of_its_way_at_once(looking_back: Pipeline) -> None:
    operator = BuildDatasetOperator(task_id="week", pipeline=looking_back, dataset="week")
    policy = operator.retry_policy
    assert policy is not None
    assert policy.evaluate(NotReady("x"), 1, 3).action is RetryAction.FAIL
    assert policy.evaluate(Unavailable("x"), 1, 3).action is RetryAction.RETRY
