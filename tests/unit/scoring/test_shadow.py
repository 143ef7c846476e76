"""A candidate that passed stands beside the champion, predicts the same populations, and is judged on these."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from airflow.sdk.exceptions import AirflowSkipException
from tests.delays_pipeline import House

from tradewind.champion.promotion import promote_passed_candidate
from tradewind.deployment import Deployment
from tradewind.ledger import completion, shadows
from tradewind.ledger.champions import ChampionChange
from tradewind.ledger.journal import Entry
from tradewind.operators.scoring import ShadowOperator
from tradewind.operators.training import DecideOperator, PromoteOperator, TrainOperator, VerdictOperator
from tradewind.registry.manifest import Manifest
from tradewind.registry.model_registry import ModelRegistry
from tradewind.retraining.training_decision import decide_training
from tradewind.scoring import batch_scoring as scores
from tradewind.scoring import shadow
from tradewind.training.candidate import train_candidate

# MLflow's own SQL store, under the newest SQLAlchemy.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")


@pytest.fixture(scope="module")
def origin(built: Callable[[Path], House], tmp_path_factory: pytest.TempPathFactory) -> House:
    """Version 1 is champion from week 6, version 2 passed at week 5."""
    house = built(tmp_path_factory.mktemp("shadow"))
    house = house.with_spec(promotion=house.spec.promotion.model_copy(update={"shadow": 1}))
    train_candidate(house.deployment, house.week(4))
    register_again(house)
    change = ChampionChange("delays", 0, "delays", "1", house.week(6), house.week(4), evidence={"verdict_key": "v1"})
    house.ledger.promote(change, expected=0)
    for number in range(3, 9):
        completion.record_completion(house.ledger, "delays", "train", house.week(number), cause="settled")
    return house


def register_again(house: House) -> None:
    """Version 2: the model of version 1 once more, which is quicker than another fit, and whose code makes it predict a
    little otherwise; in a folder of its own.
    """
    registry = ModelRegistry(house.runtime, "delays")
    first = registry.get("1")
    with registry.folder(first) as folder:
        other = shutil.copytree(folder, folder.parent / "second")
    code = other / "code" / "delays_model" / "transformers.py"
    code.write_text(code.read_text().replace(".to_numpy(float)", ".to_numpy(float) * 1.001"))
    files = Manifest.from_folder(other)
    client = registry.client
    client.create_model_version("delays", other.as_uri(), first.mlflow_run_id, tags=dict(first.tags))
    (trained,) = house.ledger.find("delays", "trained")
    evidence = {**trained.evidence, "version": "2", "model_files": files.as_json(), "model_digest": files.digest}
    house.ledger.append(replace(trained, id=None, subject="2", partition=house.week(5), key="2", evidence=evidence))


def copied(house: House, folder: Path) -> House:
    """The same deployment with a ledger and a lake of its own; the registry is shared."""
    shutil.copytree(house.runtime.lake, folder / "lake")
    shutil.copy(house.runtime.ledger.removeprefix("sqlite:///"), folder / "ledger.db")
    moved = {"lake": str(folder / "lake"), "ledger": f"sqlite:///{folder}/ledger.db", "reports": folder / "reports"}
    return replace(house, runtime=replace(house.runtime, **moved))


@pytest.fixture
def house(origin: House, tmp_path: Path) -> House:
    """Nobody stands as shadow yet."""
    return copied(origin, tmp_path)


def passed(house: House, number: int = 5, *, version: str = "2", champion: str | None = "1") -> None:
    """Journal the verdict on test rows."""
    evidence = {"version": version, "champion": champion, "expected_seq": 1, "basis": "test", "gates": []}
    week = house.week(number)
    house.ledger.append(Entry("delays", "verdict", version, week, f"v/{week}/{version}", "passed", "gates", evidence))


@pytest.fixture
def standing(house: House) -> House:
    """Version 2 stands as shadow."""
    passed(house)
    assert shadow.begin_shadow(house.deployment, house.week(5)) is not None
    return house


@pytest.fixture(scope="module")
def both(origin: House, tmp_path_factory: pytest.TempPathFactory) -> House:
    """Champion and shadow predicted the population of week 7."""
    house = copied(origin, tmp_path_factory.mktemp("both"))
    passed(house)
    shadow.begin_shadow(house.deployment, house.week(5))
    scores.score_population(house.deployment, house.week(6))
    shadow.score_shadow(house.deployment, house.week(6))
    return house


@pytest.fixture
def predicted(both: House, tmp_path: Path) -> House:
    """A copy of that."""
    return copied(both, tmp_path)


def rows(house: House, name: str):
    return house.lake.dataset("delays", name).snapshot().arrow([house.week(7)]).to_table()


def judge(house: House):
    """As the run of week 8 does: decide, then the verdict."""
    decision = decide_training(house.deployment, house.week(8))
    assert decision.outcome == "judge"
    assert "version 2 shadowed have fallen due" in decision.reason
    assert shadow.find_shadow_to_judge(house.deployment, house.week(8)) is not None
    return shadow.judge_shadow(house.deployment, house.week(8))


def test_a_shadow_predicts_the_next_populations_and_is_judged_when_their_labels_are_due(standing) -> None:
    (entry,) = standing.ledger.find("delays", "shadow")
    assert (entry.subject, entry.partition, entry.outcome) == ("2", standing.week(5), "began")
    assert entry.evidence["populations"] == [standing.week(7)]
    assert entry.evidence["judged_at"] == standing.week(8)  # available_after: 1d goes past the end of week 7
    assert shadow.begin_shadow(standing.deployment, standing.week(5)) == entry


def test_without_a_champion_or_where_none_is_asked_for_nobody_stands_as_shadow(house) -> None:
    passed(house, champion=None)
    assert shadow.begin_shadow(house.deployment, house.week(5)) is None
    passed(house, 6)
    at_once = house.with_spec(promotion=house.spec.promotion.model_copy(update={"shadow": 0}))
    assert shadow.begin_shadow(Deployment(at_once.spec, house.runtime), house.week(6)) is None
    assert house.ledger.find("delays", "shadow") == []


def test_a_newer_candidate_takes_the_shadows_place(standing) -> None:
    passed(standing, 6, version="3")
    newer = shadow.begin_shadow(standing.deployment, standing.week(6))
    assert newer is not None
    assert [(one.subject, one.outcome) for one in standing.ledger.find("delays", "shadow")] == [
        ("2", "began"),
        ("2", "replaced"),
        ("3", "began"),
    ]
    at = standing.week
    assert shadows.standing_shadow(standing.ledger, "delays") == newer
    assert shadows.standing_shadow(standing.ledger, "delays", at(6)).subject == "2"  # as the run of week 6 knew it
    assert shadows.standing_shadow(standing.ledger, "delays", at(5)) is None


def test_a_shadow_whose_verdict_is_made_again_and_rejects_it_stands_no_more(standing) -> None:
    (first,) = standing.ledger.find("delays", "verdict")
    again = replace(first, id=None, key="again", outcome="rejected", reason="the latency")
    standing.ledger.append(again)
    assert shadow.begin_shadow(standing.deployment, standing.week(5)) is None
    assert shadows.standing_shadow(standing.ledger, "delays") is None
    assert standing.ledger.find("delays", "shadow")[-1].reason == "judged again, and rejected: the latency"
    standing.ledger.append(replace(first, id=None, key="and again"))
    assert shadow.begin_shadow(standing.deployment, standing.week(5)) is not None
    assert shadows.standing_shadow(standing.ledger, "delays").subject == "2"


def test_the_shadow_predicts_what_the_champion_predicts_and_serves_nobody(predicted) -> None:
    served, beside = rows(predicted, "predictions"), rows(predicted, "shadow_predictions")
    assert set(beside["model_version"].to_pylist()) == {"2"}
    assert set(beside["served_by"].to_pylist()) == {"shadow"}
    assert set(served["model_version"].to_pylist()) == {"1"}
    assert beside["flight_id"].to_pylist() == served["flight_id"].to_pylist()
    # Nearly the same model.
    assert beside["probability"].to_pylist() == pytest.approx(served["probability"].to_pylist(), abs=0.01)
    assert beside["probability"].to_pylist() != served["probability"].to_pylist()
    assert set(beside["prediction_id"].to_pylist()).isdisjoint(served["prediction_id"].to_pylist())
    assert beside.schema.names == served.schema.names


def test_a_population_that_no_shadow_has_to_predict_is_left_alone(house, standing) -> None:
    assert shadow.score_shadow(standing.deployment, standing.week(5)) is None  # it began in that partition
    assert shadow.score_shadow(standing.deployment, standing.week(7)) is None  # one population was asked for


def test_while_a_shadow_stands_no_other_candidate_is_trained(standing) -> None:
    decision = decide_training(standing.deployment, standing.week(7))
    assert decision.outcome == "skip"
    assert f"version 2 stands beside the champion as shadow; it is judged at {standing.week(8)}" in decision.reason


def test_when_the_yaml_asks_for_no_shadow_any_more_nobody_stands(standing) -> None:
    without = standing.with_spec(promotion=standing.spec.promotion.model_copy(update={"shadow": 0}))
    assert "shadow" not in decide_training(Deployment(without.spec, standing.runtime), standing.week(7)).reason
    assert shadows.standing_shadow(standing.ledger, "delays") is None
    assert standing.ledger.find("delays", "shadow")[-1].outcome == "withdrawn"


def test_the_shadow_is_judged_on_what_it_predicted_beside_the_champion_and_then_promoted(predicted) -> None:
    verdict = judge(predicted)
    (entry,) = predicted.ledger.find("delays", "verdict", partition=predicted.week(8))
    assert (entry.evidence["basis"], entry.evidence["version"], entry.evidence["champion"]) == ("shadow", "2", "1")
    assert entry.evidence["test_partitions"] == [predicted.week(7)]
    labelled = sum(value is not None for value in predicted.lake.dataset("delays", "flights").snapshot()
                   .arrow([predicted.week(7)]).to_table()["late"].to_pylist())  # fmt: skip
    assert entry.evidence["rows"] == labelled
    assert verdict.outcome == "passed", verdict.reason
    assert [one.outcome for one in predicted.ledger.find("delays", "shadow")] == ["began", "passed"]
    assert shadows.standing_shadow(predicted.ledger, "delays") is None
    champion = promote_passed_candidate(predicted.deployment, predicted.week(8), actor="airflow")
    assert isinstance(champion, ChampionChange)
    assert (champion.seq, champion.model_version, champion.decided_at) == (2, "2", predicted.week(8))


def test_an_entity_that_comes_in_every_population_is_judged_by_what_was_predicted_of_it_there(
    house, publish_week
) -> None:
    from sklearn.metrics import roc_auc_score

    late, probability = list[bool](), list[float]()
    for number in (6, 7):
        week = house.week(number)
        publish_week(house, number, change=lambda rows: rows.set_column(0, "flight_id", pa.array(map(str, range(400)))))
        labels = house.lake.dataset("delays", "flights").snapshot().arrow([week]).to_table().to_pylist()
        random = np.random.default_rng(number).random(len(labels))
        said = {row["flight_id"]: value for row, value in zip(labels, random, strict=True)}
        for name, version, by in (("predictions", "1", "champion"), ("shadow_predictions", "2", "shadow")):
            columns = {"flight_id": list(said), "probability": list(said.values())}
            columns |= {"model_version": [version] * len(said), "served_by": [by] * len(said)}
            house.publish(name, week, pa.table(columns))
        late += [row["late"] for row in labels if row["late"] is not None]
        probability += [said[row["flight_id"]] for row in labels if row["late"] is not None]
    shadows.record_shadow_begin(
        house.ledger, "delays", house.week(4), version="2", populations=[house.week(6), house.week(7)],
        judged_at=house.week(8), verdict_key="v",
    )  # fmt: skip
    assert np.isclose(judge(house).gates[0].value, roc_auc_score(late, probability))


def test_judging_again_adds_nothing(predicted) -> None:
    first = judge(predicted)
    again = judge(predicted)
    assert (again.outcome, again.reason) == (first.outcome, first.reason)
    assert len(predicted.ledger.find("delays", "verdict", partition=predicted.week(8))) == 1
    assert len(predicted.ledger.find("delays", "shadow")) == 2


def test_a_shadow_that_cannot_predict_harms_nobody_and_is_rejected_at_the_end(standing, tmp_path) -> None:
    registry = ModelRegistry(standing.runtime, "delays")
    with registry.folder(registry.get("2")) as folder:
        folder.rename(tmp_path / "away")
    try:
        done = shadow.score_shadow(standing.deployment, standing.week(6))
    finally:
        (tmp_path / "away").rename(folder)
    assert done is not None
    assert "its files are not at" in done.reason
    failed = standing.ledger.find("delays", "shadow")[-1]
    assert (failed.outcome, failed.partition) == ("failed", standing.week(7))
    assert judge(standing).outcome == "rejected"
    (entry,) = standing.ledger.find("delays", "verdict", partition=standing.week(8))
    assert "version 2 predicted none of the populations" in entry.evidence["absent"]["candidate"]
    assert standing.ledger.find("delays", "shadow")[-1].outcome == "rejected"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., object]:
    """Executes a task of ``P__train`` of week 8, with the connections that Airflow gives it."""

    def execute(house: House, operator: type, number: int = 8) -> object:
        where = house.runtime
        extra = {
            "project": str(where.project), "lake": where.lake, "landing": where.landing, "ledger": where.ledger,
            "feast_registry": where.feast_registry, "feast_online": dict(where.feast_online),
            "reports": str(where.reports),
        }  # fmt: skip
        tradewind = {"conn_type": "tradewind", "extra": extra}
        mlflow = {"conn_type": "mlflow", "extra": {"tracking_uri": where.mlflow, "ui_url": "http://mlflow"}}
        monkeypatch.setenv("AIRFLOW_CONN_TRADEWIND_DEFAULT", json.dumps(tradewind))
        monkeypatch.setenv("AIRFLOW_CONN_MLFLOW_DEFAULT", json.dumps(mlflow))
        task = operator(task_id="task", pipeline=house.spec)
        instance = SimpleNamespace(try_number=1, max_tries=3, map_index=-1, xcom_push=lambda **_: None)
        dag_run = SimpleNamespace(partition_key=house.week(number), run_id=f"run {number}", start_date=None)
        return task.execute({"dag_run": dag_run, "ti": instance, "task": task, "params": {}})

    return execute


def test_the_tasks_of_a_run_judge_the_shadow_in_place_of_training_and_promote_it(predicted, run) -> None:
    assert run(predicted, DecideOperator)["outcome"] == "judge"
    assert run(predicted, TrainOperator) == {"version": "2", "changed": False}
    assert predicted.ledger.find("delays", "trained", partition=predicted.week(8)) == []
    assert run(predicted, VerdictOperator)["outcome"] == "passed"
    promoted = run(predicted, PromoteOperator)
    assert promoted == {"version": "2", "effective_from": predicted.week(10)}


def test_the_shadows_task_skips_while_nobody_stands(house, run) -> None:
    with pytest.raises(AirflowSkipException, match="no shadow stands"):
        run(house, ShadowOperator, 6)


def test_predicting_again_changes_nothing(predicted, run) -> None:
    version = predicted.lake.dataset("delays", "shadow_predictions").snapshot().version
    again = run(predicted, ShadowOperator, 6)
    assert again == {"population": predicted.week(7), "rows": 400, "model_version": "2", "reason": ""}
    assert predicted.lake.dataset("delays", "shadow_predictions").snapshot().version == version
