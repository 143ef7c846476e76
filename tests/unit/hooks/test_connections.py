"""Airflow connections as the plain values that sources work with."""

from __future__ import annotations

import json
import logging
from contextlib import closing
from typing import Any

import pytest
import sqlalchemy

from tradewind.errors import MissingExtra, UsageError
from tradewind.hooks.airflow_connections import AirflowConnections, EnvironmentConnections
from tradewind.hooks.tradewind import TradewindHook


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes an Airflow connection."""

    def make(conn_id: str, **fields: Any) -> AirflowConnections:
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(fields))
        return AirflowConnections()

    return make


@pytest.mark.services
def test_a_database_is_reached_through_its_providers_hook(connect: Any, postgres_url: str) -> None:
    url = sqlalchemy.make_url(postgres_url)
    fields = {"host": url.host, "port": url.port, "login": url.username, "schema": url.database}
    database = connect("shop_db", conn_type="postgres", extra={"cursor": "dictcursor"}, **fields).database("shop_db")
    assert (database.kind, database.paramstyle) == ("postgres", "format")
    with closing(database.connect()) as connection:
        assert connection.info.dbname == url.database


def test_a_database_is_not_connected_to_before_somebody_asks(connect: Any) -> None:
    assert connect("away", conn_type="postgres", host="127.0.0.1", port=1).database("away").kind == "postgres"


def test_a_type_that_nobody_reads_names_what_to_install(connect: Any) -> None:
    with pytest.raises(MissingExtra, match="pip install 'apache-airflow-providers-mysql'"):
        connect("shop_db", conn_type="mysql", host="db").database("shop_db")


def test_an_id_that_there_is_none_of_says_how_to_make_it() -> None:
    with pytest.raises(UsageError, match=r"no Airflow connection nowhere; .* airflow connections add nowhere"):
        AirflowConnections().http("nowhere")


def test_a_connection_of_another_kind_is_refused(connect: Any) -> None:
    with pytest.raises(UsageError, match="type http, which is not a database"):
        connect("web", conn_type="http", host="x").database("web")
    with pytest.raises(UsageError, match="need one of type aws"):
        connect("web", conn_type="http", host="x").s3("web")


@pytest.mark.parametrize(
    ("fields", "url"),
    [
        ({"host": "api.example.com"}, "http://api.example.com"),
        ({"host": "api.example.com", "schema": "https", "port": 8443}, "https://api.example.com:8443"),
        ({"host": "https://api.example.com/v2/"}, "https://api.example.com/v2"),
    ],
)
def test_a_web_service_has_the_address_that_airflows_hook_gives_it(connect: Any, fields: Any, url: str) -> None:
    endpoint = connect("web", conn_type="http", login="ann", password="s3cret",
                       extra={"X-Key": "t0ken", "timeout": 5, "verify": False}, **fields).http("web")  # fmt: skip
    assert (endpoint.url, endpoint.auth, dict(endpoint.headers)) == (url, ("ann", "s3cret"), {"X-Key": "t0ken"})
    assert "s3cret" not in repr(endpoint)
    assert "t0ken" not in repr(endpoint)


def test_a_web_service_without_a_host_is_refused(connect: Any) -> None:
    with pytest.raises(UsageError, match="connection web has no host"):
        connect("web", conn_type="http").http("web")


def test_an_object_store_has_the_keys_the_region_and_the_endpoint(connect: Any) -> None:
    extra = {"region_name": "eu-central-1", "endpoint_url": "http://127.0.0.1:9000"}
    store = connect("lake", conn_type="aws", login="AKIA", password="s3cret", extra=extra).s3("lake")
    assert dict(store.options) == {
        "AWS_ACCESS_KEY_ID": "AKIA",
        "AWS_SECRET_ACCESS_KEY": "s3cret",
        "AWS_REGION": "eu-central-1",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9000",
        "AWS_ALLOW_HTTP": "true",
    }
    assert "s3cret" not in repr(store)


def test_no_secret_reaches_the_log(connect: Any, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        connections = connect("lake", conn_type="aws", login="AKIA", password="s3cr3t-1", extra={"region_name": "x"})
        connections.s3("lake")
        connect("web", conn_type="http", host="x", login="ann", password="s3cr3t-2").http("web")
        connect("db", conn_type="postgres", host="x", login="ann", password="s3cr3t-3").database("db")
    assert "s3cr3t" not in caplog.text


def test_the_runtime_of_a_task_finds_them(connect: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("project", "lake", "landing", "ledger", "feast_registry", "reports")
    extra = dict.fromkeys(names, "/x") | {"feast_online": {"type": "sqlite"}}
    connect("tradewind_default", conn_type="tradewind", extra=extra)
    connect("mlflow_default", conn_type="mlflow", host="http://m")
    connect("web", conn_type="http", host="x")
    assert TradewindHook().runtime(run_id="r1").connections.http("web").url == "http://x"


@pytest.mark.parametrize(
    "text",
    [
        '{"conn_type": "http", "host": "api.example.com", "login": "ann", "password": "p@ss/word"}',
        "http://ann:p%40ss%2Fword@api.example.com",
    ],
)
def test_the_environment_alone_is_enough_as_json_and_as_uri(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_WEB", text)
    monkeypatch.setenv("AIRFLOW_VAR_WHERE", "web")
    for conn_id in ("web", "{{ var.value.where }}"):
        endpoint = EnvironmentConnections().http(conn_id)
        assert (endpoint.url, endpoint.auth) == ("http://api.example.com", ("ann", "p@ss/word"))


def test_what_is_not_exported_is_named_and_what_is_malformed_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="connection nowhere is not in the environment; export AIRFLOW_CONN_NOWHERE"):
        EnvironmentConnections().http("nowhere")
    with pytest.raises(UsageError, match="Airflow Variable where, which names a connection, is not in the environment"):
        EnvironmentConnections().http("{{ var.value.where }}")
    monkeypatch.setenv("AIRFLOW_CONN_WEB", '{"conn_type": "http", "password": "s3cret"')
    with pytest.raises(UsageError, match="AIRFLOW_CONN_WEB is neither a JSON object nor a URI") as failure:
        EnvironmentConnections().http("web")
    assert "s3cret" not in str(failure.value)


@pytest.mark.parametrize("text", ["ann_b:s3cret@db", '{"host": "db", "password": "s3cret"}'])
def test_a_connection_without_a_type_is_refused_in_words(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SHOP_DB", text)
    with pytest.raises(UsageError, match="connection shop_db names no type; a URI begins with it") as failure:
        EnvironmentConnections().database("shop_db")
    assert "s3cret" not in str(failure.value)
