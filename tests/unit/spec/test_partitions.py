from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.errors import InvalidPartitionKey
from tradewind.spec.partitions import Kind, Partitioning, normalise_partition_key

# Half hours, quarter hours, a half-hour change, changes at midnight and at 00:01, a two-hour change, a lost day.
ZONES = (
    "UTC",
    "America/New_York",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "America/Sao_Paulo",
    "America/Havana",
    "America/St_Johns",
    "Antarctica/Troll",
    "Pacific/Apia",
    "Europe/Dublin",
)
instants = st.datetimes(datetime(1995, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))
partitionings = st.builds(
    Partitioning, st.sampled_from(get_args(Kind)), st.sampled_from(ZONES), st.just("2000-01-01"), st.none()
)


def new_york(kind: Kind) -> Partitioning:
    return Partitioning(kind, "America/New_York", "2013-01-28")


def length(part: Partitioning, key: str) -> timedelta:
    bounds = part.bounds(key)
    return bounds.end - bounds.start


@settings(deadline=None)
@given(partitionings, instants)
def test_the_key_at_an_instant_names_a_partition_that_contains_it(part: Partitioning, instant: datetime) -> None:
    bounds = part.bounds(part.key_at(instant))
    assert bounds.start <= instant < bounds.end


@settings(deadline=None)
@given(partitionings, instants)
def test_neighbours_tile_time_and_sort_as_text(part: Partitioning, instant: datetime) -> None:
    key = part.key_at(instant)
    before, after = part.shift(key, -1), part.shift(key, 1)
    assert before < key < after
    assert part.bounds(before).end == part.bounds(key).start
    assert part.bounds(key).end == part.bounds(after).start


@settings(deadline=None)
@given(partitionings, instants)
def test_the_key_at_the_start_of_a_partition_is_its_own(part: Partitioning, instant: datetime) -> None:
    key = part.key_at(instant)
    bounds = part.bounds(key)
    assert part.key_at(bounds.start) == key
    assert part.key_at(bounds.end - timedelta(microseconds=1)) == key


@settings(deadline=None)
@given(partitionings, instants, st.integers(-30, 30))
def test_a_shift_there_and_back_changes_nothing(part: Partitioning, instant: datetime, steps: int) -> None:
    key = part.key_at(instant)
    assert part.shift(part.shift(key, steps), -steps) == key


@settings(deadline=None)
@given(partitionings, instants, st.integers(1, 30))
def test_a_window_has_its_length_and_ends_with_its_key(part: Partitioning, instant: datetime, size: int) -> None:
    key = part.key_at(instant)
    window = part.window(key, size)
    assert len(window) == size
    assert window[-1] == key
    assert window == sorted(set(window))


def test_an_hour_that_occurs_twice_is_one_partition_of_two_hours() -> None:
    bounds = new_york("hour").bounds("2013-11-03T01")
    assert bounds.start == datetime(2013, 11, 3, 5, tzinfo=UTC)
    assert bounds.end == datetime(2013, 11, 3, 7, tzinfo=UTC)


def test_an_hour_that_clocks_skip_has_no_key() -> None:
    with pytest.raises(InvalidPartitionKey, match="clocks in America/New_York skip this hour"):
        new_york("hour").bounds("2013-03-10T02")
    assert new_york("hour").shift("2013-03-10T01", 1) == "2013-03-10T03"
    assert new_york("hour").shift("2013-03-10T03", -1) == "2013-03-10T01"


def test_the_days_of_a_clock_change_have_23_and_25_hours() -> None:
    assert length(new_york("day"), "2013-03-10") == timedelta(hours=23)
    assert length(new_york("day"), "2013-11-03") == timedelta(hours=25)
    assert len(new_york("hour").between("2013-03-10T00", "2013-03-10T23")) == 23


def test_a_week_is_named_by_its_monday_in_the_zone() -> None:
    bounds = new_york("week").bounds("2013-01-28")
    assert bounds.start == datetime(2013, 1, 28, 5, tzinfo=UTC)
    assert bounds.end == datetime(2013, 2, 4, 5, tzinfo=UTC)
    assert new_york("week").key_at(datetime(2013, 2, 4, 4, 59, tzinfo=UTC)) == "2013-01-28"


