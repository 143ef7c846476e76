"""The sample of a new pipeline: made-up deliveries, the same ones every time."""

from __future__ import annotations

import csv
import math
import random
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path

from tradewind.spec.partitions import Bounds, Kind, Partitioning

PARTITIONS: Mapping[Kind, tuple[str, str]] = {
    "hour": ("2024-01-01T00", "2024-01-01T20"),
    "day": ("2024-01-01", "2024-01-11"),
    "week": ("2024-01-01", "2024-03-11"),
    "month": ("2024-01-01", "2024-11-01"),
}
"""First and last planned partition, by the length of a partition; of the last one no outcome is known."""
_A_PARTITION = 300
_DEPOTS = ("harbour", "north", "old_town", "valley")
_OUTCOME = ("delivery_id", "planned_at", "depot", "distance_km", "weight_kg", "arrived_at")
_PLAN = _OUTCOME[:-1]


def deliver_sample(folder: Path, kind: Kind = "day") -> list[Path]:
    """Write the sample as CSV files, one a partition: ``planned/`` before it, ``deliveries/`` with what became of it.

    :return: the files; those that were there already are written again, with the same content
    """
    first, last = PARTITIONS[kind]
    slices = Partitioning(kind, "UTC", first)
    written = []
    for key in slices.between(first, last):
        rows = list(_make_deliveries(key, slices.bounds(key)))
        written.append(_write(folder / "planned" / f"{key}.csv", _PLAN, rows))
        if key < last:
            written.append(_write(folder / "deliveries" / f"{key}.csv", _OUTCOME, rows))
    return written


def _make_deliveries(key: str, bounds: Bounds) -> Iterator[Mapping[str, str]]:
    """Long ways, rush hours and a depot's bad times make deliveries late."""
    chance = random.Random(f"tradewind sample {key}")
    days = (bounds.end - bounds.start).days
    # A depot has good and bad days; within hours, and over weeks, that matters less.
    moods = {depot: chance.gauss(0.0, 0.8 if days == 1 else 0.3) for depot in _DEPOTS}
    for number in range(_A_PARTITION):
        depot = chance.choice(_DEPOTS)
        # Between 8 and 18 o'clock of one of the days, or within the hour.
        minutes = 8 * 60 + chance.randrange(600) if days else chance.randrange(60)
        planned = bounds.start + timedelta(days=chance.randrange(days) if days > 1 else 0, minutes=minutes)
        distance, weight = chance.lognormvariate(2.3, 0.6), chance.lognormvariate(1.5, 0.8)
        rush = 0.9 if planned.hour in (8, 16, 17) else 0.0
        late = chance.random() < 1 / (1 + math.exp(2.2 - 0.09 * distance - rush - moods[depot]))
        delay = chance.uniform(16, 90) if late else chance.uniform(-20, 15)
        yield {
            "delivery_id": f"{bounds.start:{'%Y%m%d' if days else '%Y%m%d%H'}}{number:04}",
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
