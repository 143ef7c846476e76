"""Which rows an expectation looks at is SQL in a locked DuckDB, never an expression that Python evaluates."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tradewind.checks import expectations
from tradewind.checks.audit_result import CheckResult
from tradewind.checks.bad_rows import bad_rows_condition
from tradewind.errors import SpecError
from tradewind.lake.dataset import Lake

ROWS = pa.table({"i": [1, 2, 3, 3], "s": ["a", "b", "c", "c"], "f": [0.5, None, -1.0, 2.0]})
Check = Callable[..., CheckResult]


@pytest.fixture
def check(tmp_path: Path) -> Check:
    """Evaluate one expectation on ROWS."""

    def run(kind: str, **kwargs: Any) -> CheckResult:
        staged = Lake(str(tmp_path / "lake")).dataset("shop", "orders").stage("2013-01-28", ROWS.to_reader())
        [found] = expectations.evaluate_suite(write_suite(tmp_path, kind, **kwargs), staged, frame_rows=100)
        return found

    return run


def write_suite(folder: Path, kind: str, **kwargs: Any) -> Path:
    suite = folder / "suite.json"
    suite.write_text(json.dumps({"name": "s", "expectations": [{"type": f"expect_{kind}", "kwargs": kwargs}]}))
    return suite


@pytest.mark.parametrize(
    ("condition", "outcome"),
    [
        ("i < 3", "passed"),
        ("i <= 3", "failed"),
        ("i < 3 -- the first", "passed"),
        ({"type": "comparison", "column": {"name": "i"}, "operator": "<", "parameter": 3}, "passed"),
        ({"type": "comparison", "column": {"name": "s"}, "operator": "NOT_IN", "parameter": ["c"]}, "passed"),
        ({"type": "nullity", "column": {"name": "f"}, "is_null": True}, "passed"),
        (
            {
                "type": "or",
                "conditions": [
                    {"type": "nullity", "column": {"name": "f"}, "is_null": False},
                    {"type": "comparison", "column": {"name": "i"}, "operator": "==", "parameter": 1},
                ],
            },
            "failed",
        ),
    ],
)
@pytest.mark.parametrize(
    ("kind", "kwargs"),
    [
        ("column_values_to_be_unique", {"column": "s"}),  # DuckDB computes it
        ("select_column_values_to_be_unique_within_record", {"column_list": ["i", "f"]}),  # a frame is needed
        ("table_row_count_to_be_between", {"max_value": 2}),
    ],
)
def test_only_the_rows_of_the_condition_count(
    check: Check, condition: Any, outcome: str, kind: str, kwargs: dict[str, Any]
) -> None:
    found = check(kind, row_condition=condition, **kwargs)
    expected = "passed" if kind.startswith("select") else outcome  # i and f are different in every row
    assert found.outcome == expected, found
    assert ", where " in found.text


def test_a_condition_for_another_parser_is_refused(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    attack = f'@pd.io.common.os.system("touch {mark}") == 0'
    for parser in ("pandas", "python", "spark", "great_expectations", "great_expectations__experimental__"):
        suite = write_suite(
            tmp_path, "column_values_to_be_unique", column="i", row_condition=attack, condition_parser=parser
        )
        with pytest.raises(SpecError, match=f"never by `{parser}`"):
            expectations.read_suite(suite)
    assert not mark.exists()


@pytest.mark.parametrize("kind", ["column_values_to_be_unique", "column_values_to_be_dateutil_parseable"])
def test_what_is_no_sql_condition_is_an_error_and_runs_nothing(check: Check, tmp_path: Path, kind: str) -> None:
    mark = tmp_path / "ran"
    for condition in (
        f'@pd.io.common.os.system("touch {mark}") == 0',
        f"i IN (SELECT 1 FROM read_csv('{tmp_path}/suite.json'))",
        f"true) TO '{mark}' --",
        "s::INTEGER = 1",
        "random() < 2",
        "i + 1",
    ):
        found = check(kind, column="s", row_condition=condition)
        assert found.outcome == "error", condition
    assert not mark.exists()


def test_an_object_that_passes_text_through_is_refused(tmp_path: Path) -> None:
    through = {"type": "pass_through", "pass_through_filter": "@pd.io.common.os.system('true') == 0"}
    suite = write_suite(tmp_path, "column_values_to_be_unique", column="i", row_condition=through)
    with pytest.raises(SpecError, match="expected an SQL expression, or an object of type comparison"):
        expectations.read_suite(suite)


def test_rows_outside_the_condition_are_not_dropped(tmp_path: Path) -> None:
    suite = write_suite(
        tmp_path, "column_values_to_be_between", column="i", max_value=1, row_condition="s <> 'c'"
    )  # fmt: skip
    bad = bad_rows_condition(suite, [], ROWS.schema)
    import duckdb

    staged = ROWS
    kept = duckdb.sql(f"SELECT i FROM staged WHERE NOT coalesce({bad}, false) ORDER BY i").fetchall()
    assert staged.num_rows == 4
    assert kept == [(1,), (3,), (3,)]


def test_an_invalid_condition_drops_nothing(tmp_path: Path) -> None:
    suite = write_suite(tmp_path, "column_values_to_be_between", column="i", max_value=1, row_condition="t = 1")
    with pytest.raises(SpecError, match="there is no column `t`"):
        bad_rows_condition(suite, [], ROWS.schema)
