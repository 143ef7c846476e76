"""Feature values as they were known at each entity's time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tradewind.errors import TradewindError, UsageError
from tradewind.features.apply import apply_loaded
from tradewind.features.definitions import Definitions, load, service_of, source_of
from tradewind.features.store import opened

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa
    from feast import FeatureService, FeatureStore

    from tradewind.core.runtime import Runtime
    from tradewind.spec.models import Pipeline

TIME = "event_timestamp"
_ROW = "tradewind_row"


def join(spec: Pipeline, runtime: Runtime, entities: pa.Table, *, versions: Mapping[str, int]) -> pa.Table:
    """Add the features of ``train.service`` to ``entities``, each as it was known at the row's ``event_timestamp``.

    Feast does the point-in-time join: the newest feature row at or before the entity's time and not older than the
    view's ttl. Every row of ``entities`` comes back once, in its place; what is not known is NULL.

    :param entities: the join keys of the service's views, ``event_timestamp`` (with time zone), and anything else
    :param versions: table version of every dataset that :func:`needed_datasets` names
    :raises UsageError: a key, a version or a time is missing, or a column has the name of a feature
    :raises SpecError: the definitions are wrong
    """
    definitions = load(spec, runtime)
    service = service_of(spec, definitions)
    features = [feature.name for p in service.feature_view_projections for feature in p.features]
    _check(spec, entities, features)
    apply_loaded(spec, runtime, definitions, versions=versions)
    with opened(runtime, spec, versions=versions) as made:
        columns = [*_keys(made, service), TIME]
        _require(spec, entities, columns)
        if not entities.num_rows:
            return _empty(made, definitions, service, entities)
        rows, distinct = _distinct(entities, columns)
        known = made.get_historical_features(entity_df=distinct, features=service).to_arrow()
    if known.num_rows != len(distinct):
        raise TradewindError(f"{spec.pipeline}: the join returned {known.num_rows} rows for {len(distinct)} entities")
    known = known.sort_by(_ROW).select(features).take(rows)
    return _with(entities, known)


def _check(spec: Pipeline, entities: pa.Table, features: Sequence[str]) -> None:
    import pyarrow as pa

    _require(spec, entities, [TIME])
    kind = entities.schema.field(TIME).type
    if not pa.types.is_timestamp(kind) or kind.tz is None:
        raise UsageError(f"pipeline {spec.pipeline}: {TIME} must be a timestamp with time zone, not {kind}")
    if entities[TIME].null_count:
        raise UsageError(f"pipeline {spec.pipeline}: {entities[TIME].null_count} entities have no {TIME}")
    taken = [name for name in features if name in entities.column_names]
    if taken:
        raise UsageError(f"pipeline {spec.pipeline}: the entities have columns named as features: {', '.join(taken)}")


def _require(spec: Pipeline, entities: pa.Table, columns: Sequence[str]) -> None:
    missing = [name for name in columns if name not in entities.column_names]
    if missing:
        lacking, have = ", ".join(missing), ", ".join(entities.column_names)
        raise UsageError(
            f"pipeline {spec.pipeline}: the entities lack {lacking}, which the features need; they have: {have}"
        )


def _keys(made: FeatureStore, service: FeatureService) -> list[str]:
    """Columns of the entities that the service's views are joined by."""
    keys: dict[str, None] = {}
    for projection in service.feature_view_projections:
        for column in made.get_feature_view(projection.name).entity_columns:
            keys[projection.join_key_map.get(column.name, column.name)] = None
    return list(keys)


def _distinct(entities: pa.Table, columns: Sequence[str]) -> tuple[np.ndarray[Any, Any], pd.DataFrame]:
    """Each combination of keys and time once (many entities share them), and which one each entity has."""
    import pandas as pd
    import pyarrow as pa

    schema = pa.schema([entities.schema.field(name) for name in columns])
    schema = schema.set(len(columns) - 1, pa.field(TIME, pa.timestamp("us", "UTC")))
    # pandas' own integers cannot be NULL and would become floats
    whole = {kind(): pd.ArrowDtype(kind()) for kind in (pa.int8, pa.int16, pa.int32, pa.int64)}
    frame = entities.select(columns).cast(schema).to_pandas(types_mapper=whole.get)
    rows = frame.groupby(columns, sort=False, dropna=False).ngroup().to_numpy()
    frame[_ROW] = rows
    return rows, frame.drop_duplicates(_ROW, ignore_index=True)


def _with(entities: pa.Table, known: pa.Table) -> pa.Table:
    for name in known.column_names:
        entities = entities.append_column(name, known[name].combine_chunks())
    return entities


def _empty(made: FeatureStore, definitions: Definitions, service: FeatureService, entities: pa.Table) -> pa.Table:
    """No entities: the features' columns with their types, and no rows."""
    from tradewind.features.offline_store import pinned

    sources = {view.name: source_of(view) for view in definitions.views}
    for projection in service.feature_view_projections:
        source = sources[projection.name]
        renamed = {new: old for old, new in source.field_mapping.items()}
        schema = pinned(made.config, source).schema
        for feature in projection.features:
            kind = schema.field(renamed.get(feature.name, feature.name))
            entities = entities.append_column(feature.name, schema.empty_table()[kind.name])
    return entities
