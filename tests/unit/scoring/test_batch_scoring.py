"""A population is scored once, by who holds for it, with its lineage."""

from __future__ import annotations

import shutil
import threading
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from tradewind.deployment import Deployment
from tradewind.errors import Conflict, MalformedInput, ModelError, NotReady, Unavailable
from tradewind.isolation.model_client import ModelHost
from tradewind.lake.dataset import Dataset
from tradewind.ledger import completion, skipped_partitions
from tradewind.ledger.champions import ChampionChange
from tradewind.ledger.journal import Ledger
from tradewind.registry.model_registry import ModelRegistry
from tradewind.scoring import batch_scoring as scoring
from tradewind.scoring.batch_scoring import ScoredPopulation, SkippedPopulation, score_population
from tradewind.spec.pipeline import Pipeline
from tradewind.training import prediction_rows as predicted
from tradewind.training.candidate import train_candidate
from tradewind.training.prediction_rows import prediction_id


@pytest.fixture
def served(house):
    """A deployment whose version 1 (of week 4) is champion from week 6, and that is about to run week 5."""
    train_candidate(house.deployment, house.week(4))
    promote(house, "1", from_week=6, decided=4)
    settle(house)
    return house


def settle(house) -> None:
    for number in range(3, 9):
        completion.record_completion(house.ledger, "delays", "train", house.week(number), cause="settled")


def promote(house, version: str, *, from_week: int, decided: int) -> None:
    change = ChampionChange("delays", 0, "delays", version, house.week(from_week), house.week(decided), evidence={})
    house.ledger.promote(change, expected=len(house.ledger.champions("delays")))


def predictions(house, number: int):
    return house.lake.dataset("delays", "predictions").snapshot().arrow([house.week(number)]).to_table()


def lose(house, version: str) -> None:
    """Remove the files of a model version."""
    registry = ModelRegistry(house.runtime, "delays")
    with registry.folder(registry.get(version)) as folder:
        shutil.rmtree(folder)


def test_every_entity_gets_one_probability_with_its_lineage(served) -> None:
    scored = score_population(served.deployment, served.week(5))
    assert scored == ScoredPopulation(served.week(6), 400, "1", "champion", True)
    table = predictions(served, 6)
    assert (
        table.num_rows
        == len(set(table["flight_id"].to_pylist()))
        == len(set(table["prediction_id"].to_pylist()))
        == 400
    )
    assert table.column_names == [
        "flight_id", "scheduled_at", "probability", "prediction_id", "model_name", "model_version", "dataset_versions",
        "pipeline_version", "run_id", "scored_at", "served_by", "in_sample", "partition",
    ]  # fmt: skip
    first = table.slice(0, 1).to_pylist()[0]
    assert 0 < first["probability"] < 1
    assert first["prediction_id"] == prediction_id("delays", "1", served.week(6), first["flight_id"])
    assert (first["model_name"], first["model_version"], first["served_by"], first["in_sample"]) == (
        "delays",
        "1",
        "champion",
        False,
    )
    assert first["dataset_versions"] == '{"carrier_week": 8}'
    assert {"run_id", "scored_at", "pipeline_version"} <= set(first)


def test_the_numbers_are_the_models(served) -> None:
    from tradewind.features.dataset_versions import newest_versions
    from tradewind.training.model_frame import population_frame

    score_population(served.deployment, served.week(5))
    versions = newest_versions(served.deployment, ["carrier_week"])
    frame = population_frame(served.deployment, served.week(6), versions=versions)
    registry = ModelRegistry(served.runtime, "delays")
    with registry.folder(registry.get("1")) as folder, ModelHost(folder, name="1", warm=False) as host:
        expected = host.predict(frame.inputs())[:, 1]
    found = dict(zip(*(predictions(served, 6)[name].to_pylist() for name in ("flight_id", "probability")), strict=True))
    assert np.array_equal([found[key] for key in frame.table["flight_id"].to_pylist()], expected)


def test_scoring_again_adds_nothing(served) -> None:
    score_population(served.deployment, served.week(5))
    version = served.lake.dataset("delays", "predictions").snapshot().version
    again = score_population(served.deployment, served.week(5))
    assert again == ScoredPopulation(served.week(6), 400, "1", "champion", False)
    assert served.lake.dataset("delays", "predictions").snapshot().version == version
    assert len(served.ledger.find("delays", "complete", subject="score")) == 1


def test_a_later_partition_is_no_cause_to_score_again(served, publish_week) -> None:
    score_population(served.deployment, served.week(5))
    publish_week(served, 8)
    assert not score_population(served.deployment, served.week(5)).changed


