"""What lies in each online store, and in which order it gets there; SQLite, Redis and PostgreSQL for real."""

from __future__ import annotations

import contextlib
import io
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier
from typing import Any

import pytest
from tests.unit.features.conftest import online, publish_rows

from tradewind.core.runtime import Runtime
from tradewind.deployment import Deployment
from tradewind.features.dataset_versions import newest_versions
from tradewind.features.feast_apply import apply_definitions
from tradewind.features.feature_store import open_feature_store
from tradewind.features.feature_window import check_window_rows, partition_window
from tradewind.features.online.view_write import write_view_online
from tradewind.features.stage import materialise_features
from tradewind.ledger import completion
from tradewind.ledger.journal import Ledger
from tradewind.spec.pipeline import Pipeline

W1, W2, W3 = "2013-01-07", "2013-01-14", "2013-01-21"
Own = Callable[[str], Pipeline]
ONE_VIEW = """
from datetime import timedelta

from feast import Entity, FeatureView, Field, ValueType
from feast.types import Array, Bool, Bytes, Float32, Float64, Int32, Int64, String, UnixTimestamp

from tradewind.features.source import LakeSource

origin = Entity(name="origin", value_type=ValueType.STRING)
gate = Entity(name="gate", value_type=ValueType.INT64)
origin_week = FeatureView(
    name="origin_week",
    entities=[origin, gate],
    schema=[Field(name="origin", dtype=String), Field(name="gate", dtype=Int64), FIELDS],
    source=LakeSource("origin_week", timestamp_field="known_at"CREATED),
)
"""


def define(runtime: Runtime, *fields: str, created: bool = False) -> None:
    listed = ", ".join(f'Field(name="{name.lower()}", dtype={name})' for name in fields)
    text = ONE_VIEW.replace("FIELDS", listed).replace("CREATED", ', created_timestamp_column="made_at"' * created)
    (runtime.project / "features.py").write_text(text)


def etl(runtime: Runtime, spec: Pipeline, week: str, rows: list[dict[str, Any]]) -> None:
    publish_rows(runtime, spec, "origin_week", week, [{"origin": "JFK", "gate": 1, **row} for row in rows])
    completion.record_completion(Ledger(runtime.ledger), spec.pipeline, "etl", week, cause=f"{week} {rows}")


def value(runtime: Runtime, spec: Pipeline, name: str = "float64", gate: int = 1) -> Any:
    return online(runtime, spec, f"origin_week:{name}", origin="JFK", gate=gate)[0]


def contents(runtime: Runtime, spec: Pipeline) -> list[Any]:
    """All that the store holds of the pipeline, as it lies there."""
    place = runtime.feast_online
    if place["type"] == "sqlite":
        with contextlib.closing(sqlite3.connect(place["path"])) as connection:
            return connection.execute(f"SELECT * FROM {spec.pipeline}_origin_week ORDER BY 1, 2").fetchall()
    if place["type"] == "redis":
        import redis

        name = spec.pipeline.encode()
        with redis.Redis() as client:
            keys = sorted(client.scan_iter(match=b"*" + name, count=10_000))
            return [(key.removesuffix(name), sorted(client.hgetall(key).items())) for key in keys]
    import psycopg

    where = " ".join(
        f"{ours}={place[theirs]}"
        for ours, theirs in (("host", "host"), ("port", "port"), ("dbname", "database"), ("user", "user"))
    )
    with contextlib.closing(psycopg.connect(where)) as connection:
        return connection.execute(f"SELECT * FROM {spec.pipeline}_origin_week ORDER BY 1, 2").fetchall()


def feast_materialises(runtime: Runtime, spec: Pipeline, week: str) -> None:
    apply_definitions(Deployment(spec, runtime))
    span = partition_window(spec.partitioning, week, lookback=1)
    versions = newest_versions(Deployment(spec, runtime), ["origin_week"])
    with (
        open_feature_store(Deployment(spec, runtime), versions=versions) as store,
        contextlib.redirect_stdout(io.StringIO()),
    ):
        store.materialize(span.start, span.end)


