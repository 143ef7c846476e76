"""The sample of a new pipeline: made-up deliveries, the same ones every time."""

from __future__ import annotations

import csv
import math
import random
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

FIRST, LAST = date(2024, 1, 1), date(2024, 1, 11)
"""The planned days; of the last one no outcome is known."""
_A_DAY = 300
_DEPOTS = ("harbour", "north", "old_town", "valley")
_OUTCOME = ("delivery_id", "planned_at", "depot", "distance_km", "weight_kg", "arrived_at")
_PLAN = _OUTCOME[:-1]


def deliver(folder: Path) -> list[Path]:
    """Write the sample as CSV files, one a day: ``planned/`` before the day, ``deliveries/`` with what became of it.

    :return: the files; those that were there already are written again, with the same content
    """
    written = []
    for number in range((LAST - FIRST).days + 1):
        day = FIRST + timedelta(days=number)
        rows = list(_deliveries(day))
        written.append(_write(folder / "planned" / f"{day}.csv", _PLAN, rows))
        if day < LAST:
            written.append(_write(folder / "deliveries" / f"{day}.csv", _OUTCOME, rows))
    return written


def _deliveries(day: date) -> Iterator[Mapping[str, str]]:
    """Long ways, rush hours and a depot's bad days make deliveries late."""
    chance = random.Random(f"tradewind sample {day}")
    moods = {depot: chance.gauss(0.0, 0.8) for depot in _DEPOTS}
    start = datetime(day.year, day.month, day.day, 8, tzinfo=UTC)
    for number in range(_A_DAY):
        depot = chance.choice(_DEPOTS)
        planned = start + timedelta(minutes=chance.randrange(600))
        distance, weight = chance.lognormvariate(2.3, 0.6), chance.lognormvariate(1.5, 0.8)
        rush = 0.9 if planned.hour in (8, 16, 17) else 0.0
        late = chance.random() < 1 / (1 + math.exp(2.2 - 0.09 * distance - rush - moods[depot]))
        delay = chance.uniform(16, 90) if late else chance.uniform(-20, 15)
        yield {
            "delivery_id": f"{day:%Y%m%d}{number:04}",
            "planned_at": planned.isoformat(),
            "depot": depot,
            "distance_km": f"{distance:.1f}",
            "weight_kg": f"{weight:.1f}",
            "arrived_at": (planned + timedelta(minutes=round(delay))).isoformat(),
        }


def _write(path: Path, columns: tuple[str, ...], rows: list[Mapping[str, str]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path
