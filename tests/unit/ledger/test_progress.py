from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tradewind.errors import NotReady
from tradewind.ledger import completion
from tradewind.ledger.journal import Ledger

WEEK = "2013-02-04"


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(f"sqlite:///{tmp_path}/ledger.db")


def lost(ledger: Ledger, *, after: timedelta = timedelta(hours=2)) -> list[tuple[str, str]]:
    now = datetime.now(UTC) + after
    return completion.lost_events(ledger, "flights", completion.CHAIN, [WEEK], older_than=timedelta(hours=1), now=now)


def test_completing_again_with_the_same_cause_adds_nothing(ledger: Ledger) -> None:
    assert completion.record_completion(ledger, "flights", "etl", WEEK, cause="a", evidence={"rows": 5})
    assert not completion.record_completion(ledger, "flights", "etl", WEEK, cause="a", evidence={"rows": 5})
    (entry,) = ledger.find("flights", "complete")
    assert entry.evidence == {"rows": 5, "cause": "a"}


def test_a_cause_that_comes_back_is_the_newest_again(ledger: Ledger) -> None:
    for cause in ("a", "b", "a"):
        assert completion.record_completion(ledger, "flights", "etl", WEEK, cause=cause)
    assert completion.latest_cause(ledger, "flights", "etl", WEEK) == "a"


def test_nothing_is_known_of_a_stage_that_was_never_completed(ledger: Ledger) -> None:
    completion.record_start(ledger, "flights", "etl", WEEK, cause="a")
    assert completion.latest_cause(ledger, "flights", "etl", WEEK) is None
    assert not completion.is_complete(ledger, "flights", "etl", WEEK)


def test_require_names_the_stage_and_partition_that_is_missing(ledger: Ledger) -> None:
    with pytest.raises(NotReady, match=f"flights: train of partition {WEEK} is not complete yet") as caught:
        completion.require_completion(ledger, "flights", "train", WEEK)
    assert (caught.value.stage, caught.value.partition) == ("train", WEEK)
    completion.record_completion(ledger, "flights", "train", WEEK, cause="a")
    completion.require_completion(ledger, "flights", "train", WEEK)


def test_a_completion_whose_downstream_never_started_is_lost(ledger: Ledger) -> None:
    completion.record_completion(ledger, "flights", "etl", WEEK, cause="a")
    assert lost(ledger) == [("etl", WEEK)]
    assert completion.lost_events(ledger, "flights", {"etl": ["features"]}, older_than=timedelta(0)) == [("etl", WEEK)]
    completion.record_start(ledger, "flights", "features", WEEK, cause="a")
    assert lost(ledger) == []


def test_one_waiting_stage_of_two_is_enough_to_be_lost(ledger: Ledger) -> None:
    completion.record_completion(ledger, "flights", "features", WEEK, cause="a")
    completion.record_start(ledger, "flights", "monitor", WEEK, cause="a")
    assert lost(ledger) == [("features", WEEK)]


def test_a_downstream_that_started_for_an_older_cause_only_is_lost(ledger: Ledger) -> None:
    for cause in ("a", "b", "a"):
        completion.record_completion(ledger, "flights", "etl", WEEK, cause=cause)
        if cause == "b":
            completion.record_start(ledger, "flights", "features", WEEK, cause=cause)
    assert lost(ledger) == [("etl", WEEK)]


def test_a_fresh_completion_is_left_alone(ledger: Ledger) -> None:
    completion.record_completion(ledger, "flights", "etl", WEEK, cause="a")
    assert lost(ledger, after=timedelta(minutes=5)) == []


def test_other_partitions_and_last_stages_are_left_alone(ledger: Ledger) -> None:
    completion.record_completion(ledger, "flights", "etl", "2013-01-28", cause="a")
    completion.record_completion(ledger, "flights", "train", WEEK, cause="a")
    assert lost(ledger) == []
