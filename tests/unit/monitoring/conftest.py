"""A weekly pipeline whose lake and ledger are filled by hand, as etl, score and promote would."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.local_runtime import Deployed, local_runtime

from tradewind.core import profiles
from tradewind.core.runtime import Runtime
from tradewind.ledger import completion
from tradewind.ledger.champions import ChampionChange
from tradewind.ledger.journal import Ledger
from tradewind.monitoring.monitoring_datasets import PROFILES
from tradewind.spec.pipeline import Pipeline

DEFINITIONS = """
from datetime import timedelta

from feast import Entity, FeatureService, FeatureView, Field, ValueType
from feast.types import Float64, String

from tradewind.features.source import LakeSource

carrier = Entity(name="carrier", value_type=ValueType.STRING)
carrier_week = FeatureView(
    name="carrier_week",
    entities=[carrier],
    ttl=timedelta(days=14),
    schema=[Field(name="carrier", dtype=String), Field(name="carrier_late", dtype=Float64)],
    source=LakeSource("carrier_week", timestamp_field="known_at"),
)
flight_delay_v1 = FeatureService(name="flight_delay_v1", features=[carrier_week])
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
    },
    "features": {"definitions": "features.py"},
    "score": {
        "population": {"files": "{landing}/{day}.csv", "sql": "p.sql", "key": "flight_id", "timestamp": "scheduled_at"}
    },
    "train": {
        "window": 5,
        "test": 1,
        "service": "flight_delay_v1",
        "columns": ["carrier", "distance"],
        "label": {"dataset": "flights", "column": "late", "available_after": "1d"},
        "model": "model.py:build",
    },
    "monitor": {"horizons": [1, 2], "performance": {"metric": "roc_auc", "at_least": 0.6}},
}
START = "2013-01-07"
ROWS = 700


@pytest.fixture
def spec() -> Pipeline:
    return Pipeline.model_validate(YAML)


@pytest.fixture
def runtime(tmp_path: Path) -> Runtime:
    (tmp_path / "features.py").write_text(DEFINITIONS)
    return local_runtime(tmp_path)


class World(Deployed):
    """What earlier stages leave behind, week by week; weeks are numbered from 0."""

    def __init__(self, spec: Pipeline, runtime: Runtime) -> None:
        self.spec, self.runtime = spec, runtime
        self.ledger = Ledger(runtime.ledger)

    def week(self, number: int) -> str:
        """Key of a week."""
        return self.spec.partitioning.shift(START, number)

    def weeks(self, first: int, last: int) -> list[str]:
        """Keys from one week to another, both included."""
        return [self.week(number) for number in range(first, last + 1)]

    def publish(self, name: str, week: str, columns: Mapping[str, Any]) -> None:
        """Publish a partition of any dataset."""
        import pyarrow as pa

        from tradewind.lake.cause import Cause
        from tradewind.lake.dataset import Lake

        dataset = Lake(self.runtime.lake).dataset(self.spec.pipeline, name)
        staged = dataset.stage(week, pa.table(columns).to_reader())
        dataset.publish(staged, cause=Cause({"rows": staged.digest}, "test", "1"), run_id="test")

    def complete(self, stage: str, week: str) -> None:
        """Complete a stage."""
        completion.record_completion(self.ledger, self.spec.pipeline, stage, week, cause="test")

    def champion(self, version: str, *, train: Sequence[str], effective_from: str) -> ChampionChange:
        """Promote a version."""
        new = ChampionChange(
            "flights", 0, "flights", version, effective_from, train[-1], evidence={"train_partitions": list(train)}
        )
        return self.ledger.promote(new, expected=len(self.ledger.champions("flights")))

    def profiled(self, week: str, *, predicted_by: str | None = None, **values: Any) -> None:
        """Publish the profiles of a week: arrays or counts by feature; ``prediction`` is one of them."""
        import pyarrow as pa

        rows = []
        for name, given in values.items():
            made = (
                profiles.profile_texts(given)
                if isinstance(given, dict)
                else profiles.profile_numbers(np.asarray(given))
            )
            version = predicted_by if name == "prediction" else None
            rows.append((name, made.kind, made.rows, version, profiles.to_json(made)))
        columns = [
            pa.array(values, pa.type_for_alias(kind))
            for values, kind in zip(zip(*rows, strict=True), PROFILES.values(), strict=True)
        ]
        self.publish("profiles", week, dict(zip(PROFILES, columns, strict=True)))

    def flights(self, week: str, *, seed: int = 0, unlabelled: int = 0, rows: int = ROWS) -> np.ndarray:
        """Publish the label dataset of a week; return the labels."""
        import pyarrow as pa

        rng = np.random.default_rng([seed, *week.encode()])
        late = rng.random(rows) < 0.4
        self.publish(
            "flights",
            week,
            {
                **self._entities(week, rows),
                "carrier": rng.choice(["AA", "UA", "B6"], rows),
                "distance": rng.integers(100, 3000, rows),
                "late": pa.array(late, mask=np.arange(rows) < unlabelled),
            },
        )
        return late

    def scored(
        self,
        week: str,
        late: np.ndarray,
        *,
        skill: float = 1.5,
        version: str = "1",
        in_sample: bool = False,
        by: str = "champion",
    ) -> None:
        """Publish the predictions of a week."""
        rng = np.random.default_rng(5)
        probability = 1 / (1 + np.exp(-(skill * (late - 0.5) + rng.normal(size=len(late)))))
        self.publish(
            "predictions",
            week,
            {
                **self._entities(week, len(late)),
                "probability": probability,
                "model_version": [version] * len(late),
                "served_by": [by] * len(late),
                "in_sample": [in_sample] * len(late),
            },
        )

    def rows(self, name: str, week: str) -> list[dict[str, Any]]:
        """Rows of a partition that was published."""
        from tradewind.monitoring import monitoring_datasets

        table = monitoring_datasets.read_monitoring_rows(self.deployment, name, partitions=[week])
        return [] if table is None else table.to_pylist()

    def version(self, name: str) -> int:
        """Newest version of a dataset's table."""
        from tradewind.lake.dataset import Lake

        snapshot = Lake(self.runtime.lake).dataset(self.spec.pipeline, name).snapshot()
        assert snapshot is not None
        return snapshot.version

    def _entities(self, week: str, rows: int) -> dict[str, Any]:
        import pyarrow as pa

        start = self.spec.partitioning.bounds(week).start
        step = timedelta(days=7) / rows
        times = pa.array([start + step * number for number in range(rows)], pa.timestamp("us", "UTC"))
        return {"flight_id": [f"{week}/{number}" for number in range(rows)], "scheduled_at": times}


@pytest.fixture
def world(spec: Pipeline, runtime: Runtime) -> World:
    return World(spec, runtime)


@pytest.fixture
def with_spec(world: World) -> Callable[..., World]:
    """The same world for a changed YAML."""

    def change(**parts: Any) -> World:
        return World(Pipeline.model_validate({**YAML, **parts}), world.runtime)

    return change