@pytest.mark.parametrize("created", [False, True])
def test_the_store_holds_what_feast_writes(placed: Runtime, own: Own, created: bool) -> None:
    define(placed, "Float64", "Float32", "Int64", "Int32", "String", "Bool", "Bytes", "UnixTimestamp", created=created)
    end = own("x").partitioning.bounds(W1).end
    rows = [
        {
            "origin": origin,
            "gate": gate,
            "float64": [None, 0.1, -0.0, 1e300, float("inf"), float("nan")][gate % 6],
            "float32": None if gate == 3 else gate / 3,
            "int64": None if gate == 5 else (-1) ** gate * 2**gate,
            "int32": gate - 300,
            "string": [None, "", "ü" * gate, "a" * 200][gate % 4],
            "bool": [None, True, False][gate % 3],
            "bytes": [None, b"", b"\0\xff" * gate][gate % 3],
            "unixtimestamp": end - timedelta(days=gate) if gate % 2 else None,
            "known_at": end - timedelta(seconds=gate, microseconds=gate),
            **({"made_at": end - timedelta(microseconds=gate) if gate % 2 else end} if created else {}),
        }
        for origin in ("JFK", "é")
        for gate in range(25)
    ]
    for row in rows:
        row["known_at"] = min(row["known_at"], row.get("made_at", end))
    ours, feasts = own("ours"), own("feasts")
    for spec in (ours, feasts):
        typed(placed, spec, rows)
    result = materialise_features(Deployment(ours, placed), W1)
    feast_materialises(placed, feasts, W1)
    assert contents(placed, ours) == contents(placed, feasts)
    assert len(contents(placed, ours)) >= len(rows) == result.rows["origin_week"]
    (entry,) = Ledger(placed.ledger).find(ours.pipeline, "materialised")
    assert entry.evidence["by"] == {"origin_week": "tradewind"}
    assert value(placed, ours, "string", gate=2) == "üü"


def typed(runtime: Runtime, spec: Pipeline, rows: list[dict[str, Any]]) -> None:
    import pyarrow as pa

    from tradewind.lake.cause import Cause
    from tradewind.lake.dataset import Lake

    moment = pa.timestamp("us", "UTC")
    kinds = {
        "float32": pa.float32(),
        "int32": pa.int32(),
        "unixtimestamp": moment,
        "known_at": moment,
        "made_at": moment,
    }
    table = pa.Table.from_pylist(rows)
    schema = pa.schema([(field.name, kinds.get(field.name, field.type)) for field in table.schema])
    dataset = Lake(runtime.lake).dataset(spec.pipeline, "origin_week")
    staged = dataset.stage(W1, pa.Table.from_pylist(rows, schema).to_reader())
    dataset.publish(staged, cause=Cause({"rows": staged.digest}, "test", "1"), run_id="test")
    completion.record_completion(Ledger(runtime.ledger), spec.pipeline, "etl", W1, cause="x")


def test_newer_events_win_whatever_the_order_and_corrections_of_one_event_win(placed: Runtime, own: Own) -> None:
    define(placed, "Float64")
    spec = own("order")
    for week, rows, expected, kept in (
        (W2, [{"float64": 20.0}], 20.0, 0),
        (W1, [{"float64": 10.0}, {"gate": 2, "float64": 11.0}], 20.0, 1),  # an older partition comes late
        (W2, [{"float64": 21.0}], 21.0, 0),  # a correction has the event time of what it corrects
        (W1, [{"float64": 12.0}, {"gate": 2, "float64": 13.0}], 21.0, 1),
        (W3, [{"float64": 30.0}], 30.0, 0),
    ):
        etl(placed, spec, week, rows)
        assert materialise_features(Deployment(spec, placed), week).kept == {"origin_week": kept}
        assert value(placed, spec) == expected
    assert value(placed, spec, gate=2) == 13.0


def test_late_rows_of_the_past_go_online_and_do_not_hide_newer_ones(placed: Runtime, own: Own) -> None:
    define(placed, "Float64", created=True)
    spec = own("late")
    ends = [spec.partitioning.bounds(week).end for week in (W1, W2, W3)]
    etl(placed, spec, W1, [{"float64": 1.0, "known_at": ends[0], "made_at": ends[0]}])
    etl(placed, spec, W2, [{"gate": 2, "float64": 2.0, "known_at": ends[1], "made_at": ends[1]}])
    late = {"known_at": ends[0], "made_at": ends[2]}
    etl(placed, spec, W3, [{"float64": 99.0, **late}, {"gate": 2, "float64": 98.0, **late}])
    for week in (W1, W2, W3, W1):  # the last one comes again: its rows are older than the correction of W3
        materialise_features(Deployment(spec, placed), week)
        etl(
            placed,
            spec,
            W1,
            [
                {"float64": 1.0, "known_at": ends[0], "made_at": ends[0]},
                {"gate": 3, "float64": 3.0, "known_at": ends[0], "made_at": ends[0]},
            ],
        )
    assert [value(placed, spec, gate=gate) for gate in (1, 2, 3)] == [99.0, 2.0, 3.0]


