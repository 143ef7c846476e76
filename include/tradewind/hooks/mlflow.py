"""The connection to MLflow."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook

if TYPE_CHECKING:
    from mlflow import MlflowClient


class MlflowHook(BaseHook):
    """Resolves an ``mlflow`` connection.

    Host and port name the tracking server (``http://mlflow:5000``); the extra field ``tracking_uri`` takes its
    place where there is no server (``sqlite:///…``), and ``ui_url`` is the address that people open.
    Login and password are handed to MLflow's client through its own environment variables.

    :param mlflow_conn_id: connection of type ``mlflow``
    """

    conn_name_attr = "mlflow_conn_id"
    default_conn_name = "mlflow_default"
    conn_type = "mlflow"
    hook_name = "MLflow"

    def __init__(self, mlflow_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.mlflow_conn_id = mlflow_conn_id

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """What the form of the connection shows."""
        return {
            "hidden_fields": ["schema"],
            "relabeling": {"host": "Tracking server", "login": "User"},
            "placeholders": {"host": "http://mlflow", "port": "5000", "extra": '{"tracking_uri": "", "ui_url": ""}'},
        }

    def get_conn(self) -> MlflowClient:
        """A client of the tracking server and registry."""
        from mlflow import MlflowClient

        return MlflowClient(self.tracking_uri())

    def tracking_uri(self) -> str:
        """Tracking and registry URI; sets the credentials of this process."""
        connection = self.get_connection(self.mlflow_conn_id)
        if connection.login:
            os.environ["MLFLOW_TRACKING_USERNAME"] = connection.login
            os.environ["MLFLOW_TRACKING_PASSWORD"] = connection.password or ""
        return str(connection.extra_dejson.get("tracking_uri") or self._server(connection))

    def ui_url(self) -> str:
        """Address of MLflow's pages, without a slash at the end."""
        connection = self.get_connection(self.mlflow_conn_id)
        return str(connection.extra_dejson.get("ui_url") or self._server(connection)).rstrip("/")

    @staticmethod
    def _server(connection: Any) -> str:
        host = connection.host or "http://localhost"
        scheme = "" if "://" in host else "http://"
        return f"{scheme}{host}:{connection.port}" if connection.port else f"{scheme}{host}"
