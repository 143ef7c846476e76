"""Training in the plan: what has changed since a version was trained, what failed, what the policy does next."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from tests.delays_pipeline import MODEL, House, build, flights, runtime, spec

from tradewind.alerting import incidents
from tradewind.deployment import Deployment
from tradewind.ledger import completion
from tradewind.ledger.champions import ChampionChange
from tradewind.ledger.journal import Entry
from tradewind.planning.plan_item import PlanItem
from tradewind.planning.training_status import TrainingStatus, add_training_status, examine_training
from tradewind.spec.policy import Budget, Retrain, When
from tradewind.training import candidate as trains

WEEK = 5


@pytest.fixture(scope="module")
def _trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A deployment whose first model serves, trained once."""
    folder = tmp_path_factory.mktemp("trained")
    house = build(folder)
    trained = trains.train_candidate(house.deployment, house.week(WEEK))
    assert isinstance(trained, trains.TrainedCandidate)
    house.ledger.promote(
        ChampionChange("delays", 0, "delays", trained.version, house.week(7), house.week(WEEK)), expected=0
    )
    decide(house, WEEK, "train", "there is no champion yet")
    return folder


@pytest.fixture
def house(_trained: Path, tmp_path: Path) -> House:
    shutil.copytree(_trained, tmp_path, dirs_exist_ok=True)
    return House(spec(), runtime(tmp_path))


def decide(house: House, week: int, outcome: str, reason: str = "x", **evidence: object) -> None:
    key = house.week(week)
    house.ledger.append(
        Entry("delays", "decision", "train", key, f"{key}/{outcome}", outcome, reason, {"waiting": [], **evidence})
    )


def look(house: House) -> TrainingStatus:
    found = examine_training(house.deployment)
    assert found is not None
    return found


def changes(house: House) -> dict[str, tuple[str, ...]]:
    (one,) = look(house).versions
    assert (one.roles, one.unknown) == (("serves", "newest training"), None)
    return {why.kind: why.about for why in one.changes}


def with_train(house: House, **fields: object) -> House:
    assert house.spec.train is not None
    return house.with_spec(train=house.spec.train.model_copy(update=fields))


def item(house: House, week: int = WEEK, state: str = "current") -> PlanItem:
    return PlanItem("train", "train", house.week(week), state)  # type: ignore[arg-type]


def test_a_version_that_would_be_trained_the_same_has_no_changes(house: House) -> None:
    assert changes(house) == {}
    assert add_training_status([item(house)], look(house)) == [item(house)]


def test_changed_model_code_is_named_by_its_file(house: House) -> None:
    path = house.runtime.project / "include/delays_model/model.py"
    path.write_text(MODEL.replace("max_iter=500", "max_iter=400"))
    assert changes(house) == {"code": ("delays_model/model.py",)}


def test_changed_features_are_named(house: House) -> None:
    path = house.runtime.project / "include/delays_model/features.py"
    path.write_text(path.read_text().replace("timedelta(weeks=4)", "timedelta(weeks=3)"))
    assert "feature definitions" in changes(house)["features"]


def test_changed_parameters_label_and_window_are_named(house: House) -> None:
    assert changes(with_train(house, params={"C": 0.5}, seed=8)) == {"parameters": ("train.params", "train.seed")}
    assert house.spec.train is not None
    label = house.spec.train.label.model_copy(update={"column": "delay"})
    assert changes(with_train(house, label=label)) == {"label": ("train.label",)}
    assert changes(with_train(house, window=3)) == {"configuration": ("window",)}


def test_corrected_data_of_the_window_are_named(house: House) -> None:
    week = house.week(3)
    house.publish("flights", week, flights(week, seed=9), cause="corrected")
    assert f"flights/{house.week(3)}" in changes(house)["datasets"]


def test_a_champion_that_was_trained_again_and_is_unchanged_is_up_to_date(house: House) -> None:
    rows = flights(house.week(4))
    rows = rows.set_column(rows.column_names.index("cause"), "cause", [["none"] * rows.num_rows])
    house.publish("flights", house.week(4), rows, cause="corrected")
    again = trains.train_candidate(house.deployment, house.week(WEEK))
    assert isinstance(again, trains.TrainedCandidate)
    assert [bool(one.changes) for one in look(house).versions] == [True, False]
    evidence = {"version": again.version, "champion": "1"}
    judged = Entry("delays", "verdict", again.version, house.week(WEEK), "v", "unchanged", "the same", evidence)
    house.ledger.append(judged)
    assert [bool(one.changes) for one in look(house).versions] == [False, False]
    assert add_training_status([item(house)], look(house)) == [item(house)]
    assert all(one.changes for one in look(with_train(house, seed=8)).versions)


