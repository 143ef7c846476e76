"""What is known only after the entity's time is never joined, also where it corrects what was known before."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from tradewind.core.runtime import Runtime
from tradewind.deployment import Deployment
from tradewind.errors import MalformedInput
from tradewind.features.dataset_versions import newest_versions
from tradewind.features.feature_join import join_features
from tradewind.features.stage import materialise_features
from tradewind.lake.cause import Cause
from tradewind.lake.dataset import Lake
from tradewind.ledger import completion
from tradewind.ledger.journal import Ledger
from tradewind.spec.pipeline import Pipeline

DEFINITIONS = """
from feast import Entity, FeatureService, FeatureView, Field, ValueType
from feast.types import Float64, String

from tradewind.features.source import LakeSource

shop = Entity(name="shop", value_type=ValueType.STRING)
sales = FeatureView(
    name="sales",
    entities=[shop],
    schema=[Field(name="shop", dtype=String), Field(name="sold", dtype=Float64)],
    source=LakeSource("sales", timestamp_field="known_at"),
)
sales_v1 = FeatureService(name="sales_v1", features=[sales])
"""
INSTANT = pa.timestamp("us", "UTC")
ROWS = pa.schema([("shop", pa.string()), ("sold", pa.float64()), ("known_at", INSTANT), ("made_at", INSTANT)])
J1, J2, J3, J4, J5 = (f"2013-01-0{day}" for day in range(1, 6))

Put = Callable[..., str]


def day(number: int, hour: int = 0) -> datetime:
    return datetime(2013, 1, number, hour, tzinfo=UTC)


@pytest.fixture
def spec() -> Pipeline:
    from tests.unit.features.conftest import YAML

    source = {"source": {"files": "{landing}/{day}.csv"}, "sql": "sales.sql"}
    changed: Mapping[str, Any] = {
        "partition": "day",
        "timezone": "UTC",
        "start": J1,
        "schedule": "0 6 * * *",
        "datasets": {"orders": source, "sales": {"inputs": {"orders": {}}, "sql": "sales.sql"}},
        "train": {**YAML["train"], "service": "sales_v1", "label": {"dataset": "orders", "column": "late"}},
    }
    return Pipeline.model_validate({**YAML, **changed})


@pytest.fixture(autouse=True)
def _definitions(runtime: Runtime) -> None:
    (runtime.project / "features.py").write_text(DEFINITIONS)


@pytest.fixture
def put(runtime: Runtime, spec: Pipeline) -> Put:
    """Publish one day of a dataset with ``sold`` of shop A (None: no row); the digest of the day."""

    def run(key: str, sold: float | None, dataset: str = "sales", config: str = "sql", **inputs: str) -> str:
        end = spec.partitioning.bounds(key).end
        rows = [] if sold is None else [{"shop": "A", "sold": sold, "known_at": end}]
        staged = Lake(runtime.lake).dataset("flights", dataset).stage(
            key, pa.Table.from_pylist(rows, ROWS).to_reader()
        )  # fmt: skip
        cause = Cause({"source": staged.digest} | {k.replace("__", "/"): v for k, v in inputs.items()}, config, "etl-1")
        return Lake(runtime.lake).dataset("flights", dataset).publish(staged, cause=cause, run_id="test").digest

    return run


def sold(runtime: Runtime, spec: Pipeline, *times: datetime, version: int | None = None) -> list[float | None]:
    entities = pa.table({"shop": ["A"] * len(times), "event_timestamp": pa.array(times, INSTANT)})
    versions = newest_versions(Deployment(spec, runtime), ["sales"]) if version is None else {"sales": version}
    found: list[float | None] = join_features(Deployment(spec, runtime), entities, versions=versions)[
        "sold"
    ].to_pylist()
    return found


@pytest.fixture
def _corrected(put: Put) -> None:
    """10 of 1 January (known as the day ends) becomes 99 when the 4th is there: on the 5th."""
    put(J1, 10.0)
    for key in (J2, J3, J4):
        put(key, None)
    put(J1, 99.0)


@pytest.mark.usefixtures("_corrected")
def test_a_correction_is_not_known_before_it_was_published(runtime: Runtime, spec: Pipeline) -> None:
    times = (day(2), day(4, 23), day(5), day(9))
    assert sold(runtime, spec, *times) == [10.0, 10.0, 99.0, 99.0]


@pytest.mark.usefixtures("_corrected")
def test_the_version_before_the_correction_does_not_know_it_at_all(runtime: Runtime, spec: Pipeline) -> None:
    assert sold(runtime, spec, day(2), day(9), version=4) == [10.0, 10.0]


@pytest.mark.usefixtures("_corrected")
def test_later_publications_change_nothing_about_the_pinned_version(runtime: Runtime, spec: Pipeline, put: Put) -> None:
    put(J5, None)
    put(J1, 7.0)
    for key in ("2013-01-06", "2013-01-07", "2013-01-08", "2013-01-09", "2013-01-10"):
        put(key, None)  # beyond a checkpoint of the log
    assert sold(runtime, spec, day(2), day(5), day(6), day(9), version=5) == [10.0, 99.0, 99.0, 99.0]
    assert sold(runtime, spec, day(2), day(5), day(6), day(9)) == [10.0, 99.0, 7.0, 7.0]


@pytest.mark.usefixtures("_corrected")
def test_the_yaml_may_ask_for_the_newest_content(runtime: Runtime, spec: Pipeline) -> None:
    assert spec.features is not None
    newest = spec.model_copy(update={"features": spec.features.model_copy(update={"corrections": "newest"})})
    assert sold(runtime, newest, day(2)) == [99.0]


@pytest.mark.usefixtures("_corrected")
def test_a_row_that_a_correction_takes_away_is_gone_from_then_on(runtime: Runtime, spec: Pipeline, put: Put) -> None:
    put(J5, None)
    put(J1, None)
    assert sold(runtime, spec, day(2), day(5), day(6)) == [10.0, 99.0, None]


@pytest.mark.usefixtures("_corrected")
def test_other_sql_makes_the_partition_anew_for_all_times(runtime: Runtime, spec: Pipeline, put: Put) -> None:
    put(J1, 50.0, config="better sql")
    assert sold(runtime, spec, day(2), day(6)) == [50.0, 50.0]
    put(J5, None)
    put(J1, 51.0, config="better sql")
    assert sold(runtime, spec, day(2), day(5), day(6)) == [50.0, 50.0, 51.0]


def test_other_sql_further_up_makes_the_partition_anew_too(runtime: Runtime, spec: Pipeline, put: Put) -> None:
    first = put(J1, 1.0, dataset="orders")
    put(J1, 10.0, **{"orders__2013-01-01": first})
    put(J2, None)
    delivered_again = put(J1, 2.0, dataset="orders")
    put(J1, 20.0, **{"orders__2013-01-01": delivered_again})
    assert sold(runtime, spec, day(2), day(3)) == [10.0, 20.0]
    computed_anew = put(J1, 3.0, dataset="orders", config="better sql")
    put(J1, 30.0, **{"orders__2013-01-01": computed_anew})
    assert sold(runtime, spec, day(2), day(3)) == [30.0, 30.0]


def test_a_first_publication_counts_from_its_rows_own_time_however_late_it_is(
    runtime: Runtime, spec: Pipeline, put: Put
) -> None:
    put(J4, None)
    put(J1, 10.0)
    assert sold(runtime, spec, day(1, 23), day(2)) == [None, 10.0]


@pytest.fixture
def _made_at(runtime: Runtime, spec: Pipeline) -> None:
    """Rows say themselves when they were made: 10 on 1 January, 99 on the 5th."""
    path = runtime.project / "features.py"
    path.write_text(path.read_text().replace('"known_at"', '"known_at", created_timestamp_column="made_at"'))
    rows = {J1: [(10.0, day(2))], J5: [(99.0, day(5, 12))]}
    for key, values in rows.items():
        given = [{"shop": "A", "sold": value, "known_at": day(2), "made_at": made} for value, made in values]
        dataset = Lake(runtime.lake).dataset("flights", "sales")
        staged = dataset.stage(key, pa.Table.from_pylist(given, ROWS).to_reader())
        dataset.publish(staged, cause=Cause({"rows": staged.digest}, "sql", "1"), run_id="test")


@pytest.mark.usefixtures("_made_at")
def test_a_row_is_not_seen_before_it_was_made(runtime: Runtime, spec: Pipeline) -> None:
    times = (day(1), day(2), day(5, 11), day(5, 12), day(9))
    assert sold(runtime, spec, *times) == [None, 10.0, 10.0, 99.0, 99.0]


@pytest.mark.usefixtures("_made_at")
def test_a_partition_may_hold_corrections_of_earlier_rows(runtime: Runtime, spec: Pipeline) -> None:
    completion.record_completion(Ledger(runtime.ledger), "flights", "etl", J5, cause="test")
    assert materialise_features(Deployment(spec, runtime), J5).changed


@pytest.mark.usefixtures("_made_at")
def test_what_was_made_before_it_was_known_is_refused(runtime: Runtime, spec: Pipeline) -> None:
    row = {"shop": "A", "sold": 1.0, "known_at": day(5, 12), "made_at": day(5, 11)}
    dataset = Lake(runtime.lake).dataset("flights", "sales")
    staged = dataset.stage(J5, pa.Table.from_pylist([row], ROWS).to_reader())
    dataset.publish(staged, cause=Cause({"rows": staged.digest}, "sql", "1"), run_id="test")
    completion.record_completion(Ledger(runtime.ledger), "flights", "etl", J5, cause="test")
    with pytest.raises(MalformedInput, match="with a created column: is made within it, not before that time"):
        materialise_features(Deployment(spec, runtime), J5)


@pytest.mark.usefixtures("_made_at")
def test_feast_asked_directly_does_not_see_it_either(runtime: Runtime, spec: Pipeline) -> None:
    import pandas as pd

    from tradewind.features.feast_apply import apply_definitions
    from tradewind.features.feature_store import open_feature_store

    apply_definitions(Deployment(spec, runtime))
    frame = pd.DataFrame({"shop": ["A", "A"], "event_timestamp": [day(2), day(6)]})
    with open_feature_store(
        Deployment(spec, runtime), versions=newest_versions(Deployment(spec, runtime), ["sales"])
    ) as store:
        for full, name in ((False, "sold"), (True, "sales__sold")):
            job = store.get_historical_features(frame, ["sales:sold"], full_feature_names=full)
            assert job.to_df()[name].tolist() == [10.0, 99.0]


def feasts_own(entities: pa.Table, rows: pa.Table, ttl: timedelta | None, created: str | None) -> list[Any]:
    """Feast's DuckDB join of a view with the keys a and b and the feature v."""
    import ibis
    from feast.infra.offline_stores.ibis import _entity_row_id, point_in_time_join

    asked = ibis.memtable(entities)
    asked = asked.mutate(entity_row_id=_entity_row_id(asked, ["event_timestamp", "a", "b"]))
    view = (ibis.memtable(rows), "known_at", created, {"a": "a", "b": "b"}, ["v"], ttl)
    found: pa.Table = point_in_time_join(asked, [view]).to_pyarrow()
    return sorted(found.to_pylist(), key=str)


