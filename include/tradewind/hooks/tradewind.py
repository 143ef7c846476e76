"""The connection that says where a deployment keeps its things."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow.sdk import BaseHook

from tradewind.errors import UsageError

if TYPE_CHECKING:
    from tradewind.core.runtime import Runtime


class TradewindHook(BaseHook):
    """Builds the :class:`~tradewind.core.runtime.Runtime` of a task from Airflow connections.

    The extra of a ``tradewind`` connection holds ``project``, ``lake``, ``landing``, ``ledger``,
    ``feast_registry``, ``feast_online``, ``reports`` and optionally ``storage_options``; the password of
    ledger and registry may stand in the connection's password and is put in place of ``{password}`` in their URLs.

    :param tradewind_conn_id: connection of type ``tradewind``
    :param mlflow_conn_id: connection of type ``mlflow``
    """

    conn_name_attr = "tradewind_conn_id"
    default_conn_name = "tradewind_default"
    conn_type = "tradewind"
    hook_name = "Tradewind"

    def __init__(self, tradewind_conn_id: str = default_conn_name, *, mlflow_conn_id: str = "mlflow_default") -> None:
        super().__init__()
        self.tradewind_conn_id = tradewind_conn_id
        self.mlflow_conn_id = mlflow_conn_id

    def get_conn(self) -> Runtime:
        """The runtime of work that no DAG run has started."""
        return self.runtime(run_id="local")

    def runtime(self, *, run_id: str, actor: str = "airflow") -> Runtime:
        """Resolve both connections.

        :param run_id: the DAG run that the work belongs to
        :param actor: who started it
        :raises UsageError: the connection lacks a field
        """
        from tradewind.core.runtime import Runtime
        from tradewind.hooks.airflow_connections import AirflowConnections
        from tradewind.hooks.mlflow import MlflowHook

        connection = self.get_connection(self.tradewind_conn_id)
        extra = self._extra(connection)
        return Runtime(
            project=Path(extra["project"]),
            lake=extra["lake"],
            landing=extra["landing"],
            ledger=_with_password(connection, extra["ledger"]),
            mlflow=MlflowHook(self.mlflow_conn_id).tracking_uri(),
            feast_registry=_with_password(connection, extra["feast_registry"]),
            feast_online=_mapping(extra["feast_online"]),
            reports=Path(extra["reports"]),
            storage_options=_mapping(extra.get("storage_options", {})),
            run_id=run_id,
            actor=actor,
            connections=AirflowConnections(),
            warm=os.environ.get("TRADEWIND_WARM") == "1",
        )

    def ledger_url(self) -> str:
        """SQLAlchemy URL of the ledger."""
        connection = self.get_connection(self.tradewind_conn_id)
        return _with_password(connection, self._extra(connection)["ledger"])

    def _extra(self, connection: Any) -> dict[str, Any]:
        extra: dict[str, Any] = connection.extra_dejson
        fields = ("project", "lake", "landing", "ledger", "feast_registry", "feast_online", "reports")
        missing = [field for field in fields if not extra.get(field)]
        if missing:
            raise UsageError(f"connection {self.tradewind_conn_id}: its extra lacks {', '.join(missing)}")
        return extra


def _with_password(connection: Any, url: Any) -> str:
    return str(url).replace("{password}", quote(connection.password or "", safe=""))


def _mapping(value: str | dict[str, str]) -> dict[str, str]:
    return json.loads(value) if isinstance(value, str) else value
