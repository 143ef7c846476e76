"""Deadlines: only runs of new partitions have one, and a run that has one can be cleared."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from airflow.sdk.definitions.callback import AsyncCallback
from airflow.sdk.definitions.deadline import DeadlineAlert
from airflow.serialization.decoders import decode_deadline_alert
from airflow.serialization.encoders import encode_deadline_alert
from airflow.utils.types import DagRunType

from tradewind.factory.deadline import NewPartitionQueued, is_replay
from tradewind.notifiers.deadline import deadline_missed
from tradewind.spec.partitions import Partitioning

DAYS = Partitioning("day", "UTC", "2024-01-01")
QUEUED = datetime(2024, 3, 10, 6, tzinfo=UTC)


class Runs:
    """Airflow's database, as far as the reference asks: the one run that a query finds."""

    def __init__(self, **run: Any) -> None:
        self.run = SimpleNamespace(**{"run_type": DagRunType.SCHEDULED, "queued_at": QUEUED, **run})

    def execute(self, query: object) -> SimpleNamespace:
        return SimpleNamespace(one_or_none=lambda: self.run)


def alert() -> Any:
    """The alert of a DAG after a round through Airflow's serialisation."""
    reference = NewPartitionQueued(**asdict(DAYS))
    callback = AsyncCallback(deadline_missed, kwargs={"pipeline": "trips"})
    given = DeadlineAlert(reference=reference, interval=timedelta(hours=2), callback=callback)
    return decode_deadline_alert(encode_deadline_alert(given))


def evaluate(**run: Any) -> datetime | None:
    return alert().reference.evaluate_with(
        session=Runs(**run), interval=timedelta(hours=2), dag_id="trips__etl", run_id="r1"
    )


def test_a_replay_is_a_partition_older_than_the_two_that_ended_last():
    now = datetime(2024, 3, 10, 12, tzinfo=UTC)
    assert is_replay(DAYS, "2024-03-07", now=now)
    assert not is_replay(DAYS, "2024-03-08", now=now)
    assert not is_replay(DAYS, "2024-03-09", now=now)


def test_the_newest_partition_has_a_deadline():
    newest = DAYS.shift(DAYS.key_at(datetime.now(UTC)), -1)
    assert evaluate(partition_key=newest) == QUEUED + timedelta(hours=2)


def test_replays_backfills_and_runs_without_a_key_have_none():
    newest = DAYS.shift(DAYS.key_at(datetime.now(UTC)), -1)
    assert evaluate(partition_key="2024-01-02") is None
    assert evaluate(partition_key=newest, run_type=DagRunType.BACKFILL_JOB) is None
    assert evaluate(partition_key=None) is None


def test_airflow_does_not_recalculate_it_when_a_run_is_cleared():
    """Airflow 3.3.2 fails on that for its own DAGRUN_QUEUED_AT, by this name; see NewPartitionQueued."""
    assert alert().reference.serialize_reference()["reference_type"] == "NewPartitionQueued"
