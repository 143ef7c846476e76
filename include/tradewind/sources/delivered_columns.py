"""The columns of a delivery: those that the YAML declares against those that the files have."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tradewind.engine.database import connect_duckdb
from tradewind.errors import MalformedInput, SpecError
from tradewind.spec.columns import DeclaredColumn, declared_columns
from tradewind.spec.sources import Source

TEXT = "VARCHAR"
_SHOWN = 50
_WHOLE = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT")
_UNSIGNED = ("UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT")
_LADDERS = (
    _WHOLE,
    _UNSIGNED,
    *((*_UNSIGNED[:rung], *_WHOLE[rung:]) for rung in range(1, 4)),
    ("FLOAT", "DOUBLE"),
    ("TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP"),
)
"""Each type holds every value of those before it."""
WHOLE_NUMBERS = frozenset({*_WHOLE, *_UNSIGNED})


@dataclass(frozen=True, slots=True)
class FileColumns:
    """Columns of one file.

    :param name: what messages call the file
    :param kinds: DuckDB type of each column in the file's order; None where text becomes what is declared
    """

    name: str
    kinds: Mapping[str, str | None]


def agree_columns(source: Source, files: Sequence[FileColumns]) -> list[DeclaredColumn]:
    """The columns that SQL sees: those declared or, without any, those of the first file; then new ones if taken.

    :param files: what is found in each file
    :return: with types in DuckDB's own spelling
    :raises SpecError: there is no such type
    :raises MalformedInput: a column is missing, is not declared, or is of another type; names file and both sides
    """
    known = _with_duckdb_types(declared_columns(source.columns)) or {
        name: _column_as_delivered(name, kind) for name, kind in files[0].kinds.items()
    }
    new: dict[str, DeclaredColumn] = {}
    for file in files:
        missing = [name for name in known if name not in file.kinds]
        extra = [name for name in file.kinds if name not in known]
        refuses = source.new_columns == "refuse"
        if (missing and (source.columns or refuses)) or (extra and refuses):
            raise MalformedInput(
                f"{file.name}: {_describe_difference(source, missing, extra, list(known), list(file.kinds))}"
            )
        for name in extra:
            new.setdefault(name, _column_as_delivered(name, file.kinds[name]))
        _check_types(file, {**known, **new}, source.columns)
    return [*known.values(), *new.values()]


def type_fits(found: str, kind: str) -> bool:
    """Whether every value of the type ``found`` is a value of ``kind``; both in DuckDB's spelling."""
    if found == kind or (found.startswith("ENUM(") and kind == TEXT):
        return True
    if any(found in ladder and kind in ladder[ladder.index(found) :] for ladder in _LADDERS):
        return True
    ours, theirs = (re.fullmatch(r"DECIMAL\((\d+),(\d+)\)", each) for each in (kind, found))
    if ours and theirs:
        return int(theirs[2]) <= int(ours[2]) and int(theirs[1]) - int(theirs[2]) <= int(ours[1]) - int(ours[2])
    return False


def _column_as_delivered(name: str, kind: str | None) -> DeclaredColumn:
    return DeclaredColumn(name, kind or TEXT)


def _describe_difference(
    source: Source, missing: list[str], extra: list[str], known: list[str], found: list[str]
) -> str:
    words = [f"there is no column {shortened_names([*map(repr, missing)])}"] if missing else []
    side = "which `columns` does not name" if source.columns else "which the first file does not have"
    words += [f"there is {shortened_names([*map(repr, extra)])}, {side}"] if extra else []
    hint = " (`new_columns: take` would take it)" if extra and not missing else ""
    expected = "declared" if source.columns else "the first file has"
    return f"{'; '.join(words)}{hint}. Found: {shortened_names(found)}; {expected}: {shortened_names(known)}"


def shortened_names(names: Sequence[str]) -> str:
    """Names in a message, and how many more there are."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{', '.join(names[:_SHOWN])}{more}"


def _check_types(file: FileColumns, columns: Mapping[str, DeclaredColumn], declared: Mapping[str, str]) -> None:
    for name, found in file.kinds.items():
        if found is not None and not type_fits(found, columns[name].kind):
            expected = "is declared" if name in declared else "is in an earlier file"
            raise MalformedInput(f"{file.name}: column {name!r} is {found}, but {columns[name].kind} {expected}")


def _with_duckdb_types(columns: Mapping[str, DeclaredColumn]) -> dict[str, DeclaredColumn]:
    """With types as DuckDB spells them: `int8` is BIGINT."""
    import duckdb

    def spelled(column: DeclaredColumn) -> str:
        try:
            return str(connection.type(column.kind))
        except duckdb.Error as exc:
            raise SpecError(f"columns.{column.name}: DuckDB has no type {column.kind!r}") from exc

    with connect_duckdb() as connection:
        return {name: replace(column, kind=spelled(column)) for name, column in columns.items()}
