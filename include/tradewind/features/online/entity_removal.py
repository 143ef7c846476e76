"""Removing entities from the online store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tradewind.errors import UsageError
from tradewind.features.online.online_stores import find_online_store

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
    kind = store.config.online_store.type
    erase = find_online_store(kind).erase
    if erase is None:
        raise UsageError(
            f"{store.project}: entities cannot be removed from the online store {kind}; remove them there from the "
            f"view {view.name}, then erase with --not-online"
        )
    return erase(store, view, keys)


def _entity_keys(view: FeatureView, entities: pa.Table) -> list[EntityKey]:
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey
    from feast.type_map import python_values_to_proto_values

    columns = [column for column in view.entity_columns if column.name in entities.column_names]
    names = [column.name for column in columns]
    values = [python_values_to_proto_values(entities[c.name].to_pylist(), c.dtype.to_value_type()) for c in columns]
    return [EntityKey(join_keys=names, entity_values=list(row)) for row in zip(*values, strict=True)]
