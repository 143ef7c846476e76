"""Upkeep leaves alone what a person has stopped."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import Asset
from airflow.sdk.exceptions import AirflowSkipException

from tradewind.alerting import incidents
from tradewind.ledger import completion, holds, skipped_partitions
from tradewind.notifiers.deadline import deadline_missed
from tradewind.operators.upkeep import HeartbeatOperator, ResendOperator

DAY = "2024-01-02"


class Events:
    """The outlet events of a task; remembers the keys."""

    def __init__(self) -> None:
        self.keys: list[str] = []

    def __getitem__(self, asset: object) -> Events:
        return self

    def add_partitions(self, keys: list[str]) -> None:
        self.keys += keys


def resend(trips, events: Events) -> Any:
    asset = Asset(name="trips/etl")
    task = ResendOperator(
        task_id="resend", pipeline=trips, stage="etl", followers=["features"], asset=asset, grace_minutes=0
    )
    return task.execute({"dag_run": SimpleNamespace(run_id="u", start_date=datetime.now(UTC)), "outlet_events": events})


@pytest.fixture
def lost(ledger):
    """A partition whose event reached nobody."""
    completion.record_completion(ledger, "trips", "etl", DAY, cause="c1")
    return ledger


def test_events_of_a_held_pipeline_are_sent_after_it_is_resumed(lost, trips):
    holds.hold_pipeline(lost, "trips", reason="x", actor="ann")
    with pytest.raises(AirflowSkipException, match="held by ann"):
        resend(trips, Events())
    holds.resume_pipeline(lost, "trips", reason="", actor="ann")
    events = Events()
    resend(trips, events)
    assert events.keys == [DAY]


def test_events_of_a_skipped_partition_are_not_sent(lost, trips):
    skipped_partitions.skip_partition(lost, "trips", DAY, reason="x", actor="ann")
    with pytest.raises(AirflowSkipException):
        resend(trips, Events())


def test_nothing_of_a_decommissioned_pipeline_is_looked_after(ledger, trips):
    holds.record_decommission(ledger, "trips", reason="replaced", actor="ann")
    with pytest.raises(AirflowSkipException, match="decommissioned by ann"):
        HeartbeatOperator(task_id="heartbeat", pipeline=trips).execute(
            {"dag_run": SimpleNamespace(run_id="u", start_date=datetime.now(UTC))}
        )
    assert incidents.open_incidents(ledger, "trips") == []


@pytest.mark.parametrize(("stop", "opened"), [("hold", 0), ("skip", 0), (None, 1)])
def test_a_missed_deadline_of_what_a_person_stopped_is_no_incident(ledger, stop, opened):
    if stop == "hold":
        holds.hold_pipeline(ledger, "trips", reason="x", actor="ann")
    if stop == "skip":
        skipped_partitions.skip_partition(ledger, "trips", DAY, reason="x", actor="ann")
    run = {"dag_id": "trips__etl", "partition_key": DAY, "dag_run_id": "r"}
    missed = deadline_missed(
        context={"dag_run": run}, pipeline="trips", owner="o", tradewind_conn_id="tradewind_default"
    )
    asyncio.run(missed)
    assert len(incidents.open_incidents(ledger, "trips")) == opened
