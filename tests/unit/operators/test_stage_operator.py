"""What every stage operator does around its one function."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.definitions.retry_policy import RetryAction
from airflow.sdk.exceptions import TaskDeferred

from tradewind.errors import AuditFailed, Conflict, InvalidPartitionKey, NotReady, Unavailable
from tradewind.ledger import progress
from tradewind.ledger.journal import Ledger
from tradewind.operators.base import RETRY_POLICY
from tradewind.operators.stage import StageOperator
from tradewind.spec.models import Pipeline

SPEC = Pipeline.model_validate(
    {
        "pipeline": "trips",
        "owner": "a@example.com",
        "description": "x",
        "partition": "day",
        "timezone": "UTC",
        "start": "2024-01-01",
        "schedule": "@daily",
        "datasets": {"trips": {"source": {"files": "x.csv"}, "sql": "x.sql"}},
    }
)


class Working(StageOperator):
    """Raises what it is given, or returns the partition."""

    def __init__(self, *, error: Exception | None = None, **kwargs: Any) -> None:
        super().__init__(task_id="working", pipeline=SPEC, **{"stage": "features", **kwargs})
        self.error = error

    def work(self, spec, partition, runtime, context):
        if self.error:
            raise self.error
        return partition


def context(key: str | None = "2024-01-02") -> Any:
    return {"dag_run": SimpleNamespace(partition_key=key, run_id="run-1")}


@pytest.fixture(autouse=True)
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    url = f"sqlite:///{tmp_path}/ledger.db"
    extra = {
        "project": str(tmp_path),
        "lake": str(tmp_path / "lake"),
        "landing": str(tmp_path),
        "ledger": url,
        "feast_registry": f"sqlite:///{tmp_path}/feast.db",
        "feast_online": {"type": "sqlite", "path": str(tmp_path / "online.db")},
        "reports": str(tmp_path / "reports"),
    }
    monkeypatch.setenv("AIRFLOW_CONN_TRADEWIND_DEFAULT", json.dumps({"conn_type": "tradewind", "extra": extra}))
    mlflow = {"conn_type": "mlflow", "extra": {"tracking_uri": f"sqlite:///{tmp_path}/mlflow.db"}}
    monkeypatch.setenv("AIRFLOW_CONN_MLFLOW_DEFAULT", json.dumps(mlflow))
    return Ledger(url)


def test_it_hands_the_partition_key_to_the_work():
    assert Working().execute(context()) == "2024-01-02"


@pytest.mark.parametrize("key", [None, "", "2023-12-31", "2024-01-02T05"])
def test_a_run_without_a_valid_key_is_refused(key):
    with pytest.raises(InvalidPartitionKey):
        Working().execute(context(key))


def test_the_first_task_writes_down_the_start_with_what_came_before(ledger):
    progress.complete(ledger, "trips", "etl", "2024-01-02", cause="c1")
    Working(opens=True).execute(context())
    (entry,) = ledger.find("trips", "started", subject="features")
    assert entry.evidence["cause"] == "c1"


def test_it_waits_without_a_slot_for_an_earlier_partition():
    error = NotReady("etl of 2024-01-01 is missing", stage="etl", partition="2024-01-01")
    with pytest.raises(TaskDeferred) as deferred:
        Working(error=error).execute(context())
    assert deferred.value.trigger.serialize()[1]["partition"] == "2024-01-01"
    assert deferred.value.method_name == "resume"


def test_after_waiting_in_vain_it_fails_and_names_what_is_missing():
    error = NotReady("etl of 2024-01-01 is missing", stage="etl", partition="2024-01-01")
    with pytest.raises(NotReady, match="2024-01-01"):
        Working(error=error).resume(context(), {"ready": False})


def test_after_waiting_with_success_it_works():
    assert Working().resume(context(), {"ready": True}) == "2024-01-02"


def test_who_lost_a_race_looks_again():
    with pytest.raises(Unavailable, match="somebody"):
        Working(error=Conflict("somebody was faster")).execute(context())


def test_a_wait_ends_by_itself_when_the_triggerer_is_down():
    error = NotReady("etl of 2024-01-01 is missing", stage="etl", partition="2024-01-01")
    with pytest.raises(TaskDeferred) as deferred:
        Working(error=error, wait=timedelta(minutes=5)).execute(context())
    assert deferred.value.timeout == timedelta(minutes=6)


def test_a_failed_check_is_not_retried_and_an_absent_service_is():
    failed = RETRY_POLICY.evaluate(AuditFailed("x"), 1, 2)
    away = RETRY_POLICY.evaluate(Unavailable("x"), 1, 2)
    assert failed.action is RetryAction.FAIL
    assert away.action is RetryAction.RETRY


def test_a_wait_of_zero_fails_at_once():
    error = NotReady("missing", stage="etl", partition="2024-01-01")
    with pytest.raises(NotReady):
        Working(error=error, wait=timedelta(0)).execute(context())
