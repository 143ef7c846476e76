"""A candidate that passed becomes champion; a pin, a newer candidate or nobody's approval keep it from that."""

from __future__ import annotations

import threading

import pytest
from tests.registered_versions import WEEKS

from tradewind.champion.promotion import WithheldPromotion, promote_passed_candidate
from tradewind.champion.rollback import roll_back_to_version
from tradewind.deployment import Deployment
from tradewind.errors import Conflict, UsageError
from tradewind.lake.dataset import Lake
from tradewind.ledger import pins
from tradewind.ledger.champions import ChampionChange
from tradewind.ledger.journal import Entry

# MLflow's own SQL store, under the newest SQLAlchemy.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")


def crown(place, week: int, version: str, *, expected_seq: int = 0) -> ChampionChange:
    """Judge a candidate and promote it."""
    place.judge(WEEKS[week], version, expected_seq=expected_seq)
    champion = promote_passed_candidate(place.deployment, WEEKS[week], actor="airflow")
    assert isinstance(champion, ChampionChange)
    return champion


def answer(place, week: int, outcome: str, **evidence: object) -> None:
    """Journal what a person said in the form."""
    key = f"{WEEKS[week]}/{outcome}"
    name = place.spec.pipeline
    place.ledger.append(
        Entry(name, "approval", "promotion", WEEKS[week], key, outcome, "no comment", evidence, actor="Ann")
    )


def test_a_promotion_holds_from_the_first_population_that_no_run_up_to_it_scores(place) -> None:
    place.judge(WEEKS[1], "1")
    champion = promote_passed_candidate(place.deployment, WEEKS[1], actor="airflow", comment="looks good")
    assert (champion.seq, champion.model_version, champion.effective_from) == (1, "1", WEEKS[3])
    assert champion.decided_at == WEEKS[1]
    assert champion.evidence["train_partitions"] == [WEEKS[0]]
    assert champion.evidence["verdict_key"] == f"{WEEKS[1]}/1/0"
    assert champion.evidence["comment"] == "looks good"
    assert place.alias == "1"


def test_the_version_says_in_mlflow_since_when_and_by_whom_it_is_champion(place) -> None:
    crown(place, 1, "1")
    tags = place.registry.get("1").tags
    assert (tags["tradewind.champion_from"], tags["tradewind.promoted_by"]) == (WEEKS[3], "airflow")
    assert tags["tradewind.verdict_key"] == f"{WEEKS[1]}/1/0"


def test_a_late_promotion_leaves_what_is_scored_alone(place) -> None:
    for population in WEEKS[1:5]:
        place.score(population)
    assert crown(place, 1, "1").effective_from == WEEKS[5]


class WithoutLake(Deployment):
    """A deployment whose storage has gone away."""

    @property
    def lake(self) -> Lake:
        raise OSError("the storage does not answer")


def test_a_lake_that_is_away_while_a_promotion_is_written_is_not_taken_for_the_ledger(place) -> None:
    place.judge(WEEKS[1], "1")
    with pytest.raises(OSError, match=r"^the storage does not answer"):
        promote_passed_candidate(WithoutLake(place.spec, place.runtime), WEEKS[1], actor="airflow")
    assert place.champions == []


def test_promoting_again_changes_nothing(place) -> None:
    first = crown(place, 1, "1")
    place.score(WEEKS[4])
    assert promote_passed_candidate(place.deployment, WEEKS[1], actor="airflow") == first
    assert len(place.champions) == 1


def test_replaying_an_old_promotion_leaves_the_alias_with_the_newest_champion(place) -> None:
    crown(place, 1, "1")
    crown(place, 3, "2", expected_seq=1)
    replayed = promote_passed_candidate(place.deployment, WEEKS[1], actor="airflow")
    assert isinstance(replayed, ChampionChange)
    assert replayed.seq == 1
    assert place.alias == "2"


def test_a_rejected_candidate_is_not_promoted(place) -> None:
    place.judge(WEEKS[1], "1", outcome="rejected")
    with pytest.raises(UsageError, match=f"the verdict at partition {WEEKS[1]} is rejected: gates"):
        promote_passed_candidate(place.deployment, WEEKS[1], actor="airflow")


def test_without_a_verdict_nothing_is_promoted(place) -> None:
    with pytest.raises(UsageError, match="no verdict"):
        promote_passed_candidate(place.deployment, WEEKS[1], actor="airflow")


def test_a_verdict_against_a_champion_that_was_replaced_since_is_a_conflict(place) -> None:
    crown(place, 1, "1")
    place.judge(WEEKS[2], "2")
    with pytest.raises(Conflict, match=r"make version 2 champion of .*: decided against change 0, but after it came "):
        promote_passed_candidate(place.deployment, WEEKS[2], actor="airflow")
    assert place.alias == "1"


