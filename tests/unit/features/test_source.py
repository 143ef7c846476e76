from __future__ import annotations

from feast import FeatureStore
from feast.data_source import DataSource

from tradewind.core.runtime import Runtime
from tradewind.deployment import Deployment
from tradewind.features.feature_store import feast_config
from tradewind.features.source import LakeSource
from tradewind.spec.pipeline import Pipeline


def test_a_source_survives_the_registry() -> None:
    source = LakeSource(
        "carrier_week",
        name="carriers",
        timestamp_field="known_at",
        created_timestamp_column="made_at",
        field_mapping={"late": "carrier_late"},
        tags={"team": "ops"},
    )
    back = DataSource.from_proto(source.to_proto())
    assert back == source
    assert back.dataset == "carrier_week"


def test_sources_of_different_datasets_differ() -> None:
    a = LakeSource("a", name="x", timestamp_field="known_at")
    assert a != LakeSource("b", name="x", timestamp_field="known_at")


def test_the_schema_is_that_of_the_pinned_version(runtime: Runtime, spec: Pipeline, publish) -> None:
    version = publish("carrier_week", "2013-01-07", [{"carrier": "AA", "carrier_late": 0.5, "carrier_flights": 3}])
    columns = LakeSource("carrier_week", timestamp_field="known_at").get_table_column_names_and_types(
        feast_config(Deployment(spec, runtime), versions={"carrier_week": version})
    )
    assert dict(columns) == {
        "known_at": "timestamp[us, tz=UTC]",
        "carrier": "string",
        "carrier_late": "double",
        "carrier_flights": "int64",
    }


def test_feast_infers_features_that_the_definitions_do_not_list(runtime: Runtime, spec: Pipeline, publish) -> None:
    from feast import Entity, FeatureView, ValueType

    version = publish("carrier_week", "2013-01-07", [{"carrier": "AA", "carrier_late": 0.5}])
    carrier = Entity(name="carrier", value_type=ValueType.STRING)
    view = FeatureView(name="v", entities=[carrier], source=LakeSource("carrier_week", timestamp_field="known_at"))
    store = FeatureStore(config=feast_config(Deployment(spec, runtime), versions={"carrier_week": version}))
    store.apply([carrier, view])
    assert [feature.name for feature in store.get_feature_view("v").features] == ["carrier_late"]
