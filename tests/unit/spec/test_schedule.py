"""A schedule must give every partition a run."""

from __future__ import annotations

import pytest

from tradewind.spec.partitions import Kind, Partitioning
from tradewind.spec.schedule import EVERY, never_run

STARTS: dict[Kind, str] = {"hour": "2013-01-28T00", "day": "2013-01-28", "week": "2013-01-28", "month": "2013-01-01"}


def hours(end: str | None = None) -> Partitioning:
    return Partitioning("hour", "America/New_York", STARTS["hour"], end)


@pytest.mark.parametrize("kind", STARTS)
def test_the_schedule_that_is_recommended_fits(kind: Kind) -> None:
    assert never_run(Partitioning(kind, "America/New_York", STARTS[kind]), EVERY[kind]) is None


@pytest.mark.parametrize(
    ("kind", "schedule"),
    [
        ("hour", "*/5 * * * *"),
        ("day", "30 2,14 * * *"),
        ("day", "0 0 * * 0-6"),
        ("week", "0 0 * * 1"),
        ("week", "0 6 * * sun"),
        ("week", "@daily"),
        ("month", "0 6 28 * *"),
        ("month", "@weekly"),
    ],
)
def test_at_least_one_tick_for_each_partition_fits(kind: Kind, schedule: str) -> None:
    assert never_run(Partitioning(kind, "America/New_York", STARTS[kind]), schedule) is None


@pytest.mark.parametrize(
    ("kind", "schedule", "partition"),
    [
        ("hour", "0 6 * * *", "2013-01-28T00"),
        ("hour", "0 0-22 * * *", "2013-01-28T22"),
        ("day", "0 6 * * 1", "2013-01-28"),
        ("day", "0 6 * * mon-fri", "2013-02-01"),
        ("week", "0 6 1 * *", "2013-01-28"),
        ("week", "0 6 * 1-11 1", "2013-11-25"),
        ("month", "0 6 31 * *", "2013-01-01"),
        ("month", "0 6 29 * *", "2013-01-01"),
        ("month", "0 6 1 1 *", "2013-01-01"),
    ],
)
def test_the_first_partition_that_would_never_run_is_named(kind: Kind, schedule: str, partition: str) -> None:
    assert never_run(Partitioning(kind, "America/New_York", STARTS[kind]), schedule) == partition


def test_a_leap_year_hides_nothing() -> None:
    assert never_run(Partitioning("month", "UTC", "2024-01-01"), "0 6 29 * *") == "2025-01-01"


def test_only_partitions_that_run_at_all_need_a_tick() -> None:
    assert never_run(hours(end="2013-01-28T06"), "0 1-6 * * *") is None
    assert never_run(hours(end="2013-01-28T07"), "0 1-6 * * *") == "2013-01-28T06"
    assert never_run(Partitioning("week", "UTC", "2013-01-28", "2013-12-02"), "0 6 * 1-11 1") == "2013-11-25"
    assert never_run(Partitioning("week", "UTC", "2013-01-28", "2013-11-25"), "0 6 * 1-11 1") is None