def test_two_partitions_written_at_one_moment_leave_the_newer(placed: Runtime, own: Own) -> None:
    define(placed, "Float64", "Int64")
    spec = own("both")
    for number, week in enumerate((W1, W2)):
        etl(placed, spec, week, [{"gate": gate, "float64": number * 1.0, "int64": number} for gate in range(300)])
    apply_definitions(Deployment(spec, placed))
    versions = newest_versions(Deployment(spec, placed), ["origin_week"])
    for _ in range(3):
        together = Barrier(4)
        with ThreadPoolExecutor(4) as pool:
            # without the stage's lock: this is what is left when a process that lost it goes on
            done = [pool.submit(written, placed, spec, versions, week, together) for week in (W1, W2, W1, W2)]
            assert [one.result() for one in done] == [300] * 4
    with open_feature_store(Deployment(spec, placed), versions={}) as store:
        asked = [{"origin": "JFK", "gate": gate} for gate in range(300)]
        found = store.get_online_features(["origin_week:float64", "origin_week:int64"], asked).to_dict()
    assert set(found["float64"]) == {1.0}
    assert set(found["int64"]) == {1}


def written(runtime: Runtime, spec: Pipeline, versions: dict[str, int], week: str, together: Barrier) -> int:
    from tradewind.features.pinned_datasets import pinned_arrow_dataset

    with open_feature_store(Deployment(spec, runtime), versions=versions) as store:
        view = store.get_feature_view("origin_week")
        span = partition_window(spec.partitioning, week, lookback=1)
        rows = pinned_arrow_dataset(store.config, view.batch_source.dataset, since=span.start, until=span.end)
        found = check_window_rows(store, view, span, partition=week, bounds=spec.partitioning.bounds(week))
        store.registry.apply_materialization = lambda *_: None  # it is the registry's lock that the stage holds for it
        together.wait()
        return write_view_online(store, view, rows, window=span, found=found).entities


def test_types_that_are_not_covered_are_left_to_feast_and_right(placed: Runtime, own: Own) -> None:
    define(placed, "Float64", "Array(Float64)")
    text = (placed.project / "features.py").read_text()
    (placed.project / "features.py").write_text(text.replace("array(float64)", "last"))
    spec = own("lists")
    for week, number in ((W2, 20.0), (W1, 10.0), (W2, 21.0)):
        etl(placed, spec, week, [{"float64": number, "last": [number, 0.5]}])
        materialise_features(Deployment(spec, placed), week)
    assert value(placed, spec, "last") == [21.0, 0.5]
    entry = Ledger(placed.ledger).find(spec.pipeline, "materialised")[-1]
    assert entry.evidence["by"]["origin_week"].startswith("feast: last is DOUBLE_LIST in Feast and list<")
    assert entry.evidence["kept"] == {}


def test_feast_writes_on_and_ours_after_it(placed: Runtime, own: Own) -> None:
    """Both may write one store: a push through Feast's own SDK, for example."""
    define(placed, "Float64")
    spec = own("mixed")
    etl(placed, spec, W1, [{"float64": 1.0}])
    materialise_features(Deployment(spec, placed), W1)
    etl(placed, spec, W2, [{"float64": 2.0}])
    feast_materialises(placed, spec, W2)
    assert value(placed, spec) == 2.0
    etl(placed, spec, W1, [{"float64": 1.5}])
    assert materialise_features(Deployment(spec, placed), W1).kept == {"origin_week": 1}
    assert value(placed, spec) == 2.0


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A host whose clock is not UTC."""
    import time

    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("elsewhere")
def test_event_times_are_feasts_on_a_host_that_is_not_on_utc(placed: Runtime, own: Own) -> None:
    define(placed, "Float64")
    specs = [own("ours"), own("feasts")]
    known = datetime(2013, 1, 10, 3, 4, 5, 678901, tzinfo=UTC)
    for spec in specs:
        etl(placed, spec, W1, [{"float64": 1.0, "known_at": known}, {"gate": 2, "float64": 2.0}])
    materialise_features(Deployment(specs[0], placed), W1)
    feast_materialises(placed, specs[1], W1)
    assert contents(placed, specs[0]) == contents(placed, specs[1])
