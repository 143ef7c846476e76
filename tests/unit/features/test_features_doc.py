from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

from tradewind.core.runtime import Runtime
from tradewind.deployment import Deployment
from tradewind.features.dataset_versions import newest_versions
from tradewind.features.feature_join import join_features
from tradewind.features.stage import materialise_features
from tradewind.ledger import completion
from tradewind.ledger.journal import Ledger
from tradewind.spec.pipeline import Pipeline


def test_the_example_of_the_documentation_works(runtime: Runtime, spec: Pipeline, publish, project: Path) -> None:
    import pyarrow as pa

    text = (project / "docs" / "features.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (runtime.project / "features.py").write_text(example)
    week = "2013-01-07"
    end = spec.partitioning.bounds(week).end
    publish("carrier_week", week, [{"carrier": "UA", "carrier_late_share": 0.25, "carrier_flights": 4}])
    completion.record_completion(Ledger(runtime.ledger), spec.pipeline, "etl", week, cause="test")
    assert materialise_features(Deployment(spec, runtime), week).rows == {"carrier_week": 1}
    later = pa.array([end + timedelta(days=3)], pa.timestamp("us", "UTC"))
    entities = pa.table({"carrier": ["UA"], "event_timestamp": later})
    joined = join_features(
        Deployment(spec, runtime), entities, versions=newest_versions(Deployment(spec, runtime), ["carrier_week"])
    )
    assert joined["carrier_late_share"].to_pylist() == [0.25]
