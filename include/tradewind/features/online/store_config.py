"""Where the online store is, whether its driver is installed, and what it means when it does not answer."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tradewind.core.disk import storage_fault
from tradewind.core.network import POSTGRES, REDIS, choose_error
from tradewind.core.secrets import Secrets
from tradewind.errors import MissingExtra

# What Feast's online stores import, by the name of Tradewind's extra.
_DRIVERS = {"redis": ("redis",), "postgres": ("psycopg", "psycopg_pool")}


def online_store_config(given: Mapping[str, Any]) -> dict[str, Any]:
    """Feast's configuration of the online store, once it can be used.

    :raises MissingExtra: its driver is not installed
    """
    kind = str(given.get("type"))
    missing = [module for module in _DRIVERS.get(kind, ()) if find_spec(module) is None]
    if missing:
        raise MissingExtra(
            f"the online store {kind} needs {', '.join(missing)}: pip install 'airflow-provider-tradewind[{kind}]'"
        )
    if kind == "sqlite" and "path" in given:
        Path(given["path"]).parent.mkdir(parents=True, exist_ok=True)
    # Feast would refuse corrections, which have the event time of what they correct; what it is given is the newest.
    if kind == "redis":
        return {"skip_dedup": True, **given, "connection_string": _with_limits(given)}
    return {"keepalives_idle": POSTGRES["keepalives_idle"], **given} if kind == "postgres" else dict(given)


def _with_limits(given: Mapping[str, Any]) -> str:
    """Redis' address with time limits, unless it has some: its client waits for ever by itself."""
    address = str(given.get("connection_string", "localhost:6379"))
    named = {part.partition("=")[0].strip() for part in address.split(",")}
    return ",".join([address, *(f"{name}={value}" for name, value in REDIS.items() if name not in named)])


def online_store_digest(given: Mapping[str, Any]) -> str:
    """Which online store it is, without the password that its configuration may hold."""
    return hashlib.sha256(json.dumps(dict(given), sort_keys=True).encode()).hexdigest()[:16]


@contextmanager
def explain_online_errors(pipeline: str, given: Mapping[str, Any]) -> Iterator[None]:
    """Name the online store when its driver fails.

    :raises Unavailable: it is away, full or busy
    """
    try:
        yield
    except _failures(str(given.get("type"))) as exc:
        if (
            fault := storage_fault(
                exc, f"{pipeline}: the online store {_describe_store(given)}", *_sqlite_folder(given)
            )
        ) is not None:
            raise fault from exc
        reason = _secrets(given).mask(str(exc).strip()) or type(exc).__name__
        raise choose_error(exc)(
            f"{pipeline}: the online store {_describe_store(given)} does not take what is written: {reason}; "
            "what is missing is written when the stage runs again"
        ) from exc


def _secrets(given: Mapping[str, Any]) -> Secrets:
    """What the configuration of an online store hides: fields of such a name, and those of Redis' connection string."""
    parts = [part.partition("=") for part in str(given.get("connection_string", "")).split(",")]
    named = [*((name, value) for name, _, value in parts), *((name, str(value)) for name, value in given.items())]
    return Secrets(value for name, value in named if "passw" in name.lower() or "token" in name.lower())


def _sqlite_folder(given: Mapping[str, Any]) -> list[Path]:
    return [Path(given["path"]).parent] if given.get("type") == "sqlite" and "path" in given else []


def _failures(kind: str) -> tuple[type[Exception], ...]:
    if kind == "redis":
        from redis.exceptions import RedisError

        return (RedisError,)
    if kind == "postgres":
        from psycopg import OperationalError

        return (OperationalError,)
    import sqlite3

    return (sqlite3.OperationalError,)


def _describe_store(given: Mapping[str, Any]) -> str:
    match given.get("type"):
        case "redis":
            address = str(given.get("connection_string", "localhost:6379"))
            return f"redis at {','.join(part for part in address.split(',') if '=' not in part)}"
        case "postgres":
            return f"postgres at {given.get('host')}:{given.get('port', 5432)}/{given.get('database')}"
        case kind:
            return f"{kind} at {given.get('path', 'its default place')}"
