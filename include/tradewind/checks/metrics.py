"""The metrics that Great Expectations asks for, computed by DuckDB: all aggregates of a suite in one pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tradewind.checks.conditions import Condition, kind_of, missing, of_column, of_columns, of_pair
from tradewind.lake.database import quoted

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric.

    :param aggregate: SQL of one value over all rows
    :param examples: the rows of which some are shown
    :param duplicates: the rows of which those are counted that come more than once
    :param constant: what is known without a look at the rows
    """

    aggregate: str = ""
    examples: Condition | None = None
    duplicates: Condition | None = None
    constant: Any = None


def metric_of(configuration: Any, schema: pa.Schema) -> Metric | None:
    """How to compute a metric configuration of Great Expectations; None: it needs a frame."""
    domain, name = configuration.metric_domain_kwargs, configuration.metric_name
    if domain.get("row_condition") is not None:
        return None
    if name.startswith("table."):
        return _TABLE[name](schema) if name in _TABLE else None
    base, _, wanted = name.rpartition(".")
    if wanted in ("unexpected_index_list", "unexpected_index_query"):
        return Metric()
    if wanted not in ("unexpected_count", "unexpected_values", "filtered_row_count"):
        return _aggregate(name, domain, schema)
    condition = _condition(base, domain, configuration.metric_value_kwargs, schema)
    if condition is None:
        return None
    if wanted == "unexpected_values":
        return Metric(examples=condition)
    if wanted == "filtered_row_count":
        return Metric(aggregate=f"count(*) FILTER (WHERE {condition.considered})")
    if not condition.unexpected:
        return Metric(duplicates=condition)
    return Metric(aggregate=f"count(*) FILTER (WHERE {condition.unexpected})")


def compute(
    metrics: Sequence[Metric], connection: duckdb.DuckDBPyConnection, rows: str, *, examples: int
) -> dict[Metric, Any]:
    """The value of each metric over the rows of the SQL ``rows``.

    :param examples: how many rows are shown of what is unexpected
    """
    aggregates = list(dict.fromkeys(metric.aggregate for metric in metrics if metric.aggregate))
    one_pass = f"SELECT {', '.join(aggregates)} FROM {rows}"
    values = dict(zip(aggregates, connection.execute(one_pass).fetchall()[0], strict=True)) if aggregates else {}
    found: dict[Metric, Any] = {}
    for metric in dict.fromkeys(metrics):
        if metric.aggregate:
            found[metric] = _python(values[metric.aggregate])
        elif metric.duplicates:
            found[metric] = _count_duplicates(connection, rows, metric.duplicates)
        elif not metric.examples:
            found[metric] = list(metric.constant) if isinstance(metric.constant, tuple) else metric.constant
    for metric in dict.fromkeys(metrics):
        if metric.examples:
            count = values.get(f"count(*) FILTER (WHERE {metric.examples.unexpected})")
            count = found.get(Metric(duplicates=metric.examples)) if count is None else count
            found[metric] = _examples(connection, rows, metric.examples, examples) if count else []
    return found


def _condition(name: str, domain: Mapping[str, Any], given: Mapping[str, Any], schema: pa.Schema) -> Condition | None:
    columns = _columns(domain)
    kinds = [kind_of(schema.field(column).type) for column in columns]
    if "column" in domain:
        return of_column(name, columns[0], kinds[0], given)
    given = {**given, "ignore_row_if": domain.get("ignore_row_if")}
    if "column_A" in domain:
        return of_pair(name, (columns[0], columns[1]), (kinds[0], kinds[1]), given)
    return of_columns(name, columns, kinds, given)


def _columns(domain: Mapping[str, Any]) -> list[str]:
    if "column_A" in domain:
        return [domain["column_A"], domain["column_B"]]
    return list(domain["column_list"]) if "column_list" in domain else [domain["column"]]


def _aggregate(name: str, domain: Mapping[str, Any], schema: pa.Schema) -> Metric | None:
    if "column" not in domain or name not in _VALUES:
        return None
    column = domain["column"]
    kind = kind_of(schema.field(column).type)
    sql = next((sql for kinds, sql in _VALUES[name].items() if kind in kinds), None)
    if sql is None:
        return None
    there = f"FILTER (WHERE NOT {missing(column, kind)})"
    return Metric(aggregate=sql.format(c=quoted(column), there=there))


def _count_duplicates(connection: duckdb.DuckDBPyConnection, rows: str, condition: Condition) -> int:
    groups = f"SELECT count(*) AS n FROM {rows} WHERE {condition.considered} GROUP BY {_group(condition)} HAVING n > 1"
    return int(connection.execute(f"SELECT coalesce(sum(n), 0)::BIGINT FROM ({groups})").fetchall()[0][0])


def _group(condition: Condition) -> str:
    return ", ".join(quoted(column) for column in condition.columns)


def _examples(connection: duckdb.DuckDBPyConnection, rows: str, condition: Condition, limit: int) -> list[Any]:
    shown = _group(condition)
    if condition.unexpected:
        query = f"SELECT {shown} FROM {rows} WHERE {condition.unexpected} LIMIT {limit}"
    else:
        equal = " AND ".join(f"a.{quoted(c)} IS NOT DISTINCT FROM b.{quoted(c)}" for c in condition.columns)
        twice = f"SELECT {shown} FROM {rows} WHERE {condition.considered} GROUP BY ALL HAVING count(*) > 1"
        query = f"SELECT a.* FROM (SELECT {shown} FROM {rows} WHERE {condition.considered}) a"
        query += f" SEMI JOIN ({twice}) b ON {equal} LIMIT {limit}"
    found = connection.execute(query).fetchall()
    if len(condition.columns) == 1:
        return [row[0] for row in found]
    if condition.pair:
        return found
    return [dict(zip(condition.columns, row, strict=True)) for row in found]


def _python(value: Any) -> Any:
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
