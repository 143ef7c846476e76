"""A query against a database: its rows, streamed into one file in bounded memory.

PostgreSQL keeps the result and hands it out in slices (a cursor of the server's), from one snapshot, read only, with
its clock at UTC; other databases hand it out as their driver does.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from tradewind.core.disk import translate_disk_errors
from tradewind.core.network import (
    choose_error,
    keep_alive,
    limit_answer_time,
    limit_answers,
    limit_connecting,
    limited_psycopg2,
    read_answer_seconds,
)
from tradewind.engine.database import connect_duckdb, quote_identifier
from tradewind.errors import EmptyInput, MalformedInput, TransformError, Unavailable, UsageError
from tradewind.sources import driver_types as typed
from tradewind.sources.delivered_columns import FileColumns, agree_columns
from tradewind.sources.fetched import Fetched
from tradewind.sources.file_headers import refuse_many_columns, repeated_names
from tradewind.sources.sql_parameters import bind_parameters
from tradewind.spec.columns import declared_columns

if TYPE_CHECKING:
    import pyarrow as pa

    from tradewind.core.connections import DatabaseConnection
    from tradewind.core.secrets import Secrets
    from tradewind.deployment import Deployment
    from tradewind.spec.source_query import Query

log = logging.getLogger(__name__)

_LONGEST = timedelta(hours=1)
SLICE = 10_000
"""Rows that are Python objects at the same time."""
_GROUP_ROWS, _GROUP_BYTES = 131_072, 64 * 2**20
# SQLite calls nearly everything an OperationalError; this is what passes by itself.
_PASSES = ("locked", "unable to open", "disk i/o")


def fetch_query(source: Query, partition: str, *, deployment: Deployment, scratch: Path) -> Fetched:
    """Run the query for one partition and write its rows into ``scratch``.

    Where the driver tells the columns' types, or the YAML declares none, the file is Parquet; else it is JSON lines,
    whose values are held against the declared columns like those of a delivered file.

    :raises TransformError: the SQL is wrong; names the file and, where the database says it, the line
    :raises EmptyInput: there is no row
    :raises MalformedInput: a column is there twice, or a value fits no type
    :raises Unavailable: the database is away
    :raises UsageError: the connection asks for rows that are not tuples
    """
    database = deployment.runtime.connections.database(source.connection)
    what = f"{source.query} on {source.connection}"
    sql, values = _bound_query(source, partition, deployment=deployment, database=database)
    with (
        _open_cursor(database, what=what, longest=source.limits.time) as cursor,
        _explain_query_errors(sql, path=source.query, what=what, secrets=database.secrets),
        translate_disk_errors(f"{what}: its rows cannot be kept", scratch),
    ):
        cursor.execute(sql, *([] if values is None else [values]))
        # A cursor of the server describes its columns with the first rows.
        first = cursor.fetchmany(SLICE)
        names = _column_names(cursor.description, what=what)
        refuse_many_columns(len(names), what, source.limits)
        if not first:
            # A query that gives other columns than declared is wrong, whatever its rows.
            agree_columns(source, [FileColumns(what, dict.fromkeys(names))])
            raise EmptyInput(f"{what}: the query gives no row for partition {partition}")
        if isinstance(first[0], Mapping):
            raise UsageError(f"{what}: the connection gives rows as mappings; take the kind of cursor out of its extra")
        slices = chain([first], iter(lambda: cursor.fetchmany(SLICE), []))
        if database.kind != "postgres" and source.columns:
            written = _write_lines(slices, names, scratch / "rows.jsonl")
        else:
            schema = _schema(database, cursor.description, first, names=names, columns=source.columns)
            written = _write_parquet(slices, schema, scratch / "rows.parquet", what=what)
    log.info("%s %s: %s rows of %s columns", what, partition, written, len(names))
    lines = database.kind != "postgres" and bool(source.columns)
    path = scratch / ("rows.jsonl" if lines else "rows.parquet")
    return Fetched((path,), (what,), "jsonl" if lines else "parquet", limits=source.limits)


def _bound_query(
    source: Query, partition: str, *, deployment: Deployment, database: DatabaseConnection
) -> tuple[str, Mapping[str, Any] | Sequence[Any] | None]:
    path = deployment.runtime.project / source.query
    try:
        sql = path.read_text(encoding="utf-8").rstrip().rstrip(";")
    except (OSError, UnicodeDecodeError) as exc:
        raise TransformError(f"{path}: the pipeline names this query, but it cannot be read: {exc}") from exc
    bounds = deployment.spec.partitioning.bounds(partition)
    values = {
        "partition": partition,
        "partition_start": _instant_parameter(bounds.start, database),
        "partition_end": _instant_parameter(bounds.end, database),
    }
    return bind_parameters(sql, values, paramstyle=database.paramstyle, what=source.query)


def _instant_parameter(value: datetime, database: DatabaseConnection) -> datetime | str:
    """SQLite has no type for it; its own functions spell times like this, in UTC."""
    return value.strftime("%Y-%m-%d %H:%M:%S") if database.kind == "sqlite" else value


@contextmanager
def _open_cursor(database: DatabaseConnection, *, what: str, longest: timedelta = _LONGEST) -> Iterator[Any]:
    """A cursor on a connection of its own; both are closed in any case.

    :param longest: how long PostgreSQL may work on one statement
    """
    limit_connecting()
    try:
        connection = database.connect()
        keep_alive(connection)
    except Exception as exc:
        if not _is_driver_error(exc, "Error"):
            raise
        reason = database.secrets.mask(str(exc).strip())
        raise Unavailable(f"{what}: the database cannot be reached: {reason}") from exc
    cursor = None
    try:
        if database.kind == "postgres":
            with _explain_query_errors("", path=what, what=what, secrets=database.secrets):
                cursor = _server_cursor(connection, longest)
        else:
            cursor = connection.cursor()
            cursor.arraysize = SLICE
        yield cursor
    finally:
        for open_ in (cursor, connection):
            # Closing what the server has dropped already says so once more.
            with suppress(Exception):
                if open_ is not None:
                    open_.close()


def _server_cursor(connection: Any, longest: timedelta) -> Any:
    short = read_answer_seconds()
    with limit_answer_time(connection, short), connection.cursor() as setting:
        setting.execute(f"SET statement_timeout = {int(longest.total_seconds() * 1000)}")
        setting.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        setting.execute("SET LOCAL TIME ZONE 'UTC'")
    seconds = longest.total_seconds() + short  # the server ends a statement by itself, and says so
    # Rows are tuples whatever the connection says, and JSON stays the text that it is: read and written again, its
    # numbers could be others.
    if type(connection).__module__.partition(".")[0] == "psycopg":
        from psycopg.rows import tuple_row
        from psycopg.types.string import TextLoader

        cursor = limit_answers(connection, seconds).cursor(name="tradewind", row_factory=tuple_row)
        for kind in ("json", "jsonb"):
            cursor.adapters.register_loader(kind, TextLoader)
    else:
        from psycopg2 import extras

        cursor = connection.cursor(name="tradewind", cursor_factory=limited_psycopg2()[1])
        cursor.seconds = seconds
        extras.register_default_json(connection, loads=str)
        extras.register_default_jsonb(connection, loads=str)
    return cursor


def _column_names(description: Sequence[Any], *, what: str) -> list[str]:
    names = [column[0] for column in description]
    if twice := repeated_names(names):
        raise MalformedInput(f"{what}: the query gives {', '.join(map(repr, twice))} more than once; name them apart")
    return names


def _schema(
    database: DatabaseConnection,
    description: Sequence[Any],
    first: Sequence[Any],
    *,
    names: list[str],
    columns: Mapping[str, str],
) -> pa.Schema:
    if database.kind != "postgres":
        return typed.infer_schema(names, first)
    casts = [
        f"CAST(NULL AS {column.kind}) AS {quote_identifier(name)}" for name, column in declared_columns(columns).items()
    ]
    if not casts:
        return typed.postgres_schema(description, declared={})
    with connect_duckdb() as connection:
        schema = connection.sql(f"SELECT {', '.join(casts)}").to_arrow_table().schema
    return typed.postgres_schema(description, declared=dict(zip(schema.names, schema.types, strict=True)))


def _write_parquet(slices: Iterator[Sequence[Any]], schema: pa.Schema, path: Path, *, what: str) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    written, waiting = 0, list[pa.RecordBatch]()
    with pq.ParquetWriter(path, schema, compression="zstd", compression_level=1) as writer:
        for rows in slices:
            waiting.append(typed.rows_to_batch(rows, schema, first=written + 1, what=what))
            written += len(rows)
            if sum(b.num_rows for b in waiting) >= _GROUP_ROWS or sum(b.nbytes for b in waiting) >= _GROUP_BYTES:
                writer.write_table(pa.Table.from_batches(waiting, schema))
                waiting = []
        if waiting:
            writer.write_table(pa.Table.from_batches(waiting, schema))
    return written


def _write_lines(slices: Iterator[Sequence[Any]], names: Sequence[str], path: Path) -> int:
    written = 0
    with path.open("w", encoding="utf-8") as file:
        for rows in slices:
            for row in rows:
                values = {name: typed.to_json_value(value) for name, value in zip(names, row, strict=True)}
                file.write(json.dumps(values, ensure_ascii=False) + "\n")
            written += len(rows)
    return written


@contextmanager
def _explain_query_errors(sql: str, *, path: str, what: str, secrets: Secrets) -> Iterator[None]:
    try:
        yield
    except Exception as exc:
        if not _is_driver_error(exc, "Error"):
            raise
        _raise_explained(exc, sql, path=path, what=what, secrets=secrets)


def _raise_explained(exc: Exception, sql: str, *, path: str, what: str, secrets: Secrets) -> NoReturn:
    """Tell a database that is away from a query that is wrong, by the names that PEP 249 gives errors."""
    message = secrets.mask(str(exc).strip())
    passes = type(exc).__module__ != "sqlite3" or any(word in message.lower() for word in _PASSES)
    if _is_driver_error(exc, "OperationalError", "InterfaceError") and passes:
        raise choose_error(exc)(f"{what}: the database failed: {message}") from exc
    if _is_driver_error(exc, "DataError") and not re.search(r"\bLINE \d+:", message):
        raise MalformedInput(f"{what}: a value cannot be computed or read: {message}") from exc
    raise TransformError(f"{path}{_error_line(message, sql)}: {message}") from exc


def _error_line(message: str, sql: str) -> str:
    """Where it is, if the database says so or names a word that stands in one line only."""
    if words := re.search(r"\bLINE (\d+):", message):
        return f", line {words[1]}"
    word = re.search(r'near "(.+?)"|no such (?:column|table|function): (\S+)', message)
    name = (word[1] or word[2]).rpartition(".")[2] if word else ""
    lines = [number for number, text in enumerate(sql.splitlines(), 1) if name and name in text]
    return f", line {lines[0]}" if len(lines) == 1 else ""


def _is_driver_error(exc: Exception, *names: str) -> bool:
    """Whether it is an error of a DB-API driver with one of these names, or derived from one."""
    kinds = [kind for kind in type(exc).__mro__ if kind.__module__ != "builtins"]
    return any(kind.__name__ in names and _has_paramstyle(kind.__module__) for kind in kinds)


def _has_paramstyle(module: str) -> bool:
    parts = module.split(".")
    found = [sys.modules.get(".".join(parts[:n])) for n in range(len(parts), 0, -1)]
    return any(hasattr(candidate, "paramstyle") for candidate in found)
