"""Waiting for a stage of an earlier partition: fires when the ledger says so, gives up at its deadline."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tradewind.ledger import completion, skipped_partitions
from tradewind.ledger.journal import Ledger
from tradewind.triggers.ready import ReadyTrigger


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    names = ("project", "lake", "landing", "feast_registry", "reports")
    extra = dict.fromkeys(names, str(tmp_path)) | {"feast_online": {"type": "sqlite"}}
    extra["ledger"] = f"sqlite:///{tmp_path}/ledger.db"
    monkeypatch.setenv("AIRFLOW_CONN_TRADEWIND_DEFAULT", json.dumps({"conn_type": "tradewind", "extra": extra}))
    return Ledger(extra["ledger"])


def trigger(*, seconds: float) -> ReadyTrigger:
    return ReadyTrigger(
        tradewind_conn_id="tradewind_default",
        pipeline="trips",
        stage="train",
        partition="2024-01-01",
        deadline=(datetime.now(UTC) + timedelta(seconds=seconds)).isoformat(),
        poll=0.01,
    )


async def fired(waiting: ReadyTrigger) -> Any:
    return (await anext(aiter(waiting.run()))).payload


def test_it_fires_when_the_stage_is_complete(ledger):
    completion.record_completion(ledger, "trips", "train", "2024-01-01", cause="settled")
    assert asyncio.run(fired(trigger(seconds=60))) == {"ready": True, "stage": "train", "partition": "2024-01-01"}


def test_it_waits_no_longer_for_a_partition_that_is_left_out(ledger):
    skipped_partitions.skip_partition(ledger, "trips", "2024-01-01", reason="strike", actor="ann")
    assert asyncio.run(fired(trigger(seconds=60)))["ready"] is True


def test_it_gives_up_at_its_deadline(ledger):
    assert asyncio.run(fired(trigger(seconds=-1)))["ready"] is False


def test_what_it_serialises_makes_it_again():
    path, fields = trigger(seconds=60).serialize()
    assert path == "tradewind.triggers.ready.ReadyTrigger"
    assert ReadyTrigger(**fields).serialize() == (path, fields)
