"""What DuckDB computes is what Great Expectations computes on pandas, on random frames."""

from __future__ import annotations

import datetime as dt
import json
import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tradewind.checks import database_pass, expectations
from tradewind.lake.dataset import Lake
from tradewind.lake.parquet import repeating_columns
from tradewind.lake.staging import StagedPartition

TYPES = {
    "i": pa.int64(),
    "j": pa.int32(),
    "f": pa.float64(),
    "b": pa.bool_(),
    "s": pa.string(),
    "d": pa.date32(),
    "t": pa.timestamp("us", "UTC"),
}
TEXTS = ["", "a", "ab", "A1", "é", "١", "a\n", "\n", "a b", "zz9", "🦆x"]
DAYS = [dt.date(2013, 1, 28), dt.date(2013, 2, 1), dt.date(1960, 5, 5)]
TIMES = [dt.datetime(2013, 1, 28, 5, tzinfo=dt.UTC), dt.datetime(2013, 2, 1, 0, 0, 0, 7, tzinfo=dt.UTC)]
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "i": st.integers(-5, 5),
    "j": st.integers(-3, 3),
    "f": st.sampled_from([0.0, -0.0, 0.5, 1.0, -2.25, 3.0, math.nan, math.inf, -math.inf, 1e300]),
    "b": st.booleans(),
    "s": st.sampled_from(TEXTS),
    "d": st.sampled_from(DAYS),
    "t": st.sampled_from(TIMES),
}
REGEXES = [
    "^a",
    "a$",
    "[a-z]{2}",
    "^[A-Z0-9]+$",
    r"\d",
    r"^\w+$",
    r"\s",
    "a|b",
    ".",
    "",
    "^$",
    "^(a|é).?$",
    "[^a]",
    "a*?b+",
]

_bounds = st.none() | st.floats(-6, 6) | st.integers(-6, 6)
_flags = st.booleans()
_numeric = st.sampled_from("ijf")
_any = st.sampled_from("ijfbsdt")


def between(
    column: st.SearchStrategy[str], bound: st.SearchStrategy[Any] = _bounds
) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {"column": column, "min_value": bound, "max_value": bound},
        optional={"strict_min": _flags, "strict_max": _flags},
    ).filter(lambda given: given["min_value"] is not None or given["max_value"] is not None)


