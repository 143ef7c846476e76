"""Rows with the same keys, of which one is kept by a stated rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tradewind.engine.database import connect_duckdb, quote_identifier, quote_string
from tradewind.errors import MalformedInput, UsageError
from tradewind.lake import parquet

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class DuplicateRule:
    """Of the rows with the same ``keys``, the one with the largest or smallest value of ``by`` is kept."""

    keys: Sequence[str]
    keep: Literal["largest", "smallest"]
    by: str


class _Files:
    """Rows of an SQL query over staged files."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, query: str, schema: pa.Schema, folder: Path) -> None:
        self.schema = schema
        self._connection = connection
        self._query = query
        self._target = folder / "kept"

    def copy(self, columns: str, options: str) -> Path:
        """Copy the rows."""
        target = quote_string(str(self._target))
        self._connection.execute(f"COPY (SELECT {columns} FROM ({self._query})) TO {target} ({options})")
        return self._target


def resolve_duplicates(
    paths: tuple[Path, ...], schema: pa.Schema, folder: Path, *, rule: DuplicateRule, what: str
) -> tuple[tuple[Path, ...], int]:
    """Write the files again without the rows that lose; nothing is written if no key comes twice.

    A row with NULL in ``by`` loses against any other. Rows with NULL in a key are all kept: they are no duplicates
    but an error of their own.

    :returns: the files, and how many rows were left out
    :raises UsageError: a column of the rule is not there
    :raises MalformedInput: rows of one key have the same ``by``; names the key
    """
    if missing := [column for column in (*rule.keys, rule.by) if column not in schema.names]:
        raise UsageError(
            f"{what}: `duplicates` needs the column {', '.join(missing)}; there are {', '.join(schema.names)}"
        )
    rows, keys = parquet.select_files(paths), ", ".join(map(quote_identifier, rule.keys))
    whole = " AND ".join(f"{quote_identifier(key)} IS NOT NULL" for key in rule.keys)
    twice = f"SELECT {keys} FROM {rows} WHERE {whole} GROUP BY ALL HAVING count(*) > 1"
    with connect_duckdb(folder) as connection:
        connection.execute(f"CREATE TEMP TABLE twice AS {twice}")
        if not connection.execute("SELECT count(*) FROM twice").fetchall()[0][0]:
            return paths, 0
        _tie(connection, rows, rule, what)
        query, dropped = _winners(connection, rows, rule)
        kept = folder / "winners"
        kept.mkdir()
        written = parquet.write_parquet(_Files(connection, query, schema, folder), schema, kept)
    for path in paths:
        path.unlink()
    moved = tuple(path.rename(folder / path.name) for path in written)
    kept.rmdir()
    return moved, dropped


def _tie(connection: duckdb.DuckDBPyConnection, rows: str, rule: DuplicateRule, what: str) -> None:
    keys, by = ", ".join(map(quote_identifier, rule.keys)), quote_identifier(rule.by)
    best = f"{by} {'DESC' if rule.keep == 'largest' else 'ASC'} NULLS LAST"
    tied = connection.execute(
        f"""SELECT {keys}, {by}, count(*) FROM
            (SELECT {keys}, {by} FROM {rows} SEMI JOIN twice USING ({keys})
             QUALIFY rank() OVER (PARTITION BY {keys} ORDER BY {best}) = 1)
            GROUP BY ALL HAVING count(*) > 1 ORDER BY ALL LIMIT 1"""
    ).fetchall()
    if tied:
        *values, value, count = tied[0]
        named = ", ".join(f"{key} {found}" for key, found in zip(rule.keys, values, strict=True))
        raise MalformedInput(
            f"{what}: {count} rows of {named} have the same `{rule.by}` ({value}), so it does not say which is kept; "
            "correct the rows, or let `duplicates` compare a column in which they differ"
        )


def _winners(connection: duckdb.DuckDBPyConnection, rows: str, rule: DuplicateRule) -> tuple[str, int]:
    """SQL of all rows that stay, and how many do not."""
    keys, by = ", ".join(map(quote_identifier, rule.keys)), quote_identifier(rule.by)
    best = f"{by} {'DESC' if rule.keep == 'largest' else 'ASC'} NULLS LAST"
    query = f"""SELECT * FROM {rows} ANTI JOIN twice USING ({keys})
        UNION ALL BY NAME
        SELECT * FROM {rows} SEMI JOIN twice USING ({keys})
        QUALIFY row_number() OVER (PARTITION BY {keys} ORDER BY {best}) = 1"""
    [(extra,)] = connection.execute(f"SELECT count(*) FROM {rows} SEMI JOIN twice USING ({keys})").fetchall()
    [(different,)] = connection.execute("SELECT count(*) FROM twice").fetchall()
    return query, extra - different
