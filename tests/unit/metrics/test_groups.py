from __future__ import annotations

from datetime import date
from decimal import Decimal

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tradewind.metrics.judged_rows import groups_of_column


def test_text_is_grouped_in_order() -> None:
    groups = groups_of_column(np.array(["b", "a", "b"]))
    assert (groups.names, groups.number.tolist(), groups.rows()) == (("a", "b"), [1, 0, 1], [1, 2])


def test_all_that_is_no_value_is_one_group_and_the_text_null_another() -> None:
    groups = groups_of_column(np.array([None, "NULL", float("nan"), Decimal("NaN"), "a"], dtype=object))
    assert groups.names == ("'NULL'", "a", "NULL")
    assert groups.number.tolist() == [2, 0, 2, 2, 1]


def test_missing_numbers_and_times_are_one_group_too() -> None:
    assert groups_of_column(np.array([np.nan, 1.0, np.nan])).names == ("1.0", "NULL")
    assert groups_of_column(np.array(["NaT", "2013-01-01", "NaT"], dtype="datetime64[D]")).names == (
        "2013-01-01",
        "NULL",
    )


def test_pandas_missing_values_are_no_value() -> None:
    import pandas as pd

    assert groups_of_column(pd.Series(["a", None], dtype="string").to_numpy(dtype=object)).names == ("a", "NULL")
    assert groups_of_column(np.array([pd.NaT, date(2013, 1, 1)], dtype=object)).names == ("2013-01-01", "NULL")


def test_a_number_and_the_same_digits_as_text_are_two_values() -> None:
    groups = groups_of_column(np.array([1, "1", 2], dtype=object))
    assert len(groups.names) == 3
    assert len(set(groups.number.tolist())) == 3


def test_numbers_are_in_their_own_order() -> None:
    assert groups_of_column(np.array([10, 9, None], dtype=object)).names == ("9", "10", "NULL")


def test_no_rows_have_no_groups() -> None:
    assert groups_of_column(np.array([], dtype=object)).names == groups_of_column(np.array([], dtype=float)).names == ()


@given(st.lists(st.one_of(st.none(), st.integers(0, 3), st.sampled_from("ab"), st.just(float("nan")))), st.randoms())
def test_the_order_of_rows_does_not_matter(values: list[object], random: st.DataObject) -> None:
    shuffled = values.copy()
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    array, other = np.empty(len(values), dtype=object), np.empty(len(values), dtype=object)
    array[:], other[:] = values, shuffled
    straight, turned = groups_of_column(array), groups_of_column(other)
    assert straight.names == turned.names
    assert straight.rows() == turned.rows()
