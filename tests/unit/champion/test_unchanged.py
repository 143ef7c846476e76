"""A candidate that predicts what the champion predicts is neither promoted nor rejected: nothing would change."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.registry.test_version_files import house, origin  # noqa: F401  # fixtures: two versions of one model

from tradewind.alerting import model_alarms
from tradewind.champion.promotion import promote_passed_candidate
from tradewind.champion.rollback import roll_back_to_version, rollback_candidates
from tradewind.deployment import Deployment
from tradewind.errors import UsageError
from tradewind.ledger.champions import ChampionChange
from tradewind.planning import candidate_outcome as planned
from tradewind.retraining.train_stage import run_verdict
from tradewind.ui.overview import render_overview_page
from tradewind.verdict.judgement import judge_candidate_version

# MLflow's own SQL store, under the newest SQLAlchemy.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")


@pytest.fixture
def alike(house):  # noqa: F811
    """Version 1 is champion; version 2, trained at week 5, is the same model once more."""
    with_gates = [
        {"metric": "roc_auc", "at_least": 0.55},
        {"metric": "roc_auc", "versus": "champion", "lower_bound": -1},
    ]
    spec = type(house.spec).model_validate({**house.spec.model_dump(), "gates": with_gates})
    change = ChampionChange("delays", 0, "delays", "1", house.week(6), house.week(5), evidence={})
    house.ledger.promote(change, expected=2)
    return house.with_spec(gates=spec.gates, promotion=spec.promotion.model_copy(update={"shadow": 0}))


def test_it_is_unchanged_and_stays_a_candidate(alike) -> None:
    judged = judge_candidate_version(alike.deployment, alike.week(5))
    assert (judged.outcome, judged.candidate, judged.champion) == ("unchanged", "2", "1")
    assert "judged rows are those of version 1, the champion, so a promotion would change nothing" in judged.reason
    assert {gate.outcome for gate in judged.gates} == {"pass"}
    page = Path(judged.report).read_text()
    assert "= Unchanged" in page
    assert "Version 2 predicts what version 1 predicts: that one stays champion." in page
    assert "tradewind rollback delays --to 2 --reason TEXT" in page
    newest = planned.newest_candidate(alike.ledger, "delays")
    assert (newest.outcome, newest.reasons) == ("unchanged", (judged.reason,))
    assert '<span class="badge ">unchanged</span>' in render_overview_page(alike.runtime.ledger)


def test_its_training_is_settled_and_nothing_is_promoted(alike) -> None:
    step = run_verdict(alike.deployment, alike.week(5))
    assert (step.outcome, step.settled) == ("unchanged", True)
    settled = alike.ledger.find("delays", "complete", subject="train", partition=alike.week(5))
    assert settled[-1].evidence["outcome"] == "unchanged"
    with pytest.raises(UsageError, match=r"the verdict at partition .* is unchanged"):
        promote_passed_candidate(alike.deployment, alike.week(5), actor="airflow")
    assert len(alike.ledger.champions("delays")) == 3


def test_it_is_no_rejection_and_a_person_may_still_name_it(alike) -> None:
    judge_candidate_version(alike.deployment, alike.week(5))
    assert model_alarms._judged_candidates(alike.spec, alike.ledger) == []
    assert rollback_candidates(alike.spec, alike.ledger) == ["1", "2"]
    back = roll_back_to_version(alike.deployment, to_version="2", reason="newer libraries", actor="ann")
    assert back.model_version == "2"


def test_of_two_that_predict_alike_the_gates_are_reported_all_the_same(alike) -> None:
    strict = [{**alike.spec.gates[0].model_dump(), "at_least": 0.99}]
    spec = type(alike.spec).model_validate({**alike.spec.model_dump(), "gates": strict})
    judged = judge_candidate_version(Deployment(spec, alike.runtime), alike.week(5))
    assert judged.outcome == "unchanged"
    assert "by its gates it is rejected: 1 of 3 gate results" in judged.reason
