"""How values go into the ledger's tables and come out of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from tradewind.errors import TradewindError

if TYPE_CHECKING:
    from sqlalchemy import Connection, Table


def insert_new(connection: Connection, table: Table, values: Mapping[str, Any]) -> bool:
    """Insert one row; False, and nothing written, if a row with its unique key exists."""
    if connection.dialect.name == "sqlite":
        from sqlalchemy.dialects.sqlite import insert
    else:
        from sqlalchemy.dialects.postgresql import insert  # type: ignore[assignment]  # same methods, other class
    statement = insert(table).values(**values).on_conflict_do_nothing().returning(table.c.pipeline)
    return connection.execute(statement).first() is not None  # psycopg counts no rows here


def as_utc(instant: datetime) -> datetime:
    """The instant in UTC; SQLite returns times without a zone, and they were written in UTC."""
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)


def json_value(value: Any) -> Any:
    """``value`` in what JSON can hold: tuples become lists, numpy scalars numbers, NaN and infinities their names.

    :raises TradewindError: a value of a type that has no plain spelling
    """
    if isinstance(value, Mapping):
        return {str(key): json_value(part) for key, part in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        parts = [json_value(part) for part in value]
        return sorted(parts, key=str) if isinstance(value, set | frozenset) else parts
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(value)
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, date):
        return value.isoformat()
    if hasattr(value, "item"):
        return json_value(value.item())
    raise TradewindError(
        f"the ledger cannot hold a {type(value).__name__} as evidence ({value!r}); give a number or text"
    )
