"""User SQL over named views, in a DuckDB that can read nothing else.

One connection runs one SELECT. Its clock is UTC, it sees the given views and the files behind them, and cannot read
another file, attach a database, load an extension or change a setting. Rows come as a stream.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from tradewind.core.disk import storage_fault
from tradewind.errors import TransformError, UsageError
from tradewind.lake.database import MEMORY, connect, literal, literals, quoted

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa
    import pyarrow.dataset as pads

_BATCH_ROWS = 65_536
_ROWS = "__tradewind_rows"
_COPIED = "copied"


@dataclass(frozen=True, slots=True)
class FileView:
    """Files as one view.

    :param query: the SELECT that reads them
    :param paths: what it may read, as it names them
    """

    query: str
    paths: Sequence[Path]


class Selected:
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
        """Write the rows with all threads; see :class:`tradewind.lake.parquet.Rows`."""
        import duckdb

        if self._target is None:
            raise UsageError(f"{self._sql_path}: its rows can only be copied with a folder to spill to")
        try:
            self._relation.create_view(_ROWS)
            self._connection.execute(
                f"COPY (SELECT {columns} FROM {_ROWS}) TO {literal(str(self._target))} ({options})"
            )
        except duckdb.Error as exc:
            _explain(exc, self._sql_path, running=True, spill=self._target)
        return self._target


@contextmanager
def select(
    sql_path: Path,
    views: Mapping[str, pads.Dataset | FileView],
    *,
    parameters: Mapping[str, object],
    spill: Path | None = None,
    memory: str = MEMORY,
) -> Iterator[Selected]:
    """Run the one SELECT of a file; rows are computed while they are read or copied, inside the ``with`` block.

    :param views: what the SQL can read, by name
    :param parameters: values of ``$name`` in the SQL; those that it does not name are left out
    :param spill: folder for what does not fit in memory; None for none
    :param memory: DuckDB's bound, for example ``1GB``
    :raises TransformError: the SQL is wrong or fails; names the file and the line
    :raises StorageFault: a disk is full, read-only or failing
    """
    import duckdb

    connection = connect(spill, memory)
    try:
        try:
            _show(connection, views, spill / _COPIED if spill else None)
            query = _query(connection, sql_path)
            values = _values(query.named_parameters, parameters, sql_path)
            # Preparing tells the line of a mistake, which `sql` does not; only `sql` streams.
            connection.execute(f"PREPARE query AS {query.query}")
            relation = connection.sql(query.query, params=values or None)
            schema = relation.limit(0).to_arrow_table().schema
        except duckdb.Error as exc:
            _explain(exc, sql_path, spill=spill)
        yield Selected(connection, relation, schema, sql_path, spill / _COPIED if spill else None)
    finally:
        connection.close()


def _show(
    connection: duckdb.DuckDBPyConnection, views: Mapping[str, pads.Dataset | FileView], target: Path | None
) -> None:
    """Make the views, then lock the connection; beside the files of the views it may write ``target``."""
    if target:
        connection.execute(f"SET allowed_directories = {literals([target])}")
    files = [path for view in views.values() if isinstance(view, FileView) for path in view.paths]
    connection.execute(f"SET allowed_paths = {literals(files)}")
    connection.execute("SET enable_external_access = false")
    for name, view in views.items():
        if isinstance(view, FileView):
            connection.execute(f"CREATE VIEW {quoted(name)} AS {view.query}")
        else:
            connection.register(name, view)
    connection.execute("SET lock_configuration = true")


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


def _explain(exc: Exception, sql_path: Path, *, running: bool = False, spill: Path | None = None) -> NoReturn:
    if (
        fault := storage_fault(exc, f"{sql_path}: its rows cannot be computed", *([spill] if spill else []))
    ) is not None:
        raise fault from exc
    raise TransformError(f"{sql_path}: {str(exc).strip()}", running=running) from exc
