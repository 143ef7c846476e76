"""The SELECTs that read delivered files: strictly, so that a malformed row stops it, or row by row with the reason."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from tradewind.engine.database import quote_identifier, quote_string, quote_strings
from tradewind.sources.decompression import duckdb_compression
from tradewind.sources.delivered_columns import TEXT, WHOLE_NUMBERS, FileColumns
from tradewind.sources.fetched import Fetched
from tradewind.sources.text_records import LONGEST_LINE, LONGEST_ROW
from tradewind.spec.columns import DeclaredColumn
from tradewind.spec.sources import Source

MALFORMED = "a row is not as declared"
# A folder like `region=eu` says nothing of the rows: DuckDB would take it for a column, or put it in one's place.
_AS_IN_THE_FILE = "hive_partitioning = false"
_EXACT = 10**13  # up to here a DOUBLE holds every whole number, and tells it from one that has a thousandth more
INSTANT = "TIMESTAMP WITH TIME ZONE"
_ZONE = r"(?i):\d\d(\.\d+)?\s*(Z|UTC|[+-]\d\d(:?\d\d){0,2}|[a-z_]+(/[a-z_+-]+)+)\s*$"
"""What a time must end with to say its zone; a date alone would end with something like an offset."""
_ZONELESS = (
    "which does not say its zone: deliver it like 2013-01-28T05:00:00Z, or declare TIMESTAMP and name the zone in SQL "
    "(AT TIME ZONE)"
)
_OUTSIDE = "which is not in the years 1 to 9999"
_YEARS = {
    "DATE": ("0001-01-01", "9999-12-31"),
    INSTANT: ("0001-01-01 00:00:00+00", "9999-12-31 23:59:59.999999+00"),
    **dict.fromkeys(("TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS"), ("0001-01-01 00:00:00", "9999-12-31 23:59:59")),
    "TIMESTAMP_NS": ("1678-01-01 00:00:00", "2262-01-01 00:00:00"),
}
_BITS = {"TINYINT": 8, "SMALLINT": 16, "INTEGER": 32, "BIGINT": 64, "HUGEINT": 128}


@dataclass(frozen=True, slots=True)
class ViewShape:
    """What a view of a delivery looks like.

    :param columns: those that SQL sees
    :param found: columns of each file; of JSON lines of all together
    """

    columns: Sequence[DeclaredColumn]
    found: Sequence[FileColumns]


def strict_select(source: Source, fetched: Fetched, shape: ViewShape, *, large: bool = False) -> str:
    """A SELECT that fails on the first malformed row, also where the column is not read that is malformed.

    :param large: whole numbers in CSV may have more than 13 digits, which takes longer to read
    """
    if fetched.format == "jsonl":
        return _json_select(source, fetched, shape)
    groups: dict[tuple[str, ...], list[Path]] = {}
    for path, found in zip(fetched.paths, shape.found, strict=True):
        groups.setdefault((duckdb_compression(path), *found.kinds), []).append(path)
    if fetched.format == "parquet":
        return " UNION ALL ".join(_parquet_select(paths, key[1:], shape.columns) for key, paths in groups.items())
    return " UNION ALL ".join(
        _csv_select(paths, key[1:], fetched, shape.columns, large=large) for key, paths in groups.items()
    )


def text_reasons(columns: Sequence[DeclaredColumn]) -> str:
    """An expression over columns of text: what is malformed in a row, NULL if nothing is."""
    parts = ", ".join(_malformed_reason(column) for column in columns)
    return f"nullif(concat_ws('; ', {parts}), '')"


def typed_values(columns: Sequence[DeclaredColumn]) -> str:
    """Columns of text as what they are declared to be."""
    return ", ".join(
        f"CAST({quote_identifier(column.name)} AS {column.kind}) AS {quote_identifier(column.name)}"
        for column in columns
    )


def json_fields(columns: Sequence[DeclaredColumn], line: str) -> str:
    """A struct of all columns as text, of one JSON line."""
    kinds = ", ".join(f'{_json_name(column.name)}: "{"JSON" if is_nested(column) else TEXT}"' for column in columns)
    return f"json_transform({line}, {quote_string(f'{{{kinds}}}')})"


def typed_reasons(columns: Sequence[DeclaredColumn]) -> str:
    """An expression over typed columns: what is malformed in a row, NULL if nothing is."""
    parts = [
        f"CASE WHEN {quote_identifier(column.name)} IS NULL THEN {quote_string(_null_reason(column))} END"
        for column in columns
        if column.required
    ]
    parts += [
        f"CASE WHEN {beyond} THEN {_reason_with_value(column, _OUTSIDE)} END"
        for column in columns
        if (beyond := _time_out_of_range(column))
    ]
    return f"nullif(concat_ws('; ', {', '.join(parts) or 'NULL'}), '')"


def is_nested(column: DeclaredColumn) -> bool:
    """Whether it has lists, structs or maps, which are read from JSON."""
    return column.kind.endswith("]") or column.kind.startswith(("STRUCT(", "MAP(", "UNION(", "JSON"))


def _csv_select(
    paths: Sequence[Path], names: Sequence[str], fetched: Fetched, columns: Sequence[DeclaredColumn], *, large: bool
) -> str:
    read_as = {column.name: _csv_read_type(column, large=large) for column in columns}
    there = [column for column in columns if column.name in names]
    types = ", ".join(f"{quote_string(name)}: {quote_string(read_as[name])}" for name in names)
    read = (
        f"read_csv({quote_strings(path.absolute() for path in paths)}, columns = {{{types}}}, auto_detect = false, "
        f"header = true, strict_mode = true, max_line_size = {LONGEST_ROW}, "
        f"nullstr = {quote_strings(['', *fetched.nulls])}, delim = {quote_string(fetched.delimiter)}, "
        f"quote = '\"', escape = '\"', {_AS_IN_THE_FILE}, "
        f"compression = '{duckdb_compression(paths[0])}')"
    )
    # The reader converts the columns that are named: a malformed value counts also where the user's SQL leaves it out.
    unread = " AND ".join(f"{quote_identifier(name)} IS NULL" for name in names)
    wrong = [
        *_null_conditions(columns),
        *(_not_whole_condition(column, read_as[column.name]) for column in there),
        *(f"NOT {_says_zone(column)}" for column in there if column.kind == INSTANT),
        *(_time_out_of_range(column) for column in there),
    ]
    return (
        f"SELECT {cast_columns(columns, names)} FROM {read} "
        f"WHERE {_fail_if_any([each for each in wrong if each])} AND (NOT ({unread}) OR random() >= 0)"
    )


def _csv_read_type(column: DeclaredColumn, *, large: bool) -> str:
    """The type that a CSV column is read as: one that keeps a fraction where a whole number is declared.

    Read as what it is declared to be, 1.5 would silently become 2.
    """
    if column.kind == INSTANT:
        return TEXT
    if column.kind not in WHOLE_NUMBERS:
        return column.kind
    return TEXT if large else "DOUBLE"


def _not_whole_condition(column: DeclaredColumn, read_as: str) -> str:
    """A condition that a number is not whole or not in its type's range; nothing if there is none to check."""
    name = quote_identifier(column.name)
    if read_as == column.kind:
        return ""
    if read_as == TEXT:
        return f"{_malformed_reason(column)} IS NOT NULL"
    bits, unsigned = _BITS[column.kind.removeprefix("U")], column.kind.startswith("U")
    low, high = (0, 2**bits - 1) if unsigned else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    return f"{name} <> trunc({name}) OR {name} NOT BETWEEN {max(low, -_EXACT)} AND {min(high, _EXACT)}"


