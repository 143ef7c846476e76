from __future__ import annotations

import random
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tradewind.core.runtime import Runtime
from tradewind.deployment import Deployment
from tradewind.errors import MissingInput, UsageError
from tradewind.features.dataset_versions import newest_versions
from tradewind.features.feature_join import join_features
from tradewind.spec.pipeline import Pipeline

W1, W2, W3, W4 = "2013-01-07", "2013-01-14", "2013-01-21", "2013-01-28"
NAMES = ["carrier_week", "route_week", "origin_week"]
FEATURES = ["carrier_late", "carrier_flights", "route_late", "origin_late"]


def entities(*rows: tuple[str | None, str | None, str | None, datetime]) -> pa.Table:
    carriers, origins, dests, times = zip(*rows, strict=True)
    return pa.table(
        {
            "flight_id": list(range(len(rows))),
            "carrier": pa.array(carriers, pa.string()),
            "origin": pa.array(origins, pa.string()),
            "dest": pa.array(dests, pa.string()),
            "event_timestamp": pa.array(times, pa.timestamp("us", "UTC")),
        }
    )


@pytest.fixture
def versions(runtime: Runtime, spec: Pipeline, etl) -> dict[str, int]:
    """Weeks 1 to 3 with the values 10, 20 and 30, each known at its week's end."""
    for week, value in ((W1, 10.0), (W2, 20.0), (W3, 30.0)):
        etl(week, value)
    return newest_versions(Deployment(spec, runtime), NAMES)


def late(runtime: Runtime, spec: Pipeline, versions: dict[str, int], *times: datetime) -> list[float | None]:
    table = entities(*(("AA", "JFK", "LAX", time) for time in times))
    return join_features(Deployment(spec, runtime), table, versions=versions)["carrier_late"].to_pylist()


def test_what_is_known_at_the_very_time_is_joined(runtime: Runtime, spec: Pipeline, versions) -> None:
    assert late(runtime, spec, versions, spec.partitioning.bounds(W3).start) == [20.0]


def test_what_is_known_later_is_never_joined(runtime: Runtime, spec: Pipeline, versions) -> None:
    start = spec.partitioning.bounds(W3).start
    assert late(runtime, spec, versions, start - timedelta(microseconds=1)) == [10.0]


def test_nothing_is_known_before_the_first_row(runtime: Runtime, spec: Pipeline, versions) -> None:
    assert late(runtime, spec, versions, spec.partitioning.bounds(W1).start) == [None]


def test_what_is_older_than_the_ttl_is_not_joined(runtime: Runtime, spec: Pipeline, versions) -> None:
    oldest = spec.partitioning.bounds(W3).end + timedelta(days=14)
    assert late(runtime, spec, versions, oldest, oldest + timedelta(microseconds=1)) == [30.0, None]


def test_without_ttl_a_row_is_known_for_ever(runtime: Runtime, spec: Pipeline, versions) -> None:
    time = spec.partitioning.bounds(W3).end + timedelta(days=400)
    table = join_features(Deployment(spec, runtime), entities(("AA", "JFK", "LAX", time)), versions=versions)
    assert table["origin_late"].to_pylist() == [30.0]
    assert table["carrier_late"].to_pylist() == [None]


def test_rows_keep_their_place_and_number(runtime: Runtime, spec: Pipeline, versions) -> None:
    second, third = spec.partitioning.bounds(W2).start, spec.partitioning.bounds(W3).start
    given = entities(
        ("UA", "JFK", "SFO", third),
        ("AA", "JFK", "LAX", second),
        ("UA", "JFK", "SFO", third),
        (None, "JFK", "SFO", third),
        (None, None, None, second),
        ("ZZ", "EWR", "LAX", third),
        ("AA", "JFK", "LAX", third),
    )
    table = join_features(Deployment(spec, runtime), given, versions=versions)
    assert table.select(given.column_names).equals(given)
    assert table.column_names == [*given.column_names, *FEATURES]
    assert table["carrier_late"].to_pylist() == [21.0, 10.0, 21.0, None, None, None, 20.0]
    assert table["carrier_flights"].to_pylist() == [1, 0, 1, None, None, None, 0]
    assert table["route_late"].to_pylist() == [21.0, 10.0, 21.0, 21.0, None, None, 20.0]
    assert table["origin_late"].to_pylist() == [20.0, 10.0, 20.0, 20.0, None, None, 20.0]
    assert table.schema.field("carrier_flights").type == pa.int64()


def test_pinned_versions_give_what_was_published_then(runtime: Runtime, spec: Pipeline, versions, etl) -> None:
    time = spec.partitioning.bounds(W3).start
    etl(W2, 99.0)
    assert late(runtime, spec, versions, time) == [20.0]
    newest = spec.model_copy(update={"features": spec.features.model_copy(update={"corrections": "newest"})})
    assert late(runtime, newest, newest_versions(Deployment(spec, runtime), NAMES), time) == [99.0]


def test_partitions_out_of_reach_are_not_read(runtime: Runtime, spec: Pipeline, versions) -> None:
    for file in Path(runtime.lake, "flights", "carrier_week", f"partition={W1}").glob("*.parquet"):
        file.unlink()
    assert late(runtime, spec, versions, spec.partitioning.bounds(W4).end) == [30.0]


