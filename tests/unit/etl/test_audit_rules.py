"""What the YAML says about duplicates, new columns and earlier partitions, in a build."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from tests.local_runtime import local_runtime

from tradewind.deployment import Deployment
from tradewind.errors import AuditFailed, MalformedInput, UsageError
from tradewind.etl.dataset_build import DatasetResult, build_dataset
from tradewind.lake.dataset import Lake
from tradewind.spec.pipeline import Pipeline


class Shop:
    """One daily dataset of orders, with what a test wants beside."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.runtime = local_runtime(folder, landing=str(folder))
        (folder / "orders.sql").write_text("SELECT * FROM source")

    def build(self, day: int, text: str, **more: Any) -> DatasetResult:
        partition = f"2013-02-{day:02}"
        (self.folder / f"{partition}.csv").write_text(text)
        columns = dict.fromkeys(text.splitlines()[0].split(","), "BIGINT")
        orders = {"source": {"files": "{landing}/{day}.csv", "columns": columns}, "sql": "orders.sql", **more}
        about = {"pipeline": "shop", "owner": "x@example.com", "description": "Orders", "schedule": "0 6 * * *"}
        time = {"partition": "day", "timezone": "UTC", "start": "2013-02-01"}
        spec = Pipeline.model_validate({**about, **time, "datasets": {"orders": orders}})
        return build_dataset(Deployment(spec, self.runtime), "orders", partition)


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


RULE: dict[str, Any] = {"keys": ["id"], "duplicates": {"keep": "largest", "by": "at"}}


def test_duplicates_are_resolved_counted_and_told(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="tradewind.etl"):
        result = shop.build(1, "id,at\n1,1\n1,2\n2,1\n", **RULE)
    assert (result.published.rows, result.dropped) == (2, 1)
    assert "1 rows left out by the rule for duplicates" in caplog.text
    assert result.report is not None
    assert "1 rows left out by the rule for duplicates" in result.report.read_text()


def test_duplicates_without_a_rule_or_with_a_tie_publish_nothing(shop: Shop) -> None:
    with pytest.raises(AuditFailed, match="1 rows more than keys, for example id 1"):
        shop.build(1, "id,at\n1,1\n1,2\n", keys=["id"])
    with pytest.raises(MalformedInput, match=r"2 rows of id 1 have the same `at` \(2\)"):
        shop.build(1, "id,at\n1,2\n1,2\n", **RULE)
    assert Lake(shop.runtime.lake).dataset("shop", "orders").snapshot() is None


def test_a_new_column_is_taken_only_where_the_yaml_says_so(shop: Shop) -> None:
    shop.build(1, "id\n1\n")
    with pytest.raises(UsageError, match=r"`at` \(int64\) is not in the table"):
        shop.build(2, "id,at\n1,1\n")
    assert shop.build(2, "id,at\n1,1\n", new_columns="take").published.changed


def test_a_partition_much_smaller_than_those_before_is_not_published(shop: Shop) -> None:
    rules = {"audit": {"min_partitions": 2}}
    for day in (1, 2):
        shop.build(day, "id\n" + "1\n" * 10, **rules)
    with pytest.raises(AuditFailed, match=r"4 rows, 0.40 times as many; the median of 2013-02-01 to 2013-02-02 is 10"):
        shop.build(3, "id\n" + "1\n" * 4, **rules)


def test_a_backfill_compares_with_earlier_partitions_only(shop: Shop) -> None:
    rules = {"audit": {"min_partitions": 2}}
    for day in (5, 6, 7):
        shop.build(day, "id\n" + "1\n" * 100, **rules)
    assert shop.build(1, "id\n1\n", **rules).published.rows == 1
