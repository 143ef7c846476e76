"""A database that goes silent is noticed: when it is connected to, and when its machine is gone afterwards."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from typing import Any

import pytest

from tradewind.core import network
from tradewind.core.connections import DatabaseConnection
from tradewind.errors import Unavailable
from tradewind.features.online.store_config import online_store_config
from tradewind.features.registry_lock import hold_registry_lock
from tradewind.ledger.journal import Ledger
from tradewind.sources import query


@pytest.fixture
def silent() -> Iterator[str]:
    """A server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def options(connection: Any) -> dict[str, int]:
    names = ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT", "TCP_USER_TIMEOUT")
    with socket.socket(fileno=socket.dup(connection.fileno())) as link:
        found = {name: link.getsockopt(socket.IPPROTO_TCP, getattr(socket, name)) for name in names}
        return {"SO_KEEPALIVE": link.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE), **found}


ON = {"SO_KEEPALIVE": 1, "TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 60_000}


def test_any_connection_can_be_kept_alive_and_one_without_a_socket_is_left_alone() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as link:
        network.keep_alive(link)
        assert options(link) == ON
    network.keep_alive(object())


@pytest.mark.services
def test_a_source_in_postgres_has_limits_of_network_and_of_statement(postgres_url: str) -> None:
    import psycopg

    url = postgres_url.replace("postgresql+psycopg://", "postgresql://")
    made = list[Any]()

    def connect() -> Any:
        made.append(psycopg.connect(url))
        return made[0]

    with query._open_cursor(DatabaseConnection("postgres", connect), what="q", longest=timedelta(seconds=7)) as cursor:
        cursor.execute("SELECT current_setting('statement_timeout')")
        assert cursor.fetchall() == [("7s",)]
        assert options(made[0]) == ON


@pytest.mark.services
def test_the_ledgers_connection_is_kept_alive(postgres_url: str) -> None:
    from tradewind.ledger.database import LedgerDatabase as Place

    with Place(postgres_url).begin("looking") as connection, closing(connection) as _:
        assert options(connection.connection.driver_connection) == ON


def test_a_ledger_that_says_nothing_is_away(silent: str) -> None:
    with pytest.raises(Unavailable, match=r"the ledger at .* cannot be reached"):
        Ledger(f"postgresql+psycopg://ann:pw@{silent}/x").find("shop", "note")


def test_a_registry_that_says_nothing_is_away(silent: str) -> None:
    with (
        pytest.raises(Unavailable, match=r"the Feast registry at .* cannot be reached"),
        hold_registry_lock(f"postgresql+psycopg://ann:pw@{silent}/x", "registry"),
    ):
        pass


def test_redis_has_limits_unless_its_address_says_others() -> None:
    plain = online_store_config({"type": "redis", "connection_string": "h:1,db=2"})
    assert plain["connection_string"] == "h:1,db=2,socket_connect_timeout=10,socket_timeout=60"
    own = online_store_config({"type": "redis", "connection_string": "h:1,socket_timeout=5"})
    assert own["connection_string"] == "h:1,socket_timeout=5,socket_connect_timeout=10"


@pytest.mark.services
def test_redis_takes_them(postgres_url: str) -> None:
    from feast.infra.online_stores.redis import RedisOnlineStore, RedisOnlineStoreConfig

    config = RedisOnlineStoreConfig(**online_store_config({"type": "redis", "connection_string": "127.0.0.1:6379"}))
    client = RedisOnlineStore()._get_client(config)
    with closing(client):
        assert client.connection_pool.connection_kwargs["socket_timeout"] == 60
        assert client.ping()
