"""User SQL over named views, in a DuckDB that can read nothing else.

One connection runs one SELECT. Its clock is UTC, it sees the given views and the files behind them, and cannot read
another file, attach a database, load an extension or change a setting. Rows come as a stream.

The same inputs give the same rows. Where the order of rows counts (:mod:`tradewind.engine.determinism`), the plan
runs on one thread, and rows that come in no order of their own are read in one that follows from their values.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from tradewind.core.disk import storage_fault
from tradewind.engine.database import MEMORY, connect_duckdb, quote_identifier, quote_string, quote_strings
from tradewind.engine.determinism import examine_determinism, function_spellings
from tradewind.engine.query_columns import SqlProblem, bind_select
from tradewind.engine.sql_text import find_words
from tradewind.errors import TransformError, UsageError

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa
    import pyarrow.dataset as pads

log = logging.getLogger(__name__)

_BATCH_ROWS = 65_536
_ROWS = "__tradewind_rows"
_COPIED = "copied"
_UNSORTED = "__tradewind_{}"


@dataclass(frozen=True, slots=True)
class FileView:
    """Files as one view.

    :param query: the SELECT that reads them
    :param paths: what it may read, as it names them
    :param ordered: the order of the rows in the files is part of what was delivered, and part of their digest
    """

    query: str
    paths: Sequence[Path]
    ordered: bool = True


class SelectedRows:
    """The rows of one SELECT, which can be read or copied once.

    :param schema: their columns
    :param target: folder that they may be copied to; None for none
    """

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        relation: duckdb.DuckDBPyRelation,
        schema: pa.Schema,
        sql_path: Path,
        target: Path | None,
    ) -> None:
        self.schema = schema
        self._connection = connection
        self._relation = relation
        self._sql_path = sql_path
        self._target = target

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        import duckdb
        import pyarrow as pa

        try:
            yield from self._relation.to_arrow_reader(_BATCH_ROWS)
        except (duckdb.Error, pa.ArrowException, OSError) as exc:
            _explain(exc, self._sql_path, running=True, spill=self._target)

    def read_all(self) -> pa.Table:
        """All rows in memory."""
        import pyarrow as pa

        return pa.Table.from_batches(self, self.schema)

    def copy(self, columns: str, options: str) -> Path:
        """Write the rows with all threads; see :class:`tradewind.lake.parquet.CopyableRows`."""
        import duckdb

        if self._target is None:
            raise UsageError(f"{self._sql_path}: its rows can only be copied with a folder to spill to")
        try:
            self._relation.create_view(_ROWS)
            self._connection.execute(
                f"COPY (SELECT {columns} FROM {_ROWS}) TO {quote_string(str(self._target))} ({options})"
            )
        except duckdb.Error as exc:
            _explain(exc, self._sql_path, running=True, spill=self._target)
        return self._target


@contextmanager
def run_select(
    sql_path: Path,
    views: Mapping[str, pads.Dataset | FileView],
    *,
    parameters: Mapping[str, object],
    spill: Path | None = None,
    memory: str = MEMORY,
    deterministic: bool = True,
    threads: int | None = None,
) -> Iterator[SelectedRows]:
    """Run the one SELECT of a file; rows are computed while they are read or copied, inside the ``with`` block.

    :param views: what the SQL can read, by name
    :param parameters: values of ``$name`` in the SQL; those that it does not name are left out
    :param spill: folder for what does not fit in memory; None for none
    :param memory: DuckDB's bound, for example ``1GB``
    :param deterministic: the same inputs must give the same rows; False: as fast as it goes, and `random()` is allowed
    :param threads: that it may use where the order of rows does not count; None for one a processor
    :raises TransformError: the SQL is wrong, fails, or must be deterministic and is not; names the file and the line
    :raises StorageFault: a disk is full, read-only or failing
    """
    import duckdb

    connection = connect_duckdb(spill, memory, threads=threads)
    try:
        try:
            query = _query(connection, sql_path)
            values = _values(query.named_parameters, parameters, sql_path)
            order = _order(connection, query, views, values, sql_path) if deterministic else None
            _show(connection, views, spill / _COPIED if spill else None, order=order)
            # Preparing tells the line of a mistake, which `sql` does not; only `sql` streams.
            connection.execute(f"PREPARE query AS {query.query}")
            relation = connection.sql(query.query, params=values or None)
            schema = relation.limit(0).to_arrow_table().schema
        except duckdb.Error as exc:
            _explain_flaw(connection, views, parameters, sql_path)
            _explain(exc, sql_path, spill=spill)
        yield SelectedRows(connection, relation, schema, sql_path, spill / _COPIED if spill else None)
    finally:
        connection.close()


def _order(
    connection: duckdb.DuckDBPyConnection,
    query: duckdb.Statement,
    views: Mapping[str, pads.Dataset | FileView],
    values: Mapping[str, object],
    sql_path: Path,
) -> Mapping[str, Sequence[str]] | None:
    """The columns by whose values each view is to be sorted, if the order of rows counts; None if it does not.

    :raises TransformError: the rows would depend on something else than the inputs
    """
    columns = {
        name: _columns(connection.sql(view.query)) if isinstance(view, FileView) else view.schema
        for name, view in views.items()
    }
    found = examine_determinism(query.query, columns, parameters=values, connection=connection)
    if found.changing:
        text = sql_path.read_text(encoding="utf-8")
        line = text[: find_words(function_spellings(found.changing[0]), text)[0]].count("\n") + 1
        raise TransformError(
            f"{sql_path}, line {line}: `{found.changing[0]}` gives something else each time, so the same inputs would "
            "give other rows; take $partition_start or $partition_end for the time, or set `deterministic: false`"
        )
    if not found.ordered:
        return None
    log.info("%s: the order of rows counts (%s): one thread, rows sorted", sql_path, ", ".join(found.ordered))
    return found.columns


def _columns(relation: duckdb.DuckDBPyRelation) -> dict[str, str]:
    """Names and types, without computing anything."""
    return dict(zip(relation.columns, map(str, relation.types), strict=True))


def _show(
    connection: duckdb.DuckDBPyConnection,
    views: Mapping[str, pads.Dataset | FileView],
    target: Path | None,
    *,
    order: Mapping[str, Sequence[str]] | None,
) -> None:
    """Make the views, then lock the connection; beside the files of the views it may write ``target``.

    :param order: columns by whose values the rows of views are sorted; None: the order does not count
    """
    if order is not None:
        connection.execute("SET threads = 1")
        connection.execute("SET preserve_insertion_order = true")
    if target:
        connection.execute(f"SET allowed_directories = {quote_strings([target])}")
    files = [path for view in views.values() if isinstance(view, FileView) for path in view.paths]
    connection.execute(f"SET allowed_paths = {quote_strings(files)}")
    connection.execute("SET enable_external_access = false")
    for name, view in views.items():
        _make_view(connection, name, view, by=(order or {}).get(name, ()))
    connection.execute("SET lock_configuration = true")


def _make_view(
    connection: duckdb.DuckDBPyConnection, name: str, view: pads.Dataset | FileView, *, by: Sequence[str]
) -> None:
    """Make one view; its rows are sorted ``by`` these columns where they have no order of their own."""
    if isinstance(view, FileView):
        query = view.query
        by = () if view.ordered else by
    elif by:
        connection.register(_UNSORTED.format(name), view)
        query = f"SELECT * FROM {quote_identifier(_UNSORTED.format(name))}"
    else:
        connection.register(name, view)
        return
    # By the hash of the values: one number for each row is sorted two to three times as fast as the values themselves,
    # and rows of which nothing differs that is read can change places.
    ordered = f" ORDER BY hash({', '.join(map(quote_identifier, by))})" if by else ""
    connection.execute(f"CREATE VIEW {quote_identifier(name)} AS SELECT * FROM ({query}){ordered}")


def _query(connection: duckdb.DuckDBPyConnection, sql_path: Path) -> duckdb.Statement:
    import duckdb

    try:
        statements = connection.extract_statements(sql_path.read_text(encoding="utf-8"))
    except FileNotFoundError as exc:
        raise TransformError(f"{sql_path}: there is no such file") from exc
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        found = ", ".join(statement.type.name for statement in statements) or "nothing"
        raise TransformError(f"{sql_path}: expected one SELECT, found {found}")
    return statements[0]


def _values(named: set[str], parameters: Mapping[str, object], sql_path: Path) -> dict[str, object]:
    unknown = sorted(named - set(parameters))
    if unknown:
        known = ", ".join(f"${name}" for name in parameters) or "none"
        raise TransformError(f"{sql_path}: there is no parameter ${unknown[0]}; there are: {known}")
    return {name: value for name, value in parameters.items() if name in named}


def _with_lines_of_file(message: str, sql_path: Path) -> str:
    """DuckDB takes away what stands before a statement and counts its lines from there."""
    import duckdb

    try:
        text = sql_path.read_text(encoding="utf-8")
        before = text.partition(duckdb.extract_statements(text)[0].query)[0].count("\n")
    except (duckdb.Error, OSError, IndexError):
        return message
    return re.sub(r"(?m)^LINE (\d+):", lambda found: f"LINE {int(found[1]) + before}:", message)


def _explain_flaw(
    connection: duckdb.DuckDBPyConnection,
    views: Mapping[str, pads.Dataset | FileView],
    parameters: Mapping[str, object],
    sql_path: Path,
) -> None:
    """Say what is wrong with the SQL as `tradewind validate` does, with its place and the nearest right spelling.

    :raises TransformError: something is; nothing is raised where that is not the reason
    """
    import duckdb

    text = sql_path.read_text(encoding="utf-8")
    try:
        columns = {
            name: _columns(connection.sql(view.query)) if isinstance(view, FileView) else view.schema
            for name, view in views.items()
        }
        flaw = bind_select(text, columns, parameters=parameters)
    except duckdb.Error:  # the views themselves cannot be read
        return
    if isinstance(flaw, SqlProblem):
        raise TransformError(flaw.problem(str(sql_path), text).text())


def _explain(exc: Exception, sql_path: Path, *, running: bool = False, spill: Path | None = None) -> NoReturn:
    if (
        fault := storage_fault(exc, f"{sql_path}: its rows cannot be computed", *([spill] if spill else []))
    ) is not None:
        raise fault from exc
    message = _with_lines_of_file(str(exc).strip(), sql_path)
    raise TransformError(f"{sql_path}: {message}", running=running) from exc
