"""What every stage operator does around its one function."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.definitions.retry_policy import RetryAction
from airflow.sdk.exceptions import AirflowSkipException, TaskDeferred

from tradewind.alerting import incidents
from tradewind.errors import AuditFailed, Conflict, InvalidPartitionKey, NotReady, StorageFault, Unavailable
from tradewind.ledger import completion, holds, skipped_partitions
from tradewind.operators.base import RETRY_POLICY
from tradewind.operators.stage import StageOperator
from tradewind.spec.pipeline import Pipeline


class Working(StageOperator):
    """Raises what it is given, or returns the partition."""

    def __init__(self, *, error: Exception | None = None, **kwargs: Any) -> None:
        super().__init__(task_id="working", **{"stage": "features", **kwargs})
        self.error = error

    def work(self, deployment, partition, context):
        if self.error:
            raise self.error
        return partition


def context(key: str | None = "2024-01-02") -> Any:
    return {"dag_run": SimpleNamespace(partition_key=key, run_id="run-1")}


@pytest.fixture
def working(trips: Pipeline) -> Callable[..., Working]:
    """Makes a task of the pipeline."""
    return partial(Working, pipeline=trips)


def test_it_hands_the_partition_key_to_the_work(working):
    assert working().execute(context()) == "2024-01-02"


@pytest.mark.parametrize("key", [None, "", "2023-12-31", "2024-01-02T05"])
def test_a_run_without_a_valid_key_is_refused(working, key):
    with pytest.raises(InvalidPartitionKey):
        working().execute(context(key))


def test_a_partition_that_is_not_over_is_refused(working, trips):
    today = trips.partitioning.key_at(datetime.now(UTC))
    with pytest.raises(InvalidPartitionKey, match="not over yet: it ends at"):
        working().execute(context(today))


def test_success_closes_what_this_task_had_opened_and_nothing_else(working, ledger):
    for task in ("working", "other"):
        incidents.report_failure(
            ledger,
            pipeline="trips",
            stage="features",
            task=task,
            partition="2024-01-02",
            run_id="run-1",
            error_type="MissingInput",
            message="no file",
        )
    working().execute(context())
    assert [incident.task for incident in incidents.open_incidents(ledger, "trips")] == ["other"]


def test_the_first_task_writes_down_the_start_with_what_came_before(working, ledger):
    completion.record_completion(ledger, "trips", "etl", "2024-01-02", cause="c1")
    working(opens=True).execute(context())
    (entry,) = ledger.find("trips", "started", subject="features")
    assert entry.evidence["cause"] == "c1"


def test_it_waits_without_a_slot_for_an_earlier_partition(working):
    error = NotReady("etl of 2024-01-01 is missing", stage="etl", partition="2024-01-01")
    with pytest.raises(TaskDeferred) as deferred:
        working(error=error).execute(context())
    assert deferred.value.trigger.serialize()[1]["partition"] == "2024-01-01"
    assert deferred.value.method_name == "resume"


def test_after_waiting_in_vain_it_fails_and_names_what_is_missing(working):
    error = NotReady("etl of 2024-01-01 is missing", stage="etl", partition="2024-01-01")
    with pytest.raises(NotReady, match="2024-01-01"):
        working(error=error).resume(context(), {"ready": False})


def test_after_waiting_with_success_it_works(working):
    assert working().resume(context(), {"ready": True}) == "2024-01-02"


def test_who_lost_a_race_looks_again(working):
    with pytest.raises(Unavailable, match="somebody"):
        working(error=Conflict("somebody was faster")).execute(context())


def test_a_wait_ends_by_itself_when_the_triggerer_is_down(working):
    error = NotReady("etl of 2024-01-01 is missing", stage="etl", partition="2024-01-01")
    with pytest.raises(TaskDeferred) as deferred:
        working(error=error, wait=timedelta(minutes=5)).execute(context())
    assert deferred.value.timeout == timedelta(minutes=6)


def test_a_failed_check_is_not_retried_and_an_absent_service_is(working):
    failed = RETRY_POLICY.evaluate(AuditFailed("x"), 1, 2)
    away = RETRY_POLICY.evaluate(Unavailable("x"), 1, 2)
    assert failed.action is RetryAction.FAIL
    assert away.action is RetryAction.RETRY


def test_a_wait_of_zero_fails_at_once(working):
    error = NotReady("missing", stage="etl", partition="2024-01-01")
    with pytest.raises(NotReady):
        working(error=error, wait=timedelta(0)).execute(context())


def test_a_held_pipeline_ends_as_skipped_with_the_reason_and_is_not_written_down_as_started(working, ledger):
    holds.hold_pipeline(ledger, "trips", reason="the source lies", actor="ann")
    with pytest.raises(AirflowSkipException, match=r"held by ann since .*: the source lies"):
        working(opens=True).execute(context())
    assert ledger.find("trips", "started") == []
    holds.resume_pipeline(ledger, "trips", reason="mended", actor="ann")
    assert working(opens=True).execute(context()) == "2024-01-02"


def test_a_hold_in_the_middle_of_a_run_lets_its_event_count_as_lost(working, ledger):
    completion.record_completion(ledger, "trips", "etl", "2024-01-02", cause="c1")
    working(opens=True).execute(context())
    lost = partial(completion.lost_events, ledger, "trips", {"etl": ("features",)}, older_than=timedelta(0))
    assert lost() == []
    holds.hold_pipeline(ledger, "trips", reason="wait", actor="ann")
    with pytest.raises(AirflowSkipException):
        working().execute(context())
    assert lost() == [("etl", "2024-01-02")]


def test_a_skipped_partition_ends_as_skipped_and_the_others_go_on(working, ledger):
    skipped_partitions.skip_partition(ledger, "trips", "2024-01-02", reason="strike", actor="ann")
    with pytest.raises(AirflowSkipException, match="skipped by ann"):
        working().execute(context())
    assert working().execute(context("2024-01-03")) == "2024-01-03"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO])
def test_a_disk_that_takes_nothing_is_named_and_tried_again(working, tmp_path, number):
    error = OSError(number, os.strerror(number), str(tmp_path / "evidence" / "page.html"))
    with pytest.raises(StorageFault, match=f"trips 2024-01-02: working cannot write: the disk of {tmp_path}") as caught:
        working(error=error).execute(context())
    assert RETRY_POLICY.evaluate(caught.value, try_number=1, max_tries=3).action == RetryAction.RETRY