def test_a_correction_of_what_was_known_is_a_cause_to_score_again(served, publish_week) -> None:
    score_population(served.deployment, served.week(5))
    publish_week(served, 5, seed=1)
    assert score_population(served.deployment, served.week(5)).changed


def test_a_default_that_the_yaml_spells_out_is_no_cause_to_score_again(served) -> None:
    score_population(served.deployment, served.week(5))
    spelled = served.spec.model_dump(mode="json", exclude_unset=True)
    spelled["score"] |= {"ahead": 1, "predict_at": "start"}
    assert served.spec.score.ahead == 1
    assert not score_population(Deployment(Pipeline.model_validate(spelled), served.runtime), served.week(5)).changed


def test_predictions_from_older_features_do_not_replace_newer_ones(served, publish_week, meanwhile) -> None:
    def corrected() -> None:
        publish_week(served, 5, seed=1)
        score_population(served.deployment, served.week(5))

    meanwhile(scoring, "pin_inputs", corrected)
    with pytest.raises(Conflict, match="dataset predictions, partition 2013-03-11"):
        score_population(served.deployment, served.week(5))
    assert not score_population(served.deployment, served.week(5)).changed


@pytest.mark.parametrize("moment", ["stage", "publish"])
def test_a_champion_that_comes_while_another_scores_is_the_one_that_serves(served, meanwhile, moment) -> None:
    train_candidate(served.deployment, served.week(5))
    meanwhile(Dataset, moment, lambda: promote(served, "2", from_week=6, decided=5))
    with pytest.raises(Unavailable, match="version 2 became champion of population 2013-03-11 while version 1 scored"):
        score_population(served.deployment, served.week(5))
    assert not completion.is_complete(served.ledger, "delays", "score", served.week(5))
    assert (served.lake.dataset("delays", "predictions").snapshot() is None) == (moment == "stage")
    assert score_population(served.deployment, served.week(5)).version == "2"
    assert set(predictions(served, 6)["model_version"].to_pylist()) == {"2"}


def test_a_promotion_that_looked_before_a_population_was_published_and_writes_afterwards_is_waited_for(
    served, monkeypatch
) -> None:
    looked, published, confirmed = threading.Event(), threading.Event(), threading.Event()
    publish, champion_for = Dataset.publish, Ledger.champion_for

    def first() -> str:
        looked.set()
        assert published.wait(60)
        confirmed.wait(0.3)  # as long as nobody waits for this promotion it is not written before
        return served.week(6)

    def tell(event: threading.Event, function):
        def wrapped(*args, **kwargs):
            result = function(*args, **kwargs)
            if published.is_set() or function is publish:
                event.set()
            return result

        return wrapped

    monkeypatch.setattr(Dataset, "publish", tell(published, publish))
    monkeypatch.setattr(Ledger, "champion_for", tell(confirmed, champion_for))
    change = ChampionChange("delays", 0, "delays", "2", "", served.week(5))
    promotion = threading.Thread(target=lambda: served.ledger.promote(change, expected=1, first=first))
    confirm = scoring._confirm_champion

    def begun(*args) -> None:
        if not looked.is_set():
            confirm(*args)  # before it publishes
            promotion.start()
            assert looked.wait(60)
            return
        confirm(*args)

    monkeypatch.setattr(scoring, "_confirm_champion", begun)
    with pytest.raises(Unavailable, match="version 2 became champion of population 2013-03-11 while version 1 scored"):
        score_population(served.deployment, served.week(5))
    promotion.join()


def test_a_population_that_changes_while_it_is_scored_is_tried_again(served, deliver, meanwhile) -> None:
    meanwhile(scoring, "population_inputs", lambda: deliver(served, 6, lambda rows: rows.slice(1)))
    with pytest.raises(Unavailable, match="changed while it was read"):
        score_population(served.deployment, served.week(5))
    assert score_population(served.deployment, served.week(5)).rows == 399


def test_batches_give_what_one_batch_gives(served, monkeypatch) -> None:
    score_population(served.deployment, served.week(5))
    whole = served.lake.dataset("delays", "predictions").snapshot().partitions[served.week(6)].digest
    monkeypatch.setattr(predicted, "BATCH_ROWS", 64)
    monkeypatch.setattr(scoring, "CODE", "score/test")
    assert score_population(served.deployment, served.week(5)).changed
    assert served.lake.dataset("delays", "predictions").snapshot().partitions[served.week(6)].digest == whole


