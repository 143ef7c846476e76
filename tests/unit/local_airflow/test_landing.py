"""The demo's landing zone."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from tradewind.errors import MissingInput
from tradewind.local_airflow.demo import Demo
from tradewind.local_airflow.flight_landing import deliver_flights, shuffle_calendar
from tradewind.local_airflow.home import Home
from tradewind.spec.load import load_pipeline

DAYS = [f"2013-02-{day:02}" for day in range(4, 18)]
OUTCOMES = {"dep_time", "dep_delay", "arr_time", "arr_delay", "air_time", "tailnum"}


@pytest.fixture(scope="module")
def landing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("landing")
    deliver_flights(folder, DAYS, schedule=DAYS)
    return folder


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as text:
        return list(csv.DictReader(text))


def test_a_week_has_exactly_the_flights_of_its_days(tmp_path: Path) -> None:
    week = ["2013-01-28", "2013-01-29", "2013-01-30", "2013-01-31", "2013-02-01", "2013-02-02", "2013-02-03"]
    deliver_flights(tmp_path, week, schedule=[])
    assert sum(len(rows(tmp_path / "flights" / f"{day}.csv")) for day in week) == 6063


def test_outcomes_keep_their_columns_and_spelling_of_missing_values(landing: Path) -> None:
    flights = rows(landing / "flights" / "2013-02-08.csv")
    assert set(flights[0]) >= OUTCOMES
    assert any(flight["dep_time"] == "NA" for flight in flights)


def test_the_schedule_names_the_same_flights_without_any_outcome(landing: Path) -> None:
    for day in DAYS:
        planned, flown = rows(landing / "schedule" / f"{day}.csv"), rows(landing / "flights" / f"{day}.csv")
        assert not OUTCOMES & set(planned[0])
        names = ("carrier", "flight", "origin", "sched_dep_time")
        assert sorted([row[name] for name in names] for row in planned) == sorted(
            [row[name] for name in names] for row in flown
        )


def test_the_order_of_the_schedule_does_not_give_departures_away(landing: Path) -> None:
    planned = rows(landing / "schedule" / "2013-02-08.csv")
    assert [int(row["sched_dep_time"]) for row in planned] == sorted(int(row["sched_dep_time"]) for row in planned)


def test_weather_is_cut_by_days_in_new_york(landing: Path) -> None:
    weather = rows(landing / "weather" / "2013-02-08.csv")
    assert {row["hour"] for row in weather} == {str(hour) for hour in range(24)}
    assert min(row["time_hour"] for row in weather) == "2013-02-08T05:00:00Z"


def test_a_second_delivery_leaves_files_as_they_are(tmp_path: Path) -> None:
    deliver_flights(tmp_path, DAYS[:1], schedule=DAYS[:1])
    flights = tmp_path / "flights" / f"{DAYS[0]}.csv"
    flights.write_text("corrected by somebody")
    assert deliver_flights(tmp_path, DAYS[:1], schedule=DAYS[:1]).written == 0
    assert flights.read_text() == "corrected by somebody"


def test_a_file_that_is_gone_is_delivered_again(tmp_path: Path) -> None:
    deliver_flights(tmp_path, DAYS[:1], schedule=DAYS[:1])
    flights = tmp_path / "flights" / f"{DAYS[0]}.csv"
    before = flights.read_text()
    flights.unlink()
    assert deliver_flights(tmp_path, DAYS[:1], schedule=DAYS[:1]).written == 1
    assert flights.read_text() == before


def test_nothing_but_delivered_files_is_left(landing: Path) -> None:
    assert {path.suffix for path in landing.rglob("*") if path.is_file()} == {".csv"}


def test_a_day_without_data_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match="2014-01-01"):
        deliver_flights(tmp_path, ["2014-01-01"], schedule=[])


def test_a_shuffled_calendar_moves_days_among_their_weekday() -> None:
    from datetime import date

    moved = shuffle_calendar(DAYS, 1)
    assert sorted(moved) == sorted(moved.values()) == DAYS
    assert all(date.fromisoformat(then).weekday() == date.fromisoformat(now).weekday() for then, now in moved.items())
    assert shuffle_calendar(DAYS, 1) == moved


def test_a_shuffled_delivery_has_the_same_flights_under_consistent_dates(landing: Path, tmp_path: Path) -> None:
    moved = shuffle_calendar(DAYS, 1)
    deliver_flights(tmp_path, DAYS, schedule=DAYS, moved=moved)
    assert any(then != now for then, now in moved.items())
    for then, now in moved.items():
        original, shifted = rows(landing / "flights" / f"{then}.csv"), rows(tmp_path / "flights" / f"{now}.csv")
        assert [row["arr_delay"] for row in original] == [row["arr_delay"] for row in shifted]
        assert {(row["year"], row["month"], row["day"]) for row in shifted} == {("2013", "2", str(int(now[-2:])))}
        assert {row["time_hour"][:10] for row in shifted} <= {now, f"2013-02-{int(now[-2:]) + 1:02}"}


def test_a_shuffled_delivery_that_goes_on_brings_each_day_once(tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    moved = shuffle_calendar(DAYS, 1)
    deliver_flights(whole, DAYS, schedule=DAYS, moved=moved)
    for number in (7, 14):
        deliver_flights(parts, DAYS[:number], schedule=DAYS[: number + 7], moved=moved)
    for day in DAYS:
        for kind in ("flights", "schedule", "weather"):
            name = f"{kind}/{day}.csv"
            assert (parts / name).read_text() == (whole / name).read_text()


class Silent:
    """Hears what the demo says."""

    def say(self, text: str) -> None: ...

    def progress(self, partition: str, done: frozenset[str]) -> None: ...

    def tick(self) -> None: ...


def test_a_shuffled_demo_that_is_continued_goes_on_with_its_calendar(tmp_path: Path, project: Path) -> None:
    spec = load_pipeline(project / "dags" / "flight_delay.yaml").model_copy(update={"end": "2013-02-25"})
    weeks = spec.partitioning.between(spec.start, "2013-02-18")
    for name, steps in (("whole", (4,)), ("parts", (1, 3, 4))):
        for step in steps:
            home = Home(root=tmp_path / name, project=project)
            Demo(home=home, spec=spec, partitions=weeks[:step], listener=Silent(), shuffle=1)._deliver()
    delivered = {path.name: path.read_text() for path in (tmp_path / "whole" / "landing" / "flights").iterdir()}
    assert delivered == {path.name: path.read_text() for path in (tmp_path / "parts" / "landing" / "flights").iterdir()}
    assert len(delivered) == 28
