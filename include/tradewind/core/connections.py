"""What lies outside a deployment, as plain values: operators make them from Airflow connections and hand them down."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from tradewind.core.secrets import Secrets
from tradewind.errors import UsageError

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class DatabaseConnection:
    """A database that is reached through Python's DB-API.

    :param kind: type of the Airflow connection, like ``postgres``
    :param connect: opens a connection; the caller closes it
    :param paramstyle: of PEP 249: ``pyformat``, ``qmark``…
    :param secrets: what no message about it may show
    """

    kind: str
    connect: Callable[[], Any] = field(repr=False)
    paramstyle: str = "pyformat"
    secrets: Secrets = field(default_factory=Secrets, repr=False)


@dataclass(frozen=True, slots=True)
class WebServiceConnection:
    """A web service.

    :param url: its address, without a slash at the end
    :param auth: user and password, if it wants them
    """

    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    auth: tuple[str, str] | None = field(default=None, repr=False)

    @property
    def secrets(self) -> Secrets:
        """What no message about it may show: the password, basic credentials, header values and bearer tokens."""
        values = [part for value in self.headers.values() for part in (value, *value.split())]
        return Secrets([*values, self.auth[1], ":".join(self.auth)] if self.auth else values)


@dataclass(frozen=True, slots=True)
class ObjectStoreConnection:
    """An object store.

    :param options: as deltalake takes them: ``AWS_ACCESS_KEY_ID``, ``AWS_SECRET_ACCESS_KEY``, ``AWS_SESSION_TOKEN``,
        ``AWS_REGION``, ``AWS_ENDPOINT_URL``, ``AWS_ALLOW_HTTP``
    """

    options: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def secrets(self) -> Secrets:
        """What no message about it may show."""
        names = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
        return Secrets(self.options[name] for name in names if name in self.options)


class Connections(Protocol):
    """Finds what a connection's id stands for.

    Each method raises :class:`~tradewind.errors.UsageError` for an id that there is no fitting connection for.
    """

    def database(self, conn_id: str) -> DatabaseConnection:
        """The database behind a connection."""

    def http(self, conn_id: str) -> WebServiceConnection:
        """The web service behind a connection."""

    def s3(self, conn_id: str) -> ObjectStoreConnection:
        """The object store behind a connection."""


@dataclass(frozen=True, slots=True)
class GivenConnections:
    """Connections by their ids, for work without Airflow: a test, a notebook."""

    databases: Mapping[str, DatabaseConnection] = field(default_factory=dict)
    services: Mapping[str, WebServiceConnection] = field(default_factory=dict)
    stores: Mapping[str, ObjectStoreConnection] = field(default_factory=dict)

    def database(self, conn_id: str) -> DatabaseConnection:
        """See :class:`Connections`."""
        return _one(self.databases, conn_id)

    def http(self, conn_id: str) -> WebServiceConnection:
        """See :class:`Connections`."""
        return _one(self.services, conn_id)

    def s3(self, conn_id: str) -> ObjectStoreConnection:
        """See :class:`Connections`."""
        return _one(self.stores, conn_id)


def _one(known: Mapping[str, _T], conn_id: str) -> _T:
    if conn_id not in known:
        raise UsageError(f"there is no connection {conn_id}; there are: {', '.join(known) or 'none'}")
    return known[conn_id]
