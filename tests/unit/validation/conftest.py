"""A small project in which nothing is wrong, and a way to break it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tradewind.spec.problems import Problem
from tradewind.validation.pipeline import validate_pipelines
from tradewind.validation.user_code_process import UserCodeInProcess

FILES = {
    "dags/shop.yaml": """\
pipeline: shop
owner: data@example.com
description: Is it sent back?
partition: day
timezone: Europe/Lisbon
start: 2024-01-01
end: 2024-02-01
schedule: "@daily"
datasets:
  orders:
    source:
      files: "{landing}/orders/{day}.csv"
      columns: {id: BIGINT NOT NULL, placed: TIMESTAMPTZ, shop: VARCHAR, price: DOUBLE, back: BOOLEAN}
    references:
      shops: {files: "{landing}/shops.csv", columns: {shop: VARCHAR, town: VARCHAR}}
    sql: include/shop/orders.sql
    keys: [id]
    duplicates: {keep: largest, by: placed_at}
    expectations: include/shop/orders.json
  shop_day:
    inputs: {orders: {lookback: 7}}
    sql: include/shop/shop_day.sql
    keys: [shop]
features:
  definitions: include/shop/features.py
score:
  population:
    files: "{landing}/announced/{day}.csv"
    columns: {id: BIGINT, placed: TIMESTAMPTZ, shop: VARCHAR, price: DOUBLE}
    sql: include/shop/population.sql
    key: id
    timestamp: placed_at
train:
  window: 13
  validation: 2
  test: 5
  service: shop_v1
  columns: [price, shop]
  label: {dataset: orders, column: back, available_after: 1d}
  model: include/shop/model.py:build
  params: {depth: 3}
  search: {space: include/shop/model.py:space, metric: roc_auc}
  trusted: [numpy.dtype]
gates:
  - {metric: roc_auc, at_least: 0.6}
  - {metric: roc_auc, versus: champion, lower_bound: -0.01}
  - {metric: roc_auc, slice: shop, at_least: 0.55}
  - {metric: brier, at_most: 0.3, where: "town = 'Faro' AND orders > 3 AND placed_at > partition::DATE"}
  - {metric: brier, versus: cheap, at_least: 0}
verdict:
  columns: [town]
  heuristics: {cheap: include/shop/model.py:cheap}
monitor:
  horizons: [1, 7]
  performance: {metric: roc_auc, at_least: 0.6}
retrain:
  when: {decay: 2 of 4, every: 9}
  cooldown: 3
""",
    "include/shop/orders.sql": """\
-- One row an order. Ä comment.
SELECT
    id,
    placed AS placed_at,
    shop,
    town,
    price,
    back
FROM source
LEFT JOIN shops USING (shop)
""",
    "include/shop/shop_day.sql": """\
SELECT
    shop,
    $partition_end AS known_at,
    count(*) AS orders,
    avg(price) AS mean_price
FROM orders
GROUP BY shop
""",
    "include/shop/population.sql": "SELECT id, placed AS placed_at, shop, price\nFROM source\n",
    "include/shop/orders.json": """\
{
  "name": "orders",
  "expectations": [
    {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "id"}},
    {"type": "expect_column_values_to_be_between", "kwargs": {"column": "price", "min_value": 0}}
  ]
}
""",
    "include/shop/features.py": """\
from datetime import timedelta

from feast import Entity, FeatureService, FeatureView, Field
from feast.types import Float64, Int64
from feast.value_type import ValueType

from tradewind.features.source import LakeSource

shop = Entity(name="shop", join_keys=["shop"], value_type=ValueType.STRING)
shop_day = FeatureView(
    name="shop_day",
    entities=[shop],
    ttl=timedelta(days=30),
    source=LakeSource("shop_day", timestamp_field="known_at"),
    schema=[Field(name="orders", dtype=Int64), Field(name="mean_price", dtype=Float64)],
)
shop_v1 = FeatureService(name="shop_v1", features=[shop_day])
""",
    "include/shop/model.py": """\
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline

def build(params):
    assert params["depth"] == 3
    return make_pipeline(inputs(), LogisticRegression(C=params.pop("C", 1.0), **{k: params[k] for k in [*params][1:]}))


def space(trial):
    return {"C": trial.suggest_float("C", 0.1, 10, log=True)}


def cheap(rows):
    return (rows["price"] < 10).astype(float)


def inputs():
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer

    return make_column_transformer((SimpleImputer(), ["price", "orders", "mean_price"]))
""",
}


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project, which is also the working directory."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def edit(shop: Path) -> Callable[[str, str, str], None]:
    """Replace text in a file of the project; it must be there."""

    def _edit(name: str, old: str, new: str) -> None:
        text = (shop / name).read_text(encoding="utf-8")
        assert old in text
        (shop / name).write_text(text.replace(old, new), encoding="utf-8")

    return _edit


@pytest.fixture
def found(shop: Path) -> Callable[[], list[Problem]]:
    """Validate the project; its code runs in this process, which is quicker."""
    return lambda: validate_pipelines([Path("dags/shop.yaml")], look=UserCodeInProcess)