def test_data_outside_of_the_window_are_no_change(house: House) -> None:
    week = house.week(7)
    house.publish("flights", week, flights(week, seed=9), cause="corrected")
    assert changes(house) == {}


def test_what_an_older_tradewind_did_not_write_down_is_a_change_all_the_same(house: House) -> None:
    (entry,) = house.ledger.find("delays", "trained")
    about = {name: value for name, value in entry.evidence.items() if name != "made_from"}
    house.ledger.append(replace(entry, key=f"{entry.key}/1", evidence=about, id=None))
    assert changes(house) == {}
    assert changes(with_train(house, seed=8)) == {"configuration": ()}
    (one,) = look(with_train(house, seed=8)).versions
    assert "or Tradewind was upgraded" in one.changes[0].text


def test_the_item_of_the_training_is_outdated_and_says_of_which_version(house: House) -> None:
    (found,) = add_training_status([item(house)], look(with_train(house, seed=8)))
    assert found.state == "outdated"
    assert found.why[0].text == "version 1 (serves, newest training): its parameters have changed since"


def test_a_version_that_cannot_be_compared_is_said_to_be_so(house: House) -> None:
    (house.runtime.project / "include/delays_model/model.py").unlink()
    (found,) = add_training_status([item(house)], look(house))
    assert found.state == "current"
    assert "version 1 (serves, newest training) is not compared: model include/delays_model" in found.why[0].text


def test_a_training_that_was_wanted_and_failed_is_named_with_its_reason(house: House) -> None:
    decide(house, 6, "train", "drift in 2 of the last 4 partitions")
    key = house.week(6)
    completion.record_completion(
        house.ledger, "delays", "train", key, cause="settled: failed", evidence={"outcome": "failed"}, run_id="r6"
    )
    assert look(house).failed is not None
    incidents.report_failure(
        house.ledger, pipeline="delays", stage="train", task="train", partition=key, run_id="r6",
        error_type="ModelError", message="the model cannot be fitted\nmore",
    )  # fmt: skip
    (found,) = add_training_status([item(house, 6)], look(house))
    assert found.state == "failed"
    assert found.why[0].text == (
        "a training was wanted (drift in 2 of the last 4 partitions), and its run failed: the model cannot be fitted"
    )
    decide(house, 7, "train")
    assert look(house).failed is None  # a newer one was wanted, and is not over


def retrain(house: House, cooldown: int = 0, budget: Budget | None = None, **when: object) -> House:
    return house.with_spec(retrain=Retrain(when=When(**when), cooldown=cooldown, budget=budget))  # type: ignore[arg-type]


def test_what_the_policy_does_next_is_said_exactly(house: House) -> None:
    week = house.week
    assert look(retrain(house)).next == "never by itself: `retrain.when` names no rule; only by hand"
    found = look(retrain(house, decay="2 of 4", every=10, cooldown=3))
    assert found.next == (
        f"at the next partition with decay in 2 of 4, from {week(9)} on; at {week(15)} at the latest, because of "
        "`every: 10` (until then the last training is 1 partition ago, within the cooldown of 3)"
    )
    assert (found.not_before, found.at_latest) == (week(9), week(15))
    spent = look(retrain(house, every=1, budget=Budget(max=1, per=4)))
    assert (spent.not_before, spent.at_latest) == (week(9), week(9))


def test_after_the_end_only_a_person_trains(house: House) -> None:
    ended = house.with_spec(end=house.week(6))
    assert look(ended).next == f"no partition comes after {house.week(5)}: only by hand"


def test_a_training_that_waits_for_its_window_is_told(house: House) -> None:
    decide(house, 6, "skip", waiting=["decay in 2 of the last 4 partitions"])
    assert look(house).waiting == ("decay in 2 of the last 4 partitions",)


def test_a_pipeline_that_trains_nothing_has_no_training(house: House) -> None:
    assert examine_training(Deployment(house.spec.model_copy(update={"train": None}), house.runtime)) is None
