"""A person's own CSV files: what can be read off them, and the datasets that this makes.

Nothing is guessed that the files do not say: types are those that fit every row, partitions come from the hours, days,
weeks or months in the names of the files, or from the first column of times or dates.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from tradewind.engine.database import connect_duckdb, quote_identifier, quote_string, quote_strings
from tradewind.errors import UsageError
from tradewind.scaffold.column_facts import ColumnFacts, describe_columns, find_key
from tradewind.scaffold.file_periods import Periods, find_periods, strip_periods
from tradewind.spec.partitions import Kind

if TYPE_CHECKING:
    import duckdb

# Spellings of a missing value that turn a column of text into one of numbers or times.
_NULLS = ("NA", "N/A", "NULL", "null", "NaN", "None", "-")
# What YAML reads as something else than text.
_NO_TEXT = ("y", "n", "yes", "no", "on", "off", "true", "false", "null")
_MOST_FILES = 31  # the newest of them are read: enough for types, ranges and keys
_TIMES = ("TIMESTAMP WITH TIME ZONE", "TIMESTAMP", "DATE")


@dataclass(frozen=True, slots=True)
class OwnFile:
    """One kind of CSV file.

    :param name: of the dataset
    :param path: the file that was named
    :param columns: DuckDB type of each column, in the order of the file
    :param delimiter: between two values
    :param nulls: spellings of a missing value that occur
    :param time: first column of times, else of dates; None if there is none
    :param periods: the files beside it that differ in their period; None if its name has none
    :param span: first and last local time that the files are about; None if nothing tells
    :param facts: what the rows say of each column
    :param key: the columns that together name a row; empty if that cannot be told
    """

    name: str
    path: Path
    columns: dict[str, str]
    delimiter: str
    nulls: tuple[str, ...]
    time: str | None
    periods: Periods | None
    span: tuple[datetime, datetime] | None
    facts: Mapping[str, ColumnFacts]
    key: tuple[str, ...]

    @property
    def is_cut(self) -> bool:
        """Whether a partition's SQL has to take its own rows: the file holds those of all partitions."""
        return self.periods is None and self.time is not None


def inspect_csv(path: Path, timezone: str) -> OwnFile:
    """Read a CSV file, and those beside it whose names differ in the period only.

    :param timezone: of times that say none
    :raises UsageError: it is not a CSV file with a header
    """
    import duckdb

    # Links stay as they are, but `..` behind one leads elsewhere than it looks.
    path = path.resolve() if ".." in path.parts else path.absolute()
    periods = find_periods(path)
    files = periods.files[-_MOST_FILES:] if periods else (path,)
    connection = connect_duckdb()
    try:
        columns, nulls, delimiter = _sniff(connection, path, files)
        time = next((name for kind in _TIMES for name, found in columns.items() if found == kind), None)
        rows = _read_csv_sql(files, nulls)
        facts = describe_columns(connection, rows, columns)
        key = find_key(connection, rows, facts)
        span = (periods.begins[0], periods.end) if periods else None
        if span is None and time is not None:
            span = _find_time_span(connection, rows, time, columns[time], timezone)
    except duckdb.Error as exc:
        raise UsageError(f"{path} cannot be read as CSV: {str(exc).splitlines()[0]}") from exc
    finally:
        connection.close()
    return OwnFile(_dataset_name(path), path, columns, delimiter, nulls, time, periods, span, facts, key)


def _sniff(
    connection: duckdb.DuckDBPyConnection, path: Path, files: Sequence[Path]
) -> tuple[dict[str, str], tuple[str, ...], str]:  # fmt: skip
    """Types of the columns, spellings of a missing value, and what stands between two values."""
    if not path.stat().st_size:
        raise UsageError(f"{path} is empty; take a file with a header and some rows")
    best = _describe_columns(connection, files, ())
    nulls: tuple[str, ...] = ()
    for spelling in _NULLS:
        tried = _describe_columns(connection, files, (*nulls, spelling))
        if any(kind != "VARCHAR" and best[name] == "VARCHAR" for name, kind in tried.items() if name in best):
            best, nulls = tried, (*nulls, spelling)
    delimiter, header = connection.sql(
        f"SELECT Delimiter, HasHeader FROM sniff_csv({quote_string(str(path))}, sample_size = -1)"
    ).fetchall()[0]
    if not best:
        raise UsageError(f"{path} is empty; take a file with a header and some rows")
    if not header:
        raise UsageError(f"{path}: the first line does not look like a header; give every column a name there")
    return best, nulls, str(delimiter)


def _describe_columns(
    connection: duckdb.DuckDBPyConnection, files: Sequence[Path], nulls: Sequence[str]
) -> dict[str, str]:  # fmt: skip
    rows = connection.sql(f"DESCRIBE SELECT * FROM {_read_csv_sql(files, nulls)}").fetchall()
    return {str(name): str(kind) for name, kind, *_ in rows}


def _read_csv_sql(files: Sequence[Path], nulls: Sequence[str]) -> str:
    options = (
        f"sample_size = -1, hive_partitioning = false, union_by_name = true, nullstr = {quote_strings(['', *nulls])}"
    )
    return f"read_csv({quote_strings(files)}, {options})"


