"""Which Arrow types the lake holds, and how rows are brought to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tradewind.errors import UsageError

if TYPE_CHECKING:
    import pyarrow as pa

PARTITION = "partition"


def lake_schema(schema: pa.Schema, *, what: str) -> pa.Schema:
    """The schema that rows of ``schema`` have in the lake.

    Instants become ``timestamp[us, tz=UTC]``; every column may hold NULL.

    :param what: the dataset and partition, for the error
    :raises UsageError: a column that the lake cannot hold, or a timestamp that does not say its zone
    """
    import pyarrow as pa

    if PARTITION in schema.names:
        raise UsageError(
            f"{what}: the column `{PARTITION}` belongs to the lake; leave it out (SELECT * EXCLUDE ({PARTITION}))"
        )
    twice = sorted({name for name in schema.names if schema.names.count(name) > 1})
    if twice:
        raise UsageError(f"{what}: columns of the same name: {', '.join(twice)}; give each its own")
    return pa.schema([pa.field(f.name, _lake_type(f.type, f"{what}: column {f.name}")) for f in schema])


def schema_differences(ours: pa.Schema, table: pa.Schema, *, take_new: bool = False) -> list[str]:
    """In words, how two schemas differ by column name and type; the order of columns does not count.

    :param take_new: columns that the table does not have are no difference
    """
    left, right = _types(ours), _types(table)
    words = [f"`{n}` is {left[n]} here and {right[n]} in the table" for n in left if n in right and left[n] != right[n]]
    words += [f"`{n}` ({left[n]}) is not in the table" for n in left if n not in right and not take_new]
    return words + [f"`{n}` ({right[n]}) is only in the table" for n in right if n not in left]


def extended_schema(table: pa.Schema, ours: pa.Schema) -> pa.Schema:
    """The table's columns and, behind them, those that only ``ours`` has."""
    for field in ours:
        if field.name not in table.names:
            table = table.append(field)
    return table


def _types(schema: pa.Schema) -> Mapping[str, str]:
    return {f.name: str(f.type) for f in schema if f.name != PARTITION}


def _lake_type(kind: pa.DataType, what: str) -> pa.DataType:
    import pyarrow as pa

    types = pa.types
    if types.is_timestamp(kind):
        if kind.tz is None:
            column = what.rsplit(" ", 1)[-1]
            raise UsageError(f"{what} is a time without a zone; say which: {column} AT TIME ZONE 'America/New_York'")
        return pa.timestamp("us", "UTC")
    if types.is_dictionary(kind):
        return _lake_type(kind.value_type, what)
    if types.is_list(kind) or types.is_large_list(kind):
        return pa.list_(pa.field("element", _lake_type(kind.value_type, what)))
    if types.is_struct(kind):
        return pa.struct([pa.field(f.name, _lake_type(f.type, f"{what}.{f.name}")) for f in kind])
    if types.is_decimal128(kind):
        return kind
    held = _HELD.get(str(kind))
    if held is None:
        raise UsageError(f"{what} has the type {kind}, which a Delta table cannot hold; cast it")
    return pa.type_for_alias(held) if held != "decimal128(20, 0)" else pa.decimal128(20, 0)


# How Arrow types that are no instant and not nested are held: Delta knows no unsigned numbers and no half floats.
_HELD = {
    **{name: name for name in ("bool", "int8", "int16", "int32", "int64", "string", "binary", "date32[day]")},
    "float": "float32",
    "double": "float64",
    "halffloat": "float32",
    "date64[ms]": "date32",
    "uint8": "int16",
    "uint16": "int32",
    "uint32": "int64",
    "uint64": "decimal128(20, 0)",
    "large_string": "string",
    "string_view": "string",
    "large_binary": "binary",
    "binary_view": "binary",
}
