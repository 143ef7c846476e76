from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

FLIGHTS = """\
pipeline: flights
owner: data@example.com
description: Late or not?
partition: week
timezone: America/New_York
start: 2013-01-28
end: 2013-07-01
schedule: "0 6 * * 1"
datasets:
  flights:
    source: {files: "{landing}/{day}.csv", nulls: ["NA"]}
    sql: include/flights.sql
    keys: [flight_id]
    expectations: include/flights.json
  carriers:
    inputs: {flights: {lookback: 2}}
    sql: include/carriers.sql
features:
  definitions: include/features.py
score:
  population: {files: "{landing}/s/{day}.csv", sql: include/population.sql, key: flight_id, timestamp: at}
  ahead: 1
train:
  window: 8
  test: 2
  service: flights_v1
  columns: [origin, distance]
  label: {dataset: flights, column: late, available_after: 1d}
  model: include/model.py:build
gates:
  - {metric: roc_auc, at_least: 0.6}
  - {metric: roc_auc, versus: champion, lower_bound: -0.01}
  - {metric: roc_auc, slice: origin, at_least: 0.55}
promotion: {mode: automatic}
monitor:
  performance: {metric: roc_auc, at_least: 0.66}
retrain:
  when: {decay: 2 of 4, drift: 2 of 4}
  cooldown: 3
  budget: {max: 6, per: 52}
alerts:
  deadline: 2h
"""
NAMED = ("flights.sql", "flights.json", "carriers.sql", "population.sql", "features.py", "model.py")


@pytest.fixture
def flights() -> str:
    """The text of a pipeline in which nothing is wrong."""
    return FLIGHTS


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    """Write the text of a pipeline into a project that has all files it names."""

    def _write(text: str) -> Path:
        (tmp_path / "dags").mkdir(exist_ok=True)
        (tmp_path / "include").mkdir(exist_ok=True)
        for name in NAMED:
            (tmp_path / "include" / name).touch()
        path = tmp_path / "dags" / "flights.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return _write
