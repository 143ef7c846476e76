"""A person's own CSV files: what can be read off them, and the datasets that this makes.

Nothing is guessed that the files do not say: types are those that fit every row, time slices come from the days in the
names of the files, or from the first column of dates or times.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from tradewind.errors import UsageError
from tradewind.lake.database import connect, literal, literals, quoted

if TYPE_CHECKING:
    import duckdb

# A day in a file's name, and how the YAML spells it; eight digits only where no other digit is near.
_DAYS = (
    (re.compile(r"\d{4}-\d\d-\d\d"), "%Y-%m-%d", "{day}"),
    (re.compile(r"(?<!\d)(?:19|20)\d{6}(?!\d)"), "%Y%m%d", "{day:%Y%m%d}"),
)
# Spellings of a missing value that turn a column of text into one of numbers or times.
_NULLS = ("NA", "N/A", "NULL", "null", "NaN", "None", "-")
# What YAML reads as something else than text.
_NO_TEXT = ("y", "n", "yes", "no", "on", "off", "true", "false", "null")
_TIMES = ("TIMESTAMP WITH TIME ZONE", "TIMESTAMP", "DATE")


@dataclass(frozen=True, slots=True)
class OwnFile:
    """One kind of CSV file.

    :param name: of the dataset
    :param pattern: as the YAML names the files
    :param columns: DuckDB type of each column, in the order of the file
    :param delimiter: between two values
    :param nulls: spellings of a missing value that occur
    :param time: column that cuts one file into partitions; None if the files are cut already, or nothing tells
    :param first: first day that is there
    :param last: last day that is there
    """

    name: str
    pattern: str
    columns: dict[str, str]
    delimiter: str
    nulls: tuple[str, ...]
    time: str | None
    first: date | None
    last: date | None


def look_at(path: Path, timezone: str) -> OwnFile:
    """Read a CSV file once, and the names of those beside it that differ in the day only.

    :param timezone: in which days begin
    :raises UsageError: it is no CSV file with a header
    """
    # Links stay as they are, but `..` behind one leads elsewhere than it looks.
    path = path.resolve() if ".." in path.parts else path.absolute()
    found = _sniff(path)
    for day, spelling, placeholder in _DAYS:
        if (there := day.search(path.name)) and _day(there[0], spelling):
            before, after = path.name[: there.start()], path.name[there.end() :]
            days = sorted(_days(path.parent, f"{re.escape(before)}({day.pattern}){re.escape(after)}", spelling))
            pattern = str(path.parent / f"{before}{placeholder}{after}")
            return replace(found, pattern=pattern, time=None, first=days[0], last=days[-1])
    return found if found.time is None else _with_range(found, path, timezone)


def _days(folder: Path, pattern: str, spelling: str) -> list[date]:
    names = (re.fullmatch(pattern, each.name) for each in folder.iterdir())
    return [day for name in names if name and (day := _day(name[1], spelling))]


def _day(text: str, spelling: str) -> date | None:
    try:
        return datetime.strptime(text, spelling).date()
    except ValueError:
        return None


def _sniff(path: Path) -> OwnFile:
    import duckdb

    connection = connect()
    try:
        best = _described(connection, path, ())
        nulls: tuple[str, ...] = ()
        for spelling in _NULLS:
            tried = _described(connection, path, (*nulls, spelling))
            if any(kind != "VARCHAR" and best[name] == "VARCHAR" for name, kind in tried.items() if name in best):
                best, nulls = tried, (*nulls, spelling)
        delimiter, header = connection.sql(
            f"SELECT Delimiter, HasHeader FROM sniff_csv({literal(str(path))}, sample_size = -1)"
        ).fetchall()[0]
    except duckdb.Error as exc:
        raise UsageError(f"{path} cannot be read as CSV: {str(exc).splitlines()[0]}") from exc
    finally:
        connection.close()
    if not best or not path.stat().st_size:
        raise UsageError(f"{path} is empty; take a file with a header and some rows")
    if not header:
        raise UsageError(f"{path}: the first line does not look like a header; give every column a name there")
    time = next((name for kind in _TIMES for name, found in best.items() if found == kind), None)
    return OwnFile(_name(path), str(path), best, delimiter, nulls, time, None, None)


def _described(connection: duckdb.DuckDBPyConnection, path: Path, nulls: Sequence[str]) -> dict[str, str]:
    rows = connection.sql(f"DESCRIBE SELECT * FROM {_read(path, nulls)}").fetchall()
    return {str(name): str(kind) for name, kind, *_ in rows}


def _read(path: Path, nulls: Sequence[str]) -> str:
    options = f"sample_size = -1, hive_partitioning = false, nullstr = {literals(['', *nulls])}"
    return f"read_csv({literal(str(path))}, {options})"


def _with_range(found: OwnFile, path: Path, timezone: str) -> OwnFile:
    assert found.time is not None
    connection = connect()
    try:
        time = quoted(found.time)
        if found.columns[found.time] == "TIMESTAMP WITH TIME ZONE":
            time = f"({time} AT TIME ZONE {literal(timezone)})"
        rows = connection.sql(f"SELECT min({time})::DATE, max({time})::DATE FROM {_read(path, found.nulls)}").fetchall()
    finally:
        connection.close()
    first, last = rows[0]
    return replace(found, first=first, last=last)


def _name(path: Path) -> str:
    """The file's name as the name of a dataset."""
    plain = path.name.split(".")[0]
    for day, _, _ in _DAYS:
        plain = day.sub("", plain)
    words = re.findall(r"[a-z0-9]+", plain.lower())
    name = "_".join(words) or path.parent.name.lower()
    name = re.sub(r"[^a-z0-9]+", "_", name).strip("_") or "rows"
    return name if name[0].isalpha() else f"data_{name}"


