"""A later partition waits for an earlier one, and not for ever for one on which nobody works."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tradewind.errors import NotReady
from tradewind.ledger import completion, holds, ordering, skipped_partitions
from tradewind.ledger.journal import Entry, Ledger
from tradewind.spec.pipeline import Pipeline

DAYS = [f"2013-02-{day:02}" for day in range(1, 15)]
NOW = datetime.now(UTC)
SOON, LATER = NOW + timedelta(hours=47), NOW + timedelta(hours=49)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(f"sqlite:///{tmp_path}/ledger.db")


@pytest.fixture(scope="module")
def spec() -> Pipeline:
    files = {"files": "{landing}/{day}.csv"}
    return Pipeline.model_validate(
        {
            "pipeline": "flights", "owner": "ops", "description": "late?", "partition": "day", "timezone": "UTC",
            "start": DAYS[0], "schedule": "0 6 * * *",
            "datasets": {"flown": {"source": files, "sql": "flown.sql"}},
            "features": {"definitions": "features.py"},
            "score": {"population": {**files, "sql": "p.sql", "key": "id", "timestamp": "at"}},
            "train": {"window": 3, "test": 1, "service": "v1", "label": {"dataset": "flown", "column": "late"},
                      "model": "model.py:build", "patience": "2d"},
            "gates": [{"metric": "roc_auc", "at_least": 0.6}],
        }
    )  # fmt: skip


def waits(ledger: Ledger, spec: Pipeline, partition: str = DAYS[5], *, now: datetime) -> dict[str, str]:
    return dict(ordering.require_stage_complete(spec, ledger, partition, stage="train", of="train", now=now))


def begins(ledger: Ledger, partition: str = DAYS[5], *, stage: str = "train") -> None:
    completion.record_start(ledger, "flights", stage, partition, cause="c")


def test_who_has_waited_for_longer_than_the_patience_goes_on_and_it_is_journalled(
    ledger: Ledger, spec: Pipeline
) -> None:
    completion.record_completion(ledger, "flights", "train", DAYS[3], cause="c")
    begins(ledger, DAYS[4], stage="etl")
    begins(ledger)
    with pytest.raises(NotReady, match=f"train of partition {DAYS[4]}"):
        waits(ledger, spec, now=SOON)

    passed = waits(ledger, spec, now=LATER)

    told = f"train of partition {DAYS[4]} is not complete; the last that was done for it is: etl started"
    assert passed == {DAYS[4]: told}
    waits(ledger, spec, now=LATER)
    (note,) = ledger.find("flights", "note")
    assert (note.subject, note.partition, note.outcome) == ("train", DAYS[5], "went on")
    assert note.reason == f"went on without partition {DAYS[4]}: {told}"


def test_it_looks_further_back_for_somebody_to_wait_for(ledger: Ledger, spec: Pipeline) -> None:
    begins(ledger)
    assert list(waits(ledger, spec, now=LATER)) == DAYS[4::-1]
    completion.record_completion(ledger, "flights", "train", DAYS[2], cause="c")
    assert list(waits(ledger, spec, now=LATER)) == [DAYS[4], DAYS[3]]


def test_a_partition_on_which_somebody_works_is_waited_for(ledger: Ledger, spec: Pipeline) -> None:
    begins(ledger)
    worked = Entry("flights", "complete", "features", DAYS[4], "k", evidence={"cause": "c"}, at=NOW + timedelta(days=3))
    ledger.append(worked)
    with pytest.raises(NotReady, match=f"train of partition {DAYS[4]}"):
        waits(ledger, spec, now=NOW + timedelta(days=4))
    assert DAYS[4] in waits(ledger, spec, now=NOW + timedelta(days=6))


def test_who_has_just_begun_waits_also_in_a_replay_of_old_partitions(ledger: Ledger, spec: Pipeline) -> None:
    with pytest.raises(NotReady):
        waits(ledger, spec, now=LATER)
    begins(ledger)
    with pytest.raises(NotReady):
        waits(ledger, spec, now=SOON)


def test_the_time_in_which_a_person_held_the_pipeline_does_not_count(ledger: Ledger, spec: Pipeline) -> None:
    begins(ledger)
    holds.hold_pipeline(ledger, "flights", reason="strike", actor="ann")
    held = ledger.find("flights", "hold")[0]
    resumed = Entry("flights", "resume", "pipeline", None, held.key, at=NOW + timedelta(days=5))
    ledger.append(resumed)
    with pytest.raises(NotReady):
        waits(ledger, spec, now=NOW + timedelta(days=6))
    assert waits(ledger, spec, now=NOW + timedelta(days=8))


def test_what_is_left_out_is_passed_over_at_once(ledger: Ledger, spec: Pipeline) -> None:
    skipped_partitions.leave_out(ledger, "flights", DAYS[4], dataset="flown", reason="no file")
    completion.record_completion(ledger, "flights", "train", DAYS[3], cause="c")
    assert waits(ledger, spec, now=NOW) == {}


def test_a_partition_that_is_named_is_given_up_by_the_same_rule(ledger: Ledger, spec: Pipeline) -> None:
    begins(ledger, stage="monitor")

    def named(now: datetime) -> dict[str, str]:
        return dict(
            ordering.require_earlier_partition(spec, ledger, DAYS[5], stage="monitor", of="score", key=DAYS[4], now=now)
        )

    with pytest.raises(NotReady, match=f"score of partition {DAYS[4]}"):
        named(SOON)
    assert list(named(LATER)) == [DAYS[4]]
    completion.record_completion(ledger, "flights", "score", DAYS[4], cause="c")
    assert named(NOW) == {}
