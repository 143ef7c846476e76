"""Tables whose columns change."""

from __future__ import annotations

from typing import Any, Literal

import pyarrow as pa
import pytest

from tradewind.errors import UsageError
from tradewind.lake.cause import Cause
from tradewind.lake.dataset import Dataset
from tradewind.lake.publish import PublishedPartition


def publish(
    dataset: Dataset, key: str, *, new_columns: Literal["refuse", "take"] = "take", **columns: Any
) -> PublishedPartition:
    staged = dataset.stage(key, pa.table(columns).to_reader())
    cause = Cause({"rows": staged.digest}, "config", "1")
    return dataset.publish(staged, cause=cause, run_id="r", new_columns=new_columns)


def rows(dataset: Dataset, *keys: str, version: int | None = None) -> list[dict[str, Any]]:
    snapshot = dataset.snapshot(version)
    assert snapshot is not None
    found = snapshot.arrow(keys or None).to_table().to_pylist()
    return sorted(found, key=lambda row: row["partition"])


def test_a_new_column_is_taken_and_is_null_in_older_partitions(dataset: Dataset) -> None:
    publish(dataset, "2013-01", value=[1])
    publish(dataset, "2013-02", value=[2], name=["x"])
    assert rows(dataset) == [
        {"value": 1, "partition": "2013-01", "name": None},
        {"value": 2, "partition": "2013-02", "name": "x"},
    ]
    assert rows(dataset, "2013-01") == [{"value": 1, "partition": "2013-01", "name": None}]


def test_older_versions_and_digests_stay_as_they_are(dataset: Dataset) -> None:
    first = publish(dataset, "2013-01", value=[1])
    publish(dataset, "2013-02", value=[2], name=["x"])
    assert rows(dataset, version=first.version) == [{"value": 1, "partition": "2013-01"}]
    snapshot = dataset.snapshot()
    assert snapshot is not None
    assert snapshot.partitions["2013-01"].digest == first.digest


def test_the_column_stays_when_another_partition_is_published_after_it(dataset: Dataset) -> None:
    publish(dataset, "2013-01", value=[1], name=["x"])
    publish(dataset, "2013-02", name=["y"], value=[2])
    assert [row["name"] for row in rows(dataset)] == ["x", "y"]


def test_a_new_column_is_refused_where_the_yaml_does_not_take_it(dataset: Dataset) -> None:
    publish(dataset, "2013-01", value=[1])
    with pytest.raises(UsageError, match=r"`name` \(string\) is not in the table.*`new_columns: take`"):
        publish(dataset, "2013-02", value=[2], name=["x"], new_columns="refuse")
    assert [row["partition"] for row in rows(dataset)] == ["2013-01"]


def test_a_changed_type_and_a_lost_column_are_errors_that_name_both_sides(dataset: Dataset) -> None:
    publish(dataset, "2013-01", value=[1], name=["x"])
    with pytest.raises(
        UsageError, match=r"`value` is string here and int64 in the table; `name` \(string\) is only in"
    ):
        publish(dataset, "2013-02", value=["1"])
