"""``rollback`` and ``unpin``, and what ``history`` tells of champions, pins, shadows and archives at any time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.registered_versions import Place, register
from tests.unit.cli.conftest import Project

from tradewind.ledger import pins, shadows
from tradewind.ledger.champions import ChampionChange
from tradewind.ledger.journal import Entry

# MLflow's own SQL store, under the newest SQLAlchemy.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")
NOON = datetime(2013, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def served(shop: Project) -> Place:
    """Version 1 was champion of the shop, version 2 is."""
    place = Place(shop.spec, shop.runtime)
    register(place, number=2, folder=Path(shop.runtime.lake).parent / "models")
    for number, day in ((1, "2013-01-28"), (2, "2013-01-29")):
        place.judge(day, str(number), expected_seq=number - 1)
        evidence = {"verdict_key": f"{day}/{number}/{number - 1}"}
        change = ChampionChange(
            "shop", 0, "shop", str(number), f"2013-01-{29 + number}", day, "gates", evidence=evidence
        )
        place.ledger.promote(change, expected=number - 1)
    return place


def test_a_person_rolls_back_and_lifts_the_pin(shop: Project, served: Place) -> None:
    told = shop.told("rollback", "shop", "--to", "previous", "--reason", "odd scores", "--by", "ann")
    assert "version 1 of shop is champion from population 2013-01-31 on" in told
    assert "tradewind unpin shop --reason TEXT" in told
    assert served.alias == "1"
    again = shop.answer("rollback", "shop", "--to", "1", "--reason", "odd scores", "--by", "ann")
    assert (again["version"], again["effective_from"], again["change"]) == ("1", "2013-01-31", 3)
    assert "versions that one can roll back to: 1, 2" in shop.error("rollback", "shop", "--to", "7", "--reason", "x")
    told = shop.told("unpin", "shop", "--reason", "it was the data", "--by", "bob")
    assert "ann had pinned version 1" in told
    assert "nobody pinned" in shop.error("unpin", "shop", "--reason", "x")
    story = " ".join(shop.told("history", "shop").split())
    assert "version 1 pinned by ann: odd scores" in story
    assert "version 1 pinned no more, by bob: it was the data" in story
    assert "version 1 is champion from population 2013-01-31 on, by ann: rollback: odd scores" in story


def test_a_reason_is_asked_for(shop: Project) -> None:
    for command in (("rollback", "shop", "--to", "1"), ("unpin", "shop")):
        assert shop.command(*command).exit_code == 2


@pytest.fixture
def past(shop: Project) -> Project:
    """Hours after noon: 1 a champion, 2 another, 3 a pin, 4 a shadow, 5 the pin lifted, 6 the shadow rejected."""

    def write(hour: int, kind, subject: str, key: str, outcome: str, reason: str, **more) -> None:
        at = NOON + timedelta(hours=hour)
        shop.ledger.append(
            Entry("shop", kind, subject, "2013-01-29", key, outcome, reason, more, actor="ann", at=at)
        )  # fmt: skip

    for hour, version in ((1, "1"), (2, "2")):
        write(hour, "verdict", version, f"v{version}", "passed", "2 of 2 gate results pass", basis="test")
        at = NOON + timedelta(hours=hour)
        change = ChampionChange(
            "shop", 0, "shop", version, f"2013-01-3{version}", f"2013-01-2{version}", "gates", "bob", at=at,
            evidence={"verdict_key": f"v{version}"},
        )  # fmt: skip
        shop.ledger.promote(change, expected=hour - 1)
    write(3, "pin", "2", "0", "pinned", "odd candidates")
    write(4, "shadow", "3", "s", shadows.BEGAN, "predicts populations a … b", populations=["a"], judged_at="b")
    write(5, "unpin", "2", "0", "lifted", "fine")
    write(6, "shadow", "3", "s/rejected", "rejected", "too few rows", began="s")
    return shop


@pytest.mark.parametrize(
    ("hour", "then"),
    [
        (0, {"champion": "none"}),
        (1, {"champion": "version 1, from population 2013-01-31 on, since 2013-03-01, by bob: gates"}),
        (2, {"champion": "version 2, from population 2013-01-32 on, since 2013-03-01, by bob: gates"}),
        (3, {"pinned": "by ann: odd candidates"}),
        (4, {"pinned": "by ann: odd candidates", "shadow": "version 3: predicts populations a … b"}),
        (5, {"shadow": "version 3: predicts populations a … b"}),
        (6, {"verdict": "passed at 2013-01-29, on test rows: 2 of 2 gate results pass"}),
    ],
)
def test_history_says_who_was_champion_at_any_time(past: Project, hour: int, then: dict[str, str]) -> None:
    at = (NOON + timedelta(hours=hour, minutes=30)).isoformat()
    found = past.answer("history", "shop", "--at", at)["then"]
    assert then.items() <= found.items()
    assert ("pinned" in found, "shadow" in found) == (3 <= hour < 5, 4 <= hour < 6)
    assert ("verdict" in found) == (hour > 0)


def test_history_at_a_time_says_it_in_words_too(past: Project) -> None:
    told = past.told("history", "shop", "--at", (NOON + timedelta(hours=4, minutes=1)).isoformat())
    assert "  pinned    by ann: odd candidates" in told
    assert "  shadow    version 3: predicts populations a … b" in told


def test_every_kind_is_told_in_words(shop: Project) -> None:
    for number, (kind, outcome) in enumerate(
        [("early", "rejected"), ("archived", "archived"), ("restored", "restored"), ("reproduced", "identical"),
         ("promotion", "pinned"), ("shadow", "failed"), ("shadow", "replaced"), ("shadow", "passed")]
    ):  # fmt: skip
        shop.ledger.append(Entry("shop", kind, "4", None, f"k{number}", outcome, "the reason"))
    for outcome in ("edited", "repaired", "aliased"):
        shop.ledger.append(Entry("shop", "note", "alias", None, f"n{outcome}", outcome, "the reason"))
    shop.ledger.append(Entry("shop", "decision", "train", "2013-01-29", "d", "judge", "labels are due"))
    shop.ledger.append(Entry("shop", "approval", "promotion", "2013-01-29", "a", "rejected", "no", {"version": "4"}))
    assert [line[18:].strip() for line in shop.told("history", "shop").splitlines()] == [
        "candidate not worth continuing: the reason",
        "version 4 archived, its evidence stays: the reason",
        "version 4 brought back from the archive: the reason",
        "version 4 reproduced, identical: the reason",
        "version 4 not promoted, pinned: the reason",
        "shadow 4 predicted nothing of this population: the reason",
        "shadow 4 replaced: the reason",
        "shadow 4 passed: the reason",
        "alias edited in MLflow and put back: the reason",
        "alias repaired: the reason",
        "2013-01-29     to judge the shadow: labels are due",
        "2013-01-29     promotion of version 4 rejected by local: no",
    ]
    assert pins.current_pin(shop.ledger, "shop") is None
