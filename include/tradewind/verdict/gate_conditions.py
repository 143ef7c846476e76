"""Conditions: which test rows a gate's `where` speaks of, asked of a DuckDB that sees these rows and nothing else.

The label is not among the columns: which rows judge must not depend on how they turned out.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tradewind.engine.condition_sql import find_condition_flaw
from tradewind.engine.database import connect_duckdb, quote_identifier, restrict_access

if TYPE_CHECKING:
    import numpy.typing as npt
    import pyarrow as pa

log = logging.getLogger(__name__)

VIEW = "test"
"""What a subquery of a condition calls the test rows."""

_ROW = "__tradewind_row"


@dataclass(frozen=True, slots=True)
class ConditionMasks:
    """What the conditions say of the rows.

    :param fulfilled: by condition: which rows fulfil it; bool, shape (rows,)
    :param unknown: by condition: for how many rows it is NULL, which counts as not fulfilled; only where there are any
    :param absent: by condition: why it has no mask
    """

    fulfilled: Mapping[str, npt.NDArray[Any]]
    unknown: Mapping[str, int]
    absent: Mapping[str, str]


def evaluate_conditions(rows: pa.Table, conditions: Iterable[str]) -> ConditionMasks:
    """Ask each condition of each row.

    :param rows: the test rows without the label
    :return: a mask a condition, or why there is none: a condition that fails never stops the verdict
    """
    fulfilled: dict[str, npt.NDArray[Any]] = {}
    unknown: dict[str, int] = {}
    absent: dict[str, str] = {}
    for condition in dict.fromkeys(conditions):
        if (flaw := find_condition_flaw(rows.schema, condition, view=VIEW)) is not None:
            absent[condition] = f"the condition {condition!r} cannot be asked: {flaw.message}"
            continue
        try:
            answer = _evaluate_condition(rows, condition)
        except RuntimeError as exc:
            absent[condition] = f"the condition {condition!r} fails: {exc}"
            continue
        fulfilled[condition] = answer.fill_null(False).to_numpy(zero_copy_only=False)
        if answer.null_count:
            unknown[condition] = answer.null_count
    for why in absent.values():
        log.warning("%s", why)
    return ConditionMasks(fulfilled, unknown, absent)


def _evaluate_condition(rows: pa.Table, condition: str) -> pa.ChunkedArray:
    """True, false or NULL for each row, in the rows' order.

    :raises RuntimeError: DuckDB fails at it, or does not answer once for each row
    """
    import duckdb
    import numpy as np
    import pyarrow as pa

    connection = connect_duckdb()
    try:
        connection.register(VIEW, rows.append_column(_ROW, pa.array(np.arange(rows.num_rows))))
        restrict_access(connection)
        asked = f"SELECT {quote_identifier(_ROW)} AS row, ({condition}\n) AS fulfilled FROM {VIEW} ORDER BY 1"
        found = connection.sql(asked).to_arrow_table()
    except duckdb.Error as exc:
        raise RuntimeError(str(exc).strip().splitlines()[0]) from exc
    finally:
        connection.close()
    if found.num_rows != rows.num_rows:
        raise RuntimeError(f"{found.num_rows} answers for {rows.num_rows} rows")
    return found["fulfilled"]
