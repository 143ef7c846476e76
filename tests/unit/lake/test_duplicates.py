from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.dataset as pads
import pytest

from tradewind.errors import MalformedInput, UsageError
from tradewind.lake.dataset import Dataset
from tradewind.lake.duplicates import DuplicateRule
from tradewind.lake.staging import StagedPartition


def stage(
    dataset: Dataset, columns: dict[str, list[Any]], *, keep: Literal["largest", "smallest"] = "largest", by: str = "at"
) -> StagedPartition:
    rule = DuplicateRule(["id"], keep, by)
    return dataset.stage("2013-01", pa.table(columns).to_reader(), duplicates=rule)


def rows(staged: StagedPartition) -> list[tuple[Any, ...]]:
    table = pads.dataset([str(path) for path in staged.paths]).to_table()
    return sorted(tuple(row.values()) for row in table.to_pylist())


@pytest.mark.parametrize(("keep", "kept"), [("largest", (1, 9, "c")), ("smallest", (1, 3, "b"))])
def test_the_row_that_the_rule_names_is_kept(
    dataset: Dataset, keep: Literal["largest", "smallest"], kept: tuple[Any, ...]
) -> None:
    columns = {"id": [1, 1, 1, 2], "at": [5, 3, 9, 1], "name": ["a", "b", "c", "d"]}
    staged = stage(dataset, columns, keep=keep)
    assert rows(staged) == [kept, (2, 1, "d")]
    assert (staged.rows, staged.dropped) == (2, 2)


def test_the_digest_is_that_of_the_rows_that_stay(dataset: Dataset) -> None:
    both = stage(dataset, {"id": [1, 1], "at": [1, 2]})
    assert both.digest == stage(dataset, {"id": [1], "at": [2]}).digest


def test_nothing_is_dropped_where_every_key_is_one(dataset: Dataset) -> None:
    staged = stage(dataset, {"id": [1, 2], "at": [1, 1]})
    assert (staged.rows, staged.dropped) == (2, 0)


@pytest.mark.parametrize("keep", ["largest", "smallest"])
def test_a_row_without_a_value_loses(dataset: Dataset, keep: Literal["largest", "smallest"]) -> None:
    assert rows(stage(dataset, {"id": [1, 1], "at": [None, 4]}, keep=keep)) == [(1, 4)]


def test_a_tie_is_an_error_that_names_the_key(dataset: Dataset) -> None:
    with pytest.raises(MalformedInput, match=r"orders, partition 2013-01: 2 rows of id 7 have the same `at` \(3\)"):
        stage(dataset, {"id": [7, 7, 7, 1], "at": [3, 3, 2, 3]})
    assert not list((Path(dataset.uri) / "_staging").iterdir())


def test_a_tie_among_rows_that_lose_is_none(dataset: Dataset) -> None:
    assert rows(stage(dataset, {"id": [7, 7, 7], "at": [3, 3, 4]})) == [(7, 4)]


def test_two_rows_without_a_value_are_a_tie(dataset: Dataset) -> None:
    with pytest.raises(MalformedInput, match="the same `at`"):
        stage(dataset, {"id": [1, 1], "at": pa.array([None, None], pa.int64())})  # type: ignore[dict-item]


def test_rows_without_a_key_are_left_to_the_audit(dataset: Dataset) -> None:
    staged = stage(dataset, {"id": [None, None, 1, 1], "at": [1, 1, 1, 2]})
    assert (staged.rows, staged.dropped) == (3, 1)


def test_not_a_number_is_the_largest(dataset: Dataset) -> None:
    assert rows(stage(dataset, {"id": [1, 1], "at": [math.nan, 1.0]}, keep="smallest")) == [(1, 1.0)]


def test_a_column_that_is_not_there_is_named(dataset: Dataset) -> None:
    with pytest.raises(UsageError, match="`duplicates` needs the column updated; there are id, at"):
        stage(dataset, {"id": [1], "at": [1]}, by="updated")
