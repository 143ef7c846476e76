"""Tasks are forks of a process that has imported the heavy libraries and never used them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tradewind.core.runtime import Runtime
from tradewind.spec.pipeline import Pipeline

LAUNCHER = """
import json, os, sys
from pathlib import Path

from tradewind.features.feast_import import import_feast
import_feast()
import deltalake, duckdb, feast, ibis, pandas, pyarrow.dataset, sqlalchemy
import feast.infra.offline_stores.duckdb, feast.infra.online_stores.sqlite, feast.infra.registry.sql
import tradewind.features.feature_join, tradewind.features.offline_store, tradewind.features.stage
from tradewind.core.runtime import Runtime
from tradewind.deployment import Deployment
from tradewind.spec.pipeline import Pipeline

given = json.load(sys.stdin)
spec = Pipeline.model_validate(given["spec"])
runtime = Runtime(**{**given["runtime"], "project": Path(given["runtime"]["project"])})

def task():
    import pyarrow as pa
    from datetime import UTC, datetime
    from tradewind.features.dataset_versions import newest_versions

    deployment = Deployment(spec, runtime)
    tradewind.features.stage.materialise_features(deployment, "2013-01-07")
    times = pa.array([datetime(2013, 1, 14, 5, tzinfo=UTC)], pa.timestamp("us", "UTC"))
    entities = pa.table({"carrier": ["UA"], "origin": ["JFK"], "dest": ["LAX"], "event_timestamp": times})
    versions = newest_versions(deployment, ["carrier_week", "route_week", "origin_week"])
    found = tradewind.features.feature_join.join_features(deployment, entities, versions=versions)
    print(found["carrier_late"].to_pylist(), flush=True)

assert not [name for name in os.environ if name.startswith("PROMETHEUS")]
assert not os.listdir(os.environ["TMPDIR"])
for _ in range(2):
    child = os.fork()
    if not child:
        task()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
"""


@pytest.mark.slow
def test_forks_of_a_process_that_only_imported_can_use_everything(
    runtime: Runtime, spec: Pipeline, etl, project: Path
) -> None:
    import json

    etl("2013-01-07", 10.0)
    temporary = runtime.project / "tmp"
    temporary.mkdir()
    places = {name: getattr(runtime, name) for name in Runtime.__slots__}
    given = json.dumps({"spec": spec.model_dump(mode="json", exclude_unset=True), "runtime": places}, default=str)
    done = subprocess.run(
        [sys.executable, "-c", LAUNCHER],
        input=given,
        capture_output=True,
        text=True,
        timeout=300,  # a fork that hangs is killed from outside; nothing is decided by how long it takes
        env={**os.environ, "PYTHONPATH": str(project / "include"), "TMPDIR": str(temporary), "HOME": str(temporary)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "[11.0]\n[11.0]\n"
    assert list(temporary.iterdir()) == []  # nothing is left in the home folder or the temporary one