def test_a_week_key_that_is_no_monday_is_refused() -> None:
    with pytest.raises(InvalidPartitionKey, match="Monday"):
        new_york("week").bounds("2013-01-29")


def test_months_have_their_own_lengths() -> None:
    assert length(new_york("month"), "2013-02-01") == timedelta(days=28)
    assert new_york("month").shift("2013-11-01", 3) == "2014-02-01"
    assert new_york("month").shift("2013-02-01", -2) == "2012-12-01"
    with pytest.raises(InvalidPartitionKey):
        new_york("month").bounds("2013-02-02")


def test_partitions_of_a_half_hour_zone_start_at_half_past_in_utc() -> None:
    kolkata = Partitioning("day", "Asia/Kolkata", "2013-01-01")
    assert kolkata.bounds("2013-01-01").start == datetime(2012, 12, 31, 18, 30, tzinfo=UTC)


def test_half_of_an_hour_that_is_skipped_still_has_its_key() -> None:
    # Lord Howe's clocks jump from 02:00 to 02:30.
    lord_howe = Partitioning("hour", "Australia/Lord_Howe", "2013-01-01T00")
    assert length(lord_howe, "2013-10-06T02") == timedelta(minutes=30)
    assert length(lord_howe, "2013-04-07T01") == timedelta(minutes=90)


def test_a_day_that_a_country_left_out_has_no_key() -> None:
    apia = Partitioning("day", "Pacific/Apia", "2011-01-01")
    assert apia.shift("2011-12-29", 1) == "2011-12-31"
    with pytest.raises(InvalidPartitionKey, match="skip this day"):
        apia.bounds("2011-12-30")


def test_a_clock_change_just_after_midnight_keeps_days_in_one_piece() -> None:
    # Until 2011 clocks in St. John's went from 00:01 back to 23:01 of the day before.
    part = Partitioning("day", "America/St_Johns", "2009-01-01")
    start = part.bounds("2009-11-01").start
    assert {part.key_at(start + timedelta(minutes=n)) for n in range(120)} == {"2009-11-01"}


@pytest.mark.parametrize("key", ["", "2013", "2013-1-28", "2013-01-28T05", "2013-02-30", "0213-01-28", " 2013-01-28"])
def test_a_malformed_key_is_refused_with_an_example(key: str) -> None:
    with pytest.raises(InvalidPartitionKey, match="2013-02-01"):
        new_york("day").bounds(key)


def test_a_run_without_a_key_is_told_so() -> None:
    with pytest.raises(InvalidPartitionKey, match="needs a partition key"):
        new_york("week").check(None)


@pytest.mark.parametrize("key", ["2013-01-21", "2013-07-01", "2013-07-08"])
def test_a_key_outside_the_range_is_refused(key: str) -> None:
    part = Partitioning("week", "America/New_York", "2013-01-28", "2013-07-01")
    assert part.check("2013-01-28") == "2013-01-28"
    assert part.check("2013-06-24") == "2013-06-24"
    with pytest.raises(InvalidPartitionKey, match="outside the pipeline's range: from 2013-01-28, before 2013-07-01"):
        part.check(key)


def test_the_keys_between_a_later_and_an_earlier_one_are_none() -> None:
    assert new_york("day").between("2013-02-02", "2013-02-01") == []


def test_a_partition_lists_the_local_days_it_touches() -> None:
    assert new_york("week").days("2013-01-28")[0::6] == ["2013-01-28", "2013-02-03"]
    assert new_york("hour").days("2013-01-28T23") == ["2013-01-28"]
    assert new_york("day").days("2013-11-03") == ["2013-11-03"]
    assert len(new_york("month").days("2012-02-01")) == 29


def test_dates_from_yaml_become_keys() -> None:
    assert normalise_partition_key("week", date(2013, 1, 28)) == "2013-01-28"
    assert normalise_partition_key("hour", datetime(2013, 1, 28, 5)) == "2013-01-28T05"
    assert normalise_partition_key("day", "2013-01-28") == "2013-01-28"


def test_a_time_that_is_on_no_edge_stays_as_written() -> None:
    assert normalise_partition_key("day", datetime(2013, 1, 28, 5)) == "2013-01-28 05:00:00"
    assert normalise_partition_key("hour", datetime(2013, 1, 28, 5, tzinfo=UTC)) == "2013-01-28 05:00:00+00:00"
