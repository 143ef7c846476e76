from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from tradewind.features.feature_window import partition_window
from tradewind.features.pinned_datasets import partitions_within
from tradewind.spec.partitions import Partitioning

WEEKS = Partitioning("week", "America/New_York", "2013-01-07")
HOURS = Partitioning("hour", "America/New_York", "2013-03-09T00")


def test_a_window_is_the_partition_with_its_end_and_without_its_start() -> None:
    covered = partition_window(WEEKS, "2013-01-14", lookback=1)
    assert covered.start == datetime(2013, 1, 14, 5, microsecond=1, tzinfo=UTC)
    assert covered.end == datetime(2013, 1, 21, 5, tzinfo=UTC)


def test_lookback_reaches_to_earlier_partitions() -> None:
    assert partition_window(WEEKS, "2013-01-28", lookback=3).start == datetime(
        2013, 1, 14, 5, microsecond=1, tzinfo=UTC
    )


def test_a_window_reaches_to_a_later_partition_where_it_must() -> None:
    assert partition_window(WEEKS, "2013-01-14", lookback=1, newest="2013-01-28").end == WEEKS.bounds("2013-01-28").end
    assert partition_window(WEEKS, "2013-01-14", lookback=1, newest="2013-01-07").end == WEEKS.bounds("2013-01-14").end


@given(st.integers(-50, 50), st.integers(-50, 50))
def test_only_partitions_out_of_reach_are_left_out(since: int, until: int) -> None:
    """The keys kept are those whose closed slice of time meets the range; tried over a change of clocks."""
    keys = HOURS.between("2013-03-09T20", "2013-03-10T08")
    origin = datetime(2013, 3, 10, 7, tzinfo=UTC)
    first, last = origin + timedelta(minutes=20 * since), origin + timedelta(minutes=20 * until)
    bounds = {key: HOURS.bounds(key) for key in keys}
    assert partitions_within(keys, HOURS, first, None) == [key for key in keys if bounds[key].end >= first]
    assert partitions_within(keys, HOURS, None, last) == [key for key in keys if bounds[key].start <= last]
