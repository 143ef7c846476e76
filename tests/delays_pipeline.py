"""A small real pipeline: a lake with twelve weeks of flights, feature definitions, a model with code of its own."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
from tests.local_runtime import Deployed, local_runtime

from tradewind.core.runtime import Runtime
from tradewind.lake.cause import Cause
from tradewind.lake.dataset import Lake
from tradewind.ledger.journal import Ledger
from tradewind.spec.pipeline import Pipeline

START = "2013-01-28"
CARRIERS = ["AA", "UA", "WN"]
CAUSES = ['it\'s "late"\n', "none", "Wetter ☂"]
ROWS = 400

FEATURES = """
from datetime import timedelta
from feast import Entity, FeatureService, FeatureView, Field
from feast.types import Float64, Int64
from feast.value_type import ValueType
from tradewind.features.source import LakeSource

carrier = Entity(name="carrier", join_keys=["carrier"], value_type=ValueType.STRING)
carrier_week = FeatureView(
    name="carrier_week", entities=[carrier], ttl=timedelta(weeks=4),
    source=LakeSource("carrier_week", timestamp_field="known_at"),
    schema=[Field(name="late_share", dtype=Float64), Field(name="flown", dtype=Int64)],
)
delays_v1 = FeatureService(name="delays_v1", features=[carrier_week])
"""
TRANSFORMERS = """
from sklearn.base import BaseEstimator, TransformerMixin

class Known(TransformerMixin, BaseEstimator):
    def fit(self, X, y=None):
        self.shares_ = X.iloc[:, 0].value_counts(normalize=True).to_dict()
        return self

    def transform(self, X):
        return X.iloc[:, [0]].apply(lambda c: c.map(self.shares_)).fillna(0.0).to_numpy(float)
"""
MODEL = """
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import Pipeline
from delays_model.transformers import Known

def columns():
    return ColumnTransformer([
        ("carrier", Known(), ["carrier"]),
        ("numbers", SimpleImputer(), ["hour", "distance", "late_share", "flown"]),
    ])

def build_model(params):
    return Pipeline([("columns", columns()), ("classifier", LogisticRegression(max_iter=500, **params))])

def build_regressor(params):
    return Pipeline([("columns", columns()), ("regressor", LinearRegression(**params))])
"""
POPULATION = "SELECT flight_id, scheduled_at, carrier, hour, distance FROM source"


@dataclass(frozen=True)
class House(Deployed):
    """A deployment in a temporary folder, and the one pipeline in it."""

    spec: Pipeline
    runtime: Runtime

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.runtime.ledger)

    @property
    def lake(self) -> Lake:
        return Lake(self.runtime.lake)

    def week(self, number: int) -> str:
        """Key of the pipeline's week ``number``, from 0."""
        return self.spec.partitioning.shift(START, number)

    def publish(self, dataset: str, partition: str, rows: pa.Table, *, cause: str = "first") -> None:
        """Publish ``rows`` as ``etl`` would."""
        table = self.lake.dataset(self.spec.pipeline, dataset)
        table.publish(table.stage(partition, rows.to_reader()), cause=Cause({"test": cause}, "", ""), run_id="test")

    def with_spec(self, **changes: object) -> House:
        """The same deployment with parts of the YAML changed."""
        return replace(self, spec=self.spec.model_copy(update=changes))


