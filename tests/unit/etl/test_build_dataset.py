from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from tests.local_runtime import Deployed, local_runtime

from tradewind.deployment import Deployment
from tradewind.errors import (
    AuditFailed,
    EmptyInput,
    InvalidPartitionKey,
    MalformedInput,
    MissingInput,
    NotReady,
    SpecError,
    TransformError,
    Unavailable,
    UsageError,
)
from tradewind.etl.dataset_build import build_dataset
from tradewind.etl.etl_completion import complete_etl
from tradewind.lake.dataset import Dataset, Lake
from tradewind.ledger import completion
from tradewind.ledger.journal import Ledger
from tradewind.spec.pipeline import Keep, Pipeline

FIRST, SECOND, THIRD = "2013-01-28", "2013-01-29", "2013-01-30"


class Shop(Deployed):
    """A pipeline of two daily datasets: ``orders`` from files, and ``totals`` over the last two days of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.runtime = local_runtime(folder, run_id="run-1")
        self.write("orders.sql", "SELECT id, amount, $partition_start AS day FROM source")
        self.write("totals.sql", "SELECT count(*) AS orders, sum(amount)::BIGINT AS amount FROM orders")
        at_most = {"type": "expect_column_values_to_be_between", "kwargs": {"column": "amount", "max_value": 100}}
        self.write("orders.json", json.dumps({"name": "orders", "expectations": [at_most]}))

    @property
    def spec(self) -> Pipeline:
        return self.spec_of()

    def spec_of(self, **source: Any) -> Pipeline:
        columns = {"id": "BIGINT", "amount": "BIGINT"}
        orders = {
            "source": {"files": "{landing}/{day}.csv", "columns": columns, "nulls": ["NA"], **source},
            "sql": "orders.sql", "keys": ["id"], "expectations": "orders.json",
        }  # fmt: skip
        totals = {"inputs": {"orders": {"lookback": 2}}, "sql": "totals.sql"}
        about = {"pipeline": "shop", "owner": "x@example.com", "description": "Orders", "schedule": "0 6 * * *"}
        time = {"partition": "day", "timezone": "America/New_York", "start": FIRST}
        return Pipeline.model_validate({**about, **time, "datasets": {"orders": orders, "totals": totals}})

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)

    def deliver(self, day: str, *amounts: int | str) -> None:
        rows = "".join(f"{number},{amount}\n" for number, amount in enumerate(amounts))
        (self.folder / "landing").mkdir(exist_ok=True)
        self.write(f"landing/{day}.csv", "id,amount\n" + rows)

    def build(self, name: str, day: str) -> Any:
        return build_dataset(self.deployment, name, day)

    def dataset(self, name: str) -> Dataset:
        return Lake(self.runtime.lake).dataset("shop", name)

    def rows(self, name: str, day: str) -> list[dict[str, Any]]:
        snapshot = self.dataset(name).snapshot()
        assert snapshot is not None
        return list(snapshot.arrow([day]).to_table().to_pylist())


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def test_delivered_rows_are_published(shop: Shop) -> None:
    shop.deliver(FIRST, 10, "NA")
    result = shop.build("orders", FIRST)
    assert (result.published.version, result.published.rows, result.published.changed) == (1, 2, True)
    rows = shop.rows("orders", FIRST)
    assert sorted((row["id"], row["amount"], row["partition"]) for row in rows) == [(0, 10, FIRST), (1, None, FIRST)]
    assert rows[0]["day"] == shop.spec.partitioning.bounds(FIRST).start


def test_nothing_is_done_again_without_a_cause(shop: Shop) -> None:
    shop.deliver(FIRST, 10)
    first = shop.build("orders", FIRST)
    shop.deliver(FIRST, 10)
    again = shop.build("orders", FIRST)
    assert not again.published.changed
    assert (again.published.version, again.published.digest) == (first.published.version, first.published.digest)
    assert again.report == first.report


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("landing/2013-01-28.csv", "id,amount\n0,11\n"),
        ("orders.sql", "SELECT id, amount + 1 AS amount, $partition_start AS day FROM source"),
        (
            "orders.json",
            '{"name": "o", "expectations": [{"type": "expect_column_to_exist", "kwargs": {"column": "id"}}]}',
        ),
    ],
)
def test_changed_files_sql_or_expectations_are_a_cause(shop: Shop, file: str, text: str) -> None:
    shop.deliver(FIRST, 10)
    shop.build("orders", FIRST)
    shop.write(file, text)
    assert shop.build("orders", FIRST).published.changed


def test_a_dataset_reads_the_partitions_that_it_looks_back_to_and_no_others(shop: Shop) -> None:
    for day, amount in ((FIRST, 1), (SECOND, 10), (THIRD, 100)):
        shop.deliver(day, amount)
        shop.build("orders", day)
    shop.build("totals", THIRD)
    assert [(row["orders"], row["amount"]) for row in shop.rows("totals", THIRD)] == [(2, 110)]


def test_before_the_start_there_is_nothing_to_look_back_to(shop: Shop) -> None:
    shop.deliver(FIRST, 1)
    shop.build("orders", FIRST)
    assert shop.build("totals", FIRST).published.rows == 1


def test_an_earlier_partition_that_is_not_there_yet_is_waited_for_by_name(shop: Shop) -> None:
    shop.deliver(SECOND, 1)
    shop.build("orders", SECOND)
    with pytest.raises(NotReady, match=r"shop: totals of partition 2013-01-29 looks back to orders of 2013-01-28"):
        shop.build("totals", SECOND)


def test_the_partition_itself_missing_in_an_input_is_an_error(shop: Shop) -> None:
    with pytest.raises(MissingInput, match=r"totals of partition 2013-01-28 reads orders of the same partition"):
        shop.build("totals", FIRST)


def test_a_corrected_earlier_partition_is_a_cause(shop: Shop) -> None:
    for day in (FIRST, SECOND):
        shop.deliver(day, 1)
        shop.build("orders", day)
        shop.build("totals", day)
    shop.deliver(FIRST, 5)
    shop.build("orders", FIRST)
    assert shop.build("totals", SECOND).published.changed
    assert [row["amount"] for row in shop.rows("totals", SECOND)] == [6]


def test_rows_that_fail_are_in_quarantine_and_the_old_ones_stay(shop: Shop) -> None:
    shop.deliver(FIRST, 10)
    shop.build("orders", FIRST)
    shop.deliver(FIRST, 999)
    with pytest.raises(
        AuditFailed, match=r"dataset orders, partition 2013-01-28 is not published: `amount`: values"
    ) as caught:
        shop.build("orders", FIRST)
    assert [row["amount"] for row in shop.rows("orders", FIRST)] == [10]
    [reasons] = Path(shop.dataset("orders").uri).glob(f"_quarantine/{FIRST}/*/reasons.json")
    assert "expect_column_values_to_be_between" in json.loads(reasons.read_text())["reasons"][0]
    assert caught.value.report is not None
    assert (reasons.parent / "report.html").read_text() == Path(caught.value.report).read_text()
    assert str(reasons.parent) in str(caught.value)


def test_a_failed_delivery_leaves_the_report_of_the_good_one(shop: Shop) -> None:
    shop.deliver(FIRST, 10)
    first = shop.build("orders", FIRST)
    shop.deliver(FIRST, 999)
    with pytest.raises(AuditFailed) as caught:
        shop.build("orders", FIRST)
    shop.deliver(FIRST, 10)
    again = shop.build("orders", FIRST)
    assert not again.published.changed
    assert again.report == first.report
    assert "Passed: all" in again.report.read_text()
    assert "Not published" in Path(str(caught.value.report)).read_text()


def test_no_file_stays_in_staging(shop: Shop) -> None:
    shop.deliver(FIRST, 10)
    shop.build("orders", FIRST)
    shop.deliver(FIRST, 999)
    with pytest.raises(AuditFailed):
        shop.build("orders", FIRST)
    shop.deliver(FIRST, "many")
    with pytest.raises(MalformedInput):
        shop.build("orders", FIRST)
    assert not list((Path(shop.dataset("orders").uri) / "_staging").iterdir())


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("", MalformedInput),
        ("id,amount\n", EmptyInput),
        ("id,total\n1,1\n", MalformedInput),
        ("id,amount\n1,1\n2", MalformedInput),
        ("id,amount\n1,1\n2\n", MalformedInput),
        ("id,amount\n1,much\n", MalformedInput),
        (None, MissingInput),
    ],
)
def test_a_bad_delivery_is_an_error_with_the_files_name(
    shop: Shop, content: str | None, error: type[Exception]
) -> None:
    shop.deliver(FIRST, 1)
    path = shop.folder / "landing" / f"{FIRST}.csv"
    if content is None:
        path.unlink()
    else:
        path.write_text(content)
    with pytest.raises(error, match=str(path)):
        shop.build("orders", FIRST)
    assert shop.dataset("orders").snapshot() is None


def test_malformed_rows_are_put_aside_counted_and_the_rest_is_published(shop: Shop) -> None:
    shop.deliver(FIRST, 10, "many", 30)
    result = build_dataset(Deployment(shop.spec_of(max_bad_rows=1), shop.runtime), "orders", FIRST)
    assert (result.published.rows, result.bad_rows) == (2, 1)
    assert sorted(row["amount"] for row in shop.rows("orders", FIRST)) == [10, 30]
    [kept] = Path(shop.dataset("orders").uri).glob(f"_quarantine/{FIRST}/malformed/*.parquet")
    [bad] = pq.read_table(kept).to_pylist()
    assert (bad["view"], bad["file"], bad["line"]) == ("source", f"{shop.folder}/landing/{FIRST}.csv", 3)
    assert "many" in bad["reason"]
    assert not list((Path(shop.dataset("orders").uri) / "_staging").iterdir())


def test_one_malformed_row_too_many_and_nothing_is_published(shop: Shop) -> None:
    shop.deliver(FIRST, 10, "many", "more")
    with pytest.raises(MalformedInput, match=rf"{FIRST}\.csv, line 3.*many"):
        build_dataset(Deployment(shop.spec_of(max_bad_rows=1), shop.runtime), "orders", FIRST)
    assert shop.dataset("orders").snapshot() is None


def test_what_sql_itself_does_wrong_is_not_the_deliverys_fault(shop: Shop) -> None:
    shop.deliver(FIRST, 10)
    shop.write("orders.sql", "SELECT id, CAST('x' || amount AS BIGINT) AS amount FROM source")
    with pytest.raises(TransformError, match=r"orders\.sql"):
        build_dataset(Deployment(shop.spec_of(max_bad_rows=1), shop.runtime), "orders", FIRST)


def test_of_rows_with_the_same_keys_the_stated_one_is_kept(shop: Shop) -> None:
    shop.deliver(FIRST, 10)
    shop.write("orders.sql", "SELECT 1 AS id, unnest([10, 30, 20]) AS amount FROM source")
    orders = shop.spec.datasets["orders"].model_copy(update={"duplicates": Keep(keep="largest", by="amount")})
    spec = shop.spec.model_copy(update={"datasets": {"orders": orders}})
    assert build_dataset(Deployment(spec, shop.runtime), "orders", FIRST).published.rows == 1
    assert [row["amount"] for row in shop.rows("orders", FIRST)] == [30]


def test_a_new_column_of_the_sql_is_taken_when_the_yaml_says_so(shop: Shop) -> None:
    shop.deliver(FIRST, 10)
    shop.build("orders", FIRST)
    shop.write("orders.sql", "SELECT id, amount, $partition_start AS day, 7 AS more FROM source")
    with pytest.raises(UsageError, match="more"):
        shop.build("orders", FIRST)
    orders = shop.spec.datasets["orders"].model_copy(update={"new_columns": "take"})
    spec = shop.spec.model_copy(update={"datasets": {"orders": orders}})
    build_dataset(Deployment(spec, shop.runtime), "orders", FIRST)
    assert [row["more"] for row in shop.rows("orders", FIRST)] == [7]


def test_a_file_that_changes_while_it_is_read_is_tried_again(shop: Shop) -> None:
    class Restless(Dataset):
        def stage(self, *args: Any, **kwargs: Any) -> Any:
            staged = super().stage(*args, **kwargs)
            shop.deliver(FIRST, 1, 2)
            return staged

    class RestlessLake(Lake):
        def dataset(self, pipeline: str, name: str) -> Dataset:
            return Restless(super().dataset(pipeline, name).uri, name=name)

    class RestlessDeployment(Deployment):
        lake = RestlessLake(shop.runtime.lake)

    shop.deliver(FIRST, 1)
    with pytest.raises(Unavailable, match=r"2013-01-28.csv changed while it was read"):
        build_dataset(RestlessDeployment(shop.spec, shop.runtime), "orders", FIRST)
    assert shop.dataset("orders").snapshot() is None


def test_a_column_that_the_lake_cannot_hold_names_the_sql(shop: Shop) -> None:
    shop.deliver(FIRST, 1)
    shop.write("orders.sql", "SELECT *, TIMESTAMP '2013-01-01' AS at FROM source")
    with pytest.raises(TransformError, match=r"orders\.sql: .*column at is a time without a zone"):
        shop.build("orders", FIRST)


def test_a_file_that_the_yaml_names_and_is_not_there_is_named(shop: Shop) -> None:
    shop.deliver(FIRST, 1)
    (shop.folder / "orders.sql").unlink()
    with pytest.raises(SpecError, match=r"orders\.sql: the pipeline names this file"):
        shop.build("orders", FIRST)


def test_an_unknown_dataset_and_a_bad_key_are_refused(shop: Shop) -> None:
    with pytest.raises(UsageError, match="no dataset nothing; there are orders, totals"):
        shop.build("nothing", FIRST)
    with pytest.raises(InvalidPartitionKey):
        shop.build("orders", "2013-01-27")


def test_two_inputs_of_one_name_are_refused(shop: Shop) -> None:
    orders = shop.spec.datasets["orders"]
    assert orders.source is not None
    both = orders.model_copy(update={"references": {"source": orders.source}})
    spec = shop.spec.model_copy(update={"datasets": {"orders": both}})
    with pytest.raises(SpecError, match=r"datasets\.orders: its SQL would see two views `source`"):
        build_dataset(Deployment(spec, shop.runtime), "orders", FIRST)


def test_each_step_is_one_line_of_the_log(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    shop.deliver(FIRST, 1)
    with caplog.at_level(logging.INFO, logger="tradewind.etl"):
        shop.build("orders", FIRST)
    ours = [record for record in caplog.records if record.name.startswith("tradewind.etl")]
    steps = [record.getMessage().split(":")[0] for record in ours]
    assert steps == [f"shop orders {FIRST} {step}" for step in ("stage", "audit", "publish")]


def test_the_stage_is_complete_when_every_dataset_has_the_partition(shop: Shop) -> None:
    shop.deliver(FIRST, 1)
    orders = shop.build("orders", FIRST).published
    with pytest.raises(NotReady, match=r"shop: partition 2013-01-28 is not published in totals"):
        complete_etl(shop.deployment, FIRST)
    shop.build("totals", FIRST)
    cause = complete_etl(shop.deployment, FIRST)
    ledger = Ledger(shop.runtime.ledger)
    assert completion.latest_cause(ledger, "shop", "etl", FIRST) == cause
    [entry] = ledger.find("shop", "complete", subject="etl", partition=FIRST)
    assert entry.evidence["orders"] == {"digest": orders.digest, "version": orders.version, "rows": 1}


def test_completing_again_adds_nothing(shop: Shop) -> None:
    shop.deliver(FIRST, 1)
    for name in ("orders", "totals"):
        shop.build(name, FIRST)
    assert complete_etl(shop.deployment, FIRST) == complete_etl(shop.deployment, FIRST)
    assert len(Ledger(shop.runtime.ledger).find("shop", "complete")) == 1
