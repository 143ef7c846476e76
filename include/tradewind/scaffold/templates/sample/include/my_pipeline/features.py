"""Feast definitions. Every feature of a day is known when that day ends."""

from __future__ import annotations

from datetime import timedelta

from feast import Entity, FeatureService, FeatureView, Field
from feast.types import Float64, Int64
from feast.value_type import ValueType

from tradewind.features.source import LakeSource

depot = Entity(name="depot", join_keys=["depot"], value_type=ValueType.STRING)

depot_day = FeatureView(
    name="depot_day",
    entities=[depot],
    ttl=timedelta(days=3),
    source=LakeSource("depot_day", timestamp_field="known_at"),
    schema=[
        Field(name="depot_deliveries", dtype=Int64),
        Field(name="depot_late_share", dtype=Float64),
    ],
)

my_pipeline_v1 = FeatureService(name="my_pipeline_v1", features=[depot_day])
