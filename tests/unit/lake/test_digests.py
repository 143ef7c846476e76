from __future__ import annotations

import decimal
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.lake.digests import PartitionContent, hash_files, hash_rows
from tradewind.lake.hash_lanes import hash_lanes

if TYPE_CHECKING:
    import pyarrow as pa


def of(table: pa.Table, batch: int | None = None, **kwargs: Any) -> PartitionContent:
    return hash_rows(table.to_reader(max_chunksize=batch), **kwargs)


def rows(values: dict[str, list[Any]]) -> pa.Table:
    import pyarrow as pa

    return pa.table(values)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.none() | st.text(max_size=3), st.none() | st.integers(-3, 3), st.floats()), min_size=1),
    st.randoms(use_true_random=False),
)
def test_neither_the_order_of_rows_nor_the_batches_count(values: list[tuple[Any, ...]], dice: Any) -> None:
    import pyarrow as pa

    schema = pa.schema([("s", pa.string()), ("i", pa.int64()), ("f", pa.float64())])
    shuffled = dice.sample(values, len(values))
    one, other = (
        pa.Table.from_pylist([dict(zip("sif", row, strict=True)) for row in some], schema=schema)
        for some in (values, shuffled)
    )
    assert of(one) == of(other, batch=2)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": ["x"], "b": ["yz"]}, {"a": ["xy"], "b": ["z"]}),
        ({"a": ["x", None]}, {"a": ["x", "N"]}),
        ({"a": [None], "b": ["x"]}, {"a": ["x"], "b": [None]}),
        ({"a": ["1:x"]}, {"a": ["x"]}),
        ({"a": [1]}, {"a": ["1"]}),
        ({"a": [1]}, {"b": [1]}),
        ({"a": [1, 1]}, {"a": [1]}),
        ({"a": [1, 1, 2]}, {"a": [1, 2, 2]}),
        ({"a": [0.1]}, {"a": [0.1 + 2**-56]}),
        ({"a": [[1.0, None]]}, {"a": [[1.0]]}),
        ({"a": [b"x"]}, {"a": [b"X"]}),
        ({"a": [True]}, {"a": [None]}),
        ({"a": [""]}, {"a": [None]}),
        ({"a": ["x" * 300 + "y"]}, {"a": ["x" * 300 + "z"]}),
        ({"a": ["12345678"]}, {"a": ["12345678\0"]}),
        ({"a": [["x"], ["y", "z"]]}, {"a": [["x", "y"], ["z"]]}),
        ({"a": [["x", "y"]]}, {"a": [["y", "x"]]}),
        ({"a": [[], None]}, {"a": [[], []]}),
        ({"a": [{"b": 1, "c": 2}]}, {"a": [{"b": 2, "c": 1}]}),
        ({"a": [0], "b": [1]}, {"a": [1], "b": [0]}),
        ({"a": [1, 2], "b": [1, 2]}, {"a": [1, 2], "b": [2, 1]}),
        ({"a": [decimal.Decimal("1.5")]}, {"a": [decimal.Decimal("2.5")]}),
    ],
)
def test_different_content_has_different_digests(one: dict[str, list[Any]], other: dict[str, list[Any]]) -> None:
    assert of(rows(one)).digest != of(rows(other)).digest


def test_nan_is_one_value_and_zero_has_no_sign() -> None:
    import numpy as np

    odd = np.array([0xFFF8000000000001], np.uint64).view(np.float64)[0]
    assert of(rows({"a": [float("nan"), 0.0]})) == of(rows({"a": [odd, -0.0]}))


def test_run_columns_do_not_count() -> None:
    one, other = rows({"a": [1], "run_id": ["x"]}), rows({"a": [1], "run_id": ["y"]})
    assert of(one, without=["run_id"]) == of(other, without=["run_id"])
    assert of(one) != of(other)


def test_no_rows_have_a_digest_of_their_columns() -> None:
    empty = rows({"a": [1]}).slice(0, 0)
    assert of(empty).rows == 0
    assert of(empty).digest != of(rows({"b": [1]}).slice(0, 0)).digest


def test_the_digest_of_a_known_table_never_changes() -> None:
    import datetime as dt

    import pyarrow as pa

    table = pa.table(
        {
            "name": ["Ä", None, ""],
            "count": pa.array([1, -2, None], pa.int32()),
            "share": [0.1, 1e300, None],
            "at": pa.array([dt.datetime(2013, 1, 28, 5, tzinfo=dt.UTC)] * 3, pa.timestamp("us", "UTC")),
            "day": [dt.date(2013, 1, 28), None, dt.date(1960, 1, 1)],
            "late": [True, False, None],
        }
    )
    assert of(table) == PartitionContent("2.b0ed0234f0524eaab5309523c6a27f84", 3)


def varied() -> pa.Table:
    import pyarrow as pa

    dice = random.Random(7)
    texts = ["", "x", "Ä", "a longer text than eight bytes", "y" * 300, None]
    count = 5_000
    return pa.table(
        {
            "word": [dice.choice(texts) for _ in range(count)],
            "unique": [f"{number:07}" * dice.randrange(4) for number in range(count)],
            "bytes": pa.array([dice.choice([b"\0", b"", None]) for _ in range(count)], pa.binary()),
            "price": pa.array(
                [dice.choice([decimal.Decimal("-1.25"), None]) for _ in range(count)], pa.decimal128(9, 2)
            ),
            "list": [dice.choice([["x", None], [], None, ["y"]]) for _ in range(count)],
            "struct": [{"a": number % 3 or None, "b": [number % 5]} for number in range(count)],
            "small": pa.array([dice.choice([1.5, float("nan"), None]) for _ in range(count)], pa.float32()),
        }
    )


def test_the_digest_of_nested_and_odd_values_never_changes() -> None:
    assert of(varied()) == PartitionContent("2.61fbe1c0229b771f41507d160b94aae9", 5_000)


def test_rows_have_the_same_digest_in_memory_in_pieces_and_in_files(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = varied()
    for number, dictionary in enumerate([True, False]):
        pq.write_table(table, tmp_path / f"{number}.parquet", use_dictionary=dictionary, row_group_size=1_900)
        assert hash_files([tmp_path / f"{number}.parquet"], table.schema) == of(table)
    pieces = [table.slice(4_000), table.slice(0, 1_234), table.slice(1_234, 2_766)]
    assert of(pa.concat_tables(pieces), batch=777) == of(table)


def test_no_two_rows_of_a_million_small_numbers_have_the_same_number() -> None:
    import numpy as np
    import pyarrow as pa

    number = np.arange(1_000_000)
    for columns in ([number // 1000, number % 1000], [number // 1000 * 8.0, number % 1000 / 8]):
        for lane in hash_lanes([pa.array(column) for column in columns], len(number)):
            assert len(np.unique(lane)) == len(number)
