"""Versions that nobody needs are packed beside their evidence, safely, once, and come back when asked for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.registered_versions import WEEKS

from tradewind.champion.rollback import roll_back_to_version
from tradewind.errors import ModelError
from tradewind.ledger import holds, shadows
from tradewind.ledger.journal import Entry
from tradewind.registry.archive import (
    ARCHIVED,
    archive_registered_model,
    find_archive_entry,
    has_version_files,
    list_model_versions,
    restore_version,
)
from tradewind.registry.model_registry import ALIAS
from tradewind.retraining.train_stage import settle_training
from tradewind.upkeep.archiving import archive_old_versions
from tradewind.upkeep.retention import needed_model_versions

# MLflow's own SQL store, under the newest SQLAlchemy.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")
LATER = datetime.now(UTC) + timedelta(days=400)


@pytest.fixture
def old(place):
    """Version 2 is champion, 1 was before it, 3 was rejected."""
    place.crown(1, "1")
    place.judge(WEEKS[2], "3", expected_seq=1, outcome="rejected")
    place.crown(3, "2", expected_seq=1)
    return place


def archived(place, *, now: datetime = LATER, dry_run: bool = False) -> list[str]:
    return [one.version for one in archive_old_versions(place.deployment, now=now, dry_run=dry_run)]


def files(place, version: str) -> dict[str, bytes]:
    folder = Path(place.runtime.lake).parent / "models" / version
    return {path.name: path.read_bytes() for path in folder.glob("*")} if folder.exists() else {}


def test_what_nobody_needs_is_packed_and_its_evidence_stays(old) -> None:
    before = old.registry.get("3")
    assert archived(old) == ["3"]
    assert files(old, "3") == {}
    assert not has_version_files(before, old.runtime)
    version = old.registry.get("3")
    assert version.tags[ARCHIVED].endswith("not needed since")
    assert {name: value for name, value in version.tags.items() if name != ARCHIVED} == before.tags
    assert [one.path for one in old.registry.client.list_artifacts(version.mlflow_run_id, "archive")] == [
        "archive/model.tar.xz"
    ]
    (entry,) = old.ledger.find(old.spec.pipeline, "archived")
    assert (entry.subject, set(entry.evidence["files"])) == ("3", {"MLmodel", "model.pkl"})


def test_the_champion_and_the_one_before_are_never_archived(old) -> None:
    archived(old)
    assert set(needed_model_versions(old.deployment)) == {"1", "2"}
    assert files(old, "1")
    assert files(old, "2")


def test_a_version_is_kept_for_as_long_as_the_yaml_says(old) -> None:
    assert archived(old, now=datetime.now(UTC) + timedelta(days=364)) == []


def test_looking_only_says_what_would_be_packed(old) -> None:
    assert archived(old, dry_run=True) == ["3"]
    assert files(old, "3")
    assert old.ledger.find(old.spec.pipeline, "archived") == []


def test_archiving_again_does_nothing(old) -> None:
    archived(old)
    assert archived(old) == []
    assert len(old.ledger.find(old.spec.pipeline, "archived")) == 1


def test_who_made_a_prediction_that_is_kept_is_not_archived(old) -> None:
    old.score(WEEKS[4], version="3")
    assert archived(old) == []


def test_the_shadow_and_who_waits_for_an_answer_are_not_archived(old) -> None:
    name = old.spec.pipeline
    shadows.record_shadow_begin(
        old.ledger, name, WEEKS[4], version="3", populations=[WEEKS[6]], judged_at=WEEKS[6], verdict_key="k"
    )
    assert needed_model_versions(old.deployment)["3"] == "it is the shadow"
    begun = shadows.standing_shadow(old.ledger, name)
    assert begun is not None
    shadows.record_shadow_end(old.ledger, begun, WEEKS[6], outcome="rejected", reason="r")
    assert archived(old, dry_run=True) == ["3"]
    settle_training(old.deployment, WEEKS[5], outcome="rejected")
    answer = {"verdict_key": "another"}
    old.ledger.append(Entry(name, "approval", "promotion", WEEKS[5], "a", "rejected", evidence=answer))
    old.judge(WEEKS[5], "3", expected_seq=2)  # another time, and passed
    settle_training(old.deployment, WEEKS[5], outcome="waits for approval")
    assert archived(old) == []


def test_a_version_of_somebody_else_is_left_alone(old) -> None:
    old.registry.client.delete_model_version_tag(old.spec.model_name, "3", "tradewind.cause")
    assert archived(old) == []


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_kill_after_the_pack_loses_nothing_and_the_next_upkeep_ends_it(old, killed_at) -> None:
    killed_at("after-pack-before-removal", archive_old_versions, old, now=LATER)
    assert files(old, "3")
    assert archived(old) == ["3"]
    assert files(old, "3") == {}
    assert len(old.ledger.find(old.spec.pipeline, "archived")) == 1


def test_rolling_back_to_an_archived_version_brings_its_files_back(old) -> None:
    old.judge(WEEKS[4], "3", expected_seq=2)  # judged anew, and passed
    was = files(old, "3")
    old.judge(WEEKS[5], "2", expected_seq=2)
    archived(old)
    assert files(old, "3") == {}
    roll_back_to_version(old.deployment, to_version="3", reason="the only good one", actor="ada")
    assert files(old, "3") == was
    assert ARCHIVED not in old.registry.get("3").tags
    assert find_archive_entry(old.ledger, old.spec.pipeline, "3") is None
    assert archived(old) == []
    assert old.alias == "3"


def test_a_pack_that_is_not_what_was_packed_is_refused(old) -> None:
    old.judge(WEEKS[4], "3", expected_seq=2)
    archived(old)
    run = old.registry.client.get_run(old.registry.get("3").mlflow_run_id)
    Path(run.info.artifact_uri.removeprefix("file://"), "archive", "model.tar.xz").write_bytes(b"something else")
    with pytest.raises(ModelError, match=r"version 3 cannot serve.*not what was packed"):
        roll_back_to_version(old.deployment, to_version="3", reason="x", actor="ada")
    assert old.champions[-1][0] == "2"


def test_what_is_not_archived_needs_no_restoring(old) -> None:
    assert not restore_version(old.deployment, old.registry.get("1"))


def test_what_is_decommissioned_stays_to_be_looked_at_and_serves_nobody(old) -> None:
    name = old.spec.model_name
    old.edit_alias("2")
    assert (
        archive_registered_model(name, old.runtime, reason="replaced")
        == ["1", "2", "3"]
        == list_model_versions(name, old.runtime)
    )
    assert old.alias is None
    told = old.registry.get("2").tags[ARCHIVED]
    assert told.endswith(": replaced")
    archive_registered_model(name, old.runtime, reason="again")
    assert old.registry.get("2").tags[ARCHIVED] == told
    assert files(old, "2")
    assert archive_registered_model("nobody", old.runtime, reason="x") == []
    holds.record_decommission(old.ledger, old.spec.pipeline, reason="replaced", actor="ann")
    assert ALIAS not in old.registry.client.get_registered_model(name).aliases
