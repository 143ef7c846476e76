"""Where a candidate is fitted once more, it is unchanged if its refit would be the champion, and only then."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from tests.delays_pipeline import House
from tests.unit.champion.test_refit import again, crowned, judged, refitting

from tradewind.retraining.train_stage import run_verdict
from tradewind.training.candidate import train_candidate
from tradewind.verdict.judgement import CandidateVerdict, judge_candidate_version

# MLflow's own SQL store, under the newest SQLAlchemy.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")


@pytest.fixture
def served(built: Callable[[Path], House], tmp_path: Path) -> House:
    """Version 1, judged on week 3; its refit, version 2, is champion."""
    house = refitting(built(tmp_path))
    judged(house, 3)
    again(house, 3)
    crowned(house, 3)
    return house


def trained_and_judged(house: House, number: int) -> CandidateVerdict:
    train_candidate(house.deployment, house.week(number))
    return judge_candidate_version(house.deployment, house.week(number))


def other_causes(rows: pa.Table) -> pa.Table:
    """A correction of a column that no model looks at."""
    return rows.set_column(rows.column_names.index("cause"), "cause", pa.array(["none"] * rows.num_rows))


def other_labels(rows: pa.Table) -> pa.Table:
    return rows.set_column(rows.column_names.index("late"), "late", pa.array([n % 2 == 0 for n in range(len(rows))]))


def test_a_correction_that_changes_no_model_is_unchanged_beside_a_refit(
    served: House, publish_week: Callable[..., None]
) -> None:
    publish_week(served, 2, change=other_causes)
    result = trained_and_judged(served, 3)
    assert (result.candidate, result.champion, result.outcome) == ("3", "2", "unchanged")
    assert "are those of version 1, and fitted once more that is version 2, the champion" in result.reason
    assert "a promotion would change nothing" in result.reason
    assert run_verdict(served.deployment, served.week(3)).settled
    assert "Version 3, fitted once more, would be version 2" in Path(result.report).read_text()


def test_a_correction_of_the_rows_that_only_the_refit_learns_from_is_not_unchanged(
    served: House, publish_week: Callable[..., None]
) -> None:
    publish_week(served, 3, change=other_labels)
    assert trained_and_judged(served, 3).outcome != "unchanged"


def test_a_candidate_that_learned_what_the_refit_learned_is_fitted_once_more_on_what_came_since(served: House) -> None:
    assert served.spec.train is not None
    house = served.with_spec(train=served.spec.train.model_copy(update={"window": 8, "complete": 4}))
    result = trained_and_judged(house, 4)
    assert (result.candidate, result.champion) == ("3", "2")
    assert result.outcome == "passed", result.reason
    again(house, 4)
    assert crowned(house, 4).model_version == "4"


def test_beside_a_champion_that_was_never_refitted_a_candidate_is_not_unchanged(
    built: Callable[[Path], House], tmp_path: Path, publish_week: Callable[..., None]
) -> None:
    house = built(tmp_path)
    judged(house, 3)
    crowned(house, 3)
    publish_week(house, 2, change=other_causes)
    assert trained_and_judged(house, 3).outcome == "unchanged"
    assert trained_and_judged(refitting(house), 3).outcome == "passed"


def test_without_refit_the_judged_version_may_take_the_place_of_its_refit(
    served: House, publish_week: Callable[..., None]
) -> None:
    assert served.spec.train is not None
    publish_week(served, 2, change=other_causes)
    house = served.with_spec(train=served.spec.train.model_copy(update={"refit": False}))
    assert trained_and_judged(house, 3).outcome != "unchanged"
