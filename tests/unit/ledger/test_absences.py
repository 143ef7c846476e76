"""Partitions that stay out, by the YAML or by a person."""

from __future__ import annotations

from pathlib import Path

import pytest

from tradewind.errors import UsageError
from tradewind.ledger import completion, skipped_partitions
from tradewind.ledger.journal import Ledger
from tradewind.spec.partitions import Partitioning

DAYS = Partitioning("day", "UTC", "2024-01-01")


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(f"sqlite:///{tmp_path}/ledger.db")


def leave_out(ledger: Ledger, partition: str, *, run_id: str = "r1") -> bool:
    return skipped_partitions.leave_out(ledger, "p", partition, dataset="trips", reason="no file", run_id=run_id)


def test_what_the_yaml_leaves_out_is_said_once_a_run_with_its_reason(ledger: Ledger) -> None:
    assert [leave_out(ledger, "2024-01-02"), leave_out(ledger, "2024-01-02")] == [True, False]
    assert leave_out(ledger, "2024-01-02", run_id="r2")
    assert skipped_partitions.left_out(ledger, "p") == {"2024-01-02": "no file"}
    assert skipped_partitions.left_out(ledger, "other") == {}


def test_a_partition_that_came_after_all_is_not_left_out_any_more(ledger: Ledger) -> None:
    leave_out(ledger, "2024-01-02")
    completion.record_completion(ledger, "p", "etl", "2024-01-02", cause="c")
    assert skipped_partitions.left_out(ledger, "p") == {}


def test_what_a_person_skips_stays_out_until_it_is_taken_back(ledger: Ledger) -> None:
    skipped_partitions.skip_partition(ledger, "p", "2024-01-02", reason="strike", actor="ann")
    assert skipped_partitions.left_out(ledger, "p") == {"2024-01-02": "strike (skipped by ann)"}
    skipped_partitions.take_back(ledger, "p", "2024-01-02", reason="came", actor="bob")
    assert (skipped_partitions.skipped_partitions(ledger, "p"), skipped_partitions.left_out(ledger, "p")) == ({}, {})
    skipped_partitions.skip_partition(ledger, "p", "2024-01-02", reason="wrong again", actor="ann")
    assert skipped_partitions.skipped_partitions(ledger, "p")["2024-01-02"].reason == "wrong again"


def test_of_two_people_who_skip_one_partition_the_first_is_written(ledger: Ledger) -> None:
    skipped_partitions.skip_partition(ledger, "p", "2024-01-02", reason="strike", actor="ann")
    assert skipped_partitions.skip_partition(ledger, "p", "2024-01-02", reason="other", actor="bob").actor == "ann"
    assert len(ledger.find("p", "skip")) == 1


def test_taking_back_what_nobody_skipped_is_wrong_usage(ledger: Ledger) -> None:
    with pytest.raises(UsageError, match="nobody skipped partition 2024-01-02"):
        skipped_partitions.take_back(ledger, "p", "2024-01-02", reason="x", actor="ann")


@pytest.mark.parametrize(
    ("out", "expected"),
    [([], "2024-01-03"), (["2024-01-03"], "2024-01-02"), (["2024-01-03", "2024-01-02", "2024-01-01"], None)],
)
def test_the_partition_before_is_the_nearest_that_is_not_left_out(
    ledger: Ledger, out: list[str], expected: str | None
) -> None:
    for key in out:
        leave_out(ledger, key)
    assert skipped_partitions.previous_partition(ledger, "p", "2024-01-04", partitioning=DAYS) == expected


def test_nothing_comes_before_the_start(ledger: Ledger) -> None:
    assert skipped_partitions.previous_partition(ledger, "p", "2024-01-01", partitioning=DAYS) is None


def test_nobody_waits_for_what_is_complete_or_left_out(ledger: Ledger) -> None:
    assert not skipped_partitions.is_settled(ledger, "p", "etl", "2024-01-02")
    leave_out(ledger, "2024-01-02")
    completion.record_completion(ledger, "p", "etl", "2024-01-03", cause="c")
    assert [skipped_partitions.is_settled(ledger, "p", "etl", f"2024-01-0{day}") for day in (2, 3, 4)] == [
        True,
        True,
        False,
    ]
