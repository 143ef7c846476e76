"""Alias, tags and card follow the ledger: a crash is repaired, an edit is put back and said, what is gone is said."""

from __future__ import annotations

import shutil

import pytest
from tests.registered_versions import WEEKS

from tradewind.champion.alias_and_card import ALIASED, CARDED, reconcile_alias_and_card, update_alias_and_card
from tradewind.champion.promotion import promote_passed_candidate
from tradewind.ledger import holds
from tradewind.ledger.journal import Ledger
from tradewind.registry.model_registry import ALIAS

# MLflow's own SQL store, under the newest SQLAlchemy.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")


@pytest.fixture
def served(place):
    """Version 2 is champion."""
    place.judge(WEEKS[1], "2")
    promote_passed_candidate(place.deployment, WEEKS[1], actor="airflow")
    return place


def notes(place) -> list[str]:
    """What is journalled about the alias."""
    return [entry.outcome for entry in place.ledger.find(place.spec.pipeline, "note", subject="alias")]


def look(place) -> tuple[str, str]:
    found = reconcile_alias_and_card(place.deployment)
    return found.outcome, found.words


def test_what_agrees_is_left_alone(served) -> None:
    assert look(served)[0] == "agreed"
    assert notes(served) == []


def test_an_alias_that_somebody_edited_is_put_back_and_both_versions_are_named(served) -> None:
    served.edit_alias("3")
    outcome, words = look(served)
    assert outcome == "edited"
    assert "version 3 champion" in words
    assert "the ledger says version 2" in words
    assert served.alias == "2"
    assert notes(served) == ["edited"]
    assert look(served)[0] == "agreed"


def test_an_alias_that_somebody_deleted_is_put_back_and_said(served) -> None:
    served.registry.client.delete_registered_model_alias(served.spec.model_name, ALIAS)
    assert look(served)[0] == "edited"
    assert served.alias == "2"


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_what_a_crash_left_is_repaired_and_is_no_edit(place, killed_at) -> None:
    place.judge(WEEKS[1], "2")
    killed_at("after-ledger-before-alias", promote_passed_candidate, place, WEEKS[1], actor="airflow")
    outcome, words = look(place)
    assert outcome == "repaired"
    assert "a crash came between ledger and alias" in words
    assert place.alias == "2"
    assert notes(place) == ["repaired"]


@pytest.mark.parametrize("doing", ["follow", "reconcile"])
def test_a_promotion_that_comes_meanwhile_keeps_its_alias_and_is_nobodys_edit(served, meanwhile, doing) -> None:
    def promoted() -> None:
        served.judge(WEEKS[3], "3", expected_seq=1)
        promote_passed_candidate(served.deployment, WEEKS[3], actor="airflow")

    meanwhile(Ledger, "champions", promoted)
    if doing == "follow":
        update_alias_and_card(served.deployment)
    else:
        assert look(served)[0] == "agreed"
    assert served.alias == "3"
    assert notes(served) == []
    assert look(served)[0] == "agreed"


def test_the_first_champion_that_comes_meanwhile_keeps_its_alias(place, meanwhile) -> None:
    def promoted() -> None:
        place.judge(WEEKS[1], "2")
        promote_passed_candidate(place.deployment, WEEKS[1], actor="airflow")

    meanwhile(Ledger, "champions", promoted)
    assert look(place)[0] == "agreed"
    assert place.alias == "2"


def test_an_alias_without_any_champion_is_taken_away_and_said(place) -> None:
    place.edit_alias("1")
    outcome, words = look(place)
    assert outcome == "edited"
    assert "the ledger knows no champion" in words
    assert place.alias is None
    assert look(place)[0] == "agreed"


def test_a_champion_that_was_deleted_in_mlflow_is_said_with_what_to_do(served) -> None:
    served.registry.client.delete_model_version(served.spec.model_name, "2")
    outcome, words = look(served)
    assert outcome == "broken"
    assert "version 2 is champion" in words
    assert f"tradewind rollback {served.spec.pipeline} --to VERSION" in words


def test_a_registry_that_is_empty_is_said_and_no_crash(served) -> None:
    served.registry.client.delete_registered_model(served.spec.model_name)
    assert look(served)[0] == "broken"


def test_a_champion_without_its_files_is_said(served) -> None:
    with served.registry.folder(served.registry.get("2")) as folder:
        shutil.rmtree(folder)
    outcome, words = look(served)
    assert outcome == "broken"
    assert "its files are not at" in words


def test_what_is_decommissioned_gets_no_alias_again(served) -> None:
    holds.record_decommission(served.ledger, served.spec.pipeline, reason="replaced", actor="ann")
    served.registry.client.delete_registered_model_alias(served.spec.model_name, ALIAS)
    assert look(served)[0] == "agreed"
    assert served.alias is None


def test_a_model_card_that_failed_harms_no_promotion_and_is_tried_again(place) -> None:
    place.judge(WEEKS[1], "2")
    in_the_way = place.runtime.reports / place.spec.pipeline
    in_the_way.parent.mkdir(parents=True, exist_ok=True)
    in_the_way.touch()  # a file where the folder of the cards would be
    promote_passed_candidate(place.deployment, WEEKS[1], actor="airflow")
    assert place.alias == "2"
    told = {entry.outcome for entry in place.ledger.find(place.spec.pipeline, "note")}
    assert told == {ALIASED}
    assert not reconcile_alias_and_card(place.deployment).card
    in_the_way.unlink()
    assert reconcile_alias_and_card(place.deployment).card
    assert place.ledger.get(place.spec.pipeline, "note", key=f"{CARDED}/1") is not None
