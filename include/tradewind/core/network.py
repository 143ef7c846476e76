"""How long a silent peer is waited for: without these limits a task waits for ever.

The kernel notices a machine that is gone (:func:`keep_alive`). A server or proxy that confirms every packet and answers
none is noticed here: a timer shuts the socket down, and the driver wakes with an error (:func:`limit_answer_time`).
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from functools import cache
from typing import Any

from tradewind.errors import NoAnswer, Unavailable, UsageError

CONNECT_SECONDS = 10
SILENT_SECONDS = 60
"""A peer whose machine does not confirm packets for so long is gone; the connection ends with an error."""
ANSWER_SETTING = "TRADEWIND_ANSWER_SECONDS"
_ANSWER_SECONDS = 300.0
_IDLE, _INTERVAL, _PROBES = 30, 10, 3

# Parameters of libpq, PostgreSQL's client library, which psycopg 2 and 3 hand on.
POSTGRES: Mapping[str, int] = {
    "connect_timeout": CONNECT_SECONDS,
    "keepalives": 1,
    "keepalives_idle": _IDLE,
    "keepalives_interval": _INTERVAL,
    "keepalives_count": _PROBES,
    "tcp_user_timeout": 1000 * SILENT_SECONDS,
}
REDIS: Mapping[str, int] = {"socket_connect_timeout": CONNECT_SECONDS, "socket_timeout": SILENT_SECONDS}


def limit_connecting() -> None:
    """Give libpq a time limit for making connections in this process, unless the deployment has set one."""
    os.environ.setdefault("PGCONNECT_TIMEOUT", str(CONNECT_SECONDS))


def keep_alive(connection: Any) -> None:
    """Let the kernel end a connection whose peer is gone: probes while it is idle, a limit for what is not confirmed.

    :param connection: of a DB-API driver; one that shows no socket is left as it is
    """
    number = getattr(connection, "fileno", None)
    if number is None:
        return
    with socket.socket(fileno=os.dup(number())) as link:
        if link.family not in (socket.AF_INET, socket.AF_INET6):
            return
        link.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in (
            ("TCP_KEEPIDLE", _IDLE), ("TCP_KEEPINTVL", _INTERVAL), ("TCP_KEEPCNT", _PROBES),
            ("TCP_USER_TIMEOUT", 1000 * SILENT_SECONDS),
        ):  # fmt: skip
            if hasattr(socket, name):  # macOS has not all of them
                link.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def read_answer_seconds() -> float:
    """How long PostgreSQL may be silent after it was asked something, as ``TRADEWIND_ANSWER_SECONDS`` says (300).

    :raises UsageError: the setting is not a number of seconds above 0
    """
    text = os.environ.get(ANSWER_SETTING) or str(_ANSWER_SECONDS)
    with suppress(ValueError):
        if 0 < (seconds := float(text)) <= threading.TIMEOUT_MAX:
            return seconds
    raise UsageError(f"{ANSWER_SETTING} is a number of seconds above 0, not {text!r}")


@contextmanager
def limit_answer_time(connection: Any, seconds: float) -> Iterator[None]:
    """Shut the connection's socket down when what is inside waits for more than ``seconds``.

    The error of the driver, which then finds the connection closed, goes on as one of its own kind with the cause as
    its message. Nothing else can end a call that waits inside libpq: it listens to no signal of Python's.

    :param connection: of psycopg 2 or 3
    """
    if connection.closed:
        yield
        return
    with (
        closing(socket.socket(fileno=os.dup(connection.fileno()))) as link,
        call_after(seconds, lambda: link.shutdown(socket.SHUT_RDWR)) as ended,
    ):
        try:
            yield
        except Exception as exc:
            if not ended.is_set():
                raise
            silent: Any = type(exc)(f"there was no answer for {seconds:g} s, so the connection was ended")
            silent.silent_seconds = seconds
            raise silent from exc


@contextmanager
def call_after(seconds: float, end: Callable[[], object]) -> Iterator[threading.Event]:
    """Call ``end`` from another thread when what is inside takes longer than ``seconds``; the event tells of it."""
    ended = threading.Event()

    def run() -> None:
        ended.set()
        with suppress(OSError, RuntimeError, ValueError):  # the peer was first, or all has come in this moment
            end()

    timer = threading.Timer(seconds, run)
    timer.daemon = True
    timer.start()
    try:
        yield ended
    finally:
        timer.cancel()
        timer.join()  # what it ends may be closed from here on


def limit_answers(connection: Any, seconds: float | None = None) -> Any:
    """Limit each wait of a connection of psycopg 3; one of another driver is left as it is.

    :param seconds: None for what the setting says
    :return: the same connection
    """
    if type(connection).__module__.partition(".")[0] != "psycopg" or "wait" in vars(connection):
        return connection
    wait: Callable[..., Any] = type(connection).wait
    limit = read_answer_seconds() if seconds is None else seconds

    def wait_in_time(*args: Any, **kwargs: Any) -> Any:
        with limit_answer_time(connection, limit):
            return wait(connection, *args, **kwargs)

    connection.wait = wait_in_time
    return connection


def choose_error(exc: BaseException) -> type[Unavailable]:
    """The kind of error that a driver's failure is: silence has one of its own."""
    cause = getattr(exc, "orig", None) or exc  # SQLAlchemy's errors hold the driver's
    return NoAnswer if hasattr(cause, "silent_seconds") else Unavailable


def engine_options(driver: str) -> dict[str, Any]:
    """Arguments of SQLAlchemy's ``create_engine`` for PostgreSQL, with every limit.

    :param driver: as SQLAlchemy names it: ``psycopg`` or ``psycopg2``
    """
    if driver == "psycopg2":
        connection, cursor = limited_psycopg2()
        return {"connect_args": {**POSTGRES, "connection_factory": connection, "cursor_factory": cursor}}
    return {"connect_args": dict(POSTGRES), "pool_events": [(_limit_new, "connect")]}


def _limit_new(connection: Any, _: Any) -> None:
    limit_answers(connection)


@cache
def limited_psycopg2() -> tuple[type[Any], type[Any]]:
    """Classes of a connection and a cursor of psycopg 2 whose calls are limited: it has no single place to wait in.

    ``seconds`` of a cursor takes the place of what the setting says.
    """
    from psycopg2 import extensions

    class LimitedConnection(extensions.connection):  # type: ignore[misc]  # psycopg 2 has no types
        def commit(self) -> None:
            with limit_answer_time(self, read_answer_seconds()):
                super().commit()

        def rollback(self) -> None:
            with limit_answer_time(self, read_answer_seconds()):
                super().rollback()

    class LimitedCursor(extensions.cursor):  # type: ignore[misc]  # likewise
        seconds: float | None = None

        def _limit(self) -> Any:
            return limit_answer_time(self.connection, self.seconds or read_answer_seconds())

        def execute(self, *args: Any, **kwargs: Any) -> None:
            with self._limit():
                super().execute(*args, **kwargs)

        def executemany(self, *args: Any, **kwargs: Any) -> None:
            with self._limit():
                super().executemany(*args, **kwargs)

        def fetchmany(self, *args: Any, **kwargs: Any) -> Any:
            if self.name is None:  # the rows are here already
                return super().fetchmany(*args, **kwargs)
            with self._limit():
                return super().fetchmany(*args, **kwargs)

        def close(self) -> None:
            if self.name is None:
                super().close()
            else:
                with self._limit():
                    super().close()

    return LimitedConnection, LimitedCursor
