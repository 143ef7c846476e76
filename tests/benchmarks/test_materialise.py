"""How long a window takes into the online store, beside `feast materialize` of the same rows; printed, not asserted.

Each side runs in a process of its own and reports its own time, without imports and without what publishes the rows.
TRADEWIND_BENCH_ENTITIES makes it smaller; Feast is given fewer rows than we are, for it takes the same time for each.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest

ENTITIES = int(os.environ.get("TRADEWIND_BENCH_ENTITIES", "500000"))
FEASTS_SHARE = float(os.environ.get("TRADEWIND_BENCH_FEAST_SHARE", "0.2"))

SIDE = """
import contextlib, io, json, resource, sys, time, warnings
from pathlib import Path

warnings.simplefilter("ignore")
from tradewind.features.feast_import import import_feast

import_feast()
import numpy as np, pyarrow as pa
from tradewind.core.runtime import Runtime
from tradewind.deployment import Deployment
from tradewind.features.feast_apply import apply_definitions
from tradewind.features.stage import materialise_features
from tradewind.features.feature_store import open_feature_store
from tradewind.features.dataset_versions import newest_versions
from tradewind.lake.cause import Cause
from tradewind.lake.dataset import Lake
from tradewind.ledger import completion
from tradewind.ledger.journal import Ledger
from tradewind.spec.pipeline import Pipeline

who, root, name = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
entities, online = int(sys.argv[4]), json.loads(sys.argv[5])
WEEK = "2013-01-07"
(root / "features.py").write_text('''
from datetime import timedelta

from feast import Entity, FeatureView, Field, ValueType
from feast.types import Bool, Float32, Float64, Int64, String

from tradewind.features.source import LakeSource

kinds = {"f": (Float64, 5), "i": (Int64, 2), "single": (Float32, 1), "segment": (String, 1), "active": (Bool, 1)}
user = Entity(name="user", value_type=ValueType.INT64)
user_week = FeatureView(
    name="user_week",
    entities=[user],
    ttl=timedelta(days=14),
    schema=[Field(name="user", dtype=Int64)]
    + [Field(name=f"{name}{n}", dtype=kind) for name, (kind, count) in kinds.items() for n in range(count)],
    source=LakeSource("user_week", timestamp_field="known_at"),
)
''')
spec = Pipeline.model_validate(
    {
        "pipeline": name,
        "owner": "bench",
        "description": "bench",
        "partition": "week",
        "timezone": "UTC",
        "start": WEEK,
        "schedule": "0 6 * * 1",
        "datasets": {
            "raw": {"source": {"files": "{landing}/{day}.csv"}, "sql": "raw.sql"},
            "user_week": {"inputs": {"raw": {}}, "sql": "user_week.sql"},
        },
        "features": {"definitions": "features.py"},
    }
)
runtime = Runtime(
    project=root,
    lake=str(root / "lake"),
    landing="",
    ledger=f"sqlite:///{root / 'ledger.db'}",
    mlflow="",
    feast_registry=f"sqlite:///{root / 'feast' / 'registry.db'}",
    feast_online=online,
    reports=root / "reports",
)
bounds = spec.partitioning.bounds(WEEK)
random = np.random.default_rng(7)
columns = {
    "user": random.permutation(entities).astype(np.int64),
    "known_at": pa.array([bounds.end] * entities, pa.timestamp("us", "UTC")),
    **{f"f{n}": random.normal(size=entities) * 100 for n in range(5)},
    **{f"i{n}": random.integers(0, 1_000_000, entities) for n in range(2)},
    "single0": random.random(entities).astype(np.float32),
    "segment0": np.char.add("segment-", random.integers(0, 50, entities).astype(str)),
    "active0": random.random(entities) < 0.5,
}
dataset = Lake(runtime.lake).dataset(name, "user_week")
staged = dataset.stage(WEEK, pa.table(columns).to_reader())
dataset.publish(staged, cause=Cause({"rows": staged.digest}, "bench", "1"), run_id="bench")
completion.record_completion(Ledger(runtime.ledger), name, "etl", WEEK, cause="bench")
deployment = Deployment(spec, runtime)
apply_definitions(deployment)
del columns
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
begun, worked = time.perf_counter(), time.process_time()
if who == "ours":
    assert materialise_features(deployment, WEEK).rows == {"user_week": entities}
else:
    with open_feature_store(deployment, versions=newest_versions(deployment, ["user_week"])) as store:
        with contextlib.redirect_stdout(io.StringIO()):
            store.materialize(bounds.start, bounds.end)
seconds, worked = time.perf_counter() - begun, time.process_time() - worked
with open_feature_store(deployment, versions={}) as store:
    found = store.get_online_features(["user_week:f0", "user_week:active0"], [{"user": entities // 2}]).to_dict()
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
found = [found["f0"][0], found["active0"][0]]
print(json.dumps({"seconds": seconds, "worked": worked, "peak": peak, "before": before, "found": found}))
"""


@pytest.mark.parametrize("store", ["sqlite", "redis"])
def test_materialise_beside_feast(store: str, tmp_path: Path) -> None:
    names = {who: f"bench_{who}_{uuid.uuid4().hex[:8]}" for who in ("ours", "feast")}
    sizes = {"ours": ENTITIES, "feast": max(1, int(ENTITIES * FEASTS_SHARE))}
    try:
        done = {who: side(who, store, names[who], sizes[who], tmp_path / who) for who in ("ours", "feast")}
    finally:
        if store == "redis":
            sweep(list(names.values()))
    assert None not in done["ours"]["found"] + done["feast"]["found"]
    rates = {who: sizes[who] / found["seconds"] for who, found in done.items()}
    work = {who: found["worked"] / sizes[who] for who, found in done.items()}
    print(
        f"\nmaterialise × 10 features into {store}: ratio {rates['ours'] / rates['feast']:.1f}; of processor time, "
        f"which depends less on what else runs, {work['feast'] / work['ours']:.1f}"
    )
    for who, found in done.items():
        peak, before = (f"{found[which] / 1024:.0f} MB" for which in ("peak", "before"))
        print(
            f"  {who:5} {sizes[who]:,} entity rows in {found['seconds']:.2f} s = {rates[who]:,.0f} rows/s; processor "
            f"{found['worked']:.2f} s; peak memory {peak}, {before} of it before"
        )


def side(who: str, store: str, name: str, entities: int, root: Path) -> dict[str, Any]:
    root.mkdir()
    place = {"type": "redis", "connection_string": "127.0.0.1:6379"}
    if store == "sqlite":
        place = {"type": "sqlite", "path": str(root / "online.db")}
    command = [sys.executable, "-c", SIDE, who, str(root), name, str(entities), json.dumps(place)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def sweep(names: list[str]) -> None:
    """Remove our keys from a Redis that others may use too."""
    import redis

    with redis.Redis() as client:
        for name in names:
            keys = list(client.scan_iter(match=f"*{name}", count=100_000))
            for start in range(0, len(keys), 10_000):
                client.unlink(*keys[start : start + 10_000])
