"""A Feast store for one call: definitions in the SQL registry, datasets at the versions given."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tradewind.core.disk import translate_disk_errors
from tradewind.core.network import engine_options, limit_connecting
from tradewind.features.feast_import import import_feast
from tradewind.features.online.online_stores import find_online_store
from tradewind.features.online.store_config import configured_online_store, online_store_config
from tradewind.features.registry_lock import hold_registry_lock

if TYPE_CHECKING:
    from feast import FeatureStore, RepoConfig
    from feast.infra.registry.sql import SqlRegistry

    from tradewind.core.runtime import Runtime
    from tradewind.deployment import Deployment

_SQLITE_BUSY_SECONDS = 60


def make_feature_store(deployment: Deployment, *, versions: Mapping[str, int]) -> FeatureStore:
    """A Feast store of the pipeline; its offline side reads the datasets at ``versions``.

    The registry is read once, when the store is made.

    :param versions: table version of every dataset that is going to be read
    :raises MissingExtra: the driver of the online store is not installed
    """
    with hold_registry_lock(deployment.runtime.feast_registry, "registry"):
        return make_store_unlocked(deployment, versions=versions)


def feature_store_folders(runtime: Runtime) -> list[Path]:
    """Where registry and online store lie, those of them that are SQLite files."""
    kind, _, path = runtime.feast_registry.partition(":///")
    found = [path] if kind == "sqlite" else []
    online = configured_online_store(runtime.feast_online)
    return [*(Path(each).parent for each in found), *online.folders(runtime.feast_online)]


def make_store_unlocked(deployment: Deployment, *, versions: Mapping[str, int]) -> FeatureStore:
    """As :func:`make_feature_store`, for a caller that holds the registry's lock: it may create its tables."""
    import_feast()
    limit_connecting()  # Feast's own connections to an online store take no other limit
    from feast import FeatureStore

    with translate_disk_errors(
        f"{deployment.spec.pipeline}: the feature store", *feature_store_folders(deployment.runtime)
    ):
        made = FeatureStore(config=feast_config(deployment, versions=versions))
        assert made.registry is not None  # made on first use, and that shall be under the lock
    find_online_store(made.config.online_store.type).limit(made)
    return made


@contextmanager
def open_feature_store(deployment: Deployment, *, versions: Mapping[str, int]) -> Iterator[FeatureStore]:
    """As :func:`make_feature_store`, with its database connections closed at the end."""
    made = make_feature_store(deployment, versions=versions)
    try:
        yield made
    finally:
        close_feature_store(made)


def close_feature_store(made: FeatureStore) -> None:
    """Close the database connections of a store; Feast itself leaves them open."""
    registry = sql_registry(made)
    registry.write_engine.dispose()
    registry.read_engine.dispose()
    online = made._get_provider().online_store
    for name in ("_conn", "_conn_pool", "_client"):  # SQLite and PostgreSQL, PostgreSQL, Redis
        connection: Any = getattr(online, name, None)
        if connection is not None:
            connection.close()


def sql_registry(made: FeatureStore) -> SqlRegistry:
    """The store's registry; it is always an SQL one."""
    from feast.infra.registry.sql import SqlRegistry

    registry = made.registry
    assert isinstance(registry, SqlRegistry)
    return registry


def feast_config(deployment: Deployment, *, versions: Mapping[str, int]) -> RepoConfig:
    """Feast's configuration of one pipeline; nothing of it is read from or written to a file."""
    from feast import RepoConfig

    runtime = deployment.runtime
    return RepoConfig(
        project=deployment.spec.pipeline,
        provider="local",
        registry=_registry_config(runtime.feast_registry),
        online_store=online_store_config(runtime.feast_online),
        offline_store=_offline_store_config(deployment, versions),
        batch_engine={"type": "local"},
        entity_key_serialization_version=3,
        # the newest row of an entity is found by DuckDB, before anything becomes a Python object
        materialization={"pull_latest_features": True},
        repo_path=runtime.project,
    )


def _registry_config(url: str) -> dict[str, Any]:
    from sqlalchemy import make_url

    settings: dict[str, Any] = {
        "registry_type": "sql",
        "path": url,
        "cache_ttl_seconds": 0,  # read once: a store lives for one call
        "serve_features_while_materializing": True,
    }
    if url.startswith("sqlite"):
        settings["sqlalchemy_config_kwargs"] = {"connect_args": {"timeout": _SQLITE_BUSY_SECONDS}}
    else:
        settings["sqlalchemy_config_kwargs"] = engine_options(make_url(url).get_driver_name())
    return settings


def _offline_store_config(deployment: Deployment, versions: Mapping[str, int]) -> dict[str, Any]:
    from tradewind.features.offline_store import TYPE

    spec = deployment.spec
    return {
        "type": TYPE,
        "lake": deployment.runtime.lake,
        "pipeline": spec.pipeline,
        "versions": dict(versions),
        "storage_options": dict(deployment.runtime.storage_options),
        "partition_kind": spec.partition,
        "timezone": spec.timezone,
        "start": spec.start,
        "corrections": spec.features.corrections if spec.features else "as_known",
    }