def test_the_join_agrees_with_a_plain_search(runtime: Runtime, spec: Pipeline, publish) -> None:
    chance = random.Random(11)
    weeks = spec.partitioning.between(W1, "2013-03-04")
    known: list[dict[str, Any]] = []
    for week in weeks:
        bounds = spec.partitioning.bounds(week)
        minutes = chance.sample(range(1, 7 * 24 * 60), 12)
        rows = [
            {
                "known_at": bounds.start + timedelta(minutes=minute),
                "carrier": chance.choice("ABC"),
                "carrier_late": chance.random(),
                "carrier_flights": minute,
            }
            for minute in minutes
        ]
        publish("carrier_week", week, rows)
        publish("route_week", week, [{"origin": "JFK", "dest": "LAX", "route_late": 0.0}])
        publish("origin_week", week, [{"origin": "JFK", "origin_late": 0.0}])
        known += rows
    times = [spec.partitioning.bounds(W1).start + timedelta(minutes=chance.randrange(90 * 24 * 60)) for _ in range(400)]
    times += [row["known_at"] for row in known]
    table = entities(*((chance.choice("ABCD"), "JFK", "LAX", time) for time in times))

    def search(carrier: str, time: datetime) -> float | None:
        seen = [r for r in known if r["carrier"] == carrier and time - timedelta(days=14) <= r["known_at"] <= time]
        return max(seen, key=lambda row: row["known_at"])["carrier_late"] if seen else None

    found = join_features(Deployment(spec, runtime), table, versions=newest_versions(Deployment(spec, runtime), NAMES))[
        "carrier_late"
    ].to_pylist()
    expected = [search(row["carrier"], row["event_timestamp"]) for row in table.to_pylist()]
    assert found == expected
    assert 0 < expected.count(None) < len(expected)


def test_times_of_other_zones_and_units_are_the_same_instants(runtime: Runtime, spec: Pipeline, versions) -> None:
    table = entities(("AA", "JFK", "LAX", spec.partitioning.bounds(W3).start))
    at = table.schema.get_field_index("event_timestamp")
    local = table["event_timestamp"].cast(pa.timestamp("ns", "America/New_York"))
    table = join_features(Deployment(spec, runtime), table.set_column(at, "event_timestamp", local), versions=versions)
    assert table["carrier_late"].to_pylist() == [20.0]


def test_no_entities_give_no_rows_but_all_columns(runtime: Runtime, spec: Pipeline, versions) -> None:
    some = entities(("AA", "JFK", "LAX", spec.partitioning.bounds(W3).start))
    table = join_features(Deployment(spec, runtime), some.slice(0, 0), versions=versions)
    assert table.num_rows == 0
    assert table.schema == join_features(Deployment(spec, runtime), some, versions=versions).schema


def test_whole_numbers_with_gaps_are_keys_too(runtime: Runtime, spec: Pipeline, publish, versions) -> None:
    path = runtime.project / "features.py"
    text = path.read_text().replace('"carrier", value_type=ValueType.STRING', '"carrier", value_type=ValueType.INT64')
    path.write_text(
        text.replace('name="carrier", dtype=String', 'name="carrier", dtype=Int64').replace(
            'LakeSource("carrier_week"', 'LakeSource("flights", name="carrier_week"'
        )
    )
    number = 2**53 + 1  # a float would make another of it
    pinned = publish("flights", W2, [{"carrier": number, "carrier_late": 7.0, "carrier_flights": 1}])
    table = entities(*2 * [("AA", "JFK", "LAX", spec.partitioning.bounds(W3).start)])
    table = table.set_column(1, "carrier", pa.array([number, None], pa.int64()))
    found = join_features(Deployment(spec, runtime), table, versions={**versions, "flights": pinned})
    assert found["carrier_late"].to_pylist() == [7.0, None]


def test_a_version_that_was_not_given_is_named(runtime: Runtime, spec: Pipeline, versions) -> None:
    del versions["route_week"]
    with pytest.raises(UsageError, match="no version given for dataset route_week"):
        late(runtime, spec, versions, spec.partitioning.bounds(W3).start)


def test_a_version_that_does_not_exist_is_named(runtime: Runtime, spec: Pipeline, versions) -> None:
    with pytest.raises(MissingInput, match="dataset route_week has no version 77"):
        late(runtime, spec, {**versions, "route_week": 77}, spec.partitioning.bounds(W3).start)


def test_a_missing_key_is_named(runtime: Runtime, spec: Pipeline, versions) -> None:
    table = entities(("AA", "JFK", "LAX", spec.partitioning.bounds(W3).start)).drop_columns(["dest"])
    with pytest.raises(UsageError, match="the entities lack dest, which the features need; they have: flight_id"):
        join_features(Deployment(spec, runtime), table, versions=versions)


def test_a_column_named_as_a_feature_is_refused(runtime: Runtime, spec: Pipeline, versions) -> None:
    table = entities(("AA", "JFK", "LAX", spec.partitioning.bounds(W3).start))
    table = table.append_column("route_late", pa.array([1.0]))
    with pytest.raises(UsageError, match="columns named as features: route_late"):
        join_features(Deployment(spec, runtime), table, versions=versions)


@pytest.mark.parametrize(
    ("times", "said"),
    [
        (pa.array([datetime(2013, 1, 21)], pa.timestamp("us")), "must be a timestamp with time zone, not timestamp"),
        (pa.array([None], pa.timestamp("us", "UTC")), "1 entities have no event_timestamp"),
    ],
)
def test_times_that_say_nothing_are_refused(runtime: Runtime, spec: Pipeline, versions, times, said: str) -> None:
    table = entities(("AA", "JFK", "LAX", spec.partitioning.bounds(W3).start))
    with pytest.raises(UsageError, match=said):
        join_features(Deployment(spec, runtime), table.set_column(4, "event_timestamp", times), versions=versions)
