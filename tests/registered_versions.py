"""A pipeline with three versions in a registry: files that load, and a ledger that says what train and verdict say."""

from __future__ import annotations

import json
import pickle
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
from tests.local_runtime import Deployed, local_runtime

from tradewind.core.runtime import Runtime
from tradewind.lake.cause import Cause
from tradewind.lake.dataset import Lake
from tradewind.ledger.champions import ChampionChange
from tradewind.ledger.journal import Entry, Ledger
from tradewind.registry.model_registry import ALIAS, ModelRegistry
from tradewind.spec.pipeline import Pipeline

WEEKS = ["2013-01-28", "2013-02-04", "2013-02-11", "2013-02-18", "2013-02-25", "2013-03-04", "2013-03-11"]


@dataclass(frozen=True)
class Place(Deployed):
    """The deployment and its pipeline."""

    spec: Pipeline
    runtime: Runtime

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.runtime.ledger)

    @property
    def registry(self) -> ModelRegistry:
        return ModelRegistry(self.runtime, self.spec.model_name)

    @property
    def alias(self) -> str | None:
        aliases: dict[str, Any] = self.registry.client.get_registered_model(self.spec.model_name).aliases
        return str(aliases[ALIAS]) if ALIAS in aliases else None

    @property
    def champions(self) -> list[tuple[str, str]]:
        """Version and first population of every change."""
        return [(one.model_version, one.effective_from) for one in self.ledger.champions(self.spec.pipeline)]

    def edit_alias(self, version: str) -> None:
        """As somebody would in MLflow's pages."""
        self.registry.client.set_registered_model_alias(self.spec.model_name, ALIAS, version)

    def judge(
        self, partition: str, version: str, *, expected_seq: int = 0, outcome: str = "passed", **evidence: object
    ) -> None:
        """Journal what train and verdict journal."""
        trained = {"train_partitions": [WEEKS[0]], "test_partitions": [WEEKS[1]], "mlflow_run_id": "m"}
        name, cause = self.spec.pipeline, f"cause {version}"
        self.ledger.append(Entry(name, "trained", version, partition, cause, evidence={"version": version, **trained}))
        found = {"version": version, "expected_seq": expected_seq, "champion": None, "basis": "test", "gates": []}
        found |= evidence
        key = f"{partition}/{version}/{expected_seq}"
        self.ledger.append(Entry(name, "verdict", version, partition, key, outcome, "gates", found))

    def crown(self, week: int, version: str, *, expected_seq: int = 0) -> None:
        """Judge a version and write down that it is champion, as promote does; neither alias nor card follow."""
        self.judge(WEEKS[week], version, expected_seq=expected_seq)
        evidence = {"train_partitions": [WEEKS[0]], "verdict_key": f"{WEEKS[week]}/{version}/{expected_seq}"}
        new = ChampionChange(
            self.spec.pipeline, 0, self.spec.model_name, version, WEEKS[week + 2],
            decided_at=WEEKS[week], actor="airflow", evidence=evidence,
        )  # fmt: skip
        self.ledger.promote(new, expected=expected_seq)

    def score(self, population: str, *, version: str = "1") -> None:
        """Publish a prediction."""
        dataset = Lake(self.runtime.lake).dataset(self.spec.pipeline, "predictions")
        rows = pa.table({"id": [population], "model_version": [version]})
        dataset.publish(dataset.stage(population, rows.to_reader()), cause=Cause({}, population, "1"), run_id="r")

    def with_promotion(self, **changes: object) -> Place:
        """The same deployment with another way to promote."""
        promotion = self.spec.promotion.model_copy(update=changes)
        return replace(self, spec=self.spec.model_copy(update={"promotion": promotion}))


def register(place: Place, *, number: int, folder: Path) -> None:
    """Versions 1 … number, each with a run and a model that loads and is none."""
    registry, name = place.registry, place.spec.model_name
    registry.client.create_registered_model(name)
    experiment = registry.experiment()
    for version in range(1, number + 1):
        run = registry.client.create_run(experiment)
        write_model(folder / str(version))
        tags = {"tradewind.cause": f"cause {version}"}
        registry.client.create_model_version(name, (folder / str(version)).as_uri(), run.info.run_id, tags=tags)


def write_model(folder: Path) -> None:
    """What a host needs to say that it is ready."""
    folder.mkdir(parents=True)
    sklearn = {"pickled_model": "model.pkl", "serialization_format": "pickle"}
    described = {
        "flavors": {"sklearn": sklearn, "python_function": {"predict_fn": "predict_proba"}},
        "signature": {"inputs": json.dumps([{"name": "hour", "type": "double"}])},
    }
    (folder / "MLmodel").write_text(json.dumps(described))  # JSON is YAML
    (folder / "model.pkl").write_bytes(pickle.dumps(SimpleNamespace(classes_=[0, 1], weights=[0.0] * 1000)))


def versions_runtime(folder: Path, mlflow: str) -> Runtime:
    return local_runtime(folder, mlflow=mlflow, run_id="run 1")


def versions_spec(name: str) -> Pipeline:
    files = {"files": "{landing}/{day}.csv", "format": "csv"}
    return Pipeline.model_validate(
        {
            "pipeline": name,
            "owner": "ops",
            "description": "late?",
            "partition": "week",
            "timezone": "America/New_York",
            "start": WEEKS[0],
            "schedule": "0 6 * * 1",
            "datasets": {"flown": {"source": files, "sql": "flown.sql"}},
            "score": {"population": {**files, "sql": "p.sql", "key": "id", "timestamp": "at"}, "ahead": 1},
        }
    )
