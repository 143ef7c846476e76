from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradewind.metrics.judged_rows import local_blocks


def at(text: str) -> np.ndarray:
    return np.array([text], dtype="datetime64[us]")


def test_a_late_evening_in_new_york_belongs_to_its_own_day() -> None:
    assert str(local_blocks(at("2013-02-02T04:30"), "America/New_York", by="day")[0])[:10] == "2013-02-01"


def test_weeks_start_on_the_local_monday() -> None:
    assert str(local_blocks(at("2013-02-04T04:30"), "America/New_York", by="week")[0])[:10] == "2013-01-28"


def test_days_follow_daylight_saving() -> None:
    evenings = np.concatenate([at("2013-03-10T04:30"), at("2013-03-11T04:30"), at("2013-03-11T03:30")])
    assert [str(day)[:10] for day in local_blocks(evenings, "America/New_York", by="day")] == [
        "2013-03-09",
        "2013-03-11",
        "2013-03-10",
    ]


@given(
    st.datetimes(datetime(1975, 1, 1), datetime(2035, 1, 1)),
    st.sampled_from(["UTC", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "America/St_Johns"]),
)
def test_blocks_agree_with_the_standard_library(moment: datetime, zone: str) -> None:
    local = moment.replace(tzinfo=UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    utc = np.array([moment], dtype="datetime64[us]")
    assert local_blocks(utc, zone, by="day")[0].astype("datetime64[D]").item() == local.date()
    assert local_blocks(utc, zone, by="hour")[0].item() == local.replace(minute=0, second=0, microsecond=0)
    assert local_blocks(utc, zone, by="week")[0].item().isocalendar()[:2] == local.isocalendar()[:2]


def test_months_are_those_of_the_clock() -> None:
    evenings = np.concatenate([at("2013-03-01T04:30"), at("2013-03-01T05:30"), at("2014-01-01T04:59")])
    assert [str(month)[:10] for month in local_blocks(evenings, "America/New_York", by="month")] == [
        "2013-02-01",
        "2013-03-01",
        "2013-12-01",
    ]


def test_timestamps_of_any_unit_are_the_same_moments() -> None:
    moment = np.array(["2013-02-02T04:30"])
    found = {
        str(local_blocks(moment.astype(f"datetime64[{u}]"), "America/New_York", by="day")[0]) for u in ("s", "us", "ns")
    }
    assert found == {"2013-02-01T00:00:00.000000"}


@pytest.mark.parametrize("bad", [np.array(["NaT"], dtype="datetime64[us]"), np.array([0]), np.array(["2013-01-01"])])
def test_what_is_no_time_is_refused(bad: np.ndarray) -> None:
    with pytest.raises(ValueError, match="need the time of every row"):
        local_blocks(bad, "UTC", by="day")


def test_no_rows_have_no_blocks() -> None:
    assert len(local_blocks(np.array([], dtype="datetime64[us]"), "UTC", by="day")) == 0
