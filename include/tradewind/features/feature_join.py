"""Feature values as they were known at each entity's time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from tradewind.errors import UsageError
from tradewind.features.definitions import Definitions, load_definitions, train_service, view_source
from tradewind.features.feast_apply import apply_loaded_definitions
from tradewind.features.feature_store import open_feature_store
from tradewind.features.point_in_time import JoinedView, join_point_in_time, joined_view

if TYPE_CHECKING:
    import pyarrow as pa
    from feast import FeatureService, FeatureStore

    from tradewind.deployment import Deployment
    from tradewind.spec.pipeline import Pipeline

TIME = "event_timestamp"


def join_features(deployment: Deployment, entities: pa.Table, *, versions: Mapping[str, int]) -> pa.Table:
    """Add the features of ``train.service`` to ``entities``, each as it was known at the row's ``event_timestamp``.

    For each view the newest feature row at or before the entity's time and not older than the view's ttl, among those
    that were known by then (:mod:`tradewind.features.point_in_time`). Every row of ``entities`` comes back once, in its
    place; what is not known is NULL.

    :param entities: the join keys of the service's views, ``event_timestamp`` (with time zone), and anything else
    :param versions: table version of every dataset that :func:`needed_datasets` names
    :raises UsageError: a key, a version or a time is missing, or a column has the name of a feature
    :raises SpecError: the definitions are wrong
    :raises MissingInput: a dataset has no such version, or its files were removed
    """
    from tradewind.features.offline_store import known_rows_reader

    spec = deployment.spec
    definitions = load_definitions(deployment)
    service = train_service(spec, definitions)
    features = [feature.name for p in service.feature_view_projections for feature in p.features]
    _check_entities(spec, entities, features)
    apply_loaded_definitions(deployment, definitions, versions=versions)
    with open_feature_store(deployment, versions=versions) as made:
        views = _joined_views(made, service)
        _require_columns(spec, entities, [*dict.fromkeys(key for view in views for key in view.keys), TIME])
        if not entities.num_rows:
            return _empty_features(made, definitions, service, entities)
        found = join_point_in_time(entities, views, time=TIME, read=known_rows_reader(made.config))
    for name in features:
        entities = entities.append_column(name, found[name].combine_chunks())
    return entities


def _check_entities(spec: Pipeline, entities: pa.Table, features: Sequence[str]) -> None:
    import pyarrow as pa

    _require_columns(spec, entities, [TIME])
    kind = entities.schema.field(TIME).type
    if not pa.types.is_timestamp(kind) or kind.tz is None:
        raise UsageError(f"pipeline {spec.pipeline}: {TIME} must be a timestamp with time zone, not {kind}")
    if entities[TIME].null_count:
        raise UsageError(f"pipeline {spec.pipeline}: {entities[TIME].null_count} entities have no {TIME}")
    taken = [name for name in features if name in entities.column_names]
    if taken:
        raise UsageError(f"pipeline {spec.pipeline}: the entities have columns named as features: {', '.join(taken)}")


def _require_columns(spec: Pipeline, entities: pa.Table, columns: Sequence[str]) -> None:
    missing = [name for name in columns if name not in entities.column_names]
    if missing:
        lacking, have = ", ".join(missing), ", ".join(entities.column_names)
        raise UsageError(
            f"pipeline {spec.pipeline}: the entities lack {lacking}, which the features need; they have: {have}"
        )


def _joined_views(made: FeatureStore, service: FeatureService) -> list[JoinedView]:
    """What the service takes of each of its views."""
    views = []
    for projection in service.feature_view_projections:
        view = made.get_feature_view(projection.name).with_projection(projection)
        views.append(joined_view(view, {feature.name: feature.name for feature in projection.features}))
    return views


def _empty_features(
    made: FeatureStore, definitions: Definitions, service: FeatureService, entities: pa.Table
) -> pa.Table:
    """No entities: the features' columns with their types, and no rows."""
    from tradewind.features.pinned_datasets import pinned_arrow_dataset

    sources = {view.name: view_source(view) for view in definitions.views}
    for projection in service.feature_view_projections:
        source = sources[projection.name]
        renamed = {new: old for old, new in source.field_mapping.items()}
        schema = pinned_arrow_dataset(made.config, source.dataset).schema
        for feature in projection.features:
            kind = schema.field(renamed.get(feature.name, feature.name))
            entities = entities.append_column(feature.name, schema.empty_table()[kind.name])
    return entities
