"""Which SQL gives other rows when the rows that it reads come in another order, or when it runs at another time.

DuckDB's own plan tells, with every function bound to the types of its arguments: `sum` of integers is exact in any
order, `sum` of DOUBLE is not. Only what is known to be independent of the order counts as that.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tradewind.engine.database import quote_identifier
from tradewind.engine.sql_text import with_literals

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

log = logging.getLogger(__name__)

_ANY_ORDER = frozenset({
    "count", "count_star", "count_if", "countif", "regr_count", "bool_and", "bool_or", "bit_and", "bit_or", "bit_xor",
    "approx_count_distinct", "quantile", "quantile_cont", "quantile_disc", "median", "mad", "histogram",
    "histogram_exact",
})  # fmt: skip
"""Aggregates whose result the order of rows does not change, whatever they aggregate."""
_EXTREMES = frozenset({"min", "max"})
_EXACT = frozenset({"sum", "avg", "mean", "sum_no_overflow", "decimal_average"})
"""Aggregates that are exact over these types, added up as integers."""
_WHOLE = re.compile(r"BOOLEAN|U?(TINYINT|SMALLINT|INTEGER|BIGINT)|HUGEINT|DECIMAL.*")
_RANKS = frozenset({"WINDOW_RANK", "WINDOW_RANK_DENSE", "WINDOW_PERCENT_RANK", "WINDOW_CUME_DIST"})
_OPERATORS = frozenset({
    "PROJECTION", "FILTER", "GET", "AGGREGATE_AND_GROUP_BY", "WINDOW", "COMPARISON_JOIN", "ANY_JOIN", "CROSS_PRODUCT",
    "DELIM_JOIN", "DELIM_GET", "DEPENDENT_JOIN", "UNION", "EXCEPT", "INTERSECT", "ORDER_BY", "DUMMY_SCAN",
    "EXPRESSION_GET", "EMPTY_RESULT", "CHUNK_GET", "UNNEST", "MATERIALIZED_CTE", "CTE_REF", "RECURSIVE_CTE", "DISTINCT",
})  # fmt: skip
_GENERATORS = frozenset({"seq_scan", "range", "generate_series", "unnest", "repeat", "json_each", "json_tree"})
UNSTABLE = frozenset({
    "current_connection_id", "current_date", "current_query", "current_query_id", "current_setting",
    "current_transaction_id", "currval", "gen_random_uuid", "get_current_time", "get_current_timestamp", "getvariable",
    "nextval", "now", "random", "setseed", "setval", "sleep_ms", "stats", "today", "transaction_timestamp",
    "txid_current", "uuid", "uuidv4", "uuidv7", "vector_type", "write_log",
})  # fmt: skip
"""DuckDB's functions that depend on chance, on the clock, or on the machine; asking DuckDB for them takes 20 ms."""
_CALLED_CONSISTENT = frozenset({"current_localtimestamp", "current_localtime"})
"""Functions of the clock that DuckDB calls consistent."""
_WRITTEN = {
    "ago": "get_current_timestamp",
    "current_date": "current_date",
    "current_time": "get_current_time",
    "current_timestamp": "get_current_timestamp",
    "localtime": "current_localtime",
    "localtimestamp": "current_localtimestamp",
}
"""What else stands in SQL for these functions; all but `ago` without parentheses, like a column."""
_SPELLED = {
    "current_localtimestamp": "localtimestamp|current_localtimestamp",
    "current_localtime": "localtime|current_localtime",
    "get_current_timestamp": "current_timestamp|get_current_timestamp|now|transaction_timestamp|ago",
    "get_current_time": "current_time|get_current_time",
}


