"""Expectations whose numbers DuckDB computes; Great Expectations judges these numbers as if they were its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tradewind.checks.row_conditions import VIEW
from tradewind.checks.suite_metrics import Metric, MetricRows, compute_suite_metrics, plan_metric
from tradewind.engine.database import connect_duckdb, quote_identifier, restrict_access
from tradewind.lake.parquet import repeating_columns, select_files
from tradewind.lake.staging import StagedPartition

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa
    from great_expectations.expectations.expectation import Expectation

PLACE = "tradewind_check"
"""Where in its `meta` an expectation keeps its place in the suite."""

_NAN_FAILS = frozenset({"expect_column_values_to_be_between", "expect_column_values_to_be_in_set"})
"""What NaN does not meet: to Great Expectations it is a missing value, which every expectation of values leaves out."""
_Plan = list[tuple[Any, Metric]]  # metric configurations of Great Expectations and how each is computed


def evaluate_in_duckdb(
    expectations: Sequence[Expectation], rows: StagedPartition, *, examples: int, condition: str | None = None
) -> dict[int, Any]:
    """Results, as Great Expectations gives them, of those expectations that DuckDB can compute, by their place.

    :param condition: SQL of the rows that they look at; None for all
    """
    from great_expectations.execution_engine.pandas_execution_engine import PandasExecutionEngine

    engine = PandasExecutionEngine()
    settings = {"result_format": {"result_format": "SUMMARY", "partial_unexpected_count": examples}}
    by_place = {suite_position(expectation): expectation for expectation in expectations}
    plans = {
        number: plan
        for number, expectation in by_place.items()
        if (plan := _plan_expectation(expectation, rows.schema, engine, settings)) is not None
    }
    if not plans:
        return {}
    with _open_staged_rows(rows) as connection:
        # Of text that repeats each value is looked at once, which a condition on other columns does not allow.
        repeats = repeating_columns(rows.paths) if condition is None else frozenset[str]()
        values = _compute_values(plans, MetricRows(connection, _selection(condition), repeats), examples=examples)
    return {
        number: _validate_metrics(by_place[number], {c.id: values[m] for c, m in plan}, engine, settings)
        for number, plan in plans.items()
        if all(metric in values for _, metric in plan)
    }


def suite_position(expectation: Expectation) -> int:
    """Place of an expectation in its suite, from 0."""
    return int(expectation.configuration.meta[PLACE])


def read_staged_table(
    rows: StagedPartition, columns: Sequence[str], *, condition: str | None, at_most: int
) -> pa.Table:
    """Staged rows in memory, in the order of the files.

    :param condition: SQL of the rows that are wanted; None for all
    :param at_most: reading stops behind this many rows, with one more than these
    :raises duckdb.Error: the condition fails
    """
    import pyarrow as pa

    with _open_staged_rows(rows) as connection:
        found = connection.sql(f"SELECT {', '.join(map(quote_identifier, columns))} FROM {_selection(condition)}")
        wanted = pa.schema([rows.schema.field(name) for name in columns])
        return found.limit(at_most + 1).to_arrow_table().cast(wanted)


@contextmanager
def _open_staged_rows(rows: StagedPartition) -> Iterator[duckdb.DuckDBPyConnection]:
    """A database that sees the staged rows as a view and reads nothing else."""
    with connect_duckdb(rows.folder) as connection:
        # So that examples are the first in the files, as they are in a frame.
        connection.execute("SET preserve_insertion_order = true")
        connection.execute(f"CREATE VIEW {VIEW} AS SELECT * FROM {select_files(rows.paths)}")
        restrict_access(connection, files=rows.paths)
        yield connection


def _selection(condition: str | None) -> str:
    """What stands behind FROM; the line break ends a comment of the condition."""
    return VIEW if condition is None else f"(SELECT * FROM {VIEW} WHERE ({condition}\n))"


def _plan_expectation(
    expectation: Expectation, schema: pa.Schema, engine: Any, settings: dict[str, Any]
) -> _Plan | None:
    """How to compute every metric that the expectation asks for; None if one cannot be."""
    from great_expectations.exceptions.exceptions import GreatExpectationsError

    try:
        needed = expectation.get_validation_dependencies(execution_engine=engine, runtime_configuration=dict(settings))
    except GreatExpectationsError:
        return None  # it looks at the rows already here
    nan_counts = expectation.configuration.type in _NAN_FAILS
    plan: _Plan = []
    for configuration in needed.get_metric_configurations():
        unknown = unknown_columns(configuration.metric_domain_kwargs, schema)
        metric = None if unknown else plan_metric(configuration, schema, nan_counts=nan_counts)
        if metric is None:
            return None
        plan.append((configuration, metric))
    return plan


def unknown_columns(kwargs: Mapping[str, Any], schema: pa.Schema) -> list[str]:
    """The columns that the arguments of an expectation or of a metric name and that are not there."""
    named = [kwargs.get("column"), kwargs.get("column_A"), kwargs.get("column_B"), *(kwargs.get("column_list") or ())]
    return [name for name in named if name is not None and name not in schema.names]


def _compute_values(plans: dict[int, _Plan], rows: MetricRows, *, examples: int) -> dict[Metric, Any]:
    """All metrics in one pass; if that fails, the metrics of each expectation that does not."""
    import duckdb

    try:
        return compute_suite_metrics([metric for plan in plans.values() for _, metric in plan], rows, examples=examples)
    except duckdb.Error:
        values: dict[Metric, Any] = {}
    for plan in plans.values():
        try:
            values |= compute_suite_metrics([metric for _, metric in plan], rows, examples=examples)
        except duckdb.Error:
            continue  # it is left to Great Expectations
    return values


def _validate_metrics(expectation: Expectation, metrics: dict[Any, Any], engine: Any, settings: dict[str, Any]) -> Any:
    from great_expectations.core.expectation_validation_result import ExpectationValidationResult

    try:
        return expectation.metrics_validate(metrics, runtime_configuration=dict(settings), execution_engine=engine)
    except Exception as exc:
        raised = {"raised_exception": True, "exception_message": str(exc), "exception_traceback": ""}
        return ExpectationValidationResult(
            success=False, expectation_config=expectation.configuration, exception_info=raised
        )
