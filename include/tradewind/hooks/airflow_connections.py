"""What lies outside a deployment, by the ids of its Airflow connections."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook, Variable
from airflow.sdk.exceptions import AirflowException, AirflowNotFoundException

from tradewind.core.connections import DatabaseConnection, ObjectStoreConnection, WebServiceConnection
from tradewind.core.secrets import Secrets
from tradewind.errors import MissingExtra, UsageError
from tradewind.spec.variables import with_airflow_variables

if TYPE_CHECKING:
    from airflow.sdk import Connection

CONNECTION = "AIRFLOW_CONN_"
_PARAMSTYLES = {"%s": "format", "?": "qmark"}
# What the http provider takes from a connection's extra for itself; all else in it are headers.
_NO_HEADERS = frozenset({
    "allow_redirects", "cert", "check_response", "max_redirects", "proxies", "proxy", "srv_lookup", "stream",
    "timeout", "trust_env", "verify", "verify_ssl",
})  # fmt: skip


_SECRET_WORDS = (
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "api_key",
    "apikey",
    "private_key",
    "authorization",
)
"""A field of a connection's extra whose name holds one of these is never shown."""


class AirflowConnections:
    """Resolves ids through Airflow, each when it is asked for: inside the task that needs it.

    See :class:`~tradewind.core.connections.Connections`.
    """

    def find(self, conn_id: str) -> Connection:
        """The Airflow connection of an id; where the YAML names a Variable, it is read now, never at parse time.

        :raises UsageError: there is no such connection, or the Variable is not set
        """
        conn_id = with_airflow_variables(conn_id, _variable)
        try:
            return BaseHook.get_connection(conn_id)
        except AirflowNotFoundException as exc:
            raise UsageError(
                f"there is no Airflow connection {conn_id}; make it in the UI (Admin → Connections) or with: "
                f"airflow connections add {conn_id} …"
            ) from exc

    def database(self, conn_id: str) -> DatabaseConnection:
        """The database behind a connection whose hook is a DB-API hook.

        :raises MissingExtra: the provider of the connection's type is not installed
        """
        from airflow.providers.common.sql.hooks.sql import DbApiHook

        connection = self.find(conn_id)
        hook = _hook(connection)
        if not isinstance(hook, DbApiHook):
            raise UsageError(f"connection {conn_id} is of type {connection.conn_type}, which is not a database")
        placeholder = str(hook.placeholder)
        paramstyle = "numeric" if placeholder.startswith(":") else _PARAMSTYLES.get(placeholder, "format")
        return DatabaseConnection(str(connection.conn_type), hook.get_conn, paramstyle, _secrets(connection))

    def http(self, conn_id: str) -> WebServiceConnection:
        """The web service behind a connection of type ``http``: schema, host, port, login, password; extra: headers."""
        connection = self.find(conn_id)
        host = connection.host or ""
        if not host:
            raise UsageError(f"connection {conn_id} has no host; a web service needs one, like https://api.example.com")
        url = host if "://" in host else f"{connection.schema or 'http'}://{host}"
        url = f"{url.rstrip('/')}:{connection.port}" if connection.port else url.rstrip("/")
        headers = {
            name: str(value)
            for name, value in (connection.extra_dejson or {}).items()
            if name not in _NO_HEADERS and isinstance(value, str | int | float)
        }
        auth = (connection.login, connection.password or "") if connection.login else None
        return WebServiceConnection(url, headers=headers, auth=auth)

    def s3(self, conn_id: str) -> ObjectStoreConnection:
        """The object store behind a connection of the amazon provider; roles are assumed as the connection says."""
        from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook

        connection = self.find(conn_id)
        conn_id = str(connection.conn_id)
        if connection.conn_type != "aws":
            raise UsageError(
                f"connection {conn_id} is of type {connection.conn_type}; files on S3 need one of type aws"
            )
        hook: Any = AwsGenericHook(aws_conn_id=conn_id, client_type="s3")
        credentials = hook.get_credentials()
        endpoint = hook.conn_config.get_service_endpoint_url("s3")
        options = {
            "AWS_ACCESS_KEY_ID": credentials.access_key,
            "AWS_SECRET_ACCESS_KEY": credentials.secret_key,
            "AWS_SESSION_TOKEN": credentials.token,
            "AWS_REGION": hook.region_name or hook.conn_region_name,
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_ALLOW_HTTP": "true" if str(endpoint).startswith("http://") else None,
        }
        return ObjectStoreConnection({name: value for name, value in options.items() if value})


class EnvironmentConnections(AirflowConnections):
    """Resolves ids through the environment alone, for work without an Airflow and its database."""

    def find(self, conn_id: str) -> Connection:
        """The connection in ``AIRFLOW_CONN_…``, as JSON or as a URI; a Variable is looked for in ``AIRFLOW_VAR_…``.

        :raises UsageError: the environment has no such variable, or what it holds is not a connection
        """
        conn_id = with_airflow_variables(conn_id, _exported_variable)
        return parse_connection(conn_id, _require_variable(f"{CONNECTION}{conn_id.upper()}", f"connection {conn_id}"))


def parse_connection(conn_id: str, text: str) -> Connection:
    """A connection as Airflow reads it from the environment: JSON, or a URI.

    :raises UsageError: the text is neither; it is not shown, since it may hold a password
    """
    from airflow.sdk import Connection

    try:
        if text.lstrip().startswith("{"):
            return Connection.from_json(text, conn_id=conn_id)
        return Connection.from_uri(text, conn_id=conn_id)
    except (AirflowException, TypeError, ValueError) as exc:
        raise UsageError(
            f"{CONNECTION}{conn_id.upper()} is neither a JSON object nor a URI of a connection ({type(exc).__name__}); "
            'write for example {"conn_type": "postgres", "host": "db", "login": "me", "password": "…"}'
        ) from None


def _secrets(connection: Connection) -> Secrets:
    """The password, and what the extra holds under a name that Airflow hides in its UI."""
    named = {name.lower(): value for name, value in (connection.extra_dejson or {}).items()}
    hidden = [str(value) for name, value in named.items() if any(word in name for word in _SECRET_WORDS)]
    return Secrets([connection.password or "", *hidden])


def _variable(name: str) -> str:
    value = Variable.get(name, default=None)
    if not value:
        raise UsageError(f"a connection is named by the Airflow Variable {name}, which is not set; set it in the UI")
    return str(value)


def _exported_variable(name: str) -> str:
    return _require_variable(f"AIRFLOW_VAR_{name.upper()}", f"Airflow Variable {name}, which names a connection,")


def _require_variable(name: str, what: str) -> str:
    if not (value := os.environ.get(name)):
        raise UsageError(f"{what} is not in the environment; export {name}")
    return value


def _hook(connection: Connection) -> Any:
    kind = connection.conn_type
    if not kind:
        raise UsageError(
            f"connection {connection.conn_id} names no type; a URI begins with it, as in postgres://me:…@db/shop, and "
            'JSON has it as "conn_type"'
        )
    try:
        return connection.get_hook()  # type: ignore[no-untyped-call]  # Airflow's method is not annotated
    except Exception as exc:
        if not isinstance(exc, ImportError) and "Unknown hook type" not in str(exc):
            raise
        package = "airflow-provider-tradewind[postgres]" if kind == "postgres" else f"apache-airflow-providers-{kind}"
        raise MissingExtra(
            f"connection {connection.conn_id}: nothing that is installed reads type {kind}: pip install '{package}'"
        ) from exc
