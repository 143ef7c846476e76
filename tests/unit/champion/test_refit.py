"""A candidate that passed is fitted once more on its whole window, and that version serves in its place."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.delays_pipeline import House

from tradewind.champion import card_facts
from tradewind.champion.promotion import promote_passed_candidate
from tradewind.champion.refit import RefitResult, refit_version
from tradewind.champion.rollback import roll_back_to_version, rollback_candidates
from tradewind.core.refit_distance import decide_refit, refit_distance
from tradewind.errors import ModelError, UsageError
from tradewind.ledger import serving_versions
from tradewind.ledger.champions import ChampionChange
from tradewind.registry.model_registry import ModelRegistry, RegisteredVersion
from tradewind.scoring import shadow
from tradewind.training.candidate import train_candidate
from tradewind.training.reproduction import reproduce_version
from tradewind.verdict import comparators
from tradewind.verdict.judgement import judge_candidate_version

# MLflow's own SQL store, under the newest SQLAlchemy.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")


def refitting(house: House, **changes: object) -> House:
    """The pipeline with `train.refit: true`."""
    assert house.spec.train is not None
    return house.with_spec(train=house.spec.train.model_copy(update={"refit": True, **changes}))


def judged(house: House, number: int) -> str:
    """Train and judge the candidate of a week; it passes."""
    train_candidate(house.deployment, house.week(number))
    result = judge_candidate_version(house.deployment, house.week(number))
    assert result.outcome == "passed", result.reason
    return result.candidate


def again(house: House, number: int) -> RefitResult:
    return refit_version(house.deployment, house.week(number))


def crowned(house: House, number: int) -> ChampionChange:
    made = promote_passed_candidate(house.deployment, house.week(number), actor="airflow")
    assert isinstance(made, ChampionChange)
    return made


def registered(house: House) -> list[RegisteredVersion]:
    registry = ModelRegistry(house.runtime, "delays")
    known = registry.client.search_model_versions("name = 'delays'")
    return [registry.get(one.version) for one in sorted(known, key=lambda one: int(one.version))]


@pytest.fixture(scope="module")
def template(built: Callable[[Path], House], tmp_path_factory: pytest.TempPathFactory) -> House:
    """Version 1, judged on week 3, its refit, version 2, champion."""
    house = refitting(built(tmp_path_factory.mktemp("refit")))
    judged(house, 3)
    again(house, 3)
    crowned(house, 3)
    return house


@pytest.fixture
def fresh(built: Callable[[Path], House], tmp_path: Path) -> House:
    return refitting(built(tmp_path))


def test_the_refit_is_a_version_of_its_own_that_learned_from_every_partition_and_serves(template: House) -> None:
    first, second = registered(template)
    weeks = [template.week(number) for number in range(4)]
    assert json.loads(first.tags["tradewind.train_partitions"]) == weeks[:3]
    assert json.loads(second.tags["tradewind.train_partitions"]) == weeks
    assert json.loads(second.tags["tradewind.test_partitions"]) == []
    assert second.tags["tradewind.refit_of"] == "1"
    assert second.tags["tradewind.params"] == first.tags["tradewind.params"]
    (champion,) = template.ledger.champions("delays")
    assert champion.model_version == "2"
    assert champion.evidence["train_partitions"] == weeks
    assert champion.evidence["refit_of"] == "1"
    assert champion.evidence["verdict_key"] == template.ledger.find("delays", "verdict")[-1].key
    (entry,) = template.ledger.find("delays", "refit")
    assert (entry.subject, entry.outcome) == ("1", serving_versions.SERVES)
    assert entry.evidence["refitted"] == "2"
    assert 0 < entry.evidence["near"]["change"] <= 0.1
    assert [one["outcome"] for one in entry.evidence["checks"]] == ["pass", "pass"]
    assert {one["metric"] for one in entry.evidence["checks"]} == {"loads", "schema"}


def test_more_rows_were_learned_from_and_the_baseline_is_of_them(template: House) -> None:
    registry = ModelRegistry(template.runtime, "delays")
    seen = []
    for version in registered(template):
        with registry.evidence(version) as folder:
            seen.append(sum(json.loads((folder / "profile.json").read_text())["hour"]["counts"]))
        assert (registry.client.get_run(version.mlflow_run_id).data.metrics["train_rows"]) > 900
    assert seen[1] > seen[0] + 200


def test_a_refit_is_made_again_identical(template: House) -> None:
    result = reproduce_version(template.deployment, "2")
    assert (result.outcome, result.differences) == ("identical", ())


def test_every_step_done_again_gives_the_same_versions_and_the_same_champion(template: House) -> None:
    assert judged(template, 3) == "1"
    assert again(template, 3).refitted == "2"
    assert crowned(template, 3).seq == 1
    assert len(registered(template)) == 2
    assert len(template.ledger.find("delays", "refit")) == 1
    assert len(template.ledger.find("delays", "trained")) == 2
    assert len(template.ledger.find("delays", "verdict")) == 1


def test_the_candidate_is_not_compared_with_its_own_refit(template: House) -> None:
    assert comparators.find_champion_to_replace(template.spec, template.week(3), template.ledger, candidate="1") is None


def test_a_later_candidate_is_compared_on_rows_that_the_refit_has_not_seen(template: House) -> None:
    version = registered(template)[1]
    assert (
        comparators.learned_rows_end(template.spec, version) == template.spec.partitioning.bounds(template.week(3)).end
    )
    assert template.spec.train is not None
    two = template.with_spec(train=template.spec.train.model_copy(update={"test": 2}))
    train_candidate(two.deployment, two.week(4))
    result = judge_candidate_version(two.deployment, two.week(4))
    against = next(one for one in result.gates if one.versus == "champion")
    one_week = next(one for one in result.gates if one.versus is None and one.slice is None)
    assert against.rows < one_week.rows * 0.6
    assert against.rows > 300
    assert any("`retrain.cooldown: 1`" in warning for warning in result.warnings)


def test_without_its_refit_a_candidate_is_not_promoted(fresh: House) -> None:
    judged(fresh, 3)
    with pytest.raises(UsageError, match="clear the task `refit`"):
        crowned(fresh, 3)


def test_only_what_passed_is_refitted(fresh: House) -> None:
    with pytest.raises(UsageError, match="there is no verdict"):
        again(fresh, 3)


def test_a_refit_that_was_registered_and_not_journalled_is_found_again(
    fresh: House, meanwhile: Callable[..., None]
) -> None:
    from tradewind.champion import refit as room

    class Killed(BaseException):
        pass

    def die() -> None:
        raise Killed

    judged(fresh, 3)
    meanwhile(room, "log_model_version", die)
    with pytest.raises(Killed):
        again(fresh, 3)
    assert fresh.ledger.find("delays", "refit") == []
    assert again(fresh, 3).version == "2"
    assert len(registered(fresh)) == 2
    assert crowned(fresh, 3).model_version == "2"


def test_a_correction_between_verdict_and_refit_changes_nothing(
    fresh: House, publish_week: Callable[..., None]
) -> None:
    judged(fresh, 3)
    publish_week(fresh, 2, seed=9)
    again(fresh, 3)
    first, second = registered(fresh)
    assert first.tags["tradewind.data"] == second.tags["tradewind.data"]


def test_code_that_was_edited_beside_the_judged_version_is_not_run(fresh: House) -> None:
    judged(fresh, 3)
    with ModelRegistry(fresh.runtime, "delays").folder(registered(fresh)[0]) as files:
        model = files / "code" / "delays_model" / "model.py"
        model.write_text(model.read_text() + "\nraise SystemExit\n")
    with pytest.raises(ModelError):
        again(fresh, 3)


FLIPS = """
from sklearn.linear_model import LogisticRegression
from delays_model.model import build_model as honest

