"""The SELECTs that read delivered files: strictly, so that a malformed row stops it, or row by row with the reason."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tradewind.lake.database import literal, literals, quoted
from tradewind.sources.columns import TEXT, WHOLE_NUMBERS, Found
from tradewind.sources.fetched import Fetched
from tradewind.sources.opening import compression
from tradewind.sources.records import LONGEST_LINE, LONGEST_ROW
from tradewind.spec.columns import Column
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
class Shape:
    """What a view of a delivery looks like.

    :param columns: those that SQL sees
    :param found: columns of each file; of JSON lines of all together
    """

    columns: Sequence[Column]
    found: Sequence[Found]


def strict(source: Source, fetched: Fetched, shape: Shape, *, large: bool = False) -> str:
    """A SELECT that fails on the first malformed row, also where nobody reads the column that is malformed.

    :param large: whole numbers in CSV may have more than 13 digits, which takes longer to read
    """
    if fetched.format == "jsonl":
        return _json(source, fetched, shape)
    groups: dict[tuple[str, ...], list[Path]] = {}
    for path, found in zip(fetched.paths, shape.found, strict=True):
        groups.setdefault((compression(path), *found.kinds), []).append(path)
    if fetched.format == "parquet":
        return " UNION ALL ".join(_parquet(paths, key[1:], shape.columns) for key, paths in groups.items())
    return " UNION ALL ".join(
        _csv(paths, key[1:], fetched, shape.columns, large=large) for key, paths in groups.items()
    )


def reasons(columns: Sequence[Column]) -> str:
    """An expression over columns of text: what is malformed in a row, NULL if nothing is."""
    parts = ", ".join(_reason(column) for column in columns)
    return f"nullif(concat_ws('; ', {parts}), '')"


def values(columns: Sequence[Column]) -> str:
    """Columns of text as what they are declared to be."""
    return ", ".join(f"CAST({quoted(column.name)} AS {column.kind}) AS {quoted(column.name)}" for column in columns)


def fields(columns: Sequence[Column], line: str) -> str:
    """A struct of all columns as text, of one JSON line."""
    kinds = ", ".join(f'{_json_name(column.name)}: "{"JSON" if nested(column) else TEXT}"' for column in columns)
    return f"json_transform({line}, {literal(f'{{{kinds}}}')})"


def typed_reasons(columns: Sequence[Column]) -> str:
    """An expression over typed columns: what is malformed in a row, NULL if nothing is."""
    parts = [
        f"CASE WHEN {quoted(column.name)} IS NULL THEN {literal(_null_in(column))} END"
        for column in columns
        if column.required
    ]
    parts += [
        f"CASE WHEN {beyond} THEN {_shown(column, _OUTSIDE)} END" for column in columns if (beyond := _beyond(column))
    ]
    return f"nullif(concat_ws('; ', {', '.join(parts) or 'NULL'}), '')"


def nested(column: Column) -> bool:
    """Whether it has lists, structs or maps, which are read from JSON."""
    return column.kind.endswith("]") or column.kind.startswith(("STRUCT(", "MAP(", "UNION(", "JSON"))


def _csv(
    paths: Sequence[Path], names: Sequence[str], fetched: Fetched, columns: Sequence[Column], *, large: bool
) -> str:
    read_as = {column.name: _read_as(column, large=large) for column in columns}
    there = [column for column in columns if column.name in names]
    types = ", ".join(f"{literal(name)}: {literal(read_as[name])}" for name in names)
    read = (
        f"read_csv({literals(path.absolute() for path in paths)}, columns = {{{types}}}, auto_detect = false, "
        f"header = true, strict_mode = true, max_line_size = {LONGEST_ROW}, "
        f"nullstr = {literals(['', *fetched.nulls])}, delim = {literal(fetched.delimiter)}, "
        f"quote = '\"', escape = '\"', {_AS_IN_THE_FILE}, "
        f"compression = '{compression(paths[0])}')"
    )
    # The reader converts the columns that are named: a malformed value counts also where the user's SQL leaves it out.
    unread = " AND ".join(f"{quoted(name)} IS NULL" for name in names)
    wrong = [
        *_missing(columns),
        *(_not_whole(column, read_as[column.name]) for column in there),
        *(f"NOT {_says_zone(column)}" for column in there if column.kind == INSTANT),
        *(_beyond(column) for column in there),
    ]
    return (
        f"SELECT {_chosen(columns, names)} FROM {read} "
        f"WHERE {_unless([each for each in wrong if each])} AND (NOT ({unread}) OR random() >= 0)"
    )


def _read_as(column: Column, *, large: bool) -> str:
    """The type that a CSV column is read as: one that keeps a fraction where a whole number is declared.

    Read as what it is declared to be, 1.5 would silently become 2.
    """
    if column.kind == INSTANT:
        return TEXT
    if column.kind not in WHOLE_NUMBERS:
        return column.kind
    return TEXT if large else "DOUBLE"


def _not_whole(column: Column, read_as: str) -> str:
    """A condition that a number is not whole or not in its type's range; nothing if there is none to check."""
    name = quoted(column.name)
    if read_as == column.kind:
        return ""
    if read_as == TEXT:
        return f"{_reason(column)} IS NOT NULL"
    bits, unsigned = _BITS[column.kind.removeprefix("U")], column.kind.startswith("U")
    low, high = (0, 2**bits - 1) if unsigned else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    return f"{name} <> trunc({name}) OR {name} NOT BETWEEN {max(low, -_EXACT)} AND {min(high, _EXACT)}"


