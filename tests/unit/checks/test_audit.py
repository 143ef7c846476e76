from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tradewind.checks import audit_result
from tradewind.checks.audit import audit_partition
from tradewind.errors import SpecError
from tradewind.lake.dataset import Lake
from tradewind.lake.duplicates import DuplicateRule
from tradewind.lake.history import EarlierPartition
from tradewind.spec.pipeline import AuditRules

Check = Callable[..., audit_result.AuditResult]


def expect(kind: str, **kwargs: Any) -> dict[str, Any]:
    return {"type": f"expect_{kind}", "kwargs": kwargs}


@pytest.fixture
def check(tmp_path: Path) -> Check:
    """Audit ``rows`` against a suite of ``expectations``."""

    def run(
        rows: pa.Table,
        *expectations: dict[str, Any],
        keys: Sequence[str] = (),
        text: str | None = None,
        duplicates: DuplicateRule | None = None,
        **kwargs: Any,
    ) -> audit_result.AuditResult:
        dataset = Lake(str(tmp_path / "lake")).dataset("shop", "orders")
        staged = dataset.stage("2013-01-28", rows.to_reader(), duplicates=duplicates)
        suite = tmp_path / "orders.json"
        suite.write_text(text if text is not None else json.dumps({"name": "orders", "expectations": expectations}))
        report = tmp_path / "reports" / "orders.html"
        given = suite if expectations or text is not None else None
        return audit_partition(
            staged, suite=given, keys=keys, title="shop · orders · 2013-01-28", report=report, **kwargs
        )

    return run


def outcomes(done: audit_result.AuditResult) -> list[str]:
    """Of all checks but those beside earlier partitions, of which there are none here."""
    return [one.outcome for one in done.results if "before" not in one.name]


def test_rows_that_are_as_expected_pass(check: Check) -> None:
    rows = pa.table(
        {
            "value": [1, 2, None],
            "at": pa.array([dt.datetime(2013, 1, 28, tzinfo=dt.UTC)] * 3, pa.timestamp("us", "UTC")),
        }
    )
    done = check(
        rows,
        expect("column_values_to_be_between", column="value", min_value=0, max_value=5),
        expect("column_values_to_be_between", column="at", min_value="2013-01-01T00:00:00+00:00"),
    )
    assert done.success
    assert outcomes(done) == ["passed"] * 3


def test_dates_compare_with_the_dates_of_json(check: Check) -> None:
    done = check(
        pa.table({"day": [dt.date(2013, 1, 28)]}),
        expect("column_values_to_be_between", column="day", min_value="2013-01-28", max_value="2013-02-03"),
    )
    assert done.success


def test_a_failed_expectation_says_what_was_found(check: Check) -> None:
    done = check(pa.table({"value": [1, 77, 78]}), expect("column_values_to_be_between", column="value", max_value=5))
    assert not done.success
    [problem] = done.problems
    assert problem.outcome == "failed"
    assert problem.text == "`value`: values must be between (max value 5.0)"
    assert problem.observed == "2 of 3 rows are otherwise (66.667%), for example 77, 78"


def test_what_cannot_be_evaluated_is_an_error_and_not_a_failure(check: Check) -> None:
    done = check(
        pa.table({"value": [1]}),
        expect("column_values_to_be_between", column="valeu", max_value=5),
        expect("column_values_to_be_between", column="value", max_value=0),
    )
    assert outcomes(done) == ["passed", "error", "failed"]
    assert "valeu" in done.results[3].observed
    assert not done.success


def test_results_are_in_the_order_of_the_file(check: Check) -> None:
    names = ["column_values_to_be_unique", "column_values_to_not_be_null", "column_values_to_be_unique"]
    columns = ["a", "b", "b"]
    done = check(
        pa.table({"a": [1], "b": [1]}),
        *(expect(name, column=column) for name, column in zip(names, columns, strict=True)),
    )
    assert [result.name.removeprefix("expect_") for result in done.results[3:]] == names


