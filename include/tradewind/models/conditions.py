"""Conditions: which test rows a gate's `where` speaks of, asked of a DuckDB that sees these rows and nothing else.

The label is not among the columns: which rows judge must not depend on how they turned out.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tradewind.lake.database import connect, quoted
from tradewind.transform import bind as transform
from tradewind.transform.bind import SqlFlaw

if TYPE_CHECKING:
    import duckdb
    import numpy.typing as npt
    import pyarrow as pa

log = logging.getLogger(__name__)

VIEW = "test"
"""What a subquery of a condition calls the test rows."""

_ROW = "__tradewind_row"
_BEFORE = "SELECT ("
_FILTER = f"SELECT 1 FROM {VIEW} WHERE ("
_CLOCKS = {"current_time", "current_timestamp", "localtime", "localtimestamp", "age"}  # age(x) counts from today
_SAMPLE = "SAMPLE"


@dataclass(frozen=True, slots=True)
class Masks:
    """What the conditions say of the rows.

    :param fulfilled: by condition: which rows fulfil it; bool, shape (rows,)
    :param unknown: by condition: for how many rows it is NULL, which counts as not fulfilled; only where there are any
    :param absent: by condition: why it has no mask
    """

    fulfilled: Mapping[str, npt.NDArray[Any]]
    unknown: Mapping[str, int]
    absent: Mapping[str, str]


def bind(columns: Mapping[str, str] | pa.Schema, condition: str) -> SqlFlaw | None:
    """What is wrong with a condition over test rows; None if it is right.

    :param columns: columns of the test rows without the label: DuckDB types by name, or an Arrow schema
    :param condition: one SQL expression that is true or false for each row
    :return: the first flaw; its offset counts from the condition's first character
    """
    if (flaw := _shape(condition) or _changing(condition, _names(columns))) is not None:
        return flaw
    # As a filter first: DuckDB says there that an aggregate or a window has no place in a condition.
    for before, after in ((_FILTER, "\n)"), (_BEFORE, f"\n) AS fulfilled FROM {VIEW}")):
        bound = transform.bind(f"{before}{condition}{after}", {VIEW: columns}, parameters={})
        if isinstance(bound, SqlFlaw):
            return replace(bound, offset=min(max(bound.offset - len(before), 0), max(len(condition) - 1, 0)))
        kind = bound.field(0).type
    if str(kind) != "bool":
        return SqlFlaw(f"the condition is {kind}, which is neither true nor false", 0, len(condition))
    return None


def masks(rows: pa.Table, conditions: Iterable[str]) -> Masks:
    """Ask each condition of each row.

    :param rows: the test rows without the label
    :return: a mask a condition, or why there is none: a condition that fails never stops the verdict
    """
    fulfilled: dict[str, npt.NDArray[Any]] = {}
    unknown: dict[str, int] = {}
    absent: dict[str, str] = {}
    for condition in dict.fromkeys(conditions):
        if (flaw := bind(rows.schema, condition)) is not None:
            absent[condition] = f"the condition {condition!r} cannot be asked: {flaw.message}"
            continue
        try:
            answer = _ask(rows, condition)
        except RuntimeError as exc:
            absent[condition] = f"the condition {condition!r} fails: {exc}"
            continue
        fulfilled[condition] = answer.fill_null(False).to_numpy(zero_copy_only=False)
        if answer.null_count:
            unknown[condition] = answer.null_count
    for why in absent.values():
        log.warning("%s", why)
    return Masks(fulfilled, unknown, absent)


def _ask(rows: pa.Table, condition: str) -> pa.ChunkedArray:
    """True, false or NULL for each row, in the rows' order.

    :raises RuntimeError: DuckDB fails at it, or does not answer once for each row
    """
    import duckdb
    import numpy as np
    import pyarrow as pa

    connection = connect()
    try:
        connection.register(VIEW, rows.append_column(_ROW, pa.array(np.arange(rows.num_rows))))
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        asked = f"SELECT {quoted(_ROW)} AS row, ({condition}\n) AS fulfilled FROM {VIEW} ORDER BY 1"
        found = connection.sql(asked).to_arrow_table()
    except duckdb.Error as exc:
        raise RuntimeError(str(exc).strip().splitlines()[0]) from exc
    finally:
        connection.close()
    if found.num_rows != rows.num_rows:
        raise RuntimeError(f"{found.num_rows} answers for {rows.num_rows} rows")
    return found["fulfilled"]


def _shape(condition: str) -> SqlFlaw | None:
    """A flaw if the text is not exactly one expression: what closes the bracket around it could be a query."""
    import duckdb

    try:
        duckdb.SQLExpression(condition)
    except duckdb.Error as exc:
        said = str(exc).partition("Error: ")[2].strip().splitlines() or ["it cannot be read"]
        return SqlFlaw(f"expected one condition: {said[0][:1].lower()}{said[0][1:]}", 0, max(1, len(condition)))
    return None


def _changing(condition: str, columns: Iterable[str]) -> SqlFlaw | None:
    """A flaw if the condition depends on chance or on when it is asked: nobody could repeat the verdict."""
    known = {name.lower() for name in columns}
    connection = connect()
    try:
        text = connection.execute("SELECT json_serialize_sql(?)", [f"{_BEFORE}{condition}\n)"]).fetchall()[0][0]
        changing = _CLOCKS | _not_constant(connection)
    finally:
        connection.close()
    for name, location in _called(json.loads(text)):
        if name == _SAMPLE or name.lower() in changing - known:
            offset = max(location - len(_BEFORE), 0)
            message = f"`{name}` gives something else each time, so the verdict could not be repeated"
            return SqlFlaw(message, offset, len(name))
    return None


def _not_constant(connection: duckdb.DuckDBPyConnection) -> set[str]:
    query = "SELECT DISTINCT function_name FROM duckdb_functions() WHERE stability != 'CONSISTENT'"
    return {str(name) for (name,) in connection.execute(query).fetchall()}


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
