"""A server that stays connected, confirms every packet and answers nothing ends as one named error that is retried.

Each call runs in a thread: without the limits it hangs, and the test fails because the thread has not ended.
"""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url

from tradewind.core import network
from tradewind.core.connections import DatabaseConnection, ObjectStoreConnection
from tradewind.errors import NoAnswer, Unavailable, UsageError
from tradewind.features.registry_lock import hold_registry_lock
from tradewind.ledger.journal import Ledger
from tradewind.ledger.schema import VERSION_TABLE
from tradewind.sources import query, s3

LONGEST = 60.0
"""Seconds after which a call counts as hanging; with the limits it ends after a fraction of one."""
DRIVERS = pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])


class Proxy:
    """Hands bytes on to a server and back, until it is told to swallow what the server answers.

    :param word: the server's answers are swallowed as soon as a client has sent this; None for never
    """

    def __init__(self, host: str, port: int, word: bytes | None = None) -> None:
        self._to, self.word = (host, port), word
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        self._links = list[socket.socket]()
        threading.Thread(target=self._take, daemon=True).start()

    def close(self) -> None:
        for link in (self._server, *self._links):
            with suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)
            link.close()

    def _take(self) -> None:
        with suppress(OSError):
            while True:
                client = self._server.accept()[0]
                server = socket.create_connection(self._to)
                self._links += [client, server]
                threading.Thread(target=self._hand_on, args=(client, server), daemon=True).start()

    def _hand_on(self, client: socket.socket, server: socket.socket) -> None:
        silent = False
        with suppress(OSError, ValueError):
            while True:
                for link in select.select([client, server], [], [])[0]:
                    if not (data := link.recv(65536)):
                        server.close()
                        client.close()
                        return
                    if link is client:
                        silent = silent or (self.word is not None and self.word in data)
                        server.sendall(data)
                    elif not silent:
                        client.sendall(data)


@pytest.fixture
def proxy(postgres_url: str) -> Iterator[Proxy]:
    url = make_url(postgres_url)
    with closing(Proxy(str(url.host), url.port or 5432)) as made:
        yield made


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(network.ANSWER_SETTING, "0.3")


def through(proxy: Proxy, url: str, driver: str = "psycopg") -> str:
    """The URL by way of the proxy, with a password that no message may show."""
    made = make_url(url).set(drivername=f"postgresql+{driver}", host="127.0.0.1", port=proxy.port, password="hidden")
    return made.render_as_string(hide_password=False)


def ended(call: Callable[[], object]) -> BaseException:
    """The error with which the call ends; a call that does not end fails the test."""
    found = list[BaseException]()

    def run() -> None:
        try:
            call()
        except BaseException as exc:
            found.append(exc)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(LONGEST)
    assert not thread.is_alive(), "it hangs"
    assert found, "it ended without an error"
    return found[0]


def assert_told(exc: BaseException, *words: str, seconds: str = "0.3") -> None:
    assert isinstance(exc, NoAnswer), repr(exc)
    assert f"there was no answer for {seconds} s" in str(exc)
    assert all(word in str(exc) for word in words), str(exc)
    assert "hidden" not in str(exc)


