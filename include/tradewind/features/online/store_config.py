"""Where the online store is, whether its driver is installed, and what it means when it does not answer."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from tradewind.core.disk import storage_fault
from tradewind.core.network import choose_error
from tradewind.core.secrets import Secrets
from tradewind.errors import MissingExtra
from tradewind.features.online.online_store import OnlineStore
from tradewind.features.online.online_stores import find_online_store


def configured_online_store(given: Mapping[str, Any]) -> OnlineStore:
    """What is known of the kind of store that a configuration names."""
    return find_online_store(str(given.get("type")))


def online_store_config(given: Mapping[str, Any]) -> dict[str, Any]:
    """Feast's configuration of the online store, once it can be used.

    :raises MissingExtra: its driver is not installed
    """
    store = configured_online_store(given)
    missing = [module for module in store.drivers if find_spec(module) is None]
    if missing:
        extra = f"pip install 'airflow-provider-tradewind[{store.kind}]'"
        raise MissingExtra(f"the online store {store.kind} needs {', '.join(missing)}: {extra}")
    for folder in store.folders(given):
        folder.mkdir(parents=True, exist_ok=True)
    return store.configure(given)


def online_store_digest(given: Mapping[str, Any]) -> str:
    """Which online store it is, without the password that its configuration may hold."""
    return hashlib.sha256(json.dumps(dict(given), sort_keys=True).encode()).hexdigest()[:16]


@contextmanager
def explain_online_errors(pipeline: str, given: Mapping[str, Any]) -> Iterator[None]:
    """Name the online store when its driver fails.

    :raises Unavailable: it is away, full or busy
    """
    store = configured_online_store(given)
    try:
        yield
    except store.failures() as exc:
        what = f"{pipeline}: the online store {store.kind} at {store.describe(given)}"
        if (fault := storage_fault(exc, what, *store.folders(given))) is not None:
            raise fault from exc
        reason = _secrets(given).mask(str(exc).strip()) or type(exc).__name__
        raise choose_error(exc)(
            f"{what} does not take what is written: {reason}; what is missing is written when the stage runs again"
        ) from exc


def _secrets(given: Mapping[str, Any]) -> Secrets:
    """What the configuration of an online store hides: fields of such a name, and those of Redis' connection string."""
    parts = [part.partition("=") for part in str(given.get("connection_string", "")).split(",")]
    named = [*((name, value) for name, _, value in parts), *((name, str(value)) for name, value in given.items())]
    return Secrets(value for name, value in named if "passw" in name.lower() or "token" in name.lower())