def mostly(given: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return st.tuples(given, st.sampled_from([1.0, 0.9, 0.5, 0.0])).map(lambda both: {**both[0], "mostly": both[1]})


def columns(kind: st.SearchStrategy[str], **more: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({"column": kind, **more})


_set = (
    st.tuples(st.just("s"), st.lists(st.sampled_from(TEXTS), max_size=3))
    | st.tuples(_numeric, st.lists(st.integers(-3, 3) | st.floats(-3, 3), max_size=4))
    | st.tuples(st.just("b"), st.lists(st.booleans(), max_size=2))
).map(lambda both: {"column": both[0], "value_set": both[1]})
_pair = st.fixed_dictionaries(
    {
        "column_A": st.sampled_from("jt"),
        "column_B": st.sampled_from("ift"),
        "ignore_row_if": st.sampled_from(["both_values_are_missing", "either_value_is_missing", "neither"]),
    }
).filter(lambda given: given["column_A"] != given["column_B"])
_several = st.fixed_dictionaries(
    {
        "column_list": st.lists(st.sampled_from("ifs"), min_size=2, max_size=3, unique=True),
        "ignore_row_if": st.sampled_from(["all_values_are_missing", "any_value_is_missing", "never"]),
    }
)
_sums = st.fixed_dictionaries(
    {
        "column_list": st.just(["i", "j"]),
        "sum_total": st.integers(-2, 2),
        "ignore_row_if": st.just("any_value_is_missing"),
    }
)
EXPECTATIONS = {
    "column_values_to_not_be_null": mostly(columns(_any)),
    "column_values_to_be_null": mostly(columns(_any)),
    "column_values_to_be_between": mostly(
        between(st.sampled_from("ijfb"))
        | between(st.just("d"), st.none() | st.sampled_from([day.isoformat() for day in DAYS]))
        | between(st.just("t"), st.none() | st.sampled_from([time.isoformat() for time in TIMES]))
    ),
    "column_values_to_be_in_set": mostly(_set),
    "column_values_to_not_be_in_set": mostly(_set),
    "column_values_to_be_unique": mostly(columns(_any)),
    "compound_columns_to_be_unique": mostly(_several),
    "column_values_to_match_regex": mostly(columns(st.just("s"), regex=st.sampled_from(REGEXES))),
    "column_values_to_not_match_regex": mostly(columns(st.just("s"), regex=st.sampled_from(REGEXES))),
    "column_values_to_match_regex_list": mostly(
        columns(
            st.just("s"),
            regex_list=st.lists(st.sampled_from(REGEXES), min_size=1, max_size=2),
            match_on=st.sampled_from(["any", "all"]),
        )
    ),
    "column_value_lengths_to_be_between": mostly(between(st.just("s"), st.none() | st.integers(0, 3))),
    "column_value_lengths_to_equal": mostly(columns(st.just("s"), value=st.integers(0, 3))),
    "column_min_to_be_between": between(_numeric),
    "column_max_to_be_between": between(_numeric),
    "column_mean_to_be_between": between(_numeric),
    "column_median_to_be_between": between(_numeric),
    "column_sum_to_be_between": between(_numeric),
    "column_stdev_to_be_between": between(_numeric, st.none() | st.floats(0, 6)),
    "column_unique_value_count_to_be_between": between(_any, st.none() | st.integers(0, 5)),
    "column_proportion_of_unique_values_to_be_between": between(_any, st.none() | st.floats(0, 1)),
    "column_proportion_of_non_null_values_to_be_between": between(_any, st.none() | st.floats(0, 1)),
    "column_pair_values_a_to_be_greater_than_b": mostly(_pair),
    "column_pair_values_to_be_equal": mostly(_pair),
    "multicolumn_sum_to_equal": mostly(_sums),
    "table_row_count_to_be_between": st.just({"min_value": 1, "max_value": 9}),
    "table_row_count_to_equal": st.just({"value": 3}),
    "table_column_count_to_equal": st.just({"value": 7}),
    "table_columns_to_match_ordered_list": st.just({"column_list": ["i", "j"]}),
    "table_columns_to_match_set": st.just({"column_set": list(TYPES)}),
    "column_to_exist": st.just({"column": "f"}),
}


@st.composite
def frames(draw: st.DrawFn) -> pa.Table:
    rows = draw(st.sampled_from([0, 1, 2, 7, 12]))
    made = {}
    for name, kind in TYPES.items():
        value = {"mixed": st.none() | VALUES[name], "whole": VALUES[name], "absent": st.none()}
        values = value[draw(st.sampled_from(["mixed", "mixed", "whole", "whole", "absent"]))]
        made[name] = pa.array(draw(st.lists(values, min_size=rows, max_size=rows)), kind, from_pandas=False)
    return pa.concat_tables([pa.table(made)] * draw(st.sampled_from([1, 1, 12])))


@st.composite
def suites(draw: st.DrawFn) -> list[dict[str, Any]]:
    kinds = draw(st.lists(st.sampled_from(sorted(EXPECTATIONS)), min_size=8, max_size=8))
    return [{"type": f"expect_{kind}", "kwargs": _without_none(draw(EXPECTATIONS[kind]))} for kind in kinds]


def _without_none(given: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if value is not None}


def staged(folder: Path, table: pa.Table) -> StagedPartition:
    return Lake(str(folder / "lake")).dataset("shop", "orders").stage("2013-01-28", table.to_reader(), base=frozenset())


def plain(value: Any) -> Any:
    """Numbers to nine digits, one spelling of what is missing, and no places in the frame."""
    if isinstance(value, dict):
        # The counts are made by Great Expectations from the list, which is compared.
        left_out = ("partial_unexpected_index_list", "partial_unexpected_counts")
        return {name: plain(one) for name, one in value.items() if name not in left_out}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if value is None or value != value:
        return None
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, bool | str):
        return value
    return float(f"{value:.9g}") if isinstance(value, int | float) else str(value)


def load(folder: Path, suite: list[dict[str, Any]]) -> list[Any]:
    path = folder / "suite.json"
    path.write_text(json.dumps({"name": "suite", "expectations": suite}))
    return expectations.read_suite(path)


@settings(
    max_examples=25,
    report_multiple_bugs=False,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(frames(), suites())
def test_results_are_those_of_great_expectations(
    tmp_path_factory: pytest.TempPathFactory, table: pa.Table, suite: list[dict[str, Any]]
) -> None:
    folder = tmp_path_factory.mktemp("frame")
    asked = load(folder, suite)
    rows = staged(folder, table)
    ours = database_pass.evaluate_in_duckdb(asked, rows, examples=5)
    theirs = expectations._evaluate_on_frame(asked, table)
    not_a_number = any(value != value for value in table["f"].to_pylist() if value is not None)
    for number, mine in ours.items():
        other = theirs[number]
        if not_a_number and suite[number]["type"] in database_pass._NAN_FAILS:
            continue  # to pandas it is missing
        if expectations._evaluation_error(other.exception_info or {}):
            continue  # pandas could not: for example `~` on an empty column of another type
        assert (mine.success, plain(mine.result)) == (other.success, plain(other.result)), suite[number]


@pytest.mark.parametrize("kind", [pa.float64(), pa.float32()])
@pytest.mark.parametrize("values", [[0.5, math.nan], [math.nan, math.nan], [None, math.nan]])
@pytest.mark.parametrize(
    ("name", "given"), [("between", {"min_value": 0, "max_value": 1}), ("in_set", {"value_set": [0.5]})]
)
def test_what_is_not_a_number_lies_in_no_range(
    tmp_path: Path, kind: pa.DataType, values: list[float | None], name: str, given: dict[str, Any]
) -> None:
    rows = staged(tmp_path, pa.table({"f": pa.array(values, kind, from_pandas=False)}))
    asked = load(tmp_path, [{"type": f"expect_column_values_to_be_{name}", "kwargs": {"column": "f", **given}}])
    found = expectations.evaluate_suite(tmp_path / "suite.json", rows, frame_rows=10)
    if name == "between" or kind == pa.float64():
        assert len(database_pass.evaluate_in_duckdb(asked, rows, examples=5)) == 1
    assert (found[0].outcome, "nan" in found[0].observed) == ("failed", True)


def test_rows_that_differ_in_null_and_not_a_number_are_equal(tmp_path: Path) -> None:
    """As they are to pandas, on which Great Expectations would have compared them."""
    table = pa.table({"i": [1, 1, 2], "f": pa.array([None, math.nan, 0.5], pa.float64(), from_pandas=False)})
    kwargs = {"column_list": ["i", "f"], "ignore_row_if": "never"}
    asked = load(tmp_path, [{"type": "expect_compound_columns_to_be_unique", "kwargs": kwargs}])
    (ours,) = database_pass.evaluate_in_duckdb(asked, staged(tmp_path, table), examples=5).values()
    (theirs,) = expectations._evaluate_on_frame(asked, table).values()
    assert ours.result["unexpected_count"] == theirs.result["unexpected_count"] == 2
    assert plain(ours.result) == plain(theirs.result)


def test_null_lies_outside_of_no_range(tmp_path: Path) -> None:
    rows = staged(tmp_path, pa.table({"f": pa.array([0.5, None])}))
    load(tmp_path, [{"type": "expect_column_values_to_be_between", "kwargs": {"column": "f", "min_value": 0}}])
    assert expectations.evaluate_suite(tmp_path / "suite.json", rows, frame_rows=10)[0].outcome == "passed"


@pytest.mark.parametrize(("column", "outcome"), [("s", "failed"), ("i", "failed"), ("f", "error"), ("d", "error")])
def test_regular_expressions_are_never_evaluated_by_python(tmp_path: Path, column: str, outcome: str) -> None:
    """`(a+)+$` takes Python 2**40 steps on this text."""
    table = pa.table({"s": ["a" * 40 + "!"], "i": [1], "f": [1.5], "d": [DAYS[0]]})
    rows = staged(tmp_path, table)
    kwargs = {"column": column, "regex_list": ["^(a+)+$"]}
    load(tmp_path, [{"type": "expect_column_values_to_match_regex_list", "kwargs": kwargs}])
    found = expectations.evaluate_suite(tmp_path / "suite.json", rows, frame_rows=10)[0]
    assert found.outcome == outcome
    assert outcome == "failed" or "needs a column of text" in found.observed


def test_text_that_repeats_is_looked_at_once_and_counts_as_often_as_it_is_there(tmp_path: Path) -> None:
    table = pa.table({"s": ["a", "zz9", None, "zz9", "\n", "🦆x"] * 50, "i": range(300)})
    rows = staged(tmp_path, table)
    assert repeating_columns(rows.paths) == {"s"}
    given: list[tuple[str, dict[str, Any]]] = [
        ("match_regex", {"regex": "^[a-z]"}), ("not_match_regex", {"regex": "zz"}), ("not_be_null", {}),
        ("be_in_set", {"value_set": ["a", "🦆x"]}), ("be_null", {}), ("be_unique", {}),
    ]  # fmt: skip
    asked = load(tmp_path, [{"type": f"expect_column_values_to_{kind}", "kwargs": {"column": "s", **more}}
                            for kind, more in given])  # fmt: skip
    ours, theirs = (
        database_pass.evaluate_in_duckdb(asked, rows, examples=5),
        expectations._evaluate_on_frame(asked, table),
    )
    assert all(plain(ours[number].result) == plain(theirs[number].result) for number in range(len(given)))
    assert [ours[number].result["unexpected_count"] for number in range(len(given))] == [100, 100, 50, 150, 250, 250]


@pytest.mark.parametrize("kind", sorted(EXPECTATIONS))
def test_the_database_computes(tmp_path: Path, kind: str) -> None:
    given = {
        "column": "s" if "length" in kind or "regex" in kind else "i", "column_A": "i", "column_B": "j", "sum_total": 1,
        "column_list": ["i", "j"], "column_set": ["i"], "min_value": 0, "max_value": 1, "value": 1, "value_set": [1],
        "regex": "^a$", "regex_list": ["a"],
    }  # fmt: skip
    accepted = {
        "between": ["min_value", "max_value"], "match_regex_list": ["regex_list"], "match_regex": ["regex"],
        "in_set": ["value_set"], "sum_to_equal": ["sum_total"], "to_equal": ["value"], "match_set": ["column_set"],
    }  # fmt: skip
    more = next((names for word, names in accepted.items() if word in kind), [])
    domain = (
        [] if "table" in kind and "list" not in kind
        else ["column_A", "column_B"] if "pair" in kind
        else ["column_list"] if "compound" in kind or "multi" in kind or "ordered" in kind
        else ["column"]
    )  # fmt: skip
    names = [*domain, *([] if "pair" in kind else more)]
    asked = load(tmp_path, [{"type": f"expect_{kind}", "kwargs": {name: given[name] for name in names}}])
    empty = pa.schema(TYPES.items()).empty_table()
    assert list(database_pass.evaluate_in_duckdb(asked, staged(tmp_path, empty), examples=1)) == [0]


def test_a_bound_that_no_float_is_equal_to_is_left_to_great_expectations(tmp_path: Path) -> None:
    kwargs = {"column": "i", "min_value": 2**53 + 1}
    asked = load(tmp_path, [{"type": "expect_column_values_to_be_between", "kwargs": kwargs}])
    assert database_pass.evaluate_in_duckdb(asked, staged(tmp_path, pa.table({"i": [2**53]})), examples=1) == {}


@pytest.mark.parametrize("suite", ["flights", "weather"])
def test_the_examples_suites_need_no_frame(tmp_path: Path, project: Path, suite: str) -> None:
    asked = expectations.read_suite(project / "include" / "flight_delay" / "expectations" / f"{suite}.json")
    texts = ("origin", "carrier", "dest")
    named = {str(one.configuration.kwargs["column"]) for one in asked if "column" in one.configuration.kwargs}
    table = pa.table({name: pa.array([], pa.string() if name in texts else pa.int64()) for name in sorted(named)})
    assert len(database_pass.evaluate_in_duckdb(asked, staged(tmp_path, table), examples=1)) == len(asked)