@pytest.mark.parametrize("text", ["soon", "0", "-1", "nan", "inf"])
def test_the_setting_is_a_number_of_seconds(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(network.ANSWER_SETTING, text)
    with pytest.raises(UsageError, match=r"TRADEWIND_ANSWER_SECONDS is a number of seconds above 0, not '"):
        network.read_answer_seconds()
    monkeypatch.delenv(network.ANSWER_SETTING)
    assert network.read_answer_seconds() == 300


@pytest.mark.services
@DRIVERS
def test_a_ledger_that_falls_silent_in_the_middle_is_named(proxy: Proxy, postgres_url: str, driver: str) -> None:
    ledger = Ledger(through(proxy, postgres_url, driver))
    assert not ledger.find("shop", "note")
    proxy.word = b"journal"
    exc = ended(lambda: ledger.find("shop", "note"))
    assert_told(exc, "the ledger at postgresql", f"127.0.0.1:{proxy.port}/")


@pytest.mark.services
@DRIVERS
@pytest.mark.parametrize("word", [b"version()", VERSION_TABLE.encode(), b"COMMIT"])
def test_a_ledger_that_never_says_a_word_after_the_greeting_is_named(
    proxy: Proxy, postgres_url: str, driver: str, word: bytes
) -> None:
    proxy.word = word
    assert_told(ended(lambda: Ledger(through(proxy, postgres_url, driver)).find("shop", "note")), "the ledger at")


@pytest.mark.services
@DRIVERS
def test_the_lock_of_a_registry_that_is_silent_is_named(proxy: Proxy, postgres_url: str, driver: str) -> None:
    proxy.word = b"pg_try_advisory_lock"

    def lock() -> None:
        with hold_registry_lock(through(proxy, postgres_url, driver), "registry"):
            pass

    assert_told(ended(lock), "the Feast registry at postgresql", f"127.0.0.1:{proxy.port}/")


@pytest.mark.services
@DRIVERS
def test_feasts_own_queries_of_a_silent_registry_end_and_are_named(
    proxy: Proxy, postgres_url: str, driver: str
) -> None:
    from feast.infra.registry.sql import SqlRegistry, SqlRegistryConfig

    from tradewind.features import feature_store

    url = through(proxy, postgres_url, driver)
    proxy.word = b"CREATE TABLE"

    def ask() -> None:
        with hold_registry_lock(url, "registry"):
            SqlRegistry(SqlRegistryConfig(**feature_store._registry_config(url)), "shop", None)

    assert_told(ended(ask), "the Feast registry at postgresql")


@pytest.mark.services
@DRIVERS
@pytest.mark.parametrize("word", [b"statement_timeout", b"generate_series", b"FETCH FORWARD"])
def test_a_source_that_is_silent_is_named(proxy: Proxy, postgres_url: str, driver: str, word: bytes) -> None:
    import psycopg
    import psycopg2

    url = through(proxy, postgres_url).replace("+psycopg", "")
    connect = {"psycopg": psycopg.connect, "psycopg2": psycopg2.connect}[driver]
    proxy.word = word

    def ask() -> None:
        source = DatabaseConnection("postgres", lambda: connect(url))
        with (
            query._open_cursor(source, what="q.sql on shop", longest=timedelta(seconds=0.5)) as cursor,
            query._explain_query_errors("", path="q.sql", what="q.sql on shop", secrets=source.secrets),
        ):
            cursor.execute("SELECT * FROM generate_series(1, 9)")
            cursor.fetchmany(5)

    assert_told(ended(ask), "q.sql on shop", seconds="0.3" if word == b"statement_timeout" else "0.8")


@pytest.mark.services
@pytest.mark.parametrize("kind", ["singleton", "pool"])
def test_feasts_own_queries_of_a_silent_online_store_end(proxy: Proxy, postgres_url: str, kind: str) -> None:
    from types import SimpleNamespace

    from feast.infra.online_stores.postgres_online_store.postgres import PostgreSQLOnlineStore
    from feast.infra.online_stores.postgres_online_store.postgres import PostgreSQLOnlineStoreConfig as Settings

    from tradewind.features.online.online_stores import find_online_store
    from tradewind.features.online.store_config import explain_online_errors, online_store_config

    url = make_url(postgres_url)
    place = {
        "type": "postgres", "host": "127.0.0.1", "port": proxy.port, "database": url.database, "user": url.username,
        "password": "hidden", "db_schema": "public", "conn_type": kind, "min_conn": 1, "max_conn": 1,
        "sslmode": "disable",
    }  # fmt: skip
    online: Any = PostgreSQLOnlineStore()
    config: Any = SimpleNamespace(online_store=Settings(**online_store_config(place)))
    made: Any = SimpleNamespace(config=config, _get_provider=lambda: SimpleNamespace(online_store=online))
    find_online_store("postgres").limit(made)
    proxy.word = b"SELECT 42"

    def ask() -> None:
        with explain_online_errors("shop", place), online._get_conn(config) as connection:
            connection.execute("SELECT 42").fetchall()

    try:
        assert_told(ended(ask), f"shop: the online store postgres at 127.0.0.1:{proxy.port}/")
    finally:
        for open_ in (online._conn, online._conn_pool):
            if open_ is not None:
                open_.close()


def test_a_silent_redis_is_named() -> None:
    from feast.infra.online_stores.redis import RedisOnlineStore, RedisOnlineStoreConfig

    from tradewind.features.online import store_config

    with socket.create_server(("127.0.0.1", 0)) as server:
        limits = "socket_connect_timeout=10,socket_timeout=0.3"
        address = f"127.0.0.1:{server.getsockname()[1]},password=hidden,{limits}"
        given = {"type": "redis", "connection_string": address}
        client = RedisOnlineStore()._get_client(RedisOnlineStoreConfig(**store_config.online_store_config(given)))

        def ask() -> None:
            with store_config.explain_online_errors("shop", given):
                client.ping()

        with closing(client):
            exc = ended(ask)
    assert isinstance(exc, Unavailable)
    assert "shop: the online store redis at 127.0.0.1" in str(exc)
    assert "hidden" not in str(exc)


class Drip:
    """An object store that promises a file and then sends a byte whenever the client has taken the one before."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}"
        self._over = threading.Event()
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._over.set()
        self._server.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                link = self._server.accept()[0]
                threading.Thread(target=self._answer, args=(link,), daemon=True).start()

    def _answer(self, link: socket.socket) -> None:
        with suppress(OSError), link:
            link.recv(65536)
            link.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
            while not self._over.wait(0.02):
                link.sendall(b"x")


OPTIONS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "hidden", "AWS_REGION": "us-east-1"}


def test_an_object_store_that_drips_ends_with_the_time_of_a_delivery(tmp_path: Path) -> None:
    with closing(Drip()) as drip:
        store = s3.ObjectStore(
            ObjectStoreConnection({**OPTIONS, "AWS_ENDPOINT_URL": drip.url}),
            called="store",
            longest=timedelta(seconds=0.3),
        )
        exc = ended(lambda: store.copy("s3://landing/x.csv", tmp_path / "x.csv"))
    assert isinstance(exc, Unavailable)
    assert "s3://landing/x.csv: the store behind store" in str(exc)
    assert "limits: {time: …}" in str(exc)


def test_an_object_store_that_is_silent_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        store = s3.ObjectStore(ObjectStoreConnection({**OPTIONS, "AWS_ENDPOINT_URL": url}), called="store")
        exc = ended(lambda: store.copy("s3://landing/x.csv", tmp_path / "x.csv"))
    assert isinstance(exc, Unavailable)
    assert "the store behind store cannot be reached" in str(exc)