@dataclass(frozen=True, slots=True)
class DeterminismFacts:
    """What the result of one SELECT depends on, beside the content of what it reads.

    :param changing: functions and clauses that depend on chance, on the clock, or on the machine
    :param ordered: functions and clauses that depend on the order of rows
    :param columns: columns that are read, by view
    """

    changing: tuple[str, ...] = ()
    ordered: tuple[str, ...] = ()
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def examine_determinism(
    sql: str,
    views: Mapping[str, Mapping[str, str] | pa.Schema],
    *,
    parameters: Mapping[str, object],
    connection: duckdb.DuckDBPyConnection,
) -> DeterminismFacts:
    """What the result of one SELECT depends on.

    SQL that DuckDB cannot plan without rows counts as dependent on the order.

    :param sql: one SELECT that can be bound to ``views``
    :param views: columns of what it reads, by name: DuckDB types, or an Arrow schema
    :param parameters: values of ``$name`` in it
    :param connection: an empty database; it is empty again afterwards
    """
    for name, columns in views.items():
        _stand_in(connection, name, columns)
    text = with_literals(sql, parameters)
    [(found,)] = connection.execute("SELECT json_serialize_plan(?, optimize := false)", [text]).fetchall()
    for name in views:
        connection.execute(f"DROP TABLE {quote_identifier(name)}")
    plan = json.loads(found)
    changing, ordered = _written(connection, text, views)
    columns_read = dict[str, set[str]]()
    if plan["error"]:
        log.info("a plan cannot be examined, so its rows are read in a fixed order: %s", plan["error_message"])
        everything = {name: tuple(ordered_columns(columns)) for name, columns in views.items()}
        return DeterminismFacts(tuple(sorted(changing)), ("its plan",), everything)
    for node in _nodes(plan["plans"]):
        if node.get("type") == "LOGICAL_GET":
            _read(node, columns_read)
        changing |= set(_changing(node))
        ordered |= set(_ordered(node))
    return DeterminismFacts(
        tuple(sorted(changing)),
        tuple(sorted(ordered)),
        {name: tuple(sorted(columns)) for name, columns in columns_read.items() if columns},
    )


def ordered_columns(columns: Mapping[str, str] | pa.Schema) -> list[str]:
    """Names of a view's columns."""
    return list(columns) if isinstance(columns, Mapping) else list(columns.names)


def function_spellings(name: str) -> str:
    """How a function of :attr:`DeterminismFacts.changing` may be written in SQL: a regular expression."""
    return _SPELLED.get(name, re.escape(name))


def _stand_in(connection: duckdb.DuckDBPyConnection, name: str, columns: Mapping[str, str] | pa.Schema) -> None:
    """An empty table in place of a view: a plan that reads anything else cannot be written down."""
    if isinstance(columns, Mapping):
        typed = ", ".join(f"{quote_identifier(column)} {connection.type(kind)}" for column, kind in columns.items())
        connection.execute(f"CREATE TABLE {quote_identifier(name)} ({typed})")
        return
    connection.register("tradewind_columns", columns.empty_table())
    connection.execute(f"CREATE TABLE {quote_identifier(name)} AS SELECT * FROM tradewind_columns")
    connection.unregister("tradewind_columns")


def _nodes(node: Any) -> Iterator[dict[str, Any]]:
    """Every object of a serialised plan: operators, expressions, and what they consist of."""
    if isinstance(node, dict):
        yield node
        node = list(node.values())
    if isinstance(node, list):
        for each in node:
            yield from _nodes(each)


def _read(node: Mapping[str, Any], columns: dict[str, set[str]]) -> None:
    table = (node.get("function_data") or {}).get("table")
    if table is None:
        return
    names = node["names"]
    places = [column["index"] for column in node["column_indexes"]]
    columns.setdefault(table, set()).update(names[place] for place in places if place < len(names))


