"""A person names the version that serves; it is pinned; who cannot serve is refused before anything changes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.registered_versions import WEEKS

from tradewind.champion.rollback import PREVIOUS, roll_back_to_version, rollback_candidates
from tradewind.errors import ModelError, UsageError
from tradewind.ledger import holds, pins

# MLflow's own SQL store, under the newest SQLAlchemy.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")


@pytest.fixture
def crowned(place):
    """Version 1 was champion, version 2 is; nothing is scored."""
    place.crown(1, "1")
    place.crown(3, "2", expected_seq=1)
    return place


@pytest.fixture
def two(crowned):
    """As well, and population 5 is scored."""
    crowned.score(WEEKS[5])
    return crowned


def back(place, version: str, reason: str = "scores look wrong", actor: str = "ada"):
    return roll_back_to_version(place.deployment, to_version=version, reason=reason, actor=actor)


def files_of(place, version: str) -> Path:
    with place.registry.folder(place.registry.get(version)) as folder:
        return folder


def test_a_rollback_brings_an_earlier_champion_back_from_the_next_population(two) -> None:
    champion = back(two, "1")
    assert (champion.seq, champion.model_version, champion.effective_from) == (3, "1", WEEKS[6])
    assert (champion.actor, champion.decided_at) == ("ada", None)
    assert champion.evidence["train_partitions"] == [WEEKS[0]]
    assert champion.evidence["replaces"] == "2"
    assert champion.evidence["verdict_key"] == f"{WEEKS[1]}/1/0"
    assert two.alias == "1"
    served = two.ledger.champion_for(two.spec.pipeline, WEEKS[5])
    assert served is not None
    assert served.model_version == "2"


def test_a_rollback_pins_its_version(two) -> None:
    back(two, "1")
    held = pins.current_pin(two.ledger, two.spec.pipeline)
    assert held is not None
    assert (held.subject, held.actor, held.reason) == ("1", "ada", "scores look wrong")


def test_previous_is_the_champion_before_the_present_one(two) -> None:
    assert back(two, PREVIOUS).model_version == "1"
    assert back(two, PREVIOUS, reason="it was the data").model_version == "2"


def test_while_it_is_pinned_a_person_may_go_on_to_another_version(two) -> None:
    back(two, "1")
    assert back(two, "2", actor="bob", reason="it was the data").model_version == "2"
    held = pins.current_pin(two.ledger, two.spec.pipeline)
    assert held is not None
    assert (held.subject, held.actor) == ("2", "bob")
    pins.lift_pin(two.ledger, two.spec.pipeline, reason="fine", actor="bob")
    assert pins.current_pin(two.ledger, two.spec.pipeline) is None


def test_rolling_back_again_adds_nothing(two) -> None:
    first = back(two, "1")
    assert back(two, "1") == first
    assert len(two.champions) == 3
    assert len(two.ledger.find(two.spec.pipeline, "pin")) == 1


def test_rolling_back_to_the_champion_only_pins_it(two) -> None:
    back(two, "2", reason="keep it")
    assert len(two.champions) == 2
    held = pins.current_pin(two.ledger, two.spec.pipeline)
    assert held is not None
    assert (held.subject, held.reason) == ("2", "keep it")


def test_a_candidate_that_passed_and_was_never_promoted_may_be_named(two) -> None:
    two.judge(WEEKS[4], "3", expected_seq=2)
    assert back(two, "3").evidence["verdict_key"] == f"{WEEKS[4]}/3/2"


def test_a_version_that_its_verdict_rejected_or_that_nobody_knows_is_refused_with_those_that_may(two) -> None:
    two.judge(WEEKS[4], "3", expected_seq=2, outcome="rejected")
    with pytest.raises(UsageError, match=r"version 3 was rejected by its verdict \(gates\); versions .*: 1, 2$"):
        back(two, "3")
    with pytest.raises(UsageError, match=r"version 9 never was champion and has no verdict; versions .*: 1, 2$"):
        back(two, "9")
    assert rollback_candidates(two.spec, two.ledger) == ["1", "2"]


def test_a_version_whose_files_are_gone_is_refused_before_it_is_champion(two) -> None:
    shutil.rmtree(files_of(two, "1"))
    with pytest.raises(ModelError, match=r"version 1 cannot serve, so version 2 stays champion: .*files are not at"):
        back(two, "1")
    assert len(two.champions) == 2
    assert pins.current_pin(two.ledger, two.spec.pipeline) is None


def test_a_version_that_does_not_load_is_refused_before_it_is_champion(two) -> None:
    (files_of(two, "1") / "model.pkl").write_bytes(b"rotten")
    with pytest.raises(ModelError, match="version 1 cannot serve"):
        back(two, "1")
    assert len(two.champions) == 2


def test_a_rollback_needs_a_reason_and_a_pipeline_that_lives(two) -> None:
    with pytest.raises(UsageError, match="needs a reason"):
        back(two, "1", reason=" ")
    holds.record_decommission(two.ledger, two.spec.pipeline, reason="replaced", actor="ann")
    with pytest.raises(UsageError, match="decommissioned by ann"):
        back(two, "1")


def test_where_nobody_ever_was_champion_there_is_nothing_to_roll_back(place) -> None:
    with pytest.raises(UsageError, match="never had a champion"):
        back(place, "1")


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize(
    ("point", "left"), [("between-champion-and-pin", (2, None)), ("after-ledger-before-alias", (3, "1"))]
)
@pytest.mark.parametrize("to_version", ["1", PREVIOUS])
def test_a_rollback_that_is_killed_leaves_champion_and_pin_as_one_and_heals_by_asking_again(
    crowned, killed_at, point: str, left, to_version: str
) -> None:
    asked = {"to_version": to_version, "reason": "scores look wrong", "actor": "ada"}
    killed_at(point, roll_back_to_version, crowned, **asked)
    held = pins.current_pin(crowned.ledger, crowned.spec.pipeline)
    assert (len(crowned.champions), held and held.subject) == left
    back(crowned, to_version)
    assert [len(crowned.champions), crowned.alias] == [3, "1"]
    assert pins.current_pin(crowned.ledger, crowned.spec.pipeline).subject == "1"


def test_lifting_a_pin_needs_a_reason_and_a_pin(two) -> None:
    with pytest.raises(UsageError, match="nobody pinned the champion"):
        pins.lift_pin(two.ledger, two.spec.pipeline, reason="x", actor="ann")
    back(two, "1")
    with pytest.raises(UsageError, match="needs a reason"):
        pins.lift_pin(two.ledger, two.spec.pipeline, reason="", actor="ann")
