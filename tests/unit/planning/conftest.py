"""A pipeline of two daily datasets on a real lake: ``orders`` from files, ``totals`` over the last two days of them."""

from __future__ import annotations

import json
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.local_runtime import Deployed, local_runtime

from tradewind.etl.dataset_build import build_dataset
from tradewind.etl.etl_completion import complete_etl
from tradewind.ledger.journal import Ledger
from tradewind.planning.plan import PipelinePlan, make_plan
from tradewind.planning.plan_item import PlanItem
from tradewind.spec.pipeline import Pipeline

DAYS = ["2013-01-28", "2013-01-29", "2013-01-30", "2013-01-31"]
NOW = datetime(2013, 2, 1, 12, tzinfo=UTC)


class Shop(Deployed):
    """The pipeline, its files, and what has been built of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.runtime = local_runtime(folder, run_id="run-1")
        self.ledger = Ledger(self.runtime.ledger)
        self.orders: dict[str, Any] = {
            "source": {"files": "{landing}/{day}.csv", "columns": {"id": "BIGINT", "amount": "BIGINT"}},
            "sql": "orders.sql", "keys": ["id"], "expectations": "orders.json",
        }  # fmt: skip
        self.totals: dict[str, Any] = {"inputs": {"orders": {"lookback": 2}}, "sql": "totals.sql"}
        self.write("orders.sql", "SELECT id, amount FROM source")
        self.write("totals.sql", "SELECT count(*) AS orders, sum(amount)::BIGINT AS amount FROM orders")
        self.expect(100)

    @property
    def spec(self) -> Pipeline:
        about = {"pipeline": "shop", "owner": "x@example.com", "description": "Orders", "schedule": "0 6 * * *"}
        time = {"partition": "day", "timezone": "UTC", "start": DAYS[0]}
        return Pipeline.model_validate({**about, **time, "datasets": {"orders": self.orders, "totals": self.totals}})

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)

    def expect(self, most: int) -> None:
        at_most = {"type": "expect_column_values_to_be_between", "kwargs": {"column": "amount", "max_value": most}}
        text = json.dumps({"name": "orders", "expectations": [at_most]})
        self.write("orders.json", text)

    def deliver(self, day: str, *amounts: float | str) -> None:
        rows = "".join(f"{number},{amount}\n" for number, amount in enumerate(amounts))
        self.write(f"landing/{day}.csv", "id,amount\n" + rows)
        long_ago = NOW.timestamp()
        os.utime(self.folder / "landing" / f"{day}.csv", (long_ago, long_ago))

    def run(self, *days: str) -> None:
        """What a run of etl does."""
        for day in days:
            build_dataset(self.deployment, "orders", day)
            build_dataset(self.deployment, "totals", day)
            complete_etl(self.deployment, day)

    def plan(self, **options: Any) -> PipelinePlan:
        return make_plan(self.deployment, now=NOW, **options)

    def items(self, name: str, **options: Any) -> dict[str, PlanItem]:
        return {item.partition: item for item in self.plan(**options).items if item.name == name}

    def states(self, name: str, **options: Any) -> list[str]:
        return [item.state for item in self.items(name, **options).values()]


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """Nothing delivered and nothing built."""
    return Shop(tmp_path)


@pytest.fixture(scope="session")
def _built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four days delivered and built, once."""
    shop = Shop(tmp_path_factory.mktemp("built"))
    for number, day in enumerate(DAYS):
        shop.deliver(day, number, 10)
    shop.run(*DAYS)
    return shop.folder


@pytest.fixture
def built(_built: Path, tmp_path: Path) -> Shop:
    """Four days delivered and built, a copy of each test's own."""
    shutil.copytree(_built, tmp_path, dirs_exist_ok=True)
    return Shop(tmp_path)