def test_no_rows_fail_although_great_expectations_passes_them(check: Check) -> None:
    empty = pa.table({"value": pa.array([], pa.int64())})
    done = check(empty, expect("column_values_to_not_be_null", column="value"))
    assert [result.name for result in done.problems] == ["rows"]


def test_no_suite_still_means_the_checks_that_are_always_made(check: Check) -> None:
    assert outcomes(check(pa.table({"value": [1]}), keys=["value"])) == ["passed", "passed"]


def test_a_duplicate_key_fails_and_is_shown(check: Check) -> None:
    rows = pa.table({"carrier": ["AA", "AA", "UA"], "flight": [1, 1, 1]})
    [problem] = check(rows, keys=["carrier", "flight"]).problems
    assert problem.observed == "1 rows more than keys, for example carrier AA, flight 1 (2 times)"


def test_null_in_a_key_fails(check: Check) -> None:
    [problem] = check(pa.table({"carrier": ["AA", None]}), keys=["carrier"]).problems
    assert problem.observed == "1 rows have NULL in `carrier`"


def test_a_key_that_is_no_column_is_an_error(check: Check) -> None:
    [problem] = check(pa.table({"carrier": ["AA"]}), keys=["carier"]).problems
    assert (problem.outcome, problem.observed) == ("error", "there is no column carier")


def test_an_unknown_expectation_is_named_with_its_file_and_the_nearest(check: Check) -> None:
    with pytest.raises(
        SpecError,
        match=r"json: expectation 1: .*`expect_column_value_to_be_unique`; did you mean `expect_column_values_to_be_un",
    ):
        check(pa.table({"value": [1]}), expect("column_value_to_be_unique", column="value"))


def test_an_argument_that_an_expectation_does_not_have_is_named(check: Check) -> None:
    with pytest.raises(SpecError, match=r"orders.json: expectation 1 \(`expect_column_values_to_be_unique`\): .*colum"):
        check(pa.table({"value": [1]}), expect("column_values_to_be_unique", colum="value"))


def test_broken_json_is_named_by_line_and_column(check: Check) -> None:
    with pytest.raises(SpecError, match=r"orders.json:2:1: this is not JSON"):
        check(pa.table({"value": [1]}), text='{"name": "orders",\n')


def test_a_suite_without_expectations_is_refused(check: Check) -> None:
    with pytest.raises(SpecError, match="at least one expectation"):
        check(pa.table({"value": [1]}), text='{"name": "orders", "expectations": []}')


def test_the_report_has_the_verdict_first_and_loads_nothing(check: Check) -> None:
    done = check(pa.table({"value": ["<b>"]}), expect("column_values_to_be_in_set", column="value", value_set=["x"]))
    page = done.report.read_text()
    assert "Not published: of 4 checks 1 failed" in page.split("<h2>")[0]
    assert "What to do next" in page
    assert "shop · orders · 2013-01-28" in page
    assert "&lt;b&gt;" in page
    assert "<b>" not in page
    assert "://" not in page
    assert "src=" not in page


def test_the_report_of_what_could_not_be_evaluated_says_so(check: Check) -> None:
    page = check(pa.table({"value": [1]}), keys=["nothing"]).report.read_text()
    assert "1 could not be evaluated" in page
    assert "correct the check first" in page


def test_what_needs_a_frame_is_an_error_beyond_the_limit_of_the_yaml(check: Check) -> None:
    stated = expect("column_values_to_be_increasing", column="value")
    in_database = expect("column_values_to_be_unique", column="value")
    rows = pa.table({"value": [1, 2, 3]})
    assert check(rows, stated, in_database, rules=AuditRules(frame_rows=3)).success
    done = check(rows, stated, in_database, rules=AuditRules(frame_rows=2))
    assert outcomes(done) == ["passed", "error", "passed"]
    assert "there are 3, and `audit.frame_rows` allows 2; allow more" in done.problems[0].observed