def test_without_a_champion_it_is_skipped_and_complete(house) -> None:
    settle(house)
    skipped = score_population(house.deployment, house.week(5))
    assert skipped == SkippedPopulation(house.week(6), "no champion holds for population 2013-03-11")
    assert completion.is_complete(house.ledger, "delays", "score", house.week(5))


def test_a_population_that_the_yaml_leaves_out_is_skipped_and_complete(served) -> None:
    asked = served.spec.score.population.model_copy(update={"missing": "skip"})
    spec = served.spec.model_copy(update={"score": served.spec.score.model_copy(update={"population": asked})})
    shutil.rmtree(Path(served.runtime.landing) / "schedule")
    skipped = score_population(Deployment(spec, served.runtime), served.week(5))
    assert isinstance(skipped, SkippedPopulation)
    assert skipped.reason.endswith("left out by `missing: skip`")
    assert completion.is_complete(served.ledger, "delays", "score", served.week(5))


def test_it_waits_for_the_training_before(served) -> None:
    with pytest.raises(NotReady, match="train of partition 2013-04-01"):
        score_population(served.deployment, served.week(10))


def test_it_does_not_wait_for_the_training_of_a_partition_that_is_left_out(house) -> None:
    settle(house)
    skipped_partitions.leave_out(house.ledger, "delays", house.week(9), dataset="flights", reason="no file")
    assert isinstance(score_population(house.deployment, house.week(10)), SkippedPopulation)


def test_a_replay_is_scored_by_the_champion_of_its_own_time(served) -> None:
    train_candidate(served.deployment, served.week(5))
    promote(served, "2", from_week=7, decided=5)
    assert score_population(served.deployment, served.week(6)).version == "2"
    assert score_population(served.deployment, served.week(5)).version == "1"


def test_a_population_that_the_model_was_fitted_on_is_in_sample(served) -> None:
    train_candidate(served.deployment, served.week(7))
    promote(served, "2", from_week=6, decided=7)
    score_population(served.deployment, served.week(5))
    assert set(predictions(served, 6)["in_sample"].to_pylist()) == {True}


def test_a_champion_that_is_lost_is_replaced_by_the_previous_one_loudly(served) -> None:
    train_candidate(served.deployment, served.week(5))
    promote(served, "2", from_week=6, decided=5)
    lose(served, "2")
    scored = score_population(served.deployment, served.week(5))
    assert (scored.version, scored.served_by) == ("1", "previous_champion")
    assert Counter(predictions(served, 6)["served_by"].to_pylist()) == {"previous_champion": 400}
    note = served.ledger.find("delays", "note", subject="fallback")[0]
    assert (note.outcome, note.evidence) == ("previous_champion", {"champion": "2", "served": "1"})
    assert "its files are not at" in note.reason


def test_without_any_model_the_share_of_training_serves(served) -> None:
    lose(served, "1")
    scored = score_population(served.deployment, served.week(5))
    share = served.ledger.find("delays", "trained")[0].evidence["positive_share"]
    assert (scored.version, scored.served_by) == ("1", "majority")
    assert set(predictions(served, 6)["probability"].to_pylist()) == {share}


def test_a_fallback_is_noted_once_and_ends_when_the_champion_is_back(served) -> None:
    registry = ModelRegistry(served.runtime, "delays")
    with registry.folder(registry.get("1")) as folder:
        away = folder.rename(folder.with_name("away"))
        for changed in (True, False):
            assert score_population(served.deployment, served.week(5)).changed is changed
        away.rename(folder)
    assert len(served.ledger.find("delays", "note", subject="fallback")) == 1
    assert score_population(served.deployment, served.week(5)) == ScoredPopulation(
        served.week(6), 400, "1", "champion", True
    )


def test_without_a_fallback_a_lost_champion_is_an_error(served) -> None:
    lose(served, "1")
    strict = served.with_spec(score=served.spec.score.model_copy(update={"fallback": ()})).spec
    with pytest.raises(ModelError, match="delays version 1: its files are not at"):
        score_population(Deployment(strict, served.runtime), served.week(5))


def test_a_malformed_population_is_not_scored_and_leaves_nothing(served, deliver) -> None:
    import pyarrow as pa

    deliver(served, 6, lambda rows: pa.concat_tables([rows, rows.slice(0, 1)]))
    with pytest.raises(MalformedInput):
        score_population(served.deployment, served.week(5))
    assert served.lake.dataset("delays", "predictions").snapshot() is None
    assert not completion.is_complete(served.ledger, "delays", "score", served.week(5))