def test_of_twenty_promotions_at_once_one_wins_and_the_others_say_who_did(place) -> None:
    place.ledger.champions(place.spec.pipeline)
    barrier, told = threading.Barrier(20), list[str]()

    def attempt(number: int) -> None:
        version = str(number % 3 + 1) if number < 3 else f"x{number}"
        new = ChampionChange(
            place.spec.pipeline, 0, place.spec.model_name, version, WEEKS[3], decided_at=WEEKS[1], reason="r"
        )
        barrier.wait()
        try:
            place.ledger.promote(new, expected=0)
        except Conflict as exc:
            told.append(str(exc))

    threads = [threading.Thread(target=attempt, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ((winner, _),) = place.champions
    assert len(told) == 19
    assert all(f"after it came version {winner} (r)" in text for text in told)


def test_a_pinned_champion_stays_and_the_run_says_who_pinned_it_and_why(place) -> None:
    crown(place, 1, "1")
    roll_back_to_version(place.deployment, to_version="1", reason="the new ones are odd", actor="ann")
    place.judge(WEEKS[3], "2", expected_seq=1)
    kept = promote_passed_candidate(place.deployment, WEEKS[3], actor="airflow")
    assert isinstance(kept, WithheldPromotion)
    assert (kept.version, kept.outcome) == ("2", "pinned")
    assert "ann pinned version 1" in kept.reason
    assert "the new ones are odd" in kept.reason
    assert place.alias == "1"
    (entry,) = place.ledger.find(place.spec.pipeline, "promotion")
    assert (entry.subject, entry.partition, entry.outcome) == ("2", WEEKS[3], "pinned")
    pins.lift_pin(place.ledger, place.spec.pipeline, reason="they are fine", actor="bob")
    assert isinstance(promote_passed_candidate(place.deployment, WEEKS[3], actor="airflow"), ChampionChange)
    assert place.alias == "2"


def test_a_pin_does_not_change_what_a_replay_returns(place) -> None:
    first = crown(place, 1, "1")
    roll_back_to_version(place.deployment, to_version="1", reason="stay", actor="ann")
    assert promote_passed_candidate(place.deployment, WEEKS[1], actor="airflow") == first


def test_a_pin_that_comes_between_the_look_and_the_write_still_wins(place, monkeypatch) -> None:
    crown(place, 1, "1")
    place.judge(WEEKS[3], "2", expected_seq=1)
    monkeypatch.setattr(pins, "current_pin", lambda *_: None)  # looked just before
    roll_back_to_version(place.deployment, to_version="1", reason="stay", actor="ann")
    with pytest.raises(Conflict, match="ann pinned version 1 in the meantime: stay"):
        promote_passed_candidate(place.deployment, WEEKS[3], actor="airflow")
    assert len(place.champions) == 1


def test_a_candidate_is_not_promoted_when_a_newer_one_passed_since(place) -> None:
    place.judge(WEEKS[1], "1")
    place.judge(WEEKS[2], "2")
    kept = promote_passed_candidate(place.deployment, WEEKS[1], actor="Ann")
    assert isinstance(kept, WithheldPromotion)
    assert kept.outcome == "superseded"
    assert f"version 2, the candidate of {WEEKS[2]}, passed" in kept.reason
    assert isinstance(promote_passed_candidate(place.deployment, WEEKS[2], actor="Ann"), ChampionChange)


def test_who_was_approved_is_promoted_although_a_newer_one_waits_for_its_answer(place) -> None:
    asked = place.with_promotion(mode="approval")
    asked.judge(WEEKS[1], "1")
    asked.judge(WEEKS[2], "2")
    answer(asked, 1, "approved", version="1")
    assert isinstance(promote_passed_candidate(asked.deployment, WEEKS[1], actor="airflow"), ChampionChange)
    answer(asked, 2, "approved", version="2")
    with pytest.raises(Conflict):
        promote_passed_candidate(asked.deployment, WEEKS[2], actor="airflow")


def test_where_a_person_must_approve_nobody_is_promoted_without(place) -> None:
    asked = place.with_promotion(mode="approval")
    asked.judge(WEEKS[1], "1")
    with pytest.raises(UsageError, match="nobody approved version 1"):
        promote_passed_candidate(asked.deployment, WEEKS[1], actor="airflow")
    answer(asked, 1, "rejected", version="1")
    with pytest.raises(UsageError, match="version 1 was rejected by Ann"):
        promote_passed_candidate(asked.deployment, WEEKS[1], actor="airflow")


def test_who_approved_and_what_they_said_stand_in_the_champions_row(place) -> None:
    asked = place.with_promotion(mode="approval")
    asked.judge(WEEKS[1], "1")
    answer(asked, 1, "approved", version="1", comment="ship it")
    champion = promote_passed_candidate(asked.deployment, WEEKS[1], actor="airflow")
    assert isinstance(champion, ChampionChange)
    assert (champion.actor, champion.evidence["comment"]) == ("Ann", "ship it")


def test_an_approval_of_another_verdict_is_none(place) -> None:
    asked = place.with_promotion(mode="approval")
    asked.judge(WEEKS[1], "1")
    answer(asked, 1, "approved", verdict_key=f"{WEEKS[1]}/1/0")
    asked.judge(WEEKS[1], "2")
    with pytest.raises(UsageError, match="nobody approved version 2"):
        promote_passed_candidate(asked.deployment, WEEKS[1], actor="airflow")


def test_where_a_shadow_is_asked_for_test_rows_alone_promote_nobody_over_a_champion(place) -> None:
    shadowed = place.with_promotion(shadow=2)
    crown(shadowed, 1, "1")  # nobody to stand beside: at once
    shadowed.judge(WEEKS[3], "2", expected_seq=1, champion="1")
    with pytest.raises(UsageError, match="has to stand beside the champion for 2 populations first"):
        promote_passed_candidate(shadowed.deployment, WEEKS[3], actor="airflow")
    shadowed.judge(WEEKS[5], "2", expected_seq=1, champion="1", basis="shadow")
    assert isinstance(promote_passed_candidate(shadowed.deployment, WEEKS[5], actor="airflow"), ChampionChange)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize(
    ("point", "left"), [("after-verdict-before-promote", []), ("after-ledger-before-alias", [("1", WEEKS[3])])]
)
def test_a_promotion_that_is_killed_heals_by_promoting_again(place, killed_at, point: str, left: list[object]) -> None:
    place.judge(WEEKS[1], "1")
    killed_at(point, promote_passed_candidate, place, WEEKS[1], actor="airflow")
    assert place.champions == left
    assert place.alias is None
    promote_passed_candidate(place.deployment, WEEKS[1], actor="airflow")
    assert place.champions == [("1", WEEKS[3])]
    assert place.alias == "1"
