"""The metrics that Great Expectations asks for, computed by DuckDB: all aggregates of a suite in one pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

from tradewind.checks.expectation_sql import (
    ExpectationSql,
    column_condition,
    column_pair_condition,
    comparison_kind,
    missing_condition,
    multicolumn_condition,
)
from tradewind.engine.database import quote_identifier

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa


_TIMES = "__tradewind_times"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric.

    :param aggregate: SQL of one value over all rows
    :param counted: SQL of the rows that are counted
    :param text: the column of text that ``counted`` looks at, if it looks at nothing else
    :param examples: the rows of which some are shown
    :param duplicates: the rows of which those are counted that come more than once
    :param constant: what is known without a look at the rows
    """

    aggregate: str = ""
    counted: str = ""
    text: str = ""
    examples: ExpectationSql | None = None
    duplicates: ExpectationSql | None = None
    constant: Any = None


@dataclass(frozen=True, slots=True)
class MetricRows:
    """The rows that metrics are computed of.

    :param connection: where
    :param sql: what stands behind FROM
    :param repeating: columns of text that have far fewer values than rows
    """

    connection: duckdb.DuckDBPyConnection
    sql: str
    repeating: frozenset[str]

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        """The whole answer."""
        return self.connection.execute(query).fetchall()


def plan_metric(configuration: Any, schema: pa.Schema, *, nan_counts: bool = False) -> Metric | None:
    """How to compute a metric configuration of Great Expectations; None: it needs a frame.

    :param nan_counts: NaN is a value, and not as expected; else it is missing
    """
    domain, name = configuration.metric_domain_kwargs, configuration.metric_name
    if name.startswith("table."):
        return _TABLE[name](schema) if name in _TABLE else None
    base, _, wanted = name.rpartition(".")
    if wanted in ("unexpected_index_list", "unexpected_index_query"):
        return Metric()
    if wanted not in ("unexpected_count", "unexpected_values", "filtered_row_count"):
        return _aggregate(name, domain, schema)
    condition = _condition(base, domain, configuration.metric_value_kwargs, schema, nan_counts=nan_counts)
    if condition is None:
        return None
    if wanted == "unexpected_values":
        return Metric(examples=condition)
    text = (
        domain["column"]
        if "column" in domain and comparison_kind(schema.field(domain["column"]).type) == "text"
        else ""
    )
    if wanted == "filtered_row_count":
        return Metric(counted=condition.considered, text=text)
    if not condition.unexpected:
        return Metric(duplicates=condition)
    return Metric(counted=condition.unexpected, text=text)


def compute_suite_metrics(metrics: Sequence[Metric], rows: MetricRows, *, examples: int) -> dict[Metric, Any]:
    """The value of each metric.

    :param examples: how many rows are shown of what is unexpected
    """
    found = _compute_aggregates(
        [metric for metric in dict.fromkeys(metrics) if metric.aggregate or metric.counted], rows
    )
    counts = {metric.counted: value for metric, value in found.items() if metric.counted}
    for metric in dict.fromkeys(metrics):
        if metric.duplicates:
            found[metric] = _count_duplicates(rows, metric.duplicates)
        elif metric not in found and not metric.examples:
            found[metric] = list(metric.constant) if isinstance(metric.constant, tuple) else metric.constant
    for metric in dict.fromkeys(metrics):
        if metric.examples:
            count = counts.get(metric.examples.unexpected)
            count = found.get(Metric(duplicates=metric.examples)) if count is None else count
            found[metric] = _examples(rows, metric.examples, examples) if count else []
    return found


def _compute_aggregates(metrics: Sequence[Metric], rows: MetricRows) -> dict[Metric, Any]:
    """All aggregates in one statement.

    Of text that repeats each value is looked at once, and counts as often as it is there: a regular expression on every
    row takes longer than all other checks together.
    """
    parts: dict[str, list[Metric]] = {}
    for metric in metrics:
        parts.setdefault(metric.text if metric.text in rows.repeating else "", []).append(metric)
    if not parts:
        return {}
    answers = ", ".join(
        f"({_value_counts_query(column, some, rows) if column else _row_aggregates_query(some, rows)})"
        for column, some in parts.items()
    )
    values = rows.ask(f"SELECT * FROM {answers}")[0]
    return dict(zip(chain.from_iterable(parts.values()), map(_pandas_value, values), strict=True))


def _row_aggregates_query(metrics: Sequence[Metric], rows: MetricRows) -> str:
    aggregates = (metric.aggregate or f"count(*) FILTER (WHERE {metric.counted})" for metric in metrics)
    return f"SELECT {', '.join(aggregates)} FROM {rows.sql}"


def _value_counts_query(column: str, metrics: Sequence[Metric], rows: MetricRows) -> str:
    sums = ", ".join(f"coalesce(sum({_TIMES}) FILTER (WHERE {metric.counted}), 0)::BIGINT" for metric in metrics)
    return f"SELECT {sums} FROM (SELECT {quote_identifier(column)}, count(*) AS {_TIMES} FROM {rows.sql} GROUP BY ALL)"


