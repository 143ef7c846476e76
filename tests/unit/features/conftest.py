"""A pipeline of the example's shape: three feature views over three weekly datasets."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url
from tests.local_runtime import local_runtime

from tradewind.core.runtime import Runtime
from tradewind.deployment import Deployment
from tradewind.features.feast_import import import_feast
from tradewind.spec.pipeline import Pipeline

import_feast()

DEFINITIONS = """
from datetime import timedelta

from feast import Entity, FeatureService, FeatureView, Field, ValueType
from feast.types import Float64, Int64, String

from tradewind.features.source import LakeSource

carrier = Entity(name="carrier", value_type=ValueType.STRING)
origin = Entity(name="origin", value_type=ValueType.STRING)
dest = Entity(name="dest", value_type=ValueType.STRING)

carrier_week = FeatureView(
    name="carrier_week",
    entities=[carrier],
    ttl=timedelta(days=14),
    schema=[
        Field(name="carrier", dtype=String),
        Field(name="carrier_late", dtype=Float64),
        Field(name="carrier_flights", dtype=Int64),
    ],
    source=LakeSource("carrier_week", timestamp_field="known_at"),
)
route_week = FeatureView(
    name="route_week",
    entities=[origin, dest],
    ttl=timedelta(days=14),
    schema=[
        Field(name="origin", dtype=String),
        Field(name="dest", dtype=String),
        Field(name="route_late", dtype=Float64),
    ],
    source=LakeSource("route_week", timestamp_field="known_at"),
)
origin_week = FeatureView(
    name="origin_week",
    entities=[origin],
    schema=[Field(name="origin", dtype=String), Field(name="origin_late", dtype=Float64)],
    source=LakeSource("origin_week", timestamp_field="known_at"),
)
flight_delay_v1 = FeatureService(name="flight_delay_v1", features=[carrier_week, route_week, origin_week])
"""
YAML: dict[str, Any] = {
    "pipeline": "flights",
    "owner": "ops@example.com",
    "description": "test",
    "partition": "week",
    "timezone": "America/New_York",
    "start": "2013-01-07",
    "schedule": "0 6 * * 1",
    "datasets": {
        "flights": {"source": {"files": "{landing}/{day}.csv"}, "sql": "flights.sql"},
        "carrier_week": {"inputs": {"flights": {}}, "sql": "carrier.sql"},
        "route_week": {"inputs": {"flights": {}}, "sql": "route.sql"},
        "origin_week": {"inputs": {"flights": {}}, "sql": "origin.sql"},
    },
    "features": {"definitions": "features.py"},
    "train": {
        "window": 4,
        "test": 1,
        "service": "flight_delay_v1",
        "label": {"dataset": "flights", "column": "late"},
        "model": "model.py:build",
    },
}
WEEKS = ("2013-01-07", "2013-01-14", "2013-01-21", "2013-01-28")


@pytest.fixture
def spec() -> Pipeline:
    return Pipeline.model_validate(YAML)


@pytest.fixture
def runtime(tmp_path: Path) -> Runtime:
    (tmp_path / "features.py").write_text(DEFINITIONS)
    return local_runtime(tmp_path)


Publish = Callable[..., int]


@pytest.fixture
def publish(runtime: Runtime, spec: Pipeline) -> Publish:
    """Publish rows as one partition and return the version; ``known_at`` is the partition's end unless given."""
    return lambda name, week, rows: publish_rows(runtime, spec, name, week, rows)


def publish_rows(runtime: Runtime, spec: Pipeline, name: str, week: str, rows: list[Mapping[str, Any]]) -> int:
    import pyarrow as pa

    from tradewind.lake.cause import Cause
    from tradewind.lake.dataset import Lake

    end = spec.partitioning.bounds(week).end
    table = pa.Table.from_pylist([{"known_at": end, **row} for row in rows])
    at = table.schema.get_field_index("known_at")
    table = table.set_column(at, "known_at", table["known_at"].cast(pa.timestamp("us", "UTC")))
    dataset = Lake(runtime.lake).dataset(spec.pipeline, name)
    staged = dataset.stage(week, table.to_reader())
    return dataset.publish(staged, cause=Cause({"rows": staged.digest}, "test", "1"), run_id="test").version


@pytest.fixture
def etl(runtime: Runtime, spec: Pipeline, publish: Publish) -> Callable[[str, float], None]:
    """Publish the three datasets of a week, with values that tell the week, and complete its etl."""
    from tradewind.etl.etl_completion import etl_cause
    from tradewind.lake.dataset import Lake
    from tradewind.ledger import completion
    from tradewind.ledger.journal import Ledger

    def run(week: str, value: float) -> None:
        publish(
            "carrier_week",
            week,
            [{"carrier": c, "carrier_late": value + i, "carrier_flights": i} for i, c in enumerate(("AA", "UA"))],
        )
        publish(
            "route_week",
            week,
            [{"origin": "JFK", "dest": d, "route_late": value + i} for i, d in enumerate(("LAX", "SFO"))],
        )
        publish("origin_week", week, [{"origin": "JFK", "origin_late": value}])
        snapshots = {name: Lake(runtime.lake).dataset(spec.pipeline, name).snapshot() for name in spec.datasets}
        digests = {
            name: one.partitions[week].digest for name, one in snapshots.items() if one and week in one.partitions
        }
        completion.record_completion(Ledger(runtime.ledger), spec.pipeline, "etl", week, cause=etl_cause(digests))

    return run


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.fixture(
    params=[
        "sqlite",
        pytest.param("redis", marks=pytest.mark.services),
        pytest.param("postgres", marks=pytest.mark.services),
    ]
)
def placed(request: pytest.FixtureRequest, runtime: Runtime) -> Iterator[Runtime]:
    """The runtime with each online store; the others are real services."""
    if request.param == "redis":
        yield from _on_redis(runtime)
    elif request.param == "postgres":
        url = make_url(request.getfixturevalue("postgres_url"))
        place = {"host": url.host, "port": url.port or 5432, "database": url.database, "user": url.username}
        yield replace(
            runtime,
            feast_online={"type": "postgres", "password": url.password or "none", "sslmode": "disable", **place},
        )
    else:
        yield runtime


def _on_redis(runtime: Runtime) -> Iterator[Runtime]:
    import redis

    with redis.Redis(host="127.0.0.1", port=6379, db=0) as client:
        try:
            client.ping()
        except redis.ConnectionError as error:
            pytest.skip(f"no Redis at 127.0.0.1:6379: {error}")
    yield replace(runtime, feast_online={"type": "redis", "connection_string": "127.0.0.1:6379"})


@pytest.fixture
def own(spec: Pipeline, placed: Runtime) -> Iterator[Callable[[str], Pipeline]]:
    """Pipelines of this test's own: their names are what tells their keys from others' in a shared Redis."""
    made: list[str] = []

    def make(name: str) -> Pipeline:
        made.append(f"{name}_{uuid.uuid4().hex[:12]}")
        return spec.model_copy(update={"pipeline": made[-1]})

    yield make
    if placed.feast_online["type"] == "redis":
        import redis

        with redis.Redis() as client:
            for name in made:
                for key in client.scan_iter(match=f"*{name}", count=10_000):
                    client.delete(key)


def online(runtime: Runtime, spec: Pipeline, *features: str, **key: object) -> list[Any]:
    """What Feast reads of one entity."""
    from tradewind.features.feature_store import open_feature_store

    with open_feature_store(Deployment(spec, runtime), versions={}) as store:
        found = store.get_online_features(features=list(features), entity_rows=[key]).to_dict()
    return [found[feature.split(":")[1]][0] for feature in features]
