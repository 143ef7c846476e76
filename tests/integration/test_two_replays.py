"""Two replays of the same deliveries, on other numbers of threads: equal tables to the last bit, equal decisions."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

import pytest

from tradewind.lake.dataset import Lake
from tradewind.ledger.journal import Entry, Kind, Ledger
from tradewind.scaffold.rehearsal import Rehearsal

pytestmark = pytest.mark.slow

DAYS, ORDERS, SHOPS = 30, 160, 7
FIRST = date(2024, 1, 1)
YAML = """
pipeline: shop
owner: data@example.com
description: Is it sent back?
partition: day
timezone: Europe/Lisbon
start: 2024-01-01
end: 2024-01-31
schedule: "@daily"
datasets:
  orders:
    source:
      files: "{landing}/orders/{day}.csv"
      columns: {id: BIGINT NOT NULL, placed: TIMESTAMPTZ, shop: VARCHAR, price: DOUBLE, weight: DOUBLE, back: INTEGER}
    sql: include/shop/orders.sql
    keys: [id]
  shop_day:
    inputs: {orders: {lookback: 6}}
    sql: include/shop/shop_day.sql
    keys: [shop]
features: {definitions: include/shop/features.py}
score:
  population:
    files: "{landing}/announced/{day}.csv"
    columns: {id: BIGINT, placed: TIMESTAMPTZ, shop: VARCHAR, price: DOUBLE, weight: DOUBLE}
    sql: include/shop/population.sql
    key: id
    timestamp: placed_at
train:
  window: 20
  test: 5
  service: shop_v1
  columns: [price, weight]
  label: {dataset: orders, column: back, available_after: 1h}
  model: include/shop/model.py:build
  trusted: [numpy.dtype]
gates:
  - {metric: roc_auc, at_least: 0.55}
  - {metric: roc_auc, versus: champion, lower_bound: -0.03, confidence: 0.9, by: day}
monitor: {horizons: [1], performance: {metric: roc_auc, at_least: 0.62}}
retrain: {when: {every: 4, decay: 2 of 3}}
"""
FILES = {
    "dags/shop.yaml": YAML,
    "include/shop/orders.sql": "SELECT id, placed AS placed_at, shop, price, weight, back FROM source",
    "include/shop/population.sql": "SELECT id, placed AS placed_at, shop, price, weight FROM source",
    "include/shop/shop_day.sql": """
WITH whole AS (SELECT avg(price) AS mean, stddev(weight) AS deviation FROM orders),
ranked AS (
    SELECT *, row_number() OVER (PARTITION BY shop ORDER BY placed_at) AS n,
        avg(price) OVER (PARTITION BY shop ORDER BY placed_at ROWS 20 PRECEDING) AS recent
    FROM orders
)
SELECT
    shop, $partition_end AS known_at,
    sum(back * price) / sum(price) - any_value(mean) / 1e3 AS back_value, corr(price, weight) AS together,
    stddev(weight) / any_value(deviation) AS spread, max_by(recent, n) AS recent, arg_max(price, placed_at) AS newest
FROM ranked, whole GROUP BY shop
""",
    "include/shop/features.py": """
from datetime import timedelta

from feast import Entity, FeatureService, FeatureView, Field, ValueType
from feast.types import Float64, String

from tradewind.features.source import LakeSource

shop = Entity(name="shop", value_type=ValueType.STRING)
names = ("back_value", "together", "spread", "recent", "newest")
shop_day = FeatureView(
    name="shop_day", entities=[shop], ttl=timedelta(days=3),
    schema=[Field(name="shop", dtype=String), *(Field(name=name, dtype=Float64) for name in names)],
    source=LakeSource("shop_day", timestamp_field="known_at"),
)
shop_v1 = FeatureService(name="shop_v1", features=[shop_day])
""",
    "include/shop/model.py": """
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def build(params):
    return make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression(C=20.0))
