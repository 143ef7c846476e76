"""What a database's driver hands out, row by row, as Arrow."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from tradewind.errors import MalformedInput

if TYPE_CHECKING:
    import pyarrow as pa

# PostgreSQL's numbers of its own types; they never change. What is not here comes as text.
_POSTGRES = {
    16: "bool", 17: "binary", 20: "int64", 21: "int16", 23: "int32", 26: "int64",
    700: "float", 701: "double", 1082: "date32",
}  # fmt: skip
_POSTGRES_LISTS = {1000: "bool", 1005: "int16", 1007: "int32", 1016: "int64", 1021: "float", 1022: "double",
                   1009: "string", 1015: "string"}  # fmt: skip
_NUMERIC, _TIME, _TIMESTAMP, _TIMESTAMPTZ = 1700, 1083, 1114, 1184
WIDEST = (38, 18)
"""Digits and decimals of a number whose type does not say how many it has, like PostgreSQL's `sum`."""


def postgres_schema(description: Sequence[Any], *, declared: Mapping[str, pa.DataType]) -> pa.Schema:
    """Arrow types of what a PostgreSQL cursor describes; no row is looked at.

    :param declared: Arrow types of columns that the YAML declares; they count where the database's type is
        `numeric` without digits
    """
    import pyarrow as pa

    return pa.schema([(column[0], _postgres_type(column, declared.get(column[0]))) for column in description])


def infer_schema(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> pa.Schema:
    """Arrow types by the first rows, for a driver that does not say types: of each column by its first value.

    A column without one is text; whole numbers are 64 bits, decimals have :data:`WIDEST`.
    """
    import pyarrow as pa

    firsts = [next((value for value in column if value is not None), None) for column in zip(*rows, strict=True)]
    kinds = [_type_from_value(value, column) for value, column in zip(firsts, zip(*rows, strict=True), strict=True)]
    return pa.schema(list(zip(names, kinds, strict=True)))


def rows_to_batch(rows: Sequence[Sequence[Any]], schema: pa.Schema, *, first: int, what: str) -> pa.RecordBatch:
    """Rows as Arrow.

    :param first: number of the first of them, from 1
    :param what: where they come from, for messages
    :raises MalformedInput: a value does not fit its column; names the column and the row
    """
    import pyarrow as pa

    columns = []
    for values, field in zip(zip(*rows, strict=True), schema, strict=True):
        fitting = _convert_values(values, field.type)
        try:
            columns.append(pa.array(fitting, field.type))
        except (pa.ArrowException, ValueError, TypeError, OverflowError) as exc:
            number, why = _find_misfit(fitting, field.type)
            raise MalformedInput(
                f"{what}, row {first + number}: column {field.name} is {field.type}, and this does not fit: {why}. "
                "Cast it in the query, or declare it in `columns`"
            ) from exc
    return pa.record_batch(columns, schema=schema)


def to_json_value(value: Any) -> Any:
    """A value as JSON has it; what JSON does not know is text as DuckDB reads it."""
    if isinstance(value, float) and not -float("inf") < value < float("inf"):
        return str(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return "".join(f"\\x{byte:02X}" for byte in bytes(value))
    return _text(value)


def _postgres_type(column: Any, declared: pa.DataType | None) -> pa.DataType:
    import pyarrow as pa

    code = column[1]
    if code == _NUMERIC:
        digits, decimals = column[4], column[5]
        if digits and digits <= 38 and decimals is not None and 0 <= decimals <= digits:
            return pa.decimal128(digits, decimals)
        numeric = declared is not None and (
            pa.types.is_decimal(declared) or pa.types.is_floating(declared) or pa.types.is_integer(declared)
        )
        return declared if numeric else pa.decimal128(*WIDEST)
    if code in _POSTGRES_LISTS:
        return pa.list_(pa.type_for_alias(_POSTGRES_LISTS[code]))
    special = {_TIME: pa.time64("us"), _TIMESTAMP: pa.timestamp("us"), _TIMESTAMPTZ: pa.timestamp("us", "UTC")}
    return special.get(code) or pa.type_for_alias(_POSTGRES.get(code, "string"))


def _type_from_value(value: Any, column: Sequence[Any]) -> pa.DataType:
    import pyarrow as pa

    if isinstance(value, bool):
        return pa.bool_()
    if isinstance(value, int):
        return pa.float64() if any(isinstance(other, float) for other in column) else pa.int64()
    if isinstance(value, datetime):
        return pa.timestamp("us", "UTC" if value.tzinfo else None)
    kinds = {
        float: pa.float64(), Decimal: pa.decimal128(*WIDEST), date: pa.date32(), time: pa.time64("us"),
        bytes: pa.binary(), bytearray: pa.binary(), memoryview: pa.binary(),
    }  # fmt: skip
    return next((kind for known, kind in kinds.items() if isinstance(value, known)), pa.string())


def _convert_values(values: Sequence[Any], kind: pa.DataType) -> Sequence[Any]:
    """Values as Arrow takes them for this type, where it does not by itself and nothing is lost."""
    import pyarrow as pa

    if pa.types.is_string(kind):
        return [value if value is None or isinstance(value, str) else _text(value) for value in values]
    if pa.types.is_floating(kind):
        return [float(value) if isinstance(value, Decimal) else value for value in values]
    if pa.types.is_integer(kind):
        return [
            int(value)
            if isinstance(value, Decimal) and value.is_finite() and value == value.to_integral_value()
            else value
            for value in values
        ]
    return values


def _text(value: Any) -> str:
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, datetime):
        return value.isoformat(" ")
    if isinstance(value, uuid.UUID | date | time | Decimal):
        return str(value)
    if isinstance(value, bytes | bytearray | memoryview):
        raise TypeError(f"bytes are no text: {bytes(value)[:40]!r}")
    return str(value)


def _find_misfit(values: Sequence[Any], kind: pa.DataType) -> tuple[int, str]:
    """Which value it was, and what Arrow says of it alone."""
    import pyarrow as pa

    for number, value in enumerate(values):
        try:
            pa.array([value], kind)
        except (pa.ArrowException, ValueError, TypeError, OverflowError) as exc:
            return number, f"{str(value)[:80]!r} ({exc})"
    return 0, "its values together"
