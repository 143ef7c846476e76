"""A person lets a partition go that failed its audit: exactly these rows, or those of them that are not bad."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from tests.local_runtime import Deployed, local_runtime

from tradewind.errors import AuditFailed, MalformedInput, UsageError
from tradewind.etl.dataset_build import DatasetResult, build_dataset
from tradewind.etl.quarantine_release import MALFORMED, Quarantined, list_quarantined
from tradewind.lake.cause import Cause
from tradewind.lake.dataset import Dataset, Lake
from tradewind.ledger import releases
from tradewind.ledger.journal import Ledger
from tradewind.spec.pipeline import Pipeline

DAY = "2013-01-28"


class Shop(Deployed):
    """A pipeline of one daily dataset whose amounts are at most 100."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.runtime = local_runtime(folder, landing=str(folder), run_id="run-1")
        self.ledger = Ledger(self.runtime.ledger)
        (folder / "orders.sql").write_text("SELECT id, amount FROM source")
        about = {"pipeline": "shop", "owner": "x@example.com", "description": "Orders", "schedule": "0 6 * * *"}
        time = {"partition": "day", "timezone": "UTC", "start": DAY}
        source = {"files": "{landing}/{day}.csv", "columns": {"id": "BIGINT", "amount": "BIGINT"}}
        orders = {"source": source, "sql": "orders.sql", "keys": ["id"], "expectations": "orders.json"}
        self.spec = Pipeline.model_validate({**about, **time, "datasets": {"orders": orders}})
        self.expect()

    def expect(self, *more: dict[str, Any]) -> None:
        at_most = {"type": "expect_column_values_to_be_between", "kwargs": {"column": "amount", "max_value": 100}}
        (self.folder / "orders.json").write_text(json.dumps({"name": "orders", "expectations": [at_most, *more]}))

    def deliver(self, *rows: tuple[object, object]) -> None:
        lines = "".join(f"{number},{amount}\n" for number, amount in rows)
        (self.folder / f"{DAY}.csv").write_text("id,amount\n" + lines)

    def build(self) -> DatasetResult:
        return build_dataset(self.deployment, "orders", DAY)

    def fail(self) -> Quarantined:
        with pytest.raises(AuditFailed, match=f"tradewind release shop orders {DAY} --reason TEXT"):
            self.build()
        return list_quarantined(self.dataset, DAY)[-1]

    def release(self, held: Quarantined, *, drop: bool = False, actor: str = "ann") -> None:
        releases.record_release(
            self.ledger, "shop", "orders", DAY,
            digest=held.digest, cause=held.cause, drop_bad_rows=drop, reason="the source is right", actor=actor,
        )  # fmt: skip

    @property
    def dataset(self) -> Dataset:
        return Lake(self.runtime.lake).dataset("shop", "orders")

    def amounts(self) -> list[int]:
        snapshot = self.dataset.snapshot()
        assert snapshot is not None
        return sorted(snapshot.arrow([DAY]).to_table()["amount"].to_pylist())


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def test_quarantine_says_what_its_rows_were_made_from(shop: Shop) -> None:
    shop.deliver((1, 10), (2, 500))
    held = shop.fail()
    assert (held.partition, held.rows, len(held.cause)) == (DAY, 2, 32)
    assert "between" in held.reasons[0]


def test_released_rows_are_published_as_they_are_and_the_commit_says_by_whom(shop: Shop) -> None:
    shop.deliver((1, 10), (2, 500))
    held = shop.fail()
    shop.release(held)
    published = shop.build().published
    assert (published.changed, published.digest, shop.amounts()) == (True, held.digest, [10, 500])
    snapshot = shop.dataset.snapshot()
    assert snapshot is not None
    note = Cause.from_json(snapshot.table.history(1)[0]["cause"]).notes["release"]
    assert (note["by"], note["reason"], note["outcome"]) == ("ann", "the source is right", "as it is")
    assert not shop.build().published.changed


def test_without_its_bad_rows_the_rest_is_audited_and_published(shop: Shop) -> None:
    shop.deliver((1, 10), (2, 500), ("", 20), (3, 30))
    shop.release(shop.fail(), drop=True)
    assert shop.build().published.rows == 2
    assert shop.amounts() == [10, 30]


def test_what_no_single_row_can_be_blamed_for_is_not_dropped(shop: Shop) -> None:
    shop.expect({"type": "expect_table_row_count_to_be_between", "kwargs": {"min_value": 3}})
    shop.deliver((1, 10), (2, 500), (3, 30))
    held = shop.fail()
    shop.release(held, drop=True)
    again = shop.fail()
    assert (again.rows, again.cause) == (2, held.cause)
    shop.release(again)
    assert shop.build().published.rows == 2


def test_a_release_holds_for_exactly_these_rows(shop: Shop) -> None:
    shop.deliver((1, 500))
    shop.release(shop.fail())
    shop.deliver((1, 600))
    shop.fail()
    assert shop.dataset.snapshot() is None


def test_rows_that_were_changed_in_quarantine_are_not_published(shop: Shop) -> None:
    shop.deliver((1, 500))
    held = shop.fail()
    (path,) = held.folder.glob("part-*.parquet")
    rows = pq.read_table(path)
    pq.write_table(rows.set_column(1, "amount", [[7]]), path)
    shop.release(held)
    with pytest.raises(UsageError, match="are not those that ann released"):
        shop.build()


def test_rows_that_are_gone_from_quarantine_are_named(shop: Shop) -> None:
    shop.deliver((1, 500))
    held = shop.fail()
    shop.release(held)
    (held.folder / "reasons.json").unlink()
    with pytest.raises(UsageError, match="not in quarantine any more"):
        shop.build()


def test_of_two_people_who_release_the_same_rows_the_first_is_written(shop: Shop) -> None:
    shop.deliver((1, 500))
    held = shop.fail()
    for actor in ("ann", "bob"):
        shop.release(held, actor=actor)
    assert [entry.actor for entry in shop.ledger.find("shop", "release")] == ["ann"]


def test_malformed_rows_that_are_more_than_may_be_are_dropped_by_a_persons_word(shop: Shop) -> None:
    shop.deliver((1, 10), ("x", 20), (3, 30))
    with pytest.raises(MalformedInput):
        shop.build()
    (held,) = list_quarantined(shop.dataset, DAY)
    assert (held.digest, held.rows) == (MALFORMED, 1)
    shop.release(held, drop=True)
    done = shop.build()
    assert (shop.amounts(), done.bad_rows) == ([10, 30], 1)
    snapshot = shop.dataset.snapshot()
    assert snapshot is not None
    notes = Cause.from_json(snapshot.table.history(1)[0]["cause"]).notes
    assert (notes["release"]["by"], notes["bad_rows"]["source"]["count"]) == ("ann", 1)
    shop.deliver((1, 10), ("y", 20))
    with pytest.raises(MalformedInput):
        shop.build()


def test_the_newest_in_quarantine_is_what_failed_last(shop: Shop) -> None:
    for rows, error in (((1, "x"), MalformedInput), ((1, 500), AuditFailed), ((1, "x"), MalformedInput)):
        shop.deliver(rows)
        with pytest.raises(error):
            shop.build()
    assert [held.digest == MALFORMED for held in list_quarantined(shop.dataset, DAY)] == [False, True]


def test_what_remains_of_a_malformed_delivery_is_audited(shop: Shop) -> None:
    shop.deliver((1, 500), ("x", 20))
    with pytest.raises(MalformedInput):
        shop.build()
    (held,) = list_quarantined(shop.dataset, DAY)
    shop.release(held, drop=True)
    shop.fail()