def _find_time_span(
    connection: duckdb.DuckDBPyConnection, rows: str, time: str, kind: str, timezone: str
) -> tuple[datetime, datetime] | None:  # fmt: skip
    column = quote_identifier(time)
    if kind == "TIMESTAMP WITH TIME ZONE":
        column = f"({column} AT TIME ZONE {quote_string(timezone)})"
    [(first, last)] = connection.sql(
        f"SELECT min({column})::TIMESTAMP, max({column})::TIMESTAMP FROM {rows}"
    ).fetchall()
    return None if first is None else (first, last + timedelta(microseconds=1))


def _dataset_name(path: Path) -> str:
    """The file's name as the name of a dataset."""
    plain = strip_periods(path.name.split(".")[0])
    words = re.findall(r"[a-z0-9]+", plain.lower())
    name = "_".join(words) or path.parent.name.lower()
    name = re.sub(r"[^a-z0-9]+", "_", name).strip("_") or "rows"
    return name if name[0].isalpha() else f"data_{name}"


def render_dataset_yaml(own: OwnFile, pipeline: str, kind: Kind) -> str:
    """The dataset as lines of the YAML, two spaces in."""
    key = f"keys: [{', '.join(map(_yaml_key, own.key or (next(iter(own.columns)),)))}]"
    lines = [f"  {own.name}:", "    source:", *source_yaml_lines(own, kind, indent=6)]
    lines += [f"    sql: include/{pipeline}/sql/{own.name}.sql"]
    lines += ["    # Columns that together name a row; a duplicate is an error."]
    lines += [f"    {key}" if own.key else f"    # {key}"]
    lines += [f"    expectations: include/{pipeline}/expectations/{own.name}.json"]
    return "\n".join(lines)


def source_yaml_lines(own: OwnFile, kind: Kind, *, indent: int) -> list[str]:
    """What the YAML says of the files and their columns."""
    pad = " " * indent
    lines = [f"{pad}files: {_yaml_text(own.periods.pattern_for(kind) if own.periods else str(own.path))}"]
    if own.is_cut:
        lines.append(f"{pad}# One file for all partitions: each reads it whole, and its SQL takes its own rows.")
    if own.delimiter != ",":
        lines.append(f"{pad}delimiter: {_yaml_text(own.delimiter)}")
    if own.nulls:
        lines.append(f"{pad}nulls: [{', '.join(_yaml_text(null) for null in own.nulls)}]")
    columns = _wrap_parts([f"{_yaml_key(name)}: {_type_name(kind)}" for name, kind in own.columns.items()])
    return [
        *lines,
        f"{pad}# As read off the files. NOT NULL behind a type makes rows without a value malformed.",
        f"{pad}columns:",
        *(f"{pad}  {line}" for line in ("{" + ",\n ".join(columns) + "}").splitlines()),
    ]


def render_dataset_sql(own: OwnFile, timezone: str, *, more: Sequence[str] = (), leave_out: str | None = None) -> str:
    """One SELECT of all columns, each as the lake can hold it.

    :param more: further columns, as SQL
    :param leave_out: a column that is not selected
    """
    lines = [_column_sql(name, found, timezone) for name, found in own.columns.items() if name != leave_out]
    zone = f" Times that do not say their zone are taken for {timezone}." if "TIMESTAMP" in own.columns.values() else ""
    text = f"-- One row a line of the file.{zone}\nSELECT\n    " + ",\n    ".join([*lines, *more]) + "\nFROM source\n"
    if own.is_cut and own.time is not None:
        moment = instant_sql(own.time, own.columns[own.time], timezone)
        text += f"WHERE {moment} >= $partition_start AND {moment} < $partition_end\n"
    return text


def _column_sql(name: str, kind: str, timezone: str) -> str:
    column = sql_identifier(name)
    if kind == "TIMESTAMP":
        return f"{column} AT TIME ZONE {quote_string(timezone)} AS {column}"
    if kind == "TIME":
        return f"{column}::VARCHAR AS {column}"
    return column


def instant_sql(name: str, kind: str, timezone: str) -> str:
    """SQL of the time with time zone that a column of times or dates says."""
    column = sql_identifier(name)
    if kind == "TIMESTAMP WITH TIME ZONE":
        return f"source.{column}"
    return f"source.{column}::TIMESTAMP AT TIME ZONE {quote_string(timezone)}"


def sql_identifier(name: str) -> str:
    """A column as SQL wants it written: in quotes only where it must be."""
    connection = connect_duckdb()
    try:
        words = connection.sql("SELECT keyword_name FROM duckdb_keywords() WHERE keyword_category <> 'unreserved'")
        taken = {row[0] for row in words.fetchall()}
    finally:
        connection.close()
    plain = re.fullmatch(r"[a-z_][a-z0-9_]*", name) and name not in taken
    return name if plain else quote_identifier(name)


def _type_name(kind: str) -> str:
    return kind.replace("TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ")


def _yaml_key(name: str) -> str:
    plain = re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) and name.lower() not in _NO_TEXT
    return name if plain else _yaml_text(name)


def _yaml_text(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _wrap_parts(parts: Sequence[str]) -> list[str]:
    """Joined by commas, so that a line stays readable."""
    lines, line = [], ""
    for part in parts:
        if line and len(line) + len(part) > 95:
            lines.append(line)
            line = part
        else:
            line = f"{line}, {part}" if line else part
    return [*lines, line]