def _parquet_select(paths: Sequence[Path], names: Sequence[str], columns: Sequence[DeclaredColumn]) -> str:
    read = f"read_parquet({quote_strings(path.absolute() for path in paths)}, {_AS_IN_THE_FILE})"
    # Looked at beside the rows: of those that the SQL's own conditions leave out, DuckDB would see nothing.
    wrong = [
        *_null_conditions(columns),
        *filter(None, (_time_out_of_range(column) for column in columns if column.name in names)),
    ]
    missing = f"SELECT {_fail_if_any(['count(*) > 0'])} FROM {read} WHERE {' OR '.join(wrong) or 'false'}"
    return f"SELECT {cast_columns(columns, names)} FROM {read} WHERE ({missing})"


def _null_conditions(columns: Sequence[DeclaredColumn]) -> list[str]:
    return [f"{quote_identifier(column.name)} IS NULL" for column in columns if column.required]


def _json_select(source: Source, fetched: Fetched, shape: ViewShape) -> str:
    lines = " UNION ALL ".join(
        f"SELECT json FROM read_json({quote_strings([path.absolute()])}, format = 'newline_delimited', "
        f"records = false, columns = {{'json': 'JSON'}}, maximum_object_size = {LONGEST_LINE}, {_AS_IN_THE_FILE}, "
        f"compression = '{duckdb_compression(path)}')"
        for path in fetched.paths
    )
    wrong = ["coalesce(json_type(json), '') <> 'OBJECT'"]
    if source.new_columns == "refuse":
        wrong.append(f"NOT list_has_all({quote_strings(column.name for column in shape.columns)}, json_keys(json))")
    wrong.append(f"{text_reasons(shape.columns)} IS NOT NULL")
    rows = f"SELECT json, {json_fields(shape.columns, 'json')} AS fields FROM ({lines})"
    rows = f"SELECT json, fields, unnest(fields) FROM ({rows})"
    # Nothing goes past what is random: the SQL's own conditions would come first, and ours see only what they leave.
    right_rows = f"SELECT CASE WHEN random() >= 0 THEN fields END AS fields FROM ({rows}) WHERE {_fail_if_any(wrong)}"
    return f"SELECT {typed_values(shape.columns)} FROM (SELECT unnest(fields) FROM ({right_rows}))"


