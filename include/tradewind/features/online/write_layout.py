"""Which views and stores the fast materialiser writes, and why it leaves the others to Feast."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tradewind.features.online.encoded_rows import OnlineColumn, WriteLayout
from tradewind.features.online.encoding import KEYS, VALUES
from tradewind.features.online.online_store import FastWriter
from tradewind.features.online.online_stores import find_online_store

if TYPE_CHECKING:
    import pyarrow as pa
    from feast import FeatureStore, FeatureView


def plan_write_layout(store: FeatureStore, view: FeatureView, schema: pa.Schema) -> WriteLayout | str:
    """What of ``view`` is written; a sentence that says why not if Feast must do it.

    :param schema: columns of the view's dataset
    """
    online = store.config.online_store
    writer = find_online_store(online.type).writer
    if writer is None:
        return f"online store {online.type}"
    reason = writer.refuse(online) or _unsupported_version(store.config) or _unsupported_view(store, view, writer)
    if reason:
        return reason
    source = view.batch_source
    assert source is not None
    renamed = {new: old for old, new in source.field_mapping.items()}
    keys = sorted(_online_column(field, renamed) for field in view.entity_columns)
    features = [_online_column(field, renamed) for field in view.features]
    for column, known in [*((key, KEYS) for key in keys), *((feature, VALUES) for feature in features)]:
        name, kind = column.source, column.kind
        if kind not in known or not _type_matches(kind, schema.field(name).type):
            return f"{column.name} is {kind} in Feast and {schema.field(name).type} in the dataset"
    event, created = source.timestamp_field, source.created_timestamp_column or None
    return WriteLayout(
        tuple(keys), tuple(features), renamed.get(event, event), renamed.get(created, created) if created else None
    )


def _unsupported_version(config: Any) -> str | None:
    if config.registry.enable_online_feature_view_versioning or config.entity_key_serialization_version != 3:
        return "versions of views or of entity keys"
    return None


def _unsupported_view(store: FeatureStore, view: FeatureView, writer: FastWriter) -> str | None:
    if view.offline or getattr(view, "aggregations", None) or getattr(view, "feature_transformation", None):
        return "the view transforms its rows, or writes them offline"
    if getattr(view, "enable_validation", False):
        return "the view asks Feast to validate its rows"
    if not view.entity_columns or any(field.name == "__dummy_id" for field in view.entity_columns):
        return "the view has no entity"
    if not 0 < len(view.features) <= writer.most_features:
        return f"{len(view.features)} features"
    for service in store.list_feature_services():
        if service.precompute_online and any(p.name == view.name for p in service.feature_view_projections):
            return f"service {service.name} is precomputed"
    return None


def _online_column(field: Any, renamed: dict[str, str]) -> OnlineColumn:
    return OnlineColumn(field.name, renamed.get(field.name, field.name), field.dtype.to_value_type().name)


def _type_matches(kind: str, arrow: pa.DataType) -> bool:
    """Whether Feast turns such a column into such values without changing them; else it must do it its own way."""
    import pyarrow.types as types

    if kind == "INT32":
        return bool(types.is_signed_integer(arrow)) and arrow.bit_width <= 32
    tests = {
        "STRING": (types.is_string, types.is_large_string, types.is_string_view),
        "BYTES": (types.is_binary, types.is_large_binary, types.is_binary_view),
        "INT64": (types.is_signed_integer,),
        "FLOAT": (types.is_float32,),
        "DOUBLE": (types.is_float64,),
        "BOOL": (types.is_boolean,),
        "UNIX_TIMESTAMP": (types.is_timestamp,),
    }
    return any(test(arrow) for test in tests[kind])