def as_yaml(own: OwnFile, pipeline: str) -> str:
    """The dataset as lines of the YAML, two spaces in."""
    columns = ",\n         ".join(_wrapped([f"{_key(name)}: {_typed(kind)}" for name, kind in own.columns.items()]))
    lines = [f"  {own.name}:", "    source:", f"      files: {_text(own.pattern)}"]
    if own.time:
        lines.append(
            "      # One file for all partitions: each reads it whole, and its SQL takes the rows of its own day."
        )
    if own.delimiter != ",":
        lines.append(f"      delimiter: {_text(own.delimiter)}")
    if own.nulls:
        lines.append(f"      nulls: [{', '.join(_text(null) for null in own.nulls)}]")
    lines += ["      # As read off the file. NOT NULL behind a type makes rows without a value malformed."]
    lines += ["      columns:", f"        {{{columns}}}"]
    lines += [f"    sql: include/{pipeline}/sql/{own.name}.sql"]
    lines += [
        "    # Columns that together name a row; a duplicate is an error.",
        f"    # keys: [{_key(next(iter(own.columns)))}]",
    ]
    lines += [f"    expectations: include/{pipeline}/expectations/{own.name}.json"]
    return "\n".join(lines)


def as_sql(own: OwnFile, timezone: str) -> str:
    """One SELECT of all columns, each as the lake can hold it."""
    lines = [_selected(name, kind, timezone) for name, kind in own.columns.items()]
    zone = f" Times that do not say their zone are taken for {timezone}." if "TIMESTAMP" in own.columns.values() else ""
    text = f"-- One row a line of the file.{zone}\nSELECT\n    " + ",\n    ".join(lines) + "\nFROM source\n"
    if own.time:
        moment = _instant(own.time, own.columns[own.time], timezone)
        text += f"WHERE {moment} >= $partition_start AND {moment} < $partition_end\n"
    return text


def days_of(files: Sequence[OwnFile]) -> tuple[date, date] | None:
    """First and last day that any of the files has; None if none tells."""
    firsts, lasts = [f.first for f in files if f.first], [f.last for f in files if f.last]
    return (min(firsts), max(lasts) + timedelta(days=1)) if firsts and lasts else None


def _selected(name: str, kind: str, timezone: str) -> str:
    column = _written(name)
    if kind == "TIMESTAMP":
        return f"{column} AT TIME ZONE {literal(timezone)} AS {column}"
    if kind == "TIME":
        return f"{column}::VARCHAR AS {column}"
    return column


def _instant(name: str, kind: str, timezone: str) -> str:
    column = _written(name)
    if kind == "TIMESTAMP WITH TIME ZONE":
        return f"source.{column}"
    return f"source.{column}::TIMESTAMP AT TIME ZONE {literal(timezone)}"


def _written(name: str) -> str:
    """A column as SQL wants it written: in quotes only where it must be."""
    connection = connect()
    try:
        words = connection.sql("SELECT keyword_name FROM duckdb_keywords() WHERE keyword_category <> 'unreserved'")
        taken = {row[0] for row in words.fetchall()}
    finally:
        connection.close()
    plain = re.fullmatch(r"[a-z_][a-z0-9_]*", name) and name not in taken
    return name if plain else quoted(name)


def _typed(kind: str) -> str:
    return kind.replace("TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ")


def _key(name: str) -> str:
    plain = re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) and name.lower() not in _NO_TEXT
    return name if plain else _text(name)


def _text(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _wrapped(parts: Sequence[str]) -> list[str]:
    """Joined by commas, so that a line stays readable."""
    lines, line = [], ""
    for part in parts:
        if line and len(line) + len(part) > 95:
            lines.append(line)
            line = part
        else:
            line = f"{line}, {part}" if line else part
    return [*lines, line]