def test_feast_alone_gives_what_was_made_later() -> None:
    entities = pa.table({"a": ["A"], "b": [1], "event_timestamp": pa.array([day(2)], INSTANT)})
    made = pa.array([day(1), day(5)], INSTANT)
    rows = {"a": ["A", "A"], "b": [1, 1], "v": [10, 99], "known_at": pa.array([day(1)] * 2, INSTANT), "made_at": made}
    assert [row["v"] for row in feasts_own(entities, pa.table(rows), None, "made_at")] == [99]


@pytest.mark.parametrize("ttl", [None, timedelta(days=3)])
def test_where_nothing_was_corrected_the_join_is_feasts(ttl: timedelta | None) -> None:
    import pyarrow.dataset as pads

    from tradewind.features.known_rows import KnownRows
    from tradewind.features.point_in_time import JoinedView, join_point_in_time
    from tradewind.features.source import LakeSource

    chance = random.Random(5)
    moments = [day(1) + timedelta(hours=6 * n) for n in range(80)]
    known = {(chance.choice("xyz"), chance.choice([1, 2, None]), chance.choice(moments)): n for n in range(120)}
    rows = pa.table(
        {
            "a": [a for a, _, _ in known],
            "b": pa.array([b for _, b, _ in known], pa.int64()),
            "known_at": pa.array([moment for _, _, moment in known], INSTANT),
            "v": [n if n % 7 else None for n in known.values()],
        }
    )
    asked = sorted({(chance.choice("wxyz"), chance.choice([1, 2]), chance.choice(moments)) for _ in range(200)})
    entities = pa.table(
        {
            "a": [a for a, _, _ in asked],
            "b": pa.array([b for _, b, _ in asked], pa.int64()),
            "event_timestamp": pa.array([moment for _, _, moment in asked], INSTANT),
        }
    )
    source = LakeSource("d", timestamp_field="known_at")
    view = JoinedView("view", source, {"a": "a", "b": "b"}, {"v": "v"}, ttl)
    slices = [KnownRows(None, None, pads.dataset(rows))]
    found = join_point_in_time(entities, [view], time="event_timestamp", read=lambda *_: slices)
    ours = entities.append_column("v", found["v"])
    assert sorted(ours.to_pylist(), key=str) == feasts_own(entities, rows, ttl, None)
    assert 0 < ours["v"].null_count < ours.num_rows


def test_what_was_taken_back_before_anybody_could_know_it_is_no_correction(
    runtime: Runtime, spec: Pipeline, put: Put
) -> None:
    from tradewind.lake.corrections import corrected_partitions

    put(J1, 10.0)
    put(J2, None)
    put(J1, 99.0)
    put(J1, 10.0)
    lake = Lake(runtime.lake)
    snapshot = lake.dataset("flights", "sales").snapshot()
    assert snapshot is not None
    assert corrected_partitions(lake, "flights", snapshot) == {}
    assert sold(runtime, spec, day(2), day(3)) == [10.0, 10.0]
