"""Locks that last no longer than their process, kept where the Feast registry is."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tradewind.core.file_lock import hold_file_lock
from tradewind.core.network import choose_error, engine_options
from tradewind.errors import Unavailable, UsageError

if TYPE_CHECKING:
    from sqlalchemy import URL

_PAUSE_SECONDS = 0.05


@contextmanager
def hold_registry_lock(registry: str, name: str, *, wait_seconds: float = 300.0) -> Iterator[None]:
    """Hold the lock ``name`` of the registry; only one process at a time does.

    On SQLite it is a lock on a file beside the database, on PostgreSQL a session's advisory lock: a process that is
    killed keeps neither.

    :param registry: SQLAlchemy URL of the Feast registry
    :raises Unavailable: another process still holds it after ``wait_seconds``, or the registry's database is away
    :raises UsageError: the registry is neither SQLite nor PostgreSQL
    """
    from sqlalchemy.engine import make_url

    url = make_url(registry)
    backend = url.get_backend_name()
    if backend == "sqlite" and url.database:
        with _file_lock(Path(url.database).with_suffix(f".{name}.lock"), name, wait_seconds):
            yield
    elif backend == "postgresql":
        with _explain_registry_errors(url), _advisory_lock(registry, name, wait_seconds):
            yield
    else:
        raise UsageError(f"the Feast registry must be a SQLite file or PostgreSQL; {url.render_as_string()} is neither")


@contextmanager
def _explain_registry_errors(url: URL) -> Iterator[None]:
    """Name the registry where its database does not answer, to the lock or to Feast."""
    from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

    try:
        yield
    except DBAPIError as exc:
        if not exc.connection_invalidated and not isinstance(exc, OperationalError | InterfaceError):
            raise
        where = url.render_as_string(hide_password=True)
        raise choose_error(exc)(f"the Feast registry at {where} cannot be reached: {str(exc.orig).strip()}") from exc


@contextmanager
def _file_lock(path: Path, name: str, wait_seconds: float) -> Iterator[None]:
    with ExitStack() as stack:
        try:
            stack.enter_context(hold_file_lock(path, wait_seconds=wait_seconds))
        except TimeoutError as exc:
            raise _lock_timeout(name, wait_seconds, str(path)) from exc
        yield


@contextmanager
def _advisory_lock(registry: str, name: str, wait_seconds: float) -> Iterator[None]:
    from sqlalchemy import create_engine, make_url, pool, text

    number = int.from_bytes(hashlib.sha256(f"tradewind/features/{name}".encode()).digest()[:8], signed=True)
    options = engine_options(make_url(registry).get_driver_name())
    engine = create_engine(registry, poolclass=pool.NullPool, isolation_level="AUTOCOMMIT", **options)
    with engine.connect() as connection:
        deadline = time.monotonic() + wait_seconds
        while not connection.execute(text("SELECT pg_try_advisory_lock(:number)"), {"number": number}).scalar():
            if time.monotonic() > deadline:
                raise _lock_timeout(name, wait_seconds, "the registry's database")
            time.sleep(_PAUSE_SECONDS)
        yield


def _lock_timeout(name: str, seconds: float, where: str) -> Unavailable:
    return Unavailable(
        f"another run still holds the lock {name} ({where}) after {seconds:.0f} s; it is tried again later"
    )
