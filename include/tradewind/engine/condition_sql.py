"""Conditions: one SQL expression that is true or false for each row, bound without a row, and repeatable."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tradewind.engine.database import connect_duckdb
from tradewind.engine.determinism import UNSTABLE
from tradewind.engine.query_columns import SqlProblem, bind_select

if TYPE_CHECKING:
    import pyarrow as pa

_BEFORE = "SELECT ("
_CLOCKS = {"current_time", "current_timestamp", "localtime", "localtimestamp", "age"}  # age(x) counts from today
_SAMPLE = "SAMPLE"


def find_condition_flaw(columns: Mapping[str, str] | pa.Schema, condition: str, *, view: str) -> SqlProblem | None:
    """What is wrong with a condition over the rows of a view; None if it is right.

    :param columns: columns of the view: DuckDB types by name, or an Arrow schema
    :param condition: one SQL expression that is true or false for each row
    :param view: what a subquery of the condition calls the rows
    :return: the first flaw; its offset counts from the condition's first character
    """
    if (flaw := _shape(condition) or _changing(condition, _names(columns))) is not None:
        return flaw
    # As a filter first: DuckDB says there that an aggregate or a window has no place in a condition.
    for before, after in ((f"SELECT 1 FROM {view} WHERE (", "\n)"), (_BEFORE, f"\n) AS fulfilled FROM {view}")):
        bound = bind_select(f"{before}{condition}{after}", {view: columns}, parameters={})
        if isinstance(bound, SqlProblem):
            return replace(bound, offset=min(max(bound.offset - len(before), 0), max(len(condition) - 1, 0)))
        kind = bound.field(0).type
    if str(kind) != "bool":
        return SqlProblem(f"the condition is {kind}, which is neither true nor false", 0, len(condition))
    return None


def _shape(condition: str) -> SqlProblem | None:
    """A flaw if the text is not exactly one expression: what closes the bracket around it could be a query."""
    import duckdb

    try:
        duckdb.SQLExpression(condition)
    except duckdb.Error as exc:
        said = str(exc).partition("Error: ")[2].strip().splitlines() or ["it cannot be read"]
        return SqlProblem(f"expected one condition: {said[0][:1].lower()}{said[0][1:]}", 0, max(1, len(condition)))
    return None


def _changing(condition: str, columns: Iterable[str]) -> SqlProblem | None:
    """A flaw if the condition depends on chance or on when it is asked: nothing that it decides could be repeated."""
    known = {name.lower() for name in columns}
    connection = connect_duckdb()
    try:
        text = connection.execute("SELECT json_serialize_sql(?)", [f"{_BEFORE}{condition}\n)"]).fetchall()[0][0]
    finally:
        connection.close()
    for name, location in _called(json.loads(text)):
        if name == _SAMPLE or name.lower() in (_CLOCKS | UNSTABLE) - known:
            offset = max(location - len(_BEFORE), 0)
            message = f"`{name}` gives something else each time, so the result could not be repeated"
            return SqlProblem(message, offset, len(name))
    return None


def _called(node: Any) -> Iterator[tuple[str, int]]:
    """Functions, columns without a table, and samples, of a serialised statement with their places."""
    if isinstance(node, list):
        for each in node:
            yield from _called(each)
    if not isinstance(node, dict):
        return
    if node.get("sample"):
        yield _SAMPLE, 0
    if node.get("class") == "FUNCTION":
        yield str(node["function_name"]), int(node.get("query_location", 0))
    elif node.get("class") == "COLUMN_REF" and len(node["column_names"]) == 1:
        yield str(node["column_names"][0]), int(node.get("query_location", 0))
    for each in node.values():
        yield from _called(each)


def _names(columns: Mapping[str, str] | pa.Schema) -> list[str]:
    return list(columns) if isinstance(columns, Mapping) else list(columns.names)