def _condition(
    name: str, domain: Mapping[str, Any], given: Mapping[str, Any], schema: pa.Schema, *, nan_counts: bool
) -> ExpectationSql | None:
    columns = _columns(domain)
    kinds = [comparison_kind(schema.field(column).type) for column in columns]
    if "column" in domain:
        return column_condition(name, columns[0], kinds[0], given, nan_counts=nan_counts)
    given = {**given, "ignore_row_if": domain.get("ignore_row_if")}
    if "column_A" in domain:
        return column_pair_condition(name, (columns[0], columns[1]), (kinds[0], kinds[1]), given)
    return multicolumn_condition(name, columns, kinds, given)


def _columns(domain: Mapping[str, Any]) -> list[str]:
    if "column_A" in domain:
        return [domain["column_A"], domain["column_B"]]
    return list(domain["column_list"]) if "column_list" in domain else [domain["column"]]


def _aggregate(name: str, domain: Mapping[str, Any], schema: pa.Schema) -> Metric | None:
    if "column" not in domain or name not in _VALUES:
        return None
    column = domain["column"]
    kind = comparison_kind(schema.field(column).type)
    sql = next((sql for kinds, sql in _VALUES[name].items() if kind in kinds), None)
    if sql is None:
        return None
    there = f"FILTER (WHERE NOT {missing_condition(column, kind)})"
    return Metric(aggregate=sql.format(c=quote_identifier(column), there=there))


def _count_duplicates(rows: MetricRows, condition: ExpectationSql) -> int:
    groups = f"SELECT count(*) AS n FROM {rows.sql} WHERE {condition.considered} GROUP BY {', '.join(_keys(condition))}"
    return int(rows.ask(f"SELECT coalesce(sum(n), 0)::BIGINT FROM ({groups} HAVING n > 1)")[0][0])


def _keys(condition: ExpectationSql) -> tuple[str, ...]:
    return condition.keys or tuple(map(quote_identifier, condition.columns))


def _examples(rows: MetricRows, condition: ExpectationSql, limit: int) -> list[Any]:
    shown = ", ".join(map(quote_identifier, condition.columns))
    if condition.unexpected:
        query = f"SELECT {shown} FROM {rows.sql} WHERE {condition.unexpected} LIMIT {limit}"
    else:
        keys = {quote_identifier(f" key {number}"): key for number, key in enumerate(_keys(condition))}
        keyed = ", ".join(f"{key} AS {name}" for name, key in keys.items())
        equal = " AND ".join(f"a.{name} IS NOT DISTINCT FROM b.{name}" for name in keys)
        twice = f"SELECT {keyed} FROM {rows.sql} WHERE {condition.considered} GROUP BY ALL HAVING count(*) > 1"
        query = f"SELECT {shown} FROM (SELECT {shown}, {keyed} FROM {rows.sql} WHERE {condition.considered}) a"
        query += f" SEMI JOIN ({twice}) b ON {equal} LIMIT {limit}"
    found = rows.ask(query)
    if len(condition.columns) == 1:
        return [row[0] for row in found]
    if condition.pair:
        return found
    return [dict(zip(condition.columns, row, strict=True)) for row in found]


def _pandas_value(value: Any) -> Any:
    """As pandas has it, which knows no difference between a date and the beginning of a day for instants."""
    import datetime as dt

    import pandas as pd

    return pd.Timestamp(value).tz_convert("UTC") if isinstance(value, dt.datetime) else value


_TABLE = {
    "table.row_count": lambda schema: Metric(aggregate="count(*)"),
    "table.columns": lambda schema: Metric(constant=tuple(schema.names)),
    "table.column_count": lambda schema: Metric(constant=len(schema.names)),
}
_ORDERED = ("int", "float", "text", "date", "time")
_COUNTED = (*_ORDERED, "bool")
# Sums that carry their rounding are close to pandas', but make NaN of what has an infinity.
_INFINITE = "CASE WHEN count(*) FILTER (WHERE isinf({c})) > 0 THEN"
_VALUES: dict[str, dict[tuple[str, ...], str]] = {
    "column.min": {_ORDERED: "min({c}) {there}"},
    "column.max": {_ORDERED: "max({c}) {there}"},
    "column.mean": {
        ("int",): "favg({c}) {there}",
        ("float",): _INFINITE + " avg({c}) {there} ELSE favg({c}) {there} END",
    },
    "column.sum": {
        ("int",): "coalesce(sum({c}) {there}, 0)",
        ("float",): _INFINITE + " sum({c}) {there} ELSE coalesce(fsum({c}) {there}, 0) END",
    },
    "column.median": {("int", "float"): "median({c}) {there}"},
    "column.standard_deviation": {
        ("int",): "stddev_samp({c}) {there}",
        ("float",): _INFINITE + " NULL ELSE stddev_samp({c}) FILTER (WHERE isfinite({c})) END",
    },
    "column.non_null_count": {(*_COUNTED, "single"): "count(*) {there}"},
    "column.distinct_values.count": {_COUNTED: "count(DISTINCT {c}) {there}"},
    "column.unique_proportion": {
        _COUNTED: "coalesce(count(DISTINCT {c}) {there} / nullif(count(*) {there}, 0), 0)",
    },
    "column.non_null_proportion": {(*_COUNTED, "single"): "coalesce(count(*) {there} / nullif(count(*), 0), 0)"},
}