""",
}
RUN = ("run_id", "mlflow_run_id", "scored_at", "model_uri")
# Ids, places and moments of a run, and hashes of the files of a model, which hold such.
WALL = {"mlflow_run_id", "model_digest", "model_files", "place"}


@pytest.fixture(scope="module")
def delivered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("replays")
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for number in range(DAYS + 2):
        _deliver(folder / "landing", FIRST + timedelta(days=number))
    return folder


def _deliver(landing: Path, day: date) -> None:
    chance, rows = random.Random(f"shop {day}"), []
    moods = {shop: chance.gauss(0, 1) for shop in range(SHOPS)}
    for number in range(ORDERS):
        shop, price, weight = chance.randrange(SHOPS), chance.lognormvariate(3, 0.7), chance.lognormvariate(0, 1)
        # To the minute: orders of one shop share their time.
        placed = datetime(day.year, day.month, day.day, 8, tzinfo=UTC) + timedelta(minutes=chance.randrange(200))
        back = int(chance.gauss(0, 1.5) + moods[shop] + price / 30 * (1 - day.day / 40) > 0.9)
        rows.append([f"{day:%Y%m%d}{number:04}", placed.isoformat(), f"shop {shop}", repr(price), repr(weight), back])
    names = ["id", "placed", "shop", "price", "weight", "back"]
    for folder, columns in (("orders", 6), ("announced", 5)):
        path = landing / folder / f"{day}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([names[:columns], *(row[:columns] for row in rows)])


def _replayed(project: Path, home: Path, *, threads: int) -> Rehearsal:
    with Rehearsal(project / "dags" / "shop.yaml", home, landing=str(project / "landing")) as made:
        made.runtime = replace(made.runtime, threads=threads)
        for key in made.partitions():
            made.run(key)
    return made


def _tables(made: Rehearsal) -> dict[str, dict[str, Any]]:
    """Digest of every partition, and its rows to the last bit, without the columns of the run."""
    lake, found = Lake(made.runtime.lake), {}
    for name in (*made.spec.datasets, "predictions", "profiles", "drift", "performance"):
        snapshot = lake.dataset("shop", name).snapshot()
        assert snapshot is not None, name
        rows = snapshot.arrow().to_table()
        kept = [column for column in rows.column_names if column not in RUN]
        found[name] = {
            "digests": {key: state.digest for key, state in snapshot.partitions.items()},
            "rows": sorted(map(repr, rows.select(kept).to_pylist())),
        }
    return found


def _journal(made: Rehearsal) -> list[Any]:
    """What was written, in order, without what belongs to a run."""
    home = str(made.home.root)
    return [
        (one.kind, one.subject, one.partition, one.outcome, one.reason.replace(home, ""), _without_wall(one, home))
        for one in _entries(made)
    ]


def _entries(made: Rehearsal) -> list[Entry]:
    ledger = Ledger(made.runtime.ledger)
    return sorted(
        (entry for kind in get_args(Kind) for entry in ledger.find("shop", kind)), key=lambda one: one.id or 0
    )


def _without_wall(entry: Entry, home: str) -> str:
    return json.dumps(_lasting(entry.evidence), sort_keys=True, default=str).replace(home, "")


def _lasting(value: Any) -> Any:
    if isinstance(value, Mapping):
        timed = {"value", "reason"} if value.get("metric") == "loads" else set()
        return {name: _lasting(item) for name, item in value.items() if name not in WALL | timed}
    return [_lasting(item) for item in value] if isinstance(value, list | tuple) else value


def test_two_replays_give_equal_tables_and_equal_decisions(delivered: Path, tmp_path: Path) -> None:
    one = _replayed(delivered, tmp_path / "one", threads=1)
    other = _replayed(delivered, tmp_path / "other", threads=16)
    ours, theirs = _tables(one), _tables(other)
    for name, table in ours.items():
        assert table == theirs[name], name
    for one_entry, other_entry in zip(_journal(one), _journal(other), strict=True):
        assert one_entry == other_entry
    outcomes = [entry.outcome for entry in _entries(one) if entry.kind == "verdict"]
    assert len(outcomes) >= 3
    assert {"passed", "rejected"} <= set(outcomes)
