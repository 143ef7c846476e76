"""A project with a small pipeline, and an Airflow that only remembers what it is asked."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from tests.local_runtime import Deployed
from tests.unit.cli.fake_airflow import FakeAirflow

from tradewind.cli.main import command_line
from tradewind.core.runtime import Runtime
from tradewind.errors import TradewindError
from tradewind.etl.dataset_build import build_dataset
from tradewind.etl.etl_completion import complete_etl
from tradewind.ledger.journal import Ledger
from tradewind.local_airflow.home import Home
from tradewind.spec.load import load_pipeline
from tradewind.spec.pipeline import Pipeline

DAYS = ["2013-01-28", "2013-01-29", "2013-01-30", "2013-01-31"]
YAML = """\
pipeline: shop
owner: data@example.com
description: Orders of a shop.
partition: day
timezone: UTC
start: 2013-01-28
end: 2013-02-01
schedule: "@daily"
datasets:
  orders:
    source:
      files: "{landing}/{day}.csv"
      columns: {id: BIGINT, amount: BIGINT}
    sql: include/orders.sql
    keys: [id]
    expectations: include/orders.json
  totals:
    inputs: {orders: {lookback: 2}}
    sql: include/totals.sql
"""


class Project(Deployed):
    """A project in a folder, with its embedded home and commands that run in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def lay_out(self) -> None:
        for name in ("dags", "include"):
            (self.folder / name).mkdir()
        (self.folder / "dags" / "shop.yaml").write_text(YAML)
        (self.folder / "include" / "orders.sql").write_text("SELECT id, amount FROM source\n")
        (self.folder / "include" / "totals.sql").write_text("SELECT count(*) AS orders FROM orders\n")
        at_most = {"type": "expect_column_values_to_be_between", "kwargs": {"column": "amount", "max_value": 100}}
        suite = {"name": "orders", "expectations": [at_most]}
        (self.folder / "include" / "orders.json").write_text(json.dumps(suite))
        self.home.lay_out()

    @property
    def home(self) -> Home:
        return Home(root=self.folder / ".tradewind", project=self.folder)

    @property
    def runtime(self) -> Runtime:
        return self.home.runtime()

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.runtime.ledger)

    @property
    def spec(self) -> Pipeline:
        return load_pipeline(self.folder / "dags" / "shop.yaml")

    def deliver(self, day: str, *amounts: int) -> None:
        rows = "".join(f"{number},{amount}\n" for number, amount in enumerate(amounts))
        (self.home.landing / f"{day}.csv").write_text("id,amount\n" + rows)

    def run_etl(self, *days: str) -> None:
        """What runs of etl do."""
        for day in days:
            for name in ("orders", "totals"):
                build_dataset(self.deployment, name, day)
            complete_etl(self.deployment, day)

    def command(self, *arguments: str) -> Result:
        """Run ``tradewind …``; an error of Tradewind is the result's exception."""
        return CliRunner().invoke(command_line, [*arguments], terminal_width=100)

    def told(self, *arguments: str) -> str:
        """Output of a command that succeeds; no line is wider than 100 columns, but for paths."""
        result = self.command(*arguments)
        if result.exception:
            raise result.exception
        assert result.exit_code == 0, result.output
        lines = [] if "--json" in arguments else result.output.splitlines()
        wide = [line for line in lines if len(line) > 100 and "/" not in line]
        assert not wide, wide
        return result.output

    def answer(self, *arguments: str) -> Any:
        """JSON of a command that succeeds."""
        return json.loads(self.told(*arguments, "--json"))

    def error(self, *arguments: str) -> str:
        """Message of a command that fails."""
        result = self.command(*arguments)
        assert isinstance(result.exception, TradewindError), result.output
        return str(result.exception)


@pytest.fixture(scope="session")
def _shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three of four days built, once."""
    made = Project(tmp_path_factory.mktemp("shop"))
    made.lay_out()
    for number, day in enumerate(DAYS[:3]):
        made.deliver(day, number, 10)
    made.run_etl(*DAYS[:3])
    return made.folder


@pytest.fixture
def shop(_shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project of each test's own, three of whose four days are built; commands run in it."""
    folder = tmp_path / "project"
    shutil.copytree(_shop, folder)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Project(folder)


@pytest.fixture
def airflow(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeAirflow]:
    """An Airflow that knows the pipeline's DAG; the environment names it."""
    fake = FakeAirflow(["shop__etl"])
    monkeypatch.setenv("TRADEWIND_AIRFLOW_URL", fake.url)
    monkeypatch.setenv("TRADEWIND_AIRFLOW_USER", "ann")
    monkeypatch.setenv("TRADEWIND_AIRFLOW_PASSWORD", "secret")
    yield fake
    fake.close()