class Flips(LogisticRegression):
    def fit(self, X, y, sample_weight=None):
        return super().fit(X, 1 - y if len(y) > 1200 else y, sample_weight)

def build_model(params):
    pipeline = honest(params)
    pipeline.steps[-1] = ("classifier", Flips(max_iter=500, **params))
    return pipeline
"""


def test_a_refit_that_answers_otherwise_does_not_serve_and_the_judged_version_does(fresh: House) -> None:
    (fresh.runtime.project / "include" / "delays_model" / "flips.py").write_text(FLIPS)
    assert fresh.spec.train is not None
    trusted = (*fresh.spec.train.trusted, "delays_model.flips.Flips")
    house = refitting(fresh, model="include/delays_model/flips.py:build_model", trusted=trusted)
    judged(house, 3)
    done = again(house, 3)
    assert (done.version, done.refitted) == ("1", "2")
    assert "which does not serve, version 1 does" in done.reason
    assert "more than 0.1, and further from the labels" in done.reason
    assert crowned(house, 3).model_version == "1"


def test_a_refit_stands_as_shadow_and_is_judged_on_what_nobody_has_seen(template: House) -> None:
    house = template.with_spec(promotion=template.spec.promotion.model_copy(update={"shadow": 1}))
    judged(house, 5)
    done = again(house, 5)
    begun = shadow.begin_shadow(house.deployment, house.week(5))
    assert begun is not None
    assert begun.subject == done.refitted
    shadow_end = begun.evidence["populations"]
    assert shadow_end[0] > house.week(5)


def test_a_person_may_name_a_refit_that_was_not_promoted(fresh: House) -> None:
    judged(fresh, 3)
    again(fresh, 3)
    crowned(fresh, 3)
    judged(fresh, 5)
    assert again(fresh, 5).version == "4"
    assert rollback_candidates(fresh.spec, fresh.ledger) == ["1", "2", "3", "4"]
    back = roll_back_to_version(fresh.deployment, to_version="4", reason="the pin was a mistake", actor="ann")
    assert (back.model_version, back.evidence["refit_of"]) == ("4", "3")


def test_a_card_of_a_refit_shows_what_its_judged_version_scored(template: House) -> None:
    registry = ModelRegistry(template.runtime, "delays")
    (champion,) = [one for one in template.ledger.champions("delays") if one.model_version == "2"]
    facts = card_facts.gather_card_facts(template.deployment, champion, registry, registry.get("2"))
    first = registered(template)[0]
    with registry.evidence(first) as folder:
        was: dict[str, Any] = json.loads((folder / "metrics.json").read_text())
    assert facts.metrics["roc_auc"]["value"] == was["roc_auc"]["value"]
    assert [entry.subject for entry in facts.verdicts] == ["1"]


def test_nearness_of_probabilities_of_values_and_of_what_moved_to_the_labels() -> None:
    import numpy as np

    y = np.array([0, 1, 1, 0])
    near = refit_distance("binary", y, np.array([0.5, 0.5, 0.5, 0.5]), np.array([0.4, 0.6, 0.6, 0.6]), bound=0.1)
    assert near.change == pytest.approx(0.1)
    assert near.near_enough
    far = replace(near, change=0.3, refit_error=near.judged_error + 0.1)
    serves, why = decide_refit(far, ())
    assert not serves
    assert "further from the labels" in why
    serves, why = decide_refit(replace(far, refit_error=near.judged_error - 0.1), ())
    assert serves
    assert "no further from the labels" in why
    values = refit_distance("regression", y * 10.0, np.zeros(4), np.ones(4), bound=0.1)
    assert values.change == pytest.approx(1 / 5)
    same = refit_distance("regression", np.full(4, 3.0), np.ones(4), np.ones(4), bound=0.1)
    assert (same.change, same.near_enough) == (0.0, True)
    other = refit_distance("regression", np.full(4, 3.0), np.ones(4), np.zeros(4), bound=0.1)
    assert not other.met
    three = refit_distance(
        "multiclass", np.array([0, 2]), np.eye(3)[[0, 2]], np.array([[1.0, 0, 0], [0, 0.5, 0.5]]), bound=0.1
    )
    assert three.change == pytest.approx(0.25)


def test_a_refit_without_answers_does_not_serve() -> None:
    assert decide_refit(None, ())[0] is False
