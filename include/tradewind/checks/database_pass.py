"""Expectations whose numbers DuckDB computes; Great Expectations judges these numbers as if they were its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tradewind.checks.metrics import Metric, Rows, compute, metric_of
from tradewind.lake.database import connect
from tradewind.lake.parquet import files, repeating
from tradewind.lake.staging import Staged

if TYPE_CHECKING:
    import pyarrow as pa
    from great_expectations.expectations.expectation import Expectation

_Plan = list[tuple[Any, Metric]]  # metric configurations of Great Expectations and how each is computed


def run(expectations: Sequence[Expectation], rows: Staged, *, examples: int) -> dict[int, Any]:
    """Results, as Great Expectations gives them, of those expectations that DuckDB can compute, by their place."""
    from great_expectations.execution_engine.pandas_execution_engine import PandasExecutionEngine

    engine = PandasExecutionEngine()
    settings = {"result_format": {"result_format": "SUMMARY", "partial_unexpected_count": examples}}
    plans = {
        number: plan
        for number, expectation in enumerate(expectations)
        if (plan := _plan(expectation, rows.schema, engine, settings)) is not None
    }
    if not plans:
        return {}
    with connect(rows.folder) as connection:
        # So that examples are the first in the files, as they are in a frame.
        connection.execute("SET preserve_insertion_order = true")
        values = _values(plans, Rows(connection, files(rows.paths), repeating(rows.paths)), examples=examples)
    return {
        number: _judge(expectations[number], {c.id: values[m] for c, m in plan}, engine, settings)
        for number, plan in plans.items()
        if all(metric in values for _, metric in plan)
    }


def _plan(expectation: Expectation, schema: pa.Schema, engine: Any, settings: dict[str, Any]) -> _Plan | None:
    """How to compute every metric that the expectation asks for; None if one cannot be."""
    from great_expectations.exceptions.exceptions import GreatExpectationsError

    try:
        needed = expectation.get_validation_dependencies(execution_engine=engine, runtime_configuration=dict(settings))
    except GreatExpectationsError:
        return None  # it looks at the rows already here
    plan: _Plan = []
    for configuration in needed.get_metric_configurations():
        metric = (
            None if unknown_columns(configuration.metric_domain_kwargs, schema) else metric_of(configuration, schema)
        )
        if metric is None:
            return None
        plan.append((configuration, metric))
    return plan


def unknown_columns(kwargs: Mapping[str, Any], schema: pa.Schema) -> list[str]:
    """The columns that the arguments of an expectation or of a metric name and that are not there."""
    named = [kwargs.get("column"), kwargs.get("column_A"), kwargs.get("column_B"), *(kwargs.get("column_list") or ())]
    return [name for name in named if name is not None and name not in schema.names]


def _values(plans: dict[int, _Plan], rows: Rows, *, examples: int) -> dict[Metric, Any]:
    """All metrics in one pass; if that fails, the metrics of each expectation that does not."""
    import duckdb

    try:
        return compute([metric for plan in plans.values() for _, metric in plan], rows, examples=examples)
    except duckdb.Error:
        values: dict[Metric, Any] = {}
    for plan in plans.values():
        try:
            values |= compute([metric for _, metric in plan], rows, examples=examples)
        except duckdb.Error:
            continue  # it is left to Great Expectations
    return values


def _judge(expectation: Expectation, metrics: dict[Any, Any], engine: Any, settings: dict[str, Any]) -> Any:
    from great_expectations.core.expectation_validation_result import ExpectationValidationResult

    try:
        return expectation.metrics_validate(metrics, runtime_configuration=dict(settings), execution_engine=engine)
    except Exception as exc:
        raised = {"raised_exception": True, "exception_message": str(exc), "exception_traceback": ""}
        return ExpectationValidationResult(
            success=False, expectation_config=expectation.configuration, exception_info=raised
        )
