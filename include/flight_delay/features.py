"""Feast definitions of the example. Every feature of a week is known when that week ends."""

from __future__ import annotations

from datetime import timedelta

from feast import Entity, FeatureService, FeatureView, Field
from feast.types import Float64, Int64
from feast.value_type import ValueType

from tradewind.features.source import LakeSource

# A week without flights of a route leaves the last known week in force, for four weeks.
FOUR_WEEKS = timedelta(weeks=4)

carrier = Entity(name="carrier", join_keys=["carrier"], value_type=ValueType.STRING)
route = Entity(name="route", join_keys=["route"], value_type=ValueType.STRING)
origin = Entity(name="origin", join_keys=["origin"], value_type=ValueType.STRING)

carrier_week = FeatureView(
    name="carrier_week",
    entities=[carrier],
    ttl=FOUR_WEEKS,
    source=LakeSource("carrier_week", timestamp_field="known_at"),
    schema=[
        Field(name="carrier_flights", dtype=Int64),
        Field(name="carrier_late_share", dtype=Float64),
        Field(name="carrier_cancelled_share", dtype=Float64),
    ],
)
route_week = FeatureView(
    name="route_week",
    entities=[route],
    ttl=FOUR_WEEKS,
    source=LakeSource("route_week", timestamp_field="known_at"),
    schema=[
        Field(name="route_flights", dtype=Int64),
        Field(name="route_late_share", dtype=Float64),
    ],
)
origin_week = FeatureView(
    name="origin_week",
    entities=[origin],
    ttl=FOUR_WEEKS,
    source=LakeSource("origin_week", timestamp_field="known_at"),
    schema=[
        Field(name="origin_late_share", dtype=Float64),
        Field(name="origin_departure_delay", dtype=Float64),
        Field(name="origin_rain_inch", dtype=Float64),
        Field(name="origin_wind_mph", dtype=Float64),
    ],
)

flight_delay_v1 = FeatureService(
    name="flight_delay_v1",
    features=[
        carrier_week[["carrier_late_share", "carrier_cancelled_share"]],
        route_week[["route_late_share"]],
        origin_week[["origin_late_share"]],
    ],
)
