"""One point-in-time join in a process of its own: ``ours`` or ``feast``; prints what it took as JSON.

``python point_in_time.py make FOLDER ROWS`` writes the data first: three datasets in a lake, the same as Parquet files,
and the entities.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.local_runtime import local_runtime

from tradewind.deployment import Deployment

VIEWS = {"customer": 20_000, "merchant": 5_000, "terminal": 500}
DAYS, FEATURES = 30, 4
START = "2024-01-01"
BEGIN = datetime(2024, 1, 1, tzinfo=UTC)
TTL = timedelta(days=7)
DEFINITIONS = """
from datetime import timedelta
from feast import Entity, FeatureService, FeatureView, Field, ValueType
from feast.types import Float64, Int64
from tradewind.features.source import LakeSource

views = {}
for name in ("customer", "merchant", "terminal"):
    entity = Entity(name=name, value_type=ValueType.INT64)
    fields = [Field(name=f"{name}_{n}", dtype=Float64) for n in range(4)]
    source = LakeSource(name, timestamp_field="known_at")
    views[name] = FeatureView(
        name=name, entities=[entity], ttl=timedelta(days=7), source=source,
        schema=[Field(name=name, dtype=Int64), *fields]
    )
    globals()[name], globals()[f"{name}_view"] = entity, views[name]
all_v1 = FeatureService(name="all_v1", features=list(views.values()))
"""


def features() -> list[str]:
    return [f"{name}_{n}" for name in VIEWS for n in range(FEATURES)]


def pipeline() -> Any:
    from tradewind.spec.pipeline import Pipeline

    given = {"source": {"files": "{landing}/{day}.csv"}, "sql": "x.sql"}
    return Pipeline.model_validate(
        {
            "pipeline": "bench",
            "owner": "o@example.com",
            "description": "b",
            "partition": "day",
            "timezone": "UTC",
            "start": START,
            "schedule": "@daily",
            "datasets": dict.fromkeys(VIEWS, given),
            "features": {"definitions": "features.py"},
            "train": {
                "window": 4, "test": 1, "service": "all_v1", "model": "m.py:f",
                "label": {"dataset": "customer", "column": "customer_0"},
            },
        }
    )  # fmt: skip


def runtime(folder: Path) -> Any:

    return local_runtime(folder, landing=str(folder))


def make(folder: Path, rows: int) -> None:
    """A row of every key and day, at a random minute; entities at random keys and seconds."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    from tradewind.lake.cause import Cause
    from tradewind.lake.dataset import Lake

    random, spec = np.random.default_rng(1), pipeline()
    (folder / "features.py").write_text(DEFINITIONS)
    for name, keys in VIEWS.items():
        parts = []
        for number in range(DAYS):
            at = BEGIN + timedelta(days=number)
            minutes = random.integers(1, 24 * 60, keys) * 60_000_000 + int(at.timestamp() * 1e6)
            columns = {f"{name}_{n}": random.random(keys) for n in range(FEATURES)}
            part = pa.table(
                {name: np.arange(keys), "known_at": pa.array(minutes, pa.timestamp("us", "UTC")), **columns}
            )
            dataset = Lake(str(folder / "lake")).dataset("bench", name)
            staged = dataset.stage(spec.partitioning.shift(START, number), part.to_reader())
            dataset.publish(staged, cause=Cause({"rows": staged.digest}, "b", "1"), run_id="bench")
            parts.append(part)
        (folder / "parquet").mkdir(exist_ok=True)
        pq.write_table(pa.concat_tables(parts), folder / "parquet" / f"{name}.parquet", compression="zstd")
    seconds = random.integers(0, DAYS * 86_400, rows) * 1_000_000 + int(BEGIN.timestamp() * 1e6)
    entities = {name: random.integers(0, int(keys * 1.01), rows) for name, keys in VIEWS.items()}
    times = pa.array(seconds, pa.timestamp("us", "UTC"))
    pq.write_table(pa.table({"id": np.arange(rows), **entities, "event_timestamp": times}), folder / "entities.parquet")


def ours(folder: Path) -> Any:
    import pyarrow.parquet as pq

    from tradewind.features.dataset_versions import newest_versions
    from tradewind.features.feast_apply import apply_definitions
    from tradewind.features.feature_join import join_features

    entities, spec, at = pq.read_table(folder / "entities.parquet"), pipeline(), runtime(folder)
    versions = newest_versions(Deployment(spec, at), VIEWS)
    apply_definitions(
        Deployment(spec, at)
    )  # as below: Feast is imported and knows the definitions before the clock starts
    return lambda: join_features(Deployment(spec, at), entities, versions=versions)


def feast(folder: Path) -> Any:
    import pyarrow.parquet as pq

    from tradewind.features.feast_import import import_feast

    import_feast()
    from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
    from feast.types import Float64, Int64

    config = RepoConfig(
        project="peer",
        provider="local",
        registry=str(folder / "peer.db"),
        online_store={"type": "sqlite", "path": str(folder / "peer_online.db")},
        offline_store={"type": "duckdb"},
        entity_key_serialization_version=3,
    )
    store = FeatureStore(config=config)
    for name in VIEWS:
        entity = Entity(name=name, value_type=ValueType.INT64)
        fields = [Field(name=f"{name}_{n}", dtype=Float64) for n in range(FEATURES)]
        source = FileSource(path=str(folder / "parquet" / f"{name}.parquet"), timestamp_field="known_at")
        schema = [Field(name=name, dtype=Int64), *fields]
        store.apply([entity, FeatureView(name=name, entities=[entity], ttl=TTL, schema=schema, source=source)])
    frame = pq.read_table(folder / "entities.parquet").to_pandas()
    names = [f"{name.rsplit('_', 1)[0]}:{name}" for name in features()]
    return lambda: store.get_historical_features(entity_df=frame, features=names).to_arrow()


def main() -> None:
    what, folder = sys.argv[1], Path(sys.argv[2])
    if what == "make":
        make(folder, int(sys.argv[3]))
        return
    import pyarrow as pa

    from tradewind.lake.digests import hash_rows

    work = {"ours": ours, "feast": feast}[what](folder)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begun = time.perf_counter()
    found = work()
    seconds = time.perf_counter() - begun
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    kept = found.select(["id", *features()])
    kinds = [pa.field("id", pa.int64()), *(pa.field(name, pa.float64()) for name in features())]
    digest = hash_rows(kept.cast(pa.schema(kinds)).to_reader()).digest
    matched = [kept.num_rows - kept[f"{name}_0"].null_count for name in VIEWS]
    told = {
        "seconds": seconds,
        "peak_mb": peak / 1024,
        "before_mb": before / 1024,
        "digest": digest,
        "matched": matched,
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
