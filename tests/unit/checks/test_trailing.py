from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from tradewind.checks.history_checks import compare_with_history
from tradewind.lake.cause import Cause
from tradewind.lake.dataset import Dataset, Lake
from tradewind.lake.history import EarlierPartition, earlier_partitions
from tradewind.spec.pipeline import AuditRules

RULES = AuditRules(window=3, min_partitions=2, rows_at_least=0.5, rows_at_most=2, nulls_at_most=0.1)


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return Lake(str(tmp_path)).dataset("shop", "orders")


def rows(count: int, nulls: int = 0) -> pa.Table:
    return pa.table({"value": pa.array([None] * nulls + [1] * (count - nulls), pa.int64())})


def publish(dataset: Dataset, key: str, table: pa.Table) -> None:
    dataset.publish(dataset.stage(key, table.to_reader()), cause=Cause({"key": key}, "", "1"), run_id="r")


def outcome(dataset: Dataset, table: pa.Table, history: list[EarlierPartition]) -> list[tuple[str, str]]:
    return [
        (one.outcome, one.observed)
        for one in compare_with_history(dataset.stage("k", table.to_reader()), history, rules=RULES)
    ]


def earlier(*counts: tuple[int, int]) -> list[EarlierPartition]:
    return [
        EarlierPartition(f"2013-0{number}", count, {"value": nulls}) for number, (count, nulls) in enumerate(counts, 1)
    ]


def test_history_is_the_last_partitions_before_this_one_by_key(dataset: Dataset) -> None:
    for key, count, nulls in (("2013-05", 50, 5), ("2013-01", 10, 1), ("2013-02", 20, 2), ("2013-03", 30, 3)):
        publish(dataset, key, rows(count, nulls))
    found = earlier_partitions(dataset.snapshot(), "2013-04", window=2)
    assert found == [EarlierPartition("2013-02", 20, {"value": 2}), EarlierPartition("2013-03", 30, {"value": 3})]
    assert earlier_partitions(dataset.snapshot(), "2013-01", window=2) == []
    assert earlier_partitions(None, "2013-01", window=2) == []


def test_history_reads_no_row(dataset: Dataset) -> None:
    publish(dataset, "2013-01", rows(10, 1))
    snapshot = dataset.snapshot()
    for path in Path(dataset.uri).rglob("*.parquet"):
        path.unlink()
    assert earlier_partitions(snapshot, "2013-02", window=1) == [EarlierPartition("2013-01", 10, {"value": 1})]


def test_a_column_that_is_new_has_no_history_before_it(dataset: Dataset) -> None:
    publish(dataset, "2013-01", rows(10))
    staged = dataset.stage("2013-02", pa.table({"value": [1], "more": pa.array([None], pa.int64())}).to_reader())
    dataset.publish(staged, cause=Cause({}, "", "1"), run_id="r", new_columns="take")
    assert [set(one.nulls) for one in earlier_partitions(dataset.snapshot(), "2013-03", window=2)] == [
        {"value"},
        {"value", "more"},
    ]


def test_with_few_earlier_partitions_nothing_is_compared_and_that_is_said(dataset: Dataset) -> None:
    told = "not compared: only 1 earlier partitions, and it takes 2"
    assert outcome(dataset, rows(1), earlier((1000, 0))) == [("insufficient", told), ("insufficient", told)]


@pytest.mark.parametrize(("count", "expected"), [(50, "passed"), (49, "failed"), (200, "passed"), (201, "failed")])
def test_rows_are_held_against_the_median(dataset: Dataset, count: int, expected: str) -> None:
    [(found, observed), _] = outcome(dataset, rows(count), earlier((10, 0), (100, 0), (5000, 0)))
    assert found == expected
    assert f"{count} rows, {count / 100:.2f} times as many; the median of 2013-01 to 2013-03 is 100" == observed


@pytest.mark.parametrize(("nulls", "expected"), [(29, "passed"), (31, "failed")])
def test_nulls_are_held_against_the_largest_share(dataset: Dataset, nulls: int, expected: str) -> None:
    [_, (found, observed)] = outcome(dataset, rows(100, nulls), earlier((100, 15), (100, 20), (100, 18)))
    assert found == expected
    assert f"`value` {nulls}.0%, at most 20.0% before" in observed


def test_empty_earlier_partitions_have_no_share_of_nulls(dataset: Dataset) -> None:
    [_, (found, observed)] = outcome(dataset, rows(4, 4), earlier((0, 0), (0, 0)))
    assert (found, observed) == ("insufficient", "not compared: nothing is known of the earlier partitions")


@pytest.mark.parametrize(("nulls", "expected"), [(92, "passed"), (99, "failed")])
def test_a_column_whose_nulls_vary_may_vary_as_much_again(dataset: Dataset, nulls: int, expected: str) -> None:
    [_, (found, _)] = outcome(dataset, rows(100, nulls), earlier((100, 55), (100, 76), (100, 70)))
    assert found == expected
