"""The ledger's database: an engine of this process, a schema that is up to date, and errors in Tradewind's words."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tradewind.core.disk import storage_fault
from tradewind.core.file_lock import hold_file_lock
from tradewind.core.network import choose_error, engine_options
from tradewind.errors import MissingExtra, NoAnswer, TradewindError, UsageError
from tradewind.ledger.schema import HEAD, VERSION_TABLE

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection, Engine

log = logging.getLogger(__name__)

_BUSY_SECONDS = 60
_LOCK = 7_206_941_118  # of PostgreSQL's advisory locks: "Tradewind's ledger is being migrated"
_ALONE = 720_694_112  # likewise, with the hash of a name: "one at a time changes what this names"


class LedgerDatabase:
    """One SQLite file or PostgreSQL database that holds a ledger.

    Tasks are forks of a process that may already have used the ledger, and a connection must not be shared by two
    processes: every process makes its own engine, and no connection outlives its ``begin``.

    :param url: SQLAlchemy URL
    :raises UsageError: the URL names neither a SQLite file nor PostgreSQL
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._engine: Engine | None = None
        self._pid = 0

    @contextmanager
    def begin(self, doing: str, *, alone: str | None = None) -> Iterator[Connection]:
        """A connection in a transaction of its own, with the schema up to date.

        :param doing: what is being done to which object; begins the message of an error
        :param alone: of the transactions that name the same thing here, one at a time goes on, and sees what all before
            it wrote; None for a transaction without checks
        :raises Unavailable: the database is locked or away; trying again later can help
        :raises TradewindError: the database refused
        """
        with _translated(doing, self._url):
            engine = self._ready(doing)
            if alone is not None and engine.dialect.name == "sqlite":
                engine = engine.execution_options(sqlite_begin="BEGIN IMMEDIATE")
            with engine.begin() as connection:
                if alone is not None and engine.dialect.name == "postgresql":
                    connection.exec_driver_sql("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", (_ALONE, alone))
                yield connection

    def _ready(self, doing: str) -> Engine:
        if self._engine is None or self._pid != os.getpid():
            try:
                engine = _engine(self._url)
                _bring_up_to_date(engine)
            except OSError as exc:
                if (fault := storage_fault(exc, f"{doing}: the ledger", *_folder(self._url))) is not None:
                    raise fault from exc
                raise TradewindError(
                    f"{doing}: the folder of the ledger {_parsed(self._url).database} cannot be used: {exc}"
                ) from exc
            self._engine, self._pid = engine, os.getpid()
        return self._engine


def _folder(url: str) -> list[Path]:
    parsed = _parsed(url)
    return [Path(str(parsed.database)).parent] if parsed.get_backend_name() == "sqlite" else []


@contextmanager
def _translated(doing: str, url: str) -> Iterator[None]:
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError

    try:
        yield
    except SQLAlchemyError as exc:
        where = make_url(url).render_as_string(hide_password=True)
        cause = str(exc.orig if isinstance(exc, DBAPIError) else exc).strip()
        if (fault := storage_fault(exc, f"{doing}: the ledger at {where}", *_folder(url))) is not None:
            raise fault from exc
        lost = isinstance(exc, DBAPIError) and exc.connection_invalidated
        if lost or isinstance(exc, OperationalError | InterfaceError):
            raise choose_error(exc)(f"{doing}: the ledger at {where} cannot be reached or is locked: {cause}") from exc
        raise TradewindError(f"{doing}: the ledger at {where} refused: {cause}") from exc


def _engine(url: str) -> Engine:
    from sqlalchemy import create_engine, event
    from sqlalchemy.pool import NullPool

    parsed = _parsed(url)
    sqlite = parsed.get_backend_name() == "sqlite"
    # No isolation level: the driver begins nothing by itself, so that also DDL is part of a transaction.
    busy = {"connect_args": {"timeout": _BUSY_SECONDS, "isolation_level": None}}
    try:
        options = busy if sqlite else engine_options(parsed.get_driver_name())
        engine = create_engine(parsed, poolclass=NullPool, **options)
    except ModuleNotFoundError as exc:
        raise MissingExtra(
            f"the ledger's driver {exc.name} is missing: pip install 'airflow-provider-tradewind[postgres]'"
        ) from exc
    if sqlite:
        Path(str(parsed.database)).parent.mkdir(parents=True, exist_ok=True)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def _parsed(url: str) -> URL:
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        parsed = make_url(url)
    except ArgumentError as exc:
        raise UsageError("the ledger's URL cannot be read; one looks like sqlite:////srv/tradewind/ledger.db") from exc
    backend = parsed.get_backend_name()
    if backend not in ("sqlite", "postgresql") or (backend == "sqlite" and parsed.database in (None, "", ":memory:")):
        shown = parsed.render_as_string(hide_password=True)
        raise UsageError(f"the ledger lives in a SQLite file or in PostgreSQL; {shown} is neither")
    return parsed


def _begin_sqlite(connection: Connection) -> None:
    if begin := connection.get_execution_options().get("sqlite_begin", "BEGIN"):
        connection.exec_driver_sql(begin)


def _bring_up_to_date(engine: Engine) -> None:
    """One query when the schema is current; else migrate, one process at a time."""
    version = _version(engine)
    if version is not None and version > HEAD:
        raise TradewindError(
            f"the ledger has schema {version}, this Tradewind knows {HEAD}: install the newer Tradewind here too"
        )
    if version == HEAD:
        return
    sqlite = engine.dialect.name == "sqlite"
    # SQLite's own locks do not cover the change of the journal mode.
    with hold_file_lock(Path(f"{engine.url.database}.lock")) if sqlite else nullcontext():
        if sqlite:
            with engine.execution_options(sqlite_begin=None).connect() as connection:
                connection.exec_driver_sql(
                    "PRAGMA journal_mode=WAL"
                )  # stays with the file; refused inside a transaction
        _migrate(engine)


def _version(engine: Engine) -> str | None:
    from sqlalchemy.exc import OperationalError, ProgrammingError

    try:
        with engine.begin() as connection:
            version: Any = connection.exec_driver_sql(f"SELECT version_num FROM {VERSION_TABLE}").scalar()
    except (OperationalError, ProgrammingError) as exc:
        if choose_error(exc) is NoAnswer:  # it would not answer to the migration either
            raise
        return None  # no such table; where the database is away, migrating says so
    return None if version is None else str(version)


def _migrate(engine: Engine) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    with engine.execution_options(sqlite_begin="BEGIN IMMEDIATE").begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
        config.attributes["connection"] = connection
        command.upgrade(config, HEAD)  # does nothing when another process was first
    log.info("the ledger's schema is at %s", HEAD)
