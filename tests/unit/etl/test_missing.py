"""Datasets whose inputs do not come: waited for, left out, delivered later."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.local_runtime import Deployed, local_runtime

from tradewind.deployment import Deployment
from tradewind.errors import LeftOut, MalformedInput, MissingInput, NotDelivered, NotReady
from tradewind.etl.dataset_build import build_dataset
from tradewind.etl.etl_completion import complete_etl
from tradewind.lake.dataset import Lake
from tradewind.ledger import completion, skipped_partitions
from tradewind.ledger.journal import Ledger
from tradewind.spec.pipeline import Pipeline

FIRST, SECOND, THIRD = "2013-01-28", "2013-01-29", "2013-01-30"


class Shop(Deployed):
    """``orders`` from files, ``totals`` over the last two days of them; a reference of prices."""

    def __init__(self, folder: Path, **source: Any) -> None:
        self.folder = folder
        self.runtime = local_runtime(folder, landing=str(folder), run_id="run-1")
        (folder / "orders.sql").write_text("SELECT o.id, p.price FROM source o LEFT JOIN prices p ON true")
        (folder / "totals.sql").write_text("SELECT count(*) AS orders FROM orders")
        (folder / "prices.csv").write_text("price\n1\n")
        declared = {"files": "{landing}/{day}.csv", "columns": {"id": "BIGINT"}, **source}
        prices = {"prices": {"files": "{landing}/prices.csv", "missing": "skip"}}
        about = {"pipeline": "shop", "owner": "x", "description": "x", "schedule": "0 6 * * *"}
        time = {"partition": "day", "timezone": "UTC", "start": FIRST}
        datasets = {
            "orders": {"source": declared, "references": prices, "sql": "orders.sql"},
            "totals": {"inputs": {"orders": {"lookback": 2}}, "sql": "totals.sql"},
        }
        self.spec = Pipeline.model_validate({**about, **time, "datasets": datasets})
        self.ledger = Ledger(self.runtime.ledger)

    def deliver(self, *days: str) -> None:
        for day in days:
            (self.folder / f"{day}.csv").write_text("id\n1\n")

    def build(self, name: str, day: str, *, waited: timedelta = timedelta(0)) -> Any:
        return build_dataset(Deployment(self.spec, replace(self.runtime, waited=waited)), name, day)

    def run(self, day: str) -> None:
        for name in self.spec.datasets:
            self.build(name, day)
        complete_etl(self.deployment, day)

    def totals(self, day: str) -> int:
        snapshot = Lake(self.runtime.lake).dataset("shop", "totals").snapshot()
        assert snapshot is not None
        return int(snapshot.arrow([day]).to_table()["orders"][0].as_py())

    @property
    def left_out(self) -> dict[str, str]:
        return skipped_partitions.left_out(self.ledger, "shop")


def test_an_error_page_is_not_left_out(tmp_path: Path) -> None:
    shop = Shop(tmp_path, empty="skip")
    (tmp_path / f"{FIRST}.csv").write_text("<html>502</html>\n")
    with pytest.raises(MalformedInput, match=rf"{FIRST}\.csv: there is no column 'id'"):
        shop.build("orders", FIRST)
    assert shop.left_out == {}


@pytest.fixture
def skipping(tmp_path: Path) -> Shop:
    return Shop(tmp_path, missing="skip")


def test_what_is_left_out_is_in_the_ledger_with_the_reason(skipping: Shop) -> None:
    with pytest.raises(LeftOut, match=f"{FIRST}.csv.*left out by `missing: skip`"):
        skipping.build("orders", FIRST)
    [entry] = skipping.ledger.find("shop", "left_out")
    assert (entry.subject, entry.partition, entry.run_id) == ("orders", FIRST, "run-1")
    assert f"{FIRST}.csv" in entry.reason
    assert list(skipping.left_out) == [FIRST]


def test_what_reads_it_and_the_end_of_the_stage_are_left_out_too(skipping: Shop) -> None:
    with pytest.raises(LeftOut):
        skipping.build("orders", FIRST)
    with pytest.raises(LeftOut, match=r"totals of partition .* reads orders of the same partition, which is left out"):
        skipping.build("totals", FIRST)
    with pytest.raises(LeftOut, match=r"shop: partition 2013-01-28 is left out: .*missing: skip"):
        complete_etl(skipping.deployment, FIRST)
    assert not completion.is_complete(skipping.ledger, "shop", "etl", FIRST)


def test_later_partitions_go_on_without_it(skipping: Shop) -> None:
    with pytest.raises(LeftOut):
        skipping.build("orders", FIRST)
    skipping.deliver(SECOND)
    skipping.run(SECOND)
    assert skipping.totals(SECOND) == 1


def test_who_nobody_left_out_is_still_waited_for(skipping: Shop) -> None:
    skipping.deliver(SECOND)
    skipping.build("orders", SECOND)
    with pytest.raises(NotReady, match=r"looks back to orders of 2013-01-28"):
        skipping.build("totals", SECOND)


def test_a_later_delivery_ends_the_absence_and_is_a_cause_for_who_reads_it(skipping: Shop) -> None:
    with pytest.raises(LeftOut):
        skipping.build("orders", FIRST)
    skipping.deliver(FIRST, SECOND)
    skipping.run(SECOND)
    skipping.run(FIRST)
    assert skipping.left_out == {}
    assert skipping.build("totals", SECOND).published.changed
    assert skipping.totals(SECOND) == 2


def test_a_missing_reference_leaves_the_partition_out_as_well(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    shop.deliver(FIRST)
    (tmp_path / "prices.csv").unlink()
    with pytest.raises(LeftOut, match=r"prices\.csv"):
        shop.build("orders", FIRST)
    assert list(shop.left_out) == [FIRST]


def test_the_first_input_that_has_not_come_decides(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    (tmp_path / "prices.csv").unlink()
    with pytest.raises(MissingInput, match=FIRST):
        shop.build("orders", FIRST)
    assert shop.left_out == {}


def test_what_is_waited_for_is_nothing_that_happened(tmp_path: Path) -> None:
    shop = Shop(tmp_path, missing="wait", wait_for="1h", late="skip")
    with pytest.raises(NotDelivered, match=f"{FIRST}.csv"):
        shop.build("orders", FIRST)
    assert shop.left_out == {}
    with pytest.raises(LeftOut, match="`late: skip`"):
        shop.build("orders", FIRST, waited=timedelta(hours=1))
    assert list(shop.left_out) == [FIRST]


@pytest.mark.parametrize("said", ["wait", "skip"])
def test_an_empty_delivery_means_what_the_yaml_says(tmp_path: Path, said: str) -> None:
    shop = Shop(tmp_path, empty=said)
    (tmp_path / f"{FIRST}.csv").write_text("id\n")
    with pytest.raises(NotDelivered if said == "wait" else LeftOut, match=f"{FIRST}.csv"):
        shop.build("orders", FIRST)


def test_the_old_rows_stay_when_a_delivery_is_gone(skipping: Shop) -> None:
    skipping.deliver(FIRST)
    skipping.run(FIRST)
    (skipping.folder / f"{FIRST}.csv").unlink()
    with pytest.raises(LeftOut):
        skipping.build("orders", FIRST)
    assert skipping.totals(FIRST) == 1
    assert skipping.left_out == {}
