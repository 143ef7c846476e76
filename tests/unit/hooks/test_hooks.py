"""Connections become a runtime; what is missing is named."""

from __future__ import annotations

import json

import pytest

from tradewind.errors import UsageError
from tradewind.hooks.mlflow import MlflowHook
from tradewind.hooks.tradewind import TradewindHook

EXTRA = {
    "project": "/p",
    "lake": "/l",
    "landing": "/in",
    "ledger": "postgresql+psycopg://tw:{password}@db/ledger",
    "feast_registry": "sqlite:///r.db",
    "feast_online": '{"type": "sqlite", "path": "o.db"}',
    "reports": "/r",
}


def connect(monkeypatch, *, extra=None, **mlflow):
    connection = {"conn_type": "tradewind", "password": "s3cr@t/9", "extra": EXTRA if extra is None else extra}
    monkeypatch.setenv("AIRFLOW_CONN_TRADEWIND_DEFAULT", json.dumps(connection))
    monkeypatch.setenv("AIRFLOW_CONN_MLFLOW_DEFAULT", json.dumps({"conn_type": "mlflow", **mlflow}))


def test_the_password_is_put_into_the_ledgers_url(monkeypatch):
    connect(monkeypatch)
    assert TradewindHook().ledger_url() == "postgresql+psycopg://tw:s3cr%40t%2F9@db/ledger"


def test_the_runtime_holds_both_connections(monkeypatch):
    connect(monkeypatch, host="http://mlflow", port=5000)
    runtime = TradewindHook().runtime(run_id="r1")
    assert runtime.mlflow == "http://mlflow:5000"
    assert runtime.feast_online == {"type": "sqlite", "path": "o.db"}
    assert runtime.run_id == "r1"
    assert "s3cr" not in repr(runtime)


def test_a_missing_field_is_named(monkeypatch):
    connect(monkeypatch, extra={"project": "/p"})
    with pytest.raises(UsageError, match="lacks lake, landing"):
        TradewindHook().runtime(run_id="r1")


def test_tracking_uri_stands_in_for_a_server(monkeypatch):
    connect(monkeypatch, extra=EXTRA, host=None)
    monkeypatch.setenv(
        "AIRFLOW_CONN_MLFLOW_DEFAULT",
        json.dumps({"conn_type": "mlflow", "extra": {"tracking_uri": "sqlite:///m.db", "ui_url": "http://ui/"}}),
    )
    assert MlflowHook().tracking_uri() == "sqlite:///m.db"
    assert MlflowHook().ui_url() == "http://ui"


def test_credentials_reach_mlflow_through_its_environment(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "")
    connect(monkeypatch, host="http://mlflow", login="ann", password="pw")
    MlflowHook().tracking_uri()
    import os

    assert os.environ["MLFLOW_TRACKING_USERNAME"] == "ann"
    assert os.environ["MLFLOW_TRACKING_PASSWORD"] == "pw"
