"""The stages after etl: what did not start, what looks again, and what a change of theirs makes stale."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from tests.local_runtime import Deployed, local_runtime

from tradewind.features.definitions import load_definitions
from tradewind.features.feast_import import import_feast
from tradewind.features.stage import materialisation_cause
from tradewind.lake.cause import Cause
from tradewind.lake.dataset import Lake
from tradewind.ledger import completion
from tradewind.ledger.journal import Entry, Ledger
from tradewind.monitoring import drift_rows, profile_rows
from tradewind.planning.delivery_digests import DeliveryDigests
from tradewind.planning.plan_item import ItemState, PlanItem
from tradewind.planning.stage_items import examine_stages
from tradewind.scoring import batch_scoring
from tradewind.spec.pipeline import Pipeline

import_feast()

DAY, NEXT = "2024-01-02", "2024-01-03"
DEFINITIONS = """
from feast import Entity, FeatureService, FeatureView, Field, ValueType
from feast.types import Float64, String

from tradewind.features.source import LakeSource

shop = Entity(name="shop", value_type=ValueType.STRING)
sales = FeatureView(
    name="sales",
    entities=[shop],
    schema=[Field(name="shop", dtype=String), Field(name="mean", dtype=Float64)],
    source=LakeSource("sales", timestamp_field="known_at"),
)
v1 = FeatureService(name="v1", features=[sales])
"""


class World(Deployed):
    """A pipeline with every stage, whose first partitions have been through all of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.runtime = local_runtime(folder, landing=str(folder))
        self.ledger = Ledger(self.runtime.ledger)
        self.datasets: list[PlanItem] = []
        (folder / "features.py").write_text(DEFINITIONS)
        (folder / "p.sql").write_text("SELECT 1")
        files = {"files": "{landing}/{day}.csv"}
        self.fields: dict[str, Any] = {
            "pipeline": "shops", "owner": "o", "description": "x", "partition": "day", "timezone": "UTC",
            "start": "2024-01-01", "schedule": "0 6 * * *",
            "datasets": {"sales": {"source": files, "sql": "sales.sql"}},
            "features": {"definitions": "features.py"},
            "score": {"population": {**files, "sql": "p.sql", "key": "id", "timestamp": "at"}, "ahead": 1},
            "train": {
                "window": 3, "test": 1, "service": "v1", "label": {"dataset": "sales", "column": "late"},
                "model": "model.py:build",
            },
            "monitor": {"performance": {"metric": "roc_auc", "at_least": 0.66}},
        }  # fmt: skip

    @property
    def spec(self) -> Pipeline:
        return Pipeline.model_validate(self.fields)

    def publish(self, name: str, key: str, config: str, code: str, *, inputs: dict[str, str] | None = None) -> str:
        dataset = Lake(self.runtime.lake).dataset("shops", name)
        staged = dataset.stage(key, pa.table({"x": [1]}).to_reader())
        return dataset.publish(staged, cause=Cause(inputs or {"in": "1"}, config, code), run_id="r").digest

    def etl(self, key: str, *, cause: str = "e1") -> None:
        digest = self.publish("sales", key, "", "")
        completion.record_completion(
            self.ledger, "shops", "etl", key, cause=cause, evidence={"sales": {"digest": digest}}
        )

    def done(self, stage: str, key: str) -> None:
        """The stage has begun with what the stage before gave, and is complete."""
        before = completion.upstream_stage(stage, self.spec.stages)
        assert before is not None
        upstream = completion.latest_cause(self.ledger, "shops", before, key) or ""
        completion.record_start(self.ledger, "shops", stage, key, cause=upstream)
        completion.record_completion(self.ledger, "shops", stage, key, cause=f"{stage} {upstream}")

    def life(self, key: str) -> None:
        """Everything of one partition."""
        self.etl(key)
        definitions = load_definitions(self.deployment)
        cause = materialisation_cause(self.spec, definitions, "e1")
        evidence = {"cause": cause, "definitions": definitions.digest}
        self.ledger.append(Entry("shops", "materialised", "features", key, key, evidence=evidence))
        self.publish("profiles", key, profile_rows.profile_config_hash(self.deployment), profile_rows.CODE)
        self.publish("drift", key, drift_rows.drift_config_hash(self.spec), drift_rows.CODE)
        population = self.spec.partitioning.shift(key, 1)
        self.publish(
            "predictions",
            population,
            batch_scoring.scoring_config_hash(self.deployment),
            batch_scoring.CODE,
        )
        for stage in ("features", "monitor", "train", "score"):
            self.done(stage, key)

    def items(self, *keys: str) -> dict[str, PlanItem]:
        """What is neither current nor possibly stale, by stage."""
        return {name: item for name, item in self.all(*keys).items() if item.state not in ("current", "possibly stale")}

    def all(self, *keys: str) -> dict[str, PlanItem]:
        """Every stage."""
        found = examine_stages(self.deployment, keys or (DAY,), datasets=self.datasets, deliveries=DeliveryDigests())
        return {item.name: item for item in found}

    def whys(self, *keys: str) -> dict[str, list[str]]:
        return {name: [why.text for why in item.why] for name, item in self.items(*keys).items()}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def lived(world: World) -> World:
    world.life(DAY)
    return world


