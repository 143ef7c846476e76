"""The task of a dataset whose input does not come: deferred without a slot, looked for again, failed or skipped."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.standard.triggers.temporal import DateTimeTrigger
from airflow.sdk.exceptions import AirflowSkipException, TaskDeferred

from tradewind.errors import MissingInput
from tradewind.ledger.journal import Ledger
from tradewind.operators.etl import BuildDatasetOperator, CompleteEtlOperator
from tradewind.spec.pipeline import Pipeline

DAY = "2024-01-01"


def operator(trips: Pipeline, **source: Any) -> BuildDatasetOperator:
    declared = trips.datasets["trips"]
    assert declared.source is not None
    asked = declared.model_copy(update={"source": declared.source.model_copy(update=source)})
    spec = trips.model_copy(update={"datasets": {"trips": asked}})
    return BuildDatasetOperator(task_id="trips", pipeline=spec, dataset="trips")


def context(started: datetime) -> Any:
    return {"dag_run": SimpleNamespace(partition_key=DAY, run_id="run-1", start_date=started)}


@pytest.fixture
def waiting(trips: Pipeline, tmp_path: Path) -> BuildDatasetOperator:
    (tmp_path / "trips.sql").write_text("SELECT id FROM source")
    return operator(trips, missing="wait", wait_for=timedelta(hours=1))


def test_it_looks_again_later_and_holds_no_slot(waiting: BuildDatasetOperator) -> None:
    before = datetime.now(UTC)
    with pytest.raises(TaskDeferred) as deferred:
        waiting.execute(context(before))
    trigger = deferred.value.trigger
    assert isinstance(trigger, DateTimeTrigger)
    assert timedelta(minutes=3) <= trigger.moment - before < timedelta(minutes=3, seconds=30)
    assert deferred.value.method_name == "look_again"
    assert deferred.value.timeout is not None
    assert deferred.value.timeout > timedelta(minutes=3)


def test_who_is_resumed_and_finds_nothing_waits_on(waiting: BuildDatasetOperator) -> None:
    started = datetime.now(UTC) - timedelta(minutes=59)
    with pytest.raises(TaskDeferred) as deferred:
        waiting.look_again(context(started), None)
    assert deferred.value.trigger.moment == started + timedelta(hours=1)


def test_what_has_come_is_built(waiting: BuildDatasetOperator, tmp_path: Path) -> None:
    (tmp_path / f"{DAY}.csv").write_text("id\n1\n")
    built = waiting.look_again(context(datetime.now(UTC)), None)
    assert (built["rows"], built["bad_rows"]) == (1, 0)


def test_when_the_wait_is_over_the_task_fails_and_names_what_has_not_come(waiting: BuildDatasetOperator) -> None:
    with pytest.raises(MissingInput, match=rf"{DAY}\.csv.* \(waited 1h for it since the run's start\)"):
        waiting.look_again(context(datetime.now(UTC) - timedelta(hours=1)), None)


def test_or_it_is_skipped_and_the_ledger_says_why(trips: Pipeline, ledger: Ledger) -> None:
    late = operator(trips, missing="wait", wait_for=timedelta(hours=1), late="skip")
    with pytest.raises(AirflowSkipException, match=rf"{DAY}\.csv.*left out by `late: skip`"):
        late.look_again(context(datetime.now(UTC) - timedelta(hours=1)), None)
    [entry] = ledger.find("trips", "left_out", partition=DAY)
    assert "left out by `late: skip`" in entry.reason


def test_skip_does_not_wait_and_nothing_is_complete(trips: Pipeline, ledger: Ledger) -> None:
    task = operator(trips, missing="skip")
    with pytest.raises(AirflowSkipException, match="left out by `missing: skip`"):
        task.execute(context(datetime.now(UTC)))
    complete = CompleteEtlOperator(task_id="complete", pipeline=task.spec())
    with pytest.raises(AirflowSkipException, match="partition 2024-01-01 is left out"):
        complete.execute(context(datetime.now(UTC)))
    assert not ledger.find("trips", "complete")
