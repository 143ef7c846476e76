"""The overridden methods of Airflow's timetable: one key per partition, the same for all three kinds of run."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from airflow.exceptions import InvalidPartitionKeyError
from airflow.serialization.decoders import decode_timetable
from airflow.serialization.encoders import encode_timetable
from airflow.timetables.base import TimeRestriction
from pendulum import instance

from tradewind.factory.timetable import PartitionTimetable
from tradewind.spec.partitions import Partitioning

WEEKS = Partitioning("week", "America/New_York", "2013-01-28", "2013-07-01")
HOURS = Partitioning("hour", "America/New_York", "2013-03-09T00", None)


def weekly() -> PartitionTimetable:
    return PartitionTimetable("0 6 * * 1", partitioning=WEEKS)


def scheduled(
    timetable: PartitionTimetable, start: datetime, end: datetime | None = None
) -> list[tuple[str, datetime]]:
    found = []
    restriction = TimeRestriction(instance(start), instance(end) if end else None, catchup=True)
    last = None
    while len(found) < 30 and (last := timetable.next_dagrun_info_v2(last_dagrun_info=last, restriction=restriction)):
        found.append((last.partition_key, last.partition_date))
    return found


def test_a_scheduled_run_is_keyed_with_the_week_that_just_ended():
    first = WEEKS.bounds("2013-01-28").end
    end = WEEKS.bounds("2013-07-01").end
    runs = scheduled(weekly(), first, end.replace(microsecond=0))
    assert runs[0] == ("2013-01-28", datetime(2013, 1, 28, 5, tzinfo=UTC))
    assert [key for key, _ in runs[:22]] == WEEKS.between("2013-01-28", "2013-06-24")


def test_backfill_gives_the_same_keys_and_dates_and_its_last_date_is_inclusive():
    infos = list(
        weekly().iter_partition_dagrun_infos(
            earliest=datetime(2013, 1, 28, tzinfo=UTC), latest=datetime(2013, 2, 11, tzinfo=UTC)
        )
    )
    assert [info.partition_key for info in infos] == ["2013-01-28", "2013-02-04", "2013-02-11"]
    assert infos[0].partition_date == datetime(2013, 1, 28, 5, tzinfo=UTC)


def test_backfill_stays_inside_start_and_end():
    infos = list(
        weekly().iter_partition_dagrun_infos(
            earliest=datetime(2012, 1, 1, tzinfo=UTC), latest=datetime(2014, 1, 1, tzinfo=UTC)
        )
    )
    assert [info.partition_key for info in infos] == WEEKS.between("2013-01-28", "2013-06-24")


def test_to_date_covers_every_hour_of_its_day_and_no_skipped_hour():
    timetable = PartitionTimetable("5 * * * *", partitioning=HOURS)
    day = datetime(2013, 3, 10, tzinfo=UTC)
    keys = [info.partition_key for info in timetable.iter_partition_dagrun_infos(earliest=day, latest=day)]
    assert len(keys) == 23
    assert "2013-03-10T02" not in keys


def test_the_hour_that_occurs_twice_is_one_partition():
    timetable = PartitionTimetable("5 * * * *", partitioning=HOURS)
    day = datetime(2013, 11, 3, tzinfo=UTC)
    keys = [info.partition_key for info in timetable.iter_partition_dagrun_infos(earliest=day, latest=day)]
    assert len(keys) == len(set(keys)) == 24


def test_a_manual_run_has_the_partition_date_of_a_scheduled_one():
    assert weekly().resolve_partition_date("2013-02-04") == datetime(2013, 2, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize("key", ["2013-02-05", "nonsense", "2013-07-01", "2012-12-31"])
def test_a_bad_key_is_refused_before_a_run_exists(key):
    with pytest.raises(InvalidPartitionKeyError, match=key):
        weekly().resolve_partition_date(key)


def test_it_survives_serialisation():
    again = decode_timetable(encode_timetable(weekly()))
    assert isinstance(again, PartitionTimetable)
    assert again.serialize() == weekly().serialize()
    assert again.partitioned
