"""Removing entities from the online store."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

from tradewind.core.network import keep_alive, limit_answers
from tradewind.engine.database import quote_identifier
from tradewind.errors import UsageError

if TYPE_CHECKING:
    import pyarrow as pa
    from feast import FeatureStore, FeatureView
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey


def erase_online_entities(store: FeatureStore, view: FeatureView, entities: pa.Table) -> int:
    """Remove what the online store has of ``entities`` in ``view``.

    :param entities: the view's entity columns, by their names in Feast
    :return: how many of them it had
    :raises UsageError: an online store in which Tradewind cannot remove anything
    """
    keys = _entity_keys(view, entities)
    if not keys:
        return 0
    match store.config.online_store.type:
        case "sqlite":
            return _erase_sqlite(store, view, keys)
        case "postgres":
            return _erase_postgres(store, view, keys)
        case "redis":
            return _erase_redis(store, keys)
        case kind:
            raise UsageError(
                f"{store.project}: entities cannot be removed from the online store {kind}; remove them there from the "
                f"view {view.name}, then erase with --not-online"
            )


def _entity_keys(view: FeatureView, entities: pa.Table) -> list[EntityKey]:
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey
    from feast.type_map import python_values_to_proto_values

    columns = [column for column in view.entity_columns if column.name in entities.column_names]
    names = [column.name for column in columns]
    values = [python_values_to_proto_values(entities[c.name].to_pylist(), c.dtype.to_value_type()) for c in columns]
    return [EntityKey(join_keys=names, entity_values=list(row)) for row in zip(*values, strict=True)]


def _serialised(keys: Sequence[EntityKey]) -> list[bytes]:
    from feast.infra.key_encoding_utils import serialize_entity_key

    return [serialize_entity_key(key, entity_key_serialization_version=3) for key in keys]


def _erase_sqlite(store: FeatureStore, view: FeatureView, keys: Sequence[EntityKey]) -> int:
    from feast.infra.online_stores.helpers import compute_table_id
    from feast.infra.online_stores.sqlite import SqliteOnlineStore

    table = quote_identifier(compute_table_id(store.project, view))
    removed = 0
    path = SqliteOnlineStore._get_db_path(store.config)
    with closing(sqlite3.connect(path, timeout=60)) as connection, connection:
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", [table.strip('"')]).fetchall():
            return 0
        for key in _serialised(keys):
            removed += connection.execute(f"DELETE FROM {table} WHERE entity_key = ?", [key]).rowcount > 0
    with closing(sqlite3.connect(path, timeout=60, isolation_level=None)) as connection:
        connection.execute("VACUUM")  # SQLite leaves what was deleted in the file's free pages
    return removed


def _erase_postgres(store: FeatureStore, view: FeatureView, keys: Sequence[EntityKey]) -> int:
    from feast.infra.online_stores.helpers import compute_table_id
    from feast.infra.utils.postgres.connection_utils import _get_conn

    table = quote_identifier(compute_table_id(store.project, view))
    removed = 0
    with closing(_get_conn(store.config.online_store)) as connection:
        keep_alive(connection)
        limit_answers(connection)
        for key in _serialised(keys):
            removed += connection.execute(f"DELETE FROM {table} WHERE entity_key = %s", [key]).rowcount > 0
        connection.commit()
    return removed


def _erase_redis(store: FeatureStore, keys: Sequence[EntityKey]) -> int:
    """A hash holds all views of an entity; what is asked for is that nothing of the entity stays."""
    from feast.infra.online_stores.helpers import _redis_key

    online: Any = store._get_provider().online_store
    client = online._get_client(store.config.online_store)
    return int(sum(client.delete(_redis_key(store.project, key)) for key in keys))
