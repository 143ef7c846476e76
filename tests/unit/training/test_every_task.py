"""Several classes and numbers go the whole way that two classes go: train, verdict, promote, score, performance."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import accuracy_score, mean_absolute_error

from tradewind.champion.promotion import promote_passed_candidate
from tradewind.deployment import Deployment
from tradewind.errors import ModelError, UsageError
from tradewind.isolation.model_client import ModelHost
from tradewind.ledger import completion
from tradewind.ledger.champions import ChampionChange
from tradewind.metrics.metric_list import task_metrics as of_task_metrics
from tradewind.monitoring import monitoring_datasets
from tradewind.monitoring.performance_rows import publish_performance
from tradewind.monitoring.profile_rows import profile_partition
from tradewind.registry.model_registry import ModelRegistry
from tradewind.scoring.batch_scoring import ScoredPopulation, score_population
from tradewind.spec.pipeline import Pipeline
from tradewind.training.candidate import TrainedCandidate, train_candidate
from tradewind.training.reproduction import reproduce_version
from tradewind.verdict.judgement import CandidateVerdict, judge_candidate_version

TASKS = {
    "multiclass": {
        "label": "cause",
        "build": "build_model",
        # Not scaled, lbfgs would not converge.
        "params": {"solver": "newton-cholesky"},
        "gates": [
            {"metric": "accuracy", "at_least": 0.4},
            {"metric": "log_loss", "versus": "majority", "lower_bound": 0.0},
        ],
        "performance": {"metric": "accuracy", "at_least": 0.4},
    },
    "regression": {
        "label": "delay",
        "build": "build_regressor",
        "gates": [{"metric": "mae", "at_most": 15}, {"metric": "r2", "versus": "majority", "lower_bound": 0.0}],
        "performance": {"metric": "mae", "at_most": 15},
    },
}


@dataclass(frozen=True)
class Lived:
    """A deployment whose first candidate went the whole way, and what each step said."""

    house: object
    task: str
    trained: TrainedCandidate
    verdict: CandidateVerdict
    champion: ChampionChange
    scored: ScoredPopulation

    def rows(self, name: str, week: int):
        return monitoring_datasets.read_monitoring_rows(self.house.deployment, name, partitions=[self.house.week(week)])


@pytest.fixture(scope="module", params=sorted(TASKS))
def lived(request, built, tmp_path_factory) -> Lived:
    task = request.param
    house = task_metrics(built(tmp_path_factory.mktemp(task)), task)
    spec, runtime, week = house.spec, house.runtime, house.week(4)
    trained = train_candidate(Deployment(spec, runtime), week)
    judged = judge_candidate_version(Deployment(spec, runtime), week)
    champion = promote_passed_candidate(Deployment(spec, runtime), week, actor="ann")
    for number in range(3, 8):
        completion.record_completion(house.ledger, "delays", "train", house.week(number), cause="settled")
        completion.record_completion(house.ledger, "delays", "features", house.week(number), cause="settled")
        completion.record_completion(house.ledger, "delays", "monitor", house.week(number), cause="settled")
    return Lived(house, task, trained, judged, champion, score_population(Deployment(spec, runtime), house.week(5)))


def task_metrics(house, task: str):
    about, given = TASKS[task], house.spec.model_dump(mode="json", exclude_unset=True)
    given["train"] |= {"task": task, "model": f"include/delays_model/model.py:{about['build']}",
                       "params": about.get("params", {})}  # fmt: skip
    given["train"]["label"]["column"] = about["label"]
    given |= {"gates": about["gates"], "monitor": {"performance": about["performance"]}}
    return house.with_spec(**dict(Pipeline.model_validate(given)))


def test_the_candidate_passes_becomes_champion_and_serves(lived: Lived) -> None:
    assert lived.verdict.outcome == "passed", lived.verdict.reason
    assert (lived.champion.model_version, lived.champion.effective_from) == (lived.trained.version, lived.house.week(6))
    assert lived.scored == ScoredPopulation(lived.house.week(6), 400, "1", "champion", True)


def test_the_numbers_are_the_models(lived: Lived) -> None:
    """Of the host, on the same rows, in the columns of the task."""
    from tradewind.features.dataset_versions import newest_versions
    from tradewind.training.model_frame import population_frame

    spec, runtime = lived.house.spec, lived.house.runtime
    versions = newest_versions(Deployment(spec, runtime), ["carrier_week"])
    frame = population_frame(Deployment(spec, runtime), lived.house.week(6), versions=versions)
    registry = ModelRegistry(runtime, "delays")
    with registry.folder(registry.get("1")) as folder, ModelHost(folder, name="1", warm=False) as host:
        output, classes = host.predict(frame.inputs()), host.classes
    rows = {row["flight_id"]: row for row in lived.rows("predictions", 6).to_pylist()}
    in_order = [rows[key] for key in frame.table["flight_id"].to_pylist()]
    if lived.task == "regression":
        assert [row["prediction"] for row in in_order] == output[:, 0].tolist()
        assert "probability" not in in_order[0]
    else:
        assert [json.loads(row["probabilities"]) for row in in_order] == [
            dict(zip(classes, row, strict=True)) for row in output.tolist()
        ]
        assert [row["prediction"] for row in in_order] == [classes[best] for best in output.argmax(axis=1)]
        assert [row["probability"] for row in in_order] == output.max(axis=1).tolist()


def test_a_version_is_made_again_with_the_same_answers(lived: Lived) -> None:
    again = reproduce_version(lived.house.deployment, lived.trained.version)
    assert (again.outcome, again.differences) == ("identical", ())
    assert set(again.metrics or {}) == set(of_task_metrics(lived.task))


def test_realised_performance_is_that_of_the_predictions(lived: Lived) -> None:
    publish_performance(lived.house.deployment, lived.house.week(7))
    (row,) = lived.rows("performance", 7).to_pylist()
    label = TASKS[lived.task]["label"]
    truth = {r["flight_id"]: r[label] for r in lived.rows("flights", 6).to_pylist() if r[label] is not None}
    said = {
        r["flight_id"]: r["prediction"] for r in lived.rows("predictions", 6).to_pylist() if r["flight_id"] in truth
    }
    metric = accuracy_score if lived.task == "multiclass" else mean_absolute_error
    expected = metric([truth[key] for key in said], list(said.values()))
    assert row["value"] == pytest.approx(expected)
    assert (row["outcome"], row["below"], row["rows"]) == ("ok", False, 360)
    assert row["low"] < row["value"] < row["high"]


def test_predictions_are_profiled_as_what_they_are(lived: Lived) -> None:
    profile_partition(lived.house.deployment, lived.house.week(6))
    (row,) = [r for r in lived.rows("profiles", 6).to_pylist() if r["feature"] == "prediction"]
    assert (row["kind"], row["rows"], row["model_version"]) == (
        {"multiclass": "categorical", "regression": "numeric"}[lived.task], 400, "1",
    )  # fmt: skip


def test_the_journal_knows_the_majority_of_training(lived: Lived) -> None:
    majority = lived.house.ledger.find("delays", "trained")[0].evidence["majority"]
    if lived.task == "regression":
        assert 15 < majority["mean"] < 35
    else:
        assert majority["classes"] == sorted(majority["classes"])
        assert np.isclose(sum(majority["shares"]), 1)


def test_without_any_model_the_majority_of_training_serves(lived: Lived) -> None:
    registry, house = ModelRegistry(lived.house.runtime, "delays"), lived.house
    with registry.folder(registry.get("1")) as folder:
        away = folder.rename(folder.with_name("away"))
        try:
            scored = score_population(house.deployment, house.week(6))
        finally:
            away.rename(folder)
    assert (scored.population, scored.served_by) == (house.week(7), "majority")
    majority = house.ledger.find("delays", "trained")[0].evidence["majority"]
    rows = lived.rows("predictions", 7)
    if lived.task == "regression":
        assert set(rows["prediction"].to_pylist()) == {majority["mean"]}
    else:
        best = int(np.argmax(majority["shares"]))
        assert set(rows["prediction"].to_pylist()) == {majority["classes"][best]}
        assert set(rows["probability"].to_pylist()) == {majority["shares"][best]}


def test_a_model_of_another_task_serves_nobody(lived: Lived) -> None:
    """The YAML was changed and nothing was trained since."""
    other = {"multiclass": "binary", "regression": "multiclass"}[lived.task]
    house = lived.house.with_spec(train=lived.house.spec.train.model_copy(update={"task": other}))
    with pytest.raises(ModelError, match=f"delays version 1 .*: that is no model for `train.task: {other}`"):
        score_population(house.deployment, house.week(6))


@pytest.mark.parametrize("other", ["binary", "multiclass", "regression"])
def test_a_pipeline_keeps_its_task(lived: Lived, other: str) -> None:
    house = lived.house.with_spec(train=lived.house.spec.train.model_copy(update={"task": other}))
    if other == lived.task:
        assert not train_candidate(house.deployment, house.week(4)).changed
        return
    with pytest.raises(UsageError, match=f"its predictions are {lived.task}, and `train.task` is {other}"):
        train_candidate(house.deployment, house.week(5))


def test_a_class_that_training_never_saw_is_judged_and_is_no_error(built, tmp_path, publish_week) -> None:
    house = task_metrics(built(tmp_path), "multiclass")

    def with_new(rows):
        causes = ["strike" if number < 40 else cause for number, cause in enumerate(rows["cause"].to_pylist())]
        return rows.set_column(rows.column_names.index("cause"), "cause", pa.array(causes, pa.string()))

    publish_week(house, 4, change=with_new)
    trained = train_candidate(house.deployment, house.week(4))
    known = house.ledger.find("delays", "trained")[0].evidence["majority"]["classes"]
    assert "strike" not in known
    judged = judge_candidate_version(house.deployment, house.week(4))
    accuracy = next(gate for gate in judged.gates if gate.metric == "accuracy")
    assert accuracy.rows > 300
    assert accuracy.value is not None
    assert trained.version == "1"