def test_nothing_is_said_of_a_partition_that_went_through_all_stages(lived: World) -> None:
    assert lived.items() == {}


def test_the_stage_whose_event_reached_nobody_is_missing_and_those_after_it_follow(world: World) -> None:
    world.etl(DAY)
    assert {name: item.state for name, item in world.items().items()} == {"features": "missing"}
    world.done("features", DAY)
    assert set(world.items()) == {"monitor", "score"}


def test_datasets_without_the_end_of_their_stage_are_not_passed_on(world: World) -> None:
    world.publish("sales", DAY, "", "")
    assert world.whys() == {"complete": ["its datasets are published, but the stage did not end"]}


def test_datasets_that_were_published_again_are_not_passed_on(lived: World) -> None:
    dataset = Lake(lived.runtime.lake).dataset("shops", "sales")
    staged = dataset.stage(DAY, pa.table({"x": [2]}).to_reader())
    dataset.publish(staged, cause=Cause({"in": "2"}, "", ""), run_id="r")
    assert lived.whys() == {"complete": ["datasets were published again, and the stages after it do not know"]}


def test_a_stage_looks_again_when_the_one_before_it_has_other_results(lived: World) -> None:
    lived.etl(DAY, cause="e2")
    assert lived.whys() == {"features": ["etl has other results since; it looks again"]}


def test_what_comes_after_a_stale_stage_is_possibly_stale(lived: World) -> None:
    lived.etl(DAY, cause="e2")
    states = {name: item.state for name, item in lived.all().items()}
    assert states == {
        "complete": "current", "features": "stale", "monitor": "possibly stale", "train": "possibly stale",
        "score": "possibly stale",
    }  # fmt: skip


@pytest.mark.parametrize("state", ["stale", "possibly stale", "missing"])
def test_every_stage_after_a_dataset_that_may_change_is_possibly_stale(lived: World, state: ItemState) -> None:
    lived.datasets = [PlanItem("etl", "sales", DAY, state), PlanItem("etl", "sales", NEXT, "current")]
    found = lived.all()
    assert {item.state for item in found.values()} == {"possibly stale"}
    assert [why.about for why in found["score"].why] == [(f"sales/{DAY}",)]


def change_definitions(world: World) -> None:
    (world.folder / "features.py").write_text(DEFINITIONS.replace("Float64)]", 'Float64, description="d")]'))


def change_lookback(world: World) -> None:
    world.fields["features"] = {"definitions": "features.py", "lookback": 2}


def change_drift(world: World) -> None:
    world.fields["monitor"] = {**world.fields["monitor"], "horizons": [1, 2]}