def _parquet(paths: Sequence[Path], names: Sequence[str], columns: Sequence[Column]) -> str:
    read = f"read_parquet({literals(path.absolute() for path in paths)}, {_AS_IN_THE_FILE})"
    # Looked at beside the rows: of those that the SQL's own conditions leave out, DuckDB would see nothing.
    wrong = [*_missing(columns), *filter(None, (_beyond(column) for column in columns if column.name in names))]
    missing = f"SELECT {_unless(['count(*) > 0'])} FROM {read} WHERE {' OR '.join(wrong) or 'false'}"
    return f"SELECT {_chosen(columns, names)} FROM {read} WHERE ({missing})"


def _missing(columns: Sequence[Column]) -> list[str]:
    return [f"{quoted(column.name)} IS NULL" for column in columns if column.required]


def _json(source: Source, fetched: Fetched, shape: Shape) -> str:
    lines = " UNION ALL ".join(
        f"SELECT json FROM read_json({literals([path.absolute()])}, format = 'newline_delimited', records = false, "
        f"columns = {{'json': 'JSON'}}, maximum_object_size = {LONGEST_LINE}, {_AS_IN_THE_FILE}, "
        f"compression = '{compression(path)}')"
        for path in fetched.paths
    )
    wrong = ["coalesce(json_type(json), '') <> 'OBJECT'"]
    if source.new_columns == "refuse":
        wrong.append(f"NOT list_has_all({literals(column.name for column in shape.columns)}, json_keys(json))")
    wrong.append(f"{reasons(shape.columns)} IS NOT NULL")
    rows = f"SELECT json, {fields(shape.columns, 'json')} AS fields FROM ({lines})"
    rows = f"SELECT json, fields, unnest(fields) FROM ({rows})"
    # Nothing goes past what is random: the SQL's own conditions would come first, and ours see only what they leave.
    right_rows = f"SELECT CASE WHEN random() >= 0 THEN fields END AS fields FROM ({rows}) WHERE {_unless(wrong)}"
    return f"SELECT {values(shape.columns)} FROM (SELECT unnest(fields) FROM ({right_rows}))"


def _chosen(columns: Sequence[Column], names: Sequence[str]) -> str:
    return ", ".join(
        f"CAST({quoted(column.name) if column.name in names else 'NULL'} AS {column.kind}) AS {quoted(column.name)}"
        for column in columns
    )


def _unless(wrong: Sequence[str]) -> str:
    """A condition that is true, and fails for the first row of which something is ``wrong``."""
    return f"CASE WHEN {' OR '.join(wrong)} THEN error({literal(MALFORMED)}) ELSE true END" if wrong else "true"


def _shown(column: Column, flaw: str) -> str:
    """A reason in which the value stands."""
    shown = f"left(CAST({quoted(column.name)} AS VARCHAR), 100)"
    return f"{literal(f'column {column.name!r} is ')} || '\"' || {shown} || '\"' || {literal(f', {flaw}')}"


def _beyond(column: Column) -> str:
    """A condition that a time is one that most programs cannot hold; nothing where the type cannot have such."""
    if column.kind not in _YEARS:
        return ""
    low, high = (f"CAST('{bound}' AS {column.kind})" for bound in _YEARS[column.kind])
    return f"CAST({quoted(column.name)} AS {column.kind}) NOT BETWEEN {low} AND {high}"


def _says_zone(column: Column) -> str:
    return f"coalesce(regexp_matches({quoted(column.name)}, {literal(_ZONE)}), true)"


def _reason(column: Column) -> str:
    name, kind = quoted(column.name), column.kind
    missing = literal(_null_in(column)) if column.required else "NULL"
    wrong = _shown(column, f"which is no {kind}")
    converted = f"TRY(CAST({name} AS {kind}))" if nested(column) else f"TRY_CAST({name} AS {kind})"
    cases = f"WHEN {name} IS NULL THEN {missing} WHEN {converted} IS NULL THEN {wrong}"
    if kind in WHOLE_NUMBERS:
        # DuckDB would round, also 1e-05, as it spells 0.00001 in JSON.
        others = (f"TRY_CAST({name} AS {other}) <> {converted}" for other in ("DOUBLE", "DECIMAL(38,9)"))
        cases += f" WHEN regexp_matches({name}, '[.eE]') AND ({' OR '.join(others)}) THEN {wrong}"
    if beyond := _beyond(column):
        cases += f" WHEN {beyond} THEN {_shown(column, _OUTSIDE)}"
    if kind == INSTANT:
        cases += f" WHEN NOT {_says_zone(column)} THEN {_shown(column, _ZONELESS)}"
    return f"CASE {cases} END"


def _null_in(column: Column) -> str:
    return f"column {column.name!r} is NULL, but declared NOT NULL"


def _json_name(name: str) -> str:
    return json.dumps(name, ensure_ascii=False)
