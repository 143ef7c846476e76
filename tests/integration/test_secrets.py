"""Canary secrets of every kind of connection: after a failure they stand in nothing that was written or shown."""

from __future__ import annotations

import base64
import json
import logging
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import pytest

from tradewind.alerting.incidents import open_incidents
from tradewind.core.connections import DatabaseConnection
from tradewind.core.runtime import Runtime
from tradewind.deployment import Deployment
from tradewind.errors import TradewindError
from tradewind.hooks.airflow_connections import AirflowConnections
from tradewind.hooks.tradewind import TradewindHook
from tradewind.ledger.journal import Ledger
from tradewind.notifiers.incident import IncidentNotifier
from tradewind.spec.pipeline import Pipeline
from tradewind.ui.overview import render_overview_page

CANARY = "c4n4ry/S3cret@here"
FORMS = (CANARY, base64.b64encode(CANARY.encode()).decode(), base64.b64encode(f"ann:{CANARY}".encode()).decode())
AWAY = f"postgresql+psycopg://ann:{quote(CANARY, safe='')}@127.0.0.1:1/x"
SPEC = Pipeline.model_validate(
    {
        "pipeline": "shop", "owner": "x", "description": "x", "partition": "day", "timezone": "UTC",
        "start": "2013-11-01", "schedule": "@daily",
        "datasets": {"orders": {"source": {"http": "/orders", "connection": "web"}, "sql": "o.sql"}},
    }
)  # fmt: skip


@pytest.fixture
def echo() -> Iterator[str]:
    """A service that refuses with all that it was sent, and with the password in plain text."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = f"refused {dict(self.headers)} {self.path} {FORMS} " + "x" * 5000
            self.send_response(401)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        do_POST = do_PUT = do_HEAD = do_GET

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def fail_http(runtime: Runtime, scratch: Path, echo: str) -> None:
    from tradewind.sources.http import fetch_http
    from tradewind.spec.source_http import Http

    source = Http.model_validate({"http": "/orders", "connection": "web", "parameters": {"key": "known"}})
    fetch_http(source, "2013-11-03", deployment=Deployment(SPEC, runtime), scratch=scratch)


def fail_s3(runtime: Runtime, scratch: Path, echo: str) -> None:
    import re

    from tradewind.sources.s3 import ObjectStore

    ObjectStore(runtime.connections.s3("store"), called="store").find(re.compile(".*"), bucket="b", prefix="p")


def fail_postgres(runtime: Runtime, scratch: Path, echo: str) -> None:
    from tradewind.sources import query

    database = runtime.connections.database("db")
    with query._open_cursor(database, what="q.sql on db"):
        pass


def fail_driver(runtime: Runtime, scratch: Path, echo: str) -> None:
    """A driver that repeats its connection string, as psycopg does for one that it cannot read."""
    import psycopg

    from tradewind.sources import query

    given = runtime.connections.database("db")

    def connect() -> Any:
        raise psycopg.OperationalError(f"invalid connection option: password={CANARY} {FORMS[1]}")

    with query._open_cursor(
        DatabaseConnection(given.kind, connect, given.paramstyle, given.secrets), what="q.sql on db"
    ):
        pass


def fail_mlflow(runtime: Runtime, scratch: Path, echo: str) -> None:
    from tradewind.registry.model_registry import ModelRegistry

    ModelRegistry(runtime, "shop").get("1")


def fail_feast_registry(runtime: Runtime, scratch: Path, echo: str) -> None:
    from tradewind.features.registry_lock import hold_registry_lock

    with hold_registry_lock(AWAY, "registry"):
        pass


def fail_ledger(runtime: Runtime, scratch: Path, echo: str) -> None:
    Ledger(AWAY).find("shop", "note")


def fail_redis(runtime: Runtime, scratch: Path, echo: str) -> None:
    from redis.exceptions import RedisError

    from tradewind.features.online.store_config import explain_online_errors

    with explain_online_errors("shop", {"type": "redis", "connection_string": f"127.0.0.1:1,password={CANARY}"}):
        raise RedisError(f"cannot connect with password={CANARY}")


def fail_elsewhere(runtime: Runtime, scratch: Path, echo: str) -> None:
    """An error of another library: nothing of ours made its message."""
    runtime.connections.database("db")
    raise RuntimeError(f"postgresql://ann:{CANARY}@db/x: password {CANARY} refused")


KINDS = [
    fail_http, fail_s3, fail_postgres, fail_driver, fail_mlflow, fail_feast_registry, fail_ledger, fail_redis,
    fail_elsewhere,
]  # fmt: skip


@pytest.mark.parametrize("fail", KINDS, ids=lambda fail: fail.__name__)
def test_a_failure_shows_no_secret(
    fail: Callable[[Runtime, Path, str], None],
    tmp_path: Path,
    echo: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, logger="tradewind")
    home = tmp_path / "home"
    home.mkdir()
    runtime = _runtime(home, echo, monkeypatch)
    with pytest.raises((TradewindError, RuntimeError)) as caught:
        fail(runtime, home, echo)
    # As Airflow's task does, which knows the connection's password from when it was looked up.
    run = SimpleNamespace(dag_id="shop__etl", run_id="r1", partition_key="2013-11-03")
    task = SimpleNamespace(task_id="orders", try_number=1, log_url="http://log")
    IncidentNotifier(pipeline="shop", owner="x").notify(
        {"dag_run": run, "task_instance": task, "exception": caught.value}
    )
    [incident] = open_incidents(Ledger(runtime.ledger), "shop")
    if isinstance(caught.value, TradewindError):
        assert not any(form in str(caught.value) for form in FORMS), caught.value
    shown = [incident.message, caplog.text, render_overview_page(runtime.ledger), repr(runtime)]
    written = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
    assert written
    for form in FORMS:
        assert not any(form in text for text in shown), form
        assert not [path for path, content in written.items() if form.encode() in content], form
    assert len(incident.message) < 3000


def _runtime(home: Path, echo: str, monkeypatch: pytest.MonkeyPatch) -> Runtime:
    extra: dict[str, Any] = dict.fromkeys(("project", "lake", "landing", "reports"), str(home))
    extra |= {"feast_online": {"type": "sqlite"}, "feast_registry": f"sqlite:///{home}/feast.db"}
    extra["ledger"] = f"sqlite:///{home}/ledger.db"
    aws = {"endpoint_url": f"http://{echo}", "region_name": "eu-west-1"}
    connections = {
        "TRADEWIND_DEFAULT": {"conn_type": "tradewind", "extra": extra},
        "WEB": {
            "conn_type": "http", "host": f"http://{echo}", "login": "ann", "password": CANARY,
            "extra": {"X-Key": CANARY},
        },
        "STORE": {"conn_type": "aws", "login": "key", "password": CANARY, "extra": aws},
        "DB": {
            "conn_type": "postgres", "host": "127.0.0.1", "port": 1, "login": "ann", "password": CANARY, "schema": "x"
        },
        "MLFLOW_DEFAULT": {
            "conn_type": "mlflow", "login": "ann", "password": CANARY,
            "extra": {"tracking_uri": f"http://ann:{quote(CANARY, safe='')}@{echo}"},
        },
    }  # fmt: skip
    for name, fields in connections.items():
        monkeypatch.setenv(f"AIRFLOW_CONN_{name}", json.dumps(fields))
    for name in ("USERNAME", "PASSWORD"):  # the hook sets them; they are gone again with the test
        monkeypatch.setenv(f"MLFLOW_TRACKING_{name}", "")
    runtime = TradewindHook().runtime(run_id="r1")
    assert isinstance(runtime.connections, AirflowConnections)
    return runtime