def spec() -> Pipeline:
    """The YAML of the pipeline."""
    return Pipeline.model_validate(
        {
            "pipeline": "delays",
            "owner": "ops@example.com",
            "description": "Late?",
            "partition": "week",
            "timezone": "America/New_York",
            "start": START,
            "schedule": "0 6 * * 1",
            "datasets": {
                "flights": {"source": {"files": "{landing}/flights/{day}.csv"}, "sql": "flights.sql"},
                "carrier_week": {"inputs": {"flights": {}}, "sql": "carrier_week.sql"},
            },
            "features": {"definitions": "include/delays_model/features.py"},
            "score": {
                "population": {
                    "files": "{landing}/schedule/{partition}.csv",
                    "columns": {
                        "flight_id": "VARCHAR",
                        "scheduled_at": "TIMESTAMPTZ",
                        "carrier": "VARCHAR",
                        "hour": "BIGINT",
                        "distance": "BIGINT",
                    },
                    "sql": "include/delays_model/population.sql",
                    "key": "flight_id",
                    "timestamp": "scheduled_at",
                },
                "fallback": ["previous_champion", "majority"],
            },
            "train": {
                "window": 4,
                "test": 1,
                "service": "delays_v1",
                "columns": ["hour", "distance", "carrier"],
                "label": {"dataset": "flights", "column": "late", "available_after": "1d"},
                "model": "include/delays_model/model.py:build_model",
                "seed": 7,
                "trusted": ["delays_model.transformers.Known", "numpy.dtype"],
            },
            "verdict": {"columns": ["origin"]},
            "gates": [
                {"metric": "roc_auc", "at_least": 0.55},
                {"metric": "roc_auc", "versus": "champion", "lower_bound": -0.05},
                {"metric": "roc_auc", "slice": "origin", "at_least": 0.5, "min_rows": 50},
            ],
        }
    )


def flights(partition: str, *, rows: int = ROWS, seed: int = 0) -> pa.Table:
    """A week of flights whose lateness depends on the hour and the carrier; every tenth has no outcome."""
    slices = spec().partitioning
    random = np.random.default_rng([seed, *map(int, partition.split("-"))])
    hour, carrier = random.integers(5, 23, rows), random.integers(0, 3, rows)
    late = random.random(rows) < 1 / (1 + np.exp(-(hour - 16) / 4 - carrier / 2))
    offset = np.sort(random.integers(0, 7 * 24 * 3600 - 1, rows))
    start = slices.bounds(partition).start
    return pa.table(
        {
            "flight_id": [f"{partition}-{n}" for n in range(rows)],
            "scheduled_at": pa.array([start + timedelta(seconds=int(s)) for s in offset], pa.timestamp("us", "UTC")),
            "carrier": [CARRIERS[c] for c in carrier],
            "origin": [["EWR", "JFK"][c % 2] for c in hour],
            "hour": pa.array(hour, pa.int64()),
            "distance": pa.array(random.integers(100, 3000, rows), pa.int64()),
            "late": pa.array(late, mask=np.arange(rows) % 10 == 9),
            "cause": pa.array([CAUSES[c] for c in np.where(late, carrier // 2 * 2, 1)], mask=np.arange(rows) % 10 == 9),
            "delay": pa.array(late * 20 + hour + random.normal(size=rows), mask=np.arange(rows) % 10 == 9),
        }
    )


def carrier_week(partition: str, rows: pa.Table) -> pa.Table:
    """What the week's flights say about each carrier, known when the week ends."""
    end = spec().partitioning.bounds(partition).end
    grouped = rows.group_by("carrier").aggregate([("late", "mean"), ("late", "count")]).sort_by("carrier")
    return pa.table(
        {
            "carrier": grouped["carrier"],
            "known_at": pa.array([end] * grouped.num_rows, pa.timestamp("us", "UTC")),
            "late_share": grouped["late_mean"],
            "flown": grouped["late_count"],
        }
    )


def write_population(house: House, partition: str, rows: pa.Table | None = None) -> None:
    """Deliver the schedule of a partition."""
    import pyarrow.csv

    rows = flights(partition) if rows is None else rows
    table = rows.select(["flight_id", "scheduled_at", "carrier", "hour", "distance"])
    path = Path(house.runtime.landing) / "schedule" / f"{partition}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.csv.write_csv(table, path)


def build(folder: Path) -> House:
    """A deployment with eight published weeks and no model."""
    project = folder / "project"
    for name, text in {
        "features.py": FEATURES,
        "transformers.py": TRANSFORMERS,
        "model.py": MODEL,
        "population.sql": POPULATION,
    }.items():
        path = project / "include" / "delays_model" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
    house = House(spec(), runtime(folder))
    for number in range(8):
        week = house.week(number)
        rows = flights(week)
        house.publish("flights", week, rows)
        house.publish("carrier_week", week, carrier_week(week, rows))
        write_population(house, week)
    return house


def runtime(folder: Path) -> Runtime:
    """Where the parts of a deployment lie in its folder."""
    return local_runtime(folder, project=folder / "project")