def change_population(world: World) -> None:
    (world.folder / "p.sql").write_text("SELECT 2")


def change_gates(world: World) -> None:
    world.fields["gates"] = [{"metric": "brier", "at_most": 0.2}, {"check": "size", "at_most": 5}]
    world.fields["verdict"] = {"resamples": 500, "columns": ["depot"]}
    world.fields["promotion"] = {"shadow": 2}


def change_training(world: World) -> None:
    train = {
        "params": {"depth": 3},
        "seed": 5,
        "window": 4,
        "validation": 1,
        "complete": 3,
        "patience": "5d",
        "gap": "1d",
    }
    world.fields["train"] = {**world.fields["train"], **train}


@pytest.mark.parametrize(
    ("change", "stale"),
    [
        # The next decision to train uses them; what was trained, judged and predicted stays as it was.
        (change_gates, {}),
        (change_training, {}),
        (change_lookback, {"features": ["`features` in the YAML, or Tradewind, has changed"]}),
        (change_drift, {"monitor": ["what the YAML says of drift, or a file that it names, has changed"]}),
        (change_population, {"score": ["what the YAML says of predictions, or a file that it names, has changed"]}),
    ],
)
def test_a_change_makes_only_the_stages_stale_that_it_touches(
    lived: World, change: Callable[[World], None], stale: dict[str, list[str]]
) -> None:
    change(lived)
    assert lived.whys() == stale


def test_other_feature_definitions_touch_every_stage_that_reads_features(lived: World) -> None:
    change_definitions(lived)
    assert set(lived.items()) == {"features", "monitor", "score"}
    assert lived.whys()["features"] == ["the feature definitions have changed"]


def test_an_upgrade_is_told_apart(lived: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_scoring, "CODE", "score/9")
    assert lived.whys() == {
        "score": ["Tradewind was upgraded and makes predictions in another way (score/1, now score/9)"]
    }


def test_a_population_that_was_corrected_makes_its_predictions_stale(lived: World) -> None:
    path = lived.folder / f"{NEXT}.csv"
    path.write_text("id,at\n1,2024-01-03\n")
    before = DeliveryDigests().digest(lived.spec.score.population, NEXT, deployment=lived.deployment)  # type: ignore[union-attr]
    config = batch_scoring.scoring_config_hash(lived.deployment)
    lived.publish("predictions", NEXT, config, batch_scoring.CODE, inputs={f"population/{NEXT}/source": before})
    assert lived.items() == {}
    path.write_text("id,at\n2,2024-01-03\n")
    assert lived.whys() == {"score": ["its population has changed since"]}
    path.write_text("id,at\n")
    assert lived.whys() == {"score": ["its population has changed since"]}
    path.unlink()
    assert lived.items() == {}


def test_a_comment_in_the_sql_of_the_population_sets_nothing_in_motion(lived: World) -> None:
    assert lived.spec.score is not None
    sql = lived.folder / lived.spec.score.population.sql
    sql.write_text("-- who is predicted\n" + sql.read_text() + "\n/* all of them */")
    assert lived.items() == {}
    sql.write_text("SELECT 1 AS other")
    assert set(lived.items()) == {"score"}


def test_a_query_of_the_population_is_part_of_what_predictions_are_made_from(world: World) -> None:
    (world.folder / "q.sql").write_text("SELECT 1")
    query = {"query": "q.sql", "connection": "db"}
    world.fields["score"]["population"]["references"] = {"shops": query}
    world.life(DAY)
    assert world.items() == {}
    (world.folder / "q.sql").write_text("SELECT 2")
    assert set(world.items()) == {"score"}


def test_a_population_that_need_not_be_deterministic_says_so(lived: World) -> None:
    lived.fields["score"]["population"]["deterministic"] = False
    score = lived.all()["score"]
    assert (
        score.why[-1].text
        == "score.population: `deterministic: false`: another run of the same inputs may give other rows"
    )
    assert lived.all()["features"].why == ()