def _written(
    connection: duckdb.DuckDBPyConnection, text: str, views: Mapping[str, Mapping[str, str] | pa.Schema]
) -> tuple[set[str], set[str]]:
    """Functions that depend on chance or on the clock, as they are written; and clauses that depend on the order.

    The plan does not show all of them: DuckDB computes `date_trunc('day', now())` before there is one, and a lambda, or
    a window by `random()`, has none that can be written down. With COLLATE texts are equal that are not the same, and
    DISTINCT or UNION keep one of them.
    """
    [(found,)] = connection.execute("SELECT json_serialize_sql(?)", [text]).fetchall()
    columns = {name.lower() for view in views.values() for name in ordered_columns(view)}
    names, ordered = set[str](), set[str]()
    for node in _nodes(json.loads(found)):
        name = str(node.get("function_name") or "").lower()
        if not name and node.get("class") == "COLUMN_REF" and len(node["column_names"]) == 1:
            name = str(node["column_names"][0]).lower()
            name = name if name in _WRITTEN and name not in columns else ""
        name = _WRITTEN.get(name, name)
        from_today = name == "age" and len(node.get("arguments", ())) == 1
        if from_today or name in UNSTABLE | _CALLED_CONSISTENT:
            names.add(name)
        if node.get("class") == "COLLATE":
            ordered.add("COLLATE")
    return names, ordered


def _changing(node: Mapping[str, Any]) -> Iterator[str]:
    operator, name = node.get("type"), _name(node)
    if node.get("expression_class") == "BOUND_FUNCTION":
        from_today = name == "age" and len(node["children"]) == 1
        if from_today or name in UNSTABLE | _CALLED_CONSISTENT:
            yield name
    elif operator == "LOGICAL_GET" and name not in _GENERATORS:
        yield name
    elif operator == "LOGICAL_SAMPLE" and not node["sample_options"]["repeatable"]:
        yield "SAMPLE"


def _ordered(node: Mapping[str, Any]) -> Iterator[str]:
    kind, operator = node.get("expression_class"), str(node.get("type", ""))
    named = operator.removeprefix("LOGICAL_")
    if kind == "BOUND_AGGREGATE":
        yield from [] if _in_any_order(node, node.get("order_bys")) else [_described(node)]
    elif kind == "BOUND_WINDOW":
        yield from [] if _window_in_any_order(node) else [_described(node)]
    elif named == "DISTINCT" and node.get("distinct_type") not in (None, "DISTINCT"):
        yield "DISTINCT ON"
    elif named == "RECURSIVE_CTE" and node.get("key_targets"):
        yield "USING KEY"
    elif operator.startswith("LOGICAL_") and named not in _OPERATORS:
        yield named.replace("_", " ")


def _window_in_any_order(node: Mapping[str, Any]) -> bool:
    if node["type"] in _RANKS:
        return True
    by_rows = any("ROWS" in str(node.get(end)) for end in ("start", "end"))
    if node["type"] != "WINDOW_AGGREGATE" or by_rows or node.get("exclude_clause") != "NO_OTHER":
        return False
    return _in_any_order(node, {"orders": node["arg_orders"]} if node.get("arg_orders") else None)


def _in_any_order(node: Mapping[str, Any], order_bys: Mapping[str, Any] | None) -> bool:
    name, children = _name(node), node["children"]
    if order_bys and order_bys.get("orders"):
        # Whatever it aggregates comes in an order of its own: rows that are equal in it are equal for the aggregate.
        by = [_bare(order["expression"]) for order in order_bys["orders"]]
        if all(child.get("expression_class") == "BOUND_CONSTANT" or _bare(child) in by for child in children):
            return True
    if name in _ANY_ORDER or (name in _EXTREMES and len(children) == 1):
        return True
    return name in _EXACT and all(_WHOLE.fullmatch(_kind(child)) for child in children)


def _bare(expression: Any) -> Any:
    """An expression without what only says where and how it was written."""
    if isinstance(expression, list):
        return [_bare(each) for each in expression]
    if not isinstance(expression, dict):
        return expression
    left_out = ("alias", "query_location", "query_location_length")
    return {name: _bare(value) for name, value in expression.items() if name not in left_out}


def _described(node: Mapping[str, Any]) -> str:
    name = _name(node) or str(node["type"]).removeprefix("WINDOW_").lower()
    kinds = [_kind(child) for child in node["children"][:1] if name in _EXACT]
    return f"{name} of {kinds[0]}" if kinds else name


def _name(node: Mapping[str, Any]) -> str:
    return str(((node.get("qname") or {}).get("path") or [""])[-1]).lower()


def _kind(expression: Mapping[str, Any]) -> str:
    return str((expression.get("return_type") or {}).get("id", ""))
