"""A fallback replaces no better answers by itself; what the champion did not serve is told until it serves it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from tests.unit.registry.test_version_files import origin  # noqa: F401  # the fixture: two versions, two champions

from tradewind.alerting.incidents import open_incidents
from tradewind.cli.history import _scoring_text, collect_history
from tradewind.cli.show import _served
from tradewind.features import definitions
from tradewind.features.stage import materialisation_cause
from tradewind.ledger import completion, rescores
from tradewind.ledger.champions import ChampionChange
from tradewind.ledger.journal import Entry
from tradewind.planning import population_history, served_populations, stage_items
from tradewind.planning.delivery_digests import DeliveryDigests
from tradewind.registry.model_registry import ModelRegistry
from tradewind.scoring.batch_scoring import score_population
from tradewind.scoring.fallbacks import KIND, published_by
from tradewind.ui.overview import render_overview_page

# MLflow's own SQL store, under the newest SQLAlchemy.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")


@pytest.fixture
def house(origin, tmp_path):  # noqa: F811
    """With a lake, a ledger and deliveries of its own."""
    for name in ("lake", "landing"):
        shutil.copytree(origin.runtime.lake.replace("/lake", f"/{name}"), tmp_path / name)
    shutil.copy(origin.runtime.ledger.removeprefix("sqlite:///"), tmp_path / "ledger.db")
    moved = {
        "lake": str(tmp_path / "lake"), "landing": str(tmp_path / "landing"), "reports": tmp_path / "reports",
        "ledger": f"sqlite:///{tmp_path}/ledger.db",
    }  # fmt: skip
    return replace(origin, runtime=replace(origin.runtime, **moved))


@pytest.fixture
def damage(house) -> Iterator[Callable[..., None]]:
    """Changes a file of each version that is named, and mends the others."""
    registry, kept = ModelRegistry(house.runtime, "delays"), {}

    def change(*versions: str) -> None:
        for version in ("1", "2"):
            with registry.folder(registry.get(version)) as folder:
                file = folder / "requirements.txt"
            kept.setdefault(file, file.read_text())
            file.write_text(kept[file] + ("scikit-learn\n" if version in versions else ""))

    yield change
    change()


def scored(house):
    return score_population(house.deployment, house.week(5))


def state(house) -> tuple[int, str, str]:
    """Version of the table, who served week 6, by which version."""
    snapshot = house.lake.dataset("delays", "predictions").snapshot()
    found = published_by(snapshot, house.week(6))
    return snapshot.version, found.served_by, found.version


def incidents(house) -> list[str]:
    return [one.message for one in open_incidents(house.ledger, "delays") if one.error_type == KIND]


def planned(house) -> tuple[str, list[str]]:
    """State of scoring week 6, and why; features count as complete and unchanged."""
    week = house.week(5)
    snapshots = {name: house.lake.dataset("delays", name).snapshot() for name in house.spec.datasets}
    passed_on = {name: {"digest": snapshot.partitions[week].digest} for name, snapshot in snapshots.items()}
    for stage in ("etl", "features"):
        completion.record_completion(house.ledger, "delays", stage, week, cause=stage, evidence=passed_on)
    completion.record_start(house.ledger, "delays", "features", week, cause="etl")
    completion.record_start(house.ledger, "delays", "score", week, cause="features")
    defined = definitions.load_definitions(house.deployment)
    evidence = {"cause": materialisation_cause(house.spec, defined, "etl"), "definitions": defined.digest}
    house.ledger.append(Entry("delays", "materialised", "features", week, week, evidence=evidence))
    looking = stage_items.examine_stages(house.deployment, [week], datasets=[], deliveries=DeliveryDigests())
    (item,) = [one for one in looking if one.stage == "score"]
    return item.state, [why.text for why in item.why if why.kind == "model"]


def told(house) -> dict[str, str]:
    """What `show`, the overview page and `history` say."""
    found = served_populations.served_populations(house.ledger, "delays")
    history = collect_history(house.ledger.entries("delays"), house.ledger.champions("delays"), everything=True)
    return {
        "show": " ".join("\n".join(_served(found)).split()),
        "page": render_overview_page(house.runtime.ledger),
        "history": "\n".join(one.text for one in history),
    }


def test_what_the_champion_scored_is_not_replaced_by_a_fallback(house, damage) -> None:
    assert scored(house).served_by == "champion"
    before = state(house)
    assert before[1:] == ("champion", "2")
    assert planned(house) == ("current", [])
    assert "served population 2013-03-11 by the champion, version 2" in told(house)["show"]

    damage("2")
    kept = scored(house)
    assert (kept.version, kept.served_by, kept.changed) == ("2", "champion", False)
    assert kept.kept.startswith("population 2013-03-11 stays as the champion, version 2 scored it: only the previous")
    assert "tradewind rescore delays 2013-03-11 --accept-fallback --reason TEXT" in kept.kept
    assert state(house) == before
    (message,) = incidents(house)
    assert "Version 2 cannot serve: delays version 2: its files in" in message
    assert planned(house) == (
        "stale", ["the champion could not serve its population when it ran last; what was published before stays"]
    )  # fmt: skip
    for text in told(house).values():
        assert "stays as the champion, version 2 scored it" in text
    scored(house)
    assert len(incidents(house)) == 1
    asked = population_history.read_population_history(house.ledger, "delays", house.week(6))
    assert "version 2 (champion) stays, since only a fallback could" in _scoring_text("delays", asked.scorings[-1])

    damage()
    assert scored(house).kept == ""
    assert state(house) == before
    assert incidents(house) == []
    assert planned(house) == ("current", [])


def test_of_a_corrected_population_the_old_answers_stay_and_are_said_to_be_old(house, damage, deliver) -> None:
    scored(house)
    before = state(house)
    deliver(house, 6, lambda rows: rows.slice(0, 300))
    damage("2")
    kept = scored(house)
    assert (kept.rows, state(house)) == (400, before)
    assert "what it was scored from has changed since, so it is not up to date" in incidents(house)[0]
    damage()
    done = scored(house)
    assert (done.rows, done.served_by, done.changed, incidents(house)) == (300, "champion", True, [])


def test_a_person_lets_a_fallback_replace_what_is_published_now_and_nothing_later(house, damage) -> None:
    scored(house)
    damage("2")
    scored(house)
    published = published_by(house.lake.dataset("delays", "predictions").snapshot(), house.week(6))
    rescores.accept_fallback(
        house.ledger, "delays", house.week(6), cause=published.cause, replaces=str(published), reason="all the same",
        actor="ann",
    )  # fmt: skip
    done = scored(house)
    assert (done.version, done.served_by, done.changed) == ("1", "previous_champion", True)
    assert "accepted by ann: all the same" in told(house)["history"]
    (message,) = incidents(house)
    assert message.startswith("population 2013-03-11 is served by the previous champion, version 1 and not by the")
    damage()
    assert scored(house).served_by == "champion"
    assert incidents(house) == []
    # Exactly the same is published again: the word of then was for the rows of then.
    damage("2")
    assert scored(house).served_by == "champion"


def test_a_place_in_line_is_replaced_by_those_before_it_and_not_by_those_behind(house, damage) -> None:
    damage("1", "2")
    assert scored(house).served_by == "majority"
    damage("2")
    assert scored(house).served_by == "previous_champion"
    before = state(house)
    damage("1", "2")
    assert (scored(house).served_by, state(house)) == ("previous_champion", before)
    # Nor where the YAML does not name that place any more.
    only = house.with_spec(score=house.spec.score.model_copy(update={"fallback": ("majority",)}))
    assert (scored(only).served_by, state(house)) == ("previous_champion", before)
    damage()
    assert scored(house).served_by == "champion"


def test_a_population_that_a_fallback_serves_is_an_incident_until_the_champion_serves_it(house, damage) -> None:
    damage("1", "2")
    done = scored(house)
    assert (done.served_by, done.kept) == ("majority", "")
    (one,) = open_incidents(house.ledger, "delays")
    assert (one.stage, one.partitions) == ("score", (house.week(5),))
    assert "is served by the majority of version 2's training and not by the champion, version 2" in one.message
    assert planned(house) == ("stale", ["its population is served by majority, and not by the champion"])
    said = told(house)
    assert "NOT BY THE CHAMPION: population 2013-03-11 by the majority of version 2's training" in said["show"]
    assert "by the majority of version 2&#x27;s training, and not by the champion" in said["page"]
    assert "score is complete: population 2013-03-11 by the majority of version 2's" in said["history"]
    damage()
    assert scored(house).served_by == "champion"
    assert incidents(house) == []
    assert planned(house) == ("current", [])


def test_what_an_earlier_champion_scored_stays_when_the_present_one_cannot(house, damage) -> None:
    back = ChampionChange("delays", 0, "delays", "1", house.week(6), None, reason="rollback", evidence={})
    house.ledger.promote(back, expected=2)
    assert scored(house).version == "1"
    before = state(house)
    house.ledger.promote(replace(back, model_version="2", reason="forward"), expected=3)
    damage("2")
    kept = scored(house)
    assert (kept.version, kept.served_by, state(house)) == ("1", "champion", before)
    assert "stays as the champion, version 1 scored it: only the previous champion" in kept.kept