def cast_columns(columns: Sequence[DeclaredColumn], names: Collection[str]) -> str:
    """Declared columns with their types; NULL in place of one that is not among ``names``."""
    quoted = {column.name: quote_identifier(column.name) for column in columns}
    return ", ".join(
        f"CAST({quoted[column.name] if column.name in names else 'NULL'} AS {column.kind}) AS {quoted[column.name]}"
        for column in columns
    )


def _fail_if_any(wrong: Sequence[str]) -> str:
    """A condition that is true, and fails for the first row of which something is ``wrong``."""
    return f"CASE WHEN {' OR '.join(wrong)} THEN error({quote_string(MALFORMED)}) ELSE true END" if wrong else "true"


def _reason_with_value(column: DeclaredColumn, flaw: str) -> str:
    """A reason in which the value stands."""
    shown = f"left(CAST({quote_identifier(column.name)} AS VARCHAR), 100)"
    return f"{quote_string(f'column {column.name!r} is ')} || '\"' || {shown} || '\"' || {quote_string(f', {flaw}')}"


def _time_out_of_range(column: DeclaredColumn) -> str:
    """A condition that a time is one that most programs cannot hold; nothing where the type cannot have such."""
    if column.kind not in _YEARS:
        return ""
    low, high = (f"CAST('{bound}' AS {column.kind})" for bound in _YEARS[column.kind])
    return f"CAST({quote_identifier(column.name)} AS {column.kind}) NOT BETWEEN {low} AND {high}"


def _says_zone(column: DeclaredColumn) -> str:
    return f"coalesce(regexp_matches({quote_identifier(column.name)}, {quote_string(_ZONE)}), true)"


def _malformed_reason(column: DeclaredColumn) -> str:
    name, kind = quote_identifier(column.name), column.kind
    missing = quote_string(_null_reason(column)) if column.required else "NULL"
    wrong = _reason_with_value(column, f"which is not of type {kind}")
    converted = f"TRY(CAST({name} AS {kind}))" if is_nested(column) else f"TRY_CAST({name} AS {kind})"
    cases = f"WHEN {name} IS NULL THEN {missing} WHEN {converted} IS NULL THEN {wrong}"
    if kind in WHOLE_NUMBERS:
        # DuckDB would round, also 1e-05, as it spells 0.00001 in JSON.
        others = (f"TRY_CAST({name} AS {other}) <> {converted}" for other in ("DOUBLE", "DECIMAL(38,9)"))
        cases += f" WHEN regexp_matches({name}, '[.eE]') AND ({' OR '.join(others)}) THEN {wrong}"
    if beyond := _time_out_of_range(column):
        cases += f" WHEN {beyond} THEN {_reason_with_value(column, _OUTSIDE)}"
    if kind == INSTANT:
        cases += f" WHEN NOT {_says_zone(column)} THEN {_reason_with_value(column, _ZONELESS)}"
    return f"CASE {cases} END"


def _null_reason(column: DeclaredColumn) -> str:
    return f"column {column.name!r} is NULL, but declared NOT NULL"


def _json_name(name: str) -> str:
    return json.dumps(name, ensure_ascii=False)