def test_a_missing_column_is_named_also_beyond_the_limit(check: Check) -> None:
    done = check(
        pa.table({"value": [1, 2]}),
        expect("column_values_to_be_increasing", column="valeu"),
        rules=AuditRules(frame_rows=1),
    )
    assert 'The column "valeu" in BatchData does not exist' in done.problems[0].observed


def test_a_missing_column_among_the_tables_columns_is_a_failure_and_no_error(check: Check) -> None:
    done = check(pa.table({"value": [1]}), expect("column_to_exist", column="valeu"))
    assert outcomes(done) == ["passed", "failed"]


def test_rows_beside_earlier_partitions_are_in_the_report_with_their_numbers(check: Check) -> None:
    history = [EarlierPartition(f"2013-01-0{day}", 100, {"value": 0}) for day in range(1, 5)]
    done = check(pa.table({"value": [1, None]}), history=history)
    assert [result.name for result in done.problems] == ["rows as before", "NULLs as before"]
    page = done.report.read_text()
    assert "2 rows, 0.02 times as many; the median of 2013-01-01 to 2013-01-04 is 100" in page
    assert "column <code>value</code>: 50.0% NULL, at most 10.0% allowed (0.0% at most before)" in page
    assert "`" not in page.split("<body>")[1]
    usual = [EarlierPartition(one.key, 2, {"value": 1}) for one in history]
    page = check(pa.table({"value": [1, None]}), history=usual).report.read_text()
    assert page.index("Beside earlier partitions") < page.index("NULLs as before") < page.index("What passed")


def test_malformed_rows_and_dropped_duplicates_are_in_the_report(check: Check) -> None:
    rule = DuplicateRule(["value"], "largest", "at")
    rows = pa.table({"value": [1, 1, 2], "at": [1, 2, 1]})
    page = check(rows, duplicates=rule, facts={"malformed in source": "3 of 9 rows"}).report.read_text()
    assert "<dt>duplicates</dt><dd>1 rows left out by the rule for duplicates</dd>" in page
    assert "<dt>malformed in source</dt><dd>3 of 9 rows</dd>" in page


def test_what_did_not_pass_comes_first(check: Check) -> None:
    failing = expect("column_max_to_be_between", column="value", max_value=0)
    page = check(pa.table({"value": [1]}), failing, keys=["value"]).report.read_text()
    assert page.index("What did not pass") < page.index("expect_column_max") < page.index("What passed")


def test_what_is_wrong_is_said_forwards(check: Check) -> None:
    history = [EarlierPartition(f"2013-01-0{day}", 100, {"price": 2}) for day in range(1, 5)]
    rows = pa.table({"id": [1, 1, None], "price": [5, None, 500]})
    done = check(rows, history=history, keys=["id"])
    assert [result.problem for result in done.problems] == [
        "`id` does not name a row: 1 rows have NULL in `id`; 1 rows more than keys, for example id 1 (2 times)",
        "3 rows, 0.03 times as many; the median of 2013-01-01 to 2013-01-04 is 100; at least 0.5 and at most 2 times "
        "that are allowed",
        "column `price`: 33.3% NULL, at most 12.0% allowed (2.0% at most before)",
    ]
    empty = check(rows.slice(0, 0))
    assert [result.problem for result in empty.problems] == ["there is no row, and at least one is needed"]


def test_what_a_suite_expects_and_what_was_found_are_one_sentence() -> None:
    found = audit_result.CheckResult(
        "expect_x", "`price`: values must be between (max value 100).", "failed", "1 of 3 rows are not"
    )
    assert found.problem == "`price`: values must be between (max value 100), but 1 of 3 rows are not"
    assert replace(found, observed="").problem.endswith("(max value 100), but that does not hold")
    odd = replace(found, outcome="error", observed="there is no column price")
    assert odd.problem.endswith("(max value 100): this could not be evaluated: there is no column price")
