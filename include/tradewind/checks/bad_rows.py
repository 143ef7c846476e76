"""Which rows fail what is expected of every single row: those that a person may have dropped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tradewind.checks import expectations
from tradewind.checks.database_pass import unknown_columns
from tradewind.checks.row_conditions import VIEW
from tradewind.checks.suite_metrics import plan_metric
from tradewind.engine.condition_sql import find_condition_flaw
from tradewind.engine.database import quote_identifier
from tradewind.errors import SpecError

if TYPE_CHECKING:
    import pyarrow as pa
    from great_expectations.expectations.expectation import Expectation


def bad_rows_condition(suite: Path | None, keys: Sequence[str], schema: pa.Schema) -> str | None:
    """SQL condition of the rows that fail a check of a single row; None if there is no such check.

    Those are NULL in a key, and every expectation of the suite about the values of a row that holds for each of them
    (its `mostly` is 1). What is expected of all rows together, like unique keys or a mean, says of no row that it is
    the wrong one.

    :param suite: Great Expectations suite as JSON; None for no more than the keys
    :raises SpecError: the suite cannot be used
    """
    conditions = [f"{quote_identifier(key)} IS NULL" for key in keys if key in schema.names]
    if suite is not None:
        for expectation in expectations.read_suite(suite):
            if getattr(expectation, "mostly", 1) in (None, 1):
                where = expectations.expectation_condition(expectation)
                if where is not None and (flaw := find_condition_flaw(schema, where, view=VIEW)) is not None:
                    raise SpecError(f"{suite}: `row_condition` {where}: {flaw.message}")
                found = _conditions(expectation, schema)
                conditions += found if where is None else (f"({where}\n) AND ({one})" for one in found)
    return " OR ".join(f"({one})" for one in dict.fromkeys(conditions)) or None


def _conditions(expectation: Expectation, schema: pa.Schema) -> Iterator[str]:
    from great_expectations.execution_engine.pandas_execution_engine import PandasExecutionEngine

    needed = expectation.get_validation_dependencies(
        execution_engine=PandasExecutionEngine(),
        runtime_configuration={"result_format": {"result_format": "SUMMARY", "partial_unexpected_count": 1}},
    )
    for configuration in needed.get_metric_configurations():
        metric = (
            None if unknown_columns(configuration.metric_domain_kwargs, schema) else plan_metric(configuration, schema)
        )
        if metric is not None and metric.examples is not None and metric.examples.unexpected:
            yield metric.examples.unexpected
