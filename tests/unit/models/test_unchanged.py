"""A candidate that predicts what the champion predicts is neither promoted nor rejected: nothing would change."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.models.test_opening import house, origin  # noqa: F401  # fixtures: two versions of one model

from tradewind.errors import UsageError
from tradewind.ledger.champions import Champion
from tradewind.models import alarms
from tradewind.models.promote import promote
from tradewind.models.rollback import candidates, rollback
from tradewind.models.stage import judge_candidate
from tradewind.models.verdict import verdict
from tradewind.planning import candidates as planned
from tradewind.ui.overview import overview_page

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
    change = Champion("delays", 0, "delays", "1", house.week(6), house.week(5), evidence={})
    house.ledger.promote(change, expected=2)
    return house.with_spec(gates=spec.gates, promotion=spec.promotion.model_copy(update={"shadow": 0}))


def test_it_is_unchanged_and_stays_a_candidate(alike) -> None:
    judged = verdict(alike.spec, alike.week(5), alike.runtime)
    assert (judged.outcome, judged.candidate, judged.champion) == ("unchanged", "2", "1")
    assert "judged rows are those of version 1, the champion, so a promotion would change nothing" in judged.reason
    assert {gate.outcome for gate in judged.gates} == {"pass"}
    page = Path(judged.report).read_text()
    assert "= Unchanged" in page
    assert "Version 2 predicts what version 1 predicts: that one stays champion." in page
    assert "tradewind rollback delays --to 2 --reason TEXT" in page
    newest = planned.newest(alike.ledger, "delays")
    assert (newest.outcome, newest.reasons) == ("unchanged", (judged.reason,))
    assert '<span class="badge ">unchanged</span>' in overview_page(alike.runtime.ledger)


def test_its_training_is_settled_and_nothing_is_promoted(alike) -> None:
    step = judge_candidate(alike.spec, alike.week(5), alike.runtime)
    assert (step.outcome, step.settled) == ("unchanged", True)
    settled = alike.ledger.find("delays", "complete", subject="train", partition=alike.week(5))
    assert settled[-1].evidence["outcome"] == "unchanged"
    with pytest.raises(UsageError, match=r"the verdict at partition .* is unchanged"):
        promote(alike.spec, alike.week(5), alike.runtime, actor="airflow")
    assert len(alike.ledger.champions("delays")) == 3


def test_it_is_no_rejection_and_a_person_may_still_name_it(alike) -> None:
    verdict(alike.spec, alike.week(5), alike.runtime)
    assert alarms._candidates(alike.spec, alike.ledger) == []
    assert candidates(alike.spec, alike.ledger) == ["1", "2"]
    back = rollback(alike.spec, to_version="2", reason="newer libraries", actor="ann", runtime=alike.runtime)
    assert back.model_version == "2"


def test_of_two_that_predict_alike_the_gates_are_reported_all_the_same(alike) -> None:
    strict = [{**alike.spec.gates[0].model_dump(), "at_least": 0.99}]
    spec = type(alike.spec).model_validate({**alike.spec.model_dump(), "gates": strict})
    judged = verdict(spec, alike.week(5), alike.runtime)
    assert judged.outcome == "unchanged"
    assert "by its gates it is rejected: 1 of 3 gate results" in judged.reason
