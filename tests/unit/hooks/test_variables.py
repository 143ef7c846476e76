"""A connection that an Airflow Variable names: read in the task, and never before."""

from __future__ import annotations

import json

import pytest

from tradewind.errors import UsageError
from tradewind.hooks.airflow_connections import AirflowConnections


def test_the_variable_names_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    aws = {"conn_type": "aws", "login": "id", "password": "x", "extra": {"region_name": "eu-west-1"}}
    monkeypatch.setenv("AIRFLOW_VAR_LAKE_CONN", "prod_lake")
    monkeypatch.setenv("AIRFLOW_CONN_PROD_LAKE", json.dumps(aws))
    monkeypatch.setenv("AIRFLOW_CONN_PROD_WEB", json.dumps({"conn_type": "http", "host": "web"}))
    monkeypatch.setenv("AIRFLOW_VAR_WEB_CONN", "prod_web")

    assert AirflowConnections().s3("{{ var.value.lake_conn }}").options["AWS_REGION"] == "eu-west-1"
    assert AirflowConnections().http("{{ var.value.web_conn }}").url == "http://web"


def test_a_variable_that_is_not_set_is_named() -> None:
    with pytest.raises(UsageError, match="the Airflow Variable nowhere_conn, which is not set"):
        AirflowConnections().database("{{ var.value.nowhere_conn }}")
