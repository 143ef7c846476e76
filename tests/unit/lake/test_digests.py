from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.lake.digests import Content, content

if TYPE_CHECKING:
    import pyarrow as pa


def of(table: pa.Table, batch: int | None = None, **kwargs: Any) -> Content:
    return content(table.to_reader(max_chunksize=batch), **kwargs)


def rows(values: dict[str, list[Any]]) -> pa.Table:
    import pyarrow as pa

    return pa.table(values)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.none() | st.text(max_size=3), st.none() | st.integers(-3, 3), st.floats()), min_size=1),
    st.randoms(use_true_random=False),
)
def test_neither_the_order_of_rows_nor_the_batches_count(values: list[tuple[Any, ...]], random: Any) -> None:
    import pyarrow as pa

    schema = pa.schema([("s", pa.string()), ("i", pa.int64()), ("f", pa.float64())])
    shuffled = random.sample(values, len(values))
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
    assert of(table) == Content("1.5477e86123a689b0c2eb7705a20ef090", 3)
