"""A training that waits for its window: an incident that names what is missing, once, until it goes on."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from tests.local_runtime import local_runtime

from tradewind.alerting import incidents
from tradewind.alerting.channels import describe_next_step
from tradewind.core.runtime import Runtime
from tradewind.deployment import Deployment
from tradewind.errors import NotReady
from tradewind.lake.cause import Cause
from tradewind.lake.dataset import Lake
from tradewind.ledger import completion, holds, skipped_partitions
from tradewind.ledger.champions import ChampionChange
from tradewind.ledger.journal import Entry, Ledger
from tradewind.monitoring.profile_rows import require_monitor_turn
from tradewind.retraining import window_incident
from tradewind.retraining.training_decision import decide_training
from tradewind.scoring.batch_scoring import score_population
from tradewind.spec.pipeline import Pipeline

DAYS = [f"2013-02-{day:02}" for day in range(1, 15)]
AFTER = datetime(2013, 2, 28, tzinfo=UTC)
Deploy = Callable[..., tuple[Pipeline, Runtime]]


def pipeline(**train: object) -> Pipeline:
    files = {"files": "{landing}/{day}.csv"}
    return Pipeline.model_validate(
        {
            "pipeline": "flights", "owner": "ops", "description": "late?", "partition": "day", "timezone": "UTC",
            "start": DAYS[0], "schedule": "0 6 * * *",
            "datasets": {"raw": {"source": files, "sql": "raw.sql"},
                         "flown": {"inputs": {"raw": {}}, "sql": "flown.sql"}},
            "features": {"definitions": "features.py"},
            "score": {"population": {**files, "sql": "p.sql", "key": "id", "timestamp": "at"}},
            "train": {"window": 3, "test": 1, "service": "v1", "label": {"dataset": "flown", "column": "late"},
                      "model": "model.py:build", **train},
            "gates": [{"metric": "roc_auc", "at_least": 0.6}],
        }
    )  # fmt: skip


@pytest.fixture
def runtime(tmp_path: Path) -> Runtime:
    return local_runtime(tmp_path)


def publish(runtime: Runtime, *days: str, name: str = "flown") -> None:
    dataset = Lake(runtime.lake).dataset("flights", name)
    for day in days:
        staged = dataset.stage(day, pa.table({"id": [day], "late": [True]}).to_reader())
        dataset.publish(staged, cause=Cause({name: day}, "", "1"), run_id="r")


def decided(runtime: Runtime, *days: str, spec: Pipeline | None = None, now: datetime = AFTER) -> str:
    """Decide for each day in order, and return the last outcome."""
    outcome = ""
    for day in days:
        before = DAYS[DAYS.index(day) - 1]
        completion.record_completion(Ledger(runtime.ledger), "flights", "train", before, cause="c")
        outcome = decide_training(Deployment(spec or pipeline(), runtime), day, now=now).outcome
    return outcome


def opened(runtime: Runtime) -> list[incidents.Incident]:
    return incidents.open_incidents(Ledger(runtime.ledger), "flights")


def end(day: str) -> datetime:
    return pipeline().partitioning.bounds(day).end


def test_past_the_patience_it_is_one_incident_that_names_what_is_missing_and_what_to_do(runtime: Runtime) -> None:
    publish(runtime, *DAYS[:4], *DAYS[5:7])
    ledger = Ledger(runtime.ledger)
    incidents.report_failure(
        ledger, pipeline="flights", stage="etl", task="flown", partition=DAYS[4], run_id="r", error_type="MissingInput",
        message=f"there is no file {DAYS[4]}.csv",
    )  # fmt: skip
    for day in DAYS[5:7]:
        assert decided(runtime, day, now=end(day) + timedelta(hours=6)) == "skip"
    assert [one.stage for one in opened(runtime)] == ["etl"]

    late = end(DAYS[5]) + timedelta(hours=49)
    message = window_incident.check_incomplete_window(Deployment(pipeline(), runtime), now=late)
    window_incident.check_incomplete_window(Deployment(pipeline(), runtime), now=late + timedelta(days=1))

    (incident,) = [one for one in opened(runtime) if one.stage == "decide"]
    assert (incident.error_type, incident.occurrences, incident.message) == ("WindowIncomplete", 1, message)
    assert describe_next_step(incident) == "mend, release or skip the named partitions; the next partition then trains"
    assert message == (
        f"flights has a reason to train since partition {DAYS[5]}, in 2 partitions, and its window has not been "
        f"complete for longer than 2d: {DAYS[4]}: there is no file {DAYS[4]}.csv. Mend what is named; or keep a "
        f"partition out that will not come (tradewind skip flights {DAYS[4]} --reason TEXT); or let `train.complete` "
        "ask for fewer partitions than 3"
    )


def test_it_closes_when_training_goes_on(runtime: Runtime) -> None:
    publish(runtime, *DAYS[:4], *DAYS[5:9])
    assert decided(runtime, DAYS[5]) == "skip"
    assert [one.stage for one in opened(runtime)] == ["decide"]
    assert decided(runtime, DAYS[6]) == "skip"
    assert [one.stage for one in opened(runtime)] == ["decide"]
    assert decided(runtime, DAYS[7]) == "train"
    assert opened(runtime) == []


def test_it_closes_when_what_was_missing_has_come(runtime: Runtime) -> None:
    publish(runtime, DAYS[3], DAYS[5])
    decided(runtime, DAYS[5])
    assert opened(runtime)
    publish(runtime, DAYS[4])
    assert window_incident.check_incomplete_window(Deployment(pipeline(), runtime), now=AFTER) is None
    assert opened(runtime) == []


def test_enough_partitions_by_the_rule_of_the_yaml_are_trained_and_no_incident(runtime: Runtime) -> None:
    publish(runtime, DAYS[3], DAYS[5])
    assert decided(runtime, DAYS[5], spec=pipeline(complete=2)) == "train"
    (entry,) = Ledger(runtime.ledger).find("flights", "decision")
    assert entry.evidence["absent"] == {DAYS[4]: "flown is not published"}
    assert opened(runtime) == []


def test_fewer_than_the_rule_asks_for_wait(runtime: Runtime) -> None:
    publish(runtime, DAYS[5])
    assert decided(runtime, DAYS[5], spec=pipeline(complete=2)) == "skip"
    (incident,) = opened(runtime)
    assert incident.message.endswith("`train.complete` ask for fewer partitions than 2")


def test_without_a_reason_to_train_nothing_waits(runtime: Runtime) -> None:
    publish(runtime, DAYS[3], DAYS[5])
    Ledger(runtime.ledger).promote(ChampionChange("flights", 0, "flights", "1", DAYS[1], DAYS[1]), expected=0)
    assert decided(runtime, DAYS[5]) == "skip"
    assert opened(runtime) == []


def test_a_pipeline_that_is_younger_than_its_window_misses_nothing(runtime: Runtime) -> None:
    publish(runtime, DAYS[1])
    assert decided(runtime, DAYS[1]) == "skip"
    assert opened(runtime) == []


def began(runtime: Runtime, stage: str, partition: str, *, days: int) -> None:
    at = datetime.now(UTC) - timedelta(days=days)
    Ledger(runtime.ledger).append(
        Entry("flights", "started", stage, partition, f"{stage}/{partition}", evidence={"cause": "c"}, at=at)
    )


@pytest.mark.parametrize("days", [1, 3], ids=["within the patience", "past it"])
def test_a_partition_that_never_gets_done_holds_up_neither_monitoring_nor_decisions_nor_scores_for_ever(
    days: int, runtime: Runtime
) -> None:
    spec, ledger = pipeline(), Ledger(runtime.ledger)
    publish(runtime, *DAYS[:4], *DAYS[5:6])
    began(runtime, "etl", DAYS[4], days=5)  # and failed: nothing else ever comes of this partition
    for stage in ("monitor", "train", "score"):
        began(runtime, stage, DAYS[5], days=days)
        completion.record_completion(ledger, "flights", stage, DAYS[3], cause="c")
    stages: list[Callable[[], object]] = [
        lambda: require_monitor_turn(spec, DAYS[5], ledger),
        lambda: decide_training(Deployment(spec, runtime), DAYS[5]),
        lambda: score_population(Deployment(spec, runtime), DAYS[5]),
    ]
    if days == 1:
        for stage in stages:
            with pytest.raises(NotReady, match=DAYS[4]):
                stage()
        return
    for stage in stages:
        stage()
    told = {
        (note.subject, note.reason.split(":")[0])
        for note in ledger.find("flights", "note")
        if note.outcome == "went on"
    }
    assert told == {(stage, f"went on without partition {DAYS[4]}") for stage in ("monitor", "train", "score")}
    (decision,) = ledger.find("flights", "decision")
    assert list(decision.evidence["went_on_without"]) == [DAYS[4]]
    assert DAYS[4] in opened(runtime)[0].message


def test_a_quarantined_partition_is_named_with_how_to_release_it(runtime: Runtime) -> None:
    publish(runtime, DAYS[3], DAYS[5])
    raw = Lake(runtime.lake).dataset("flights", "raw")
    raw.quarantine(raw.stage(DAYS[4], pa.table({"id": ["x"]}).to_reader()), reasons=["3 of 9 ids are NULL"])
    decided(runtime, DAYS[5])
    (incident,) = opened(runtime)
    released = f"tradewind release flights raw {DAYS[4]} --reason TEXT"
    assert f"{DAYS[4]}: raw is in quarantine (3 of 9 ids are NULL; to publish it all the same: {released})" in (
        incident.message
    )


def test_a_partition_that_never_ran_or_is_held_or_skipped_is_named_as_that(runtime: Runtime) -> None:
    ledger = Ledger(runtime.ledger)
    publish(runtime, DAYS[5])
    decided(runtime, DAYS[5])
    (incident,) = opened(runtime)
    assert f"{DAYS[4]}: flown is not published, its etl never ran; start flights__etl with this key" in incident.message
    completion.record_start(ledger, "flights", "etl", DAYS[4], cause="")
    skipped_partitions.skip_partition(ledger, "flights", DAYS[3], reason="strike", actor="ann")
    message = window_incident.check_incomplete_window(Deployment(pipeline(), runtime), now=AFTER)
    assert message is not None
    assert (
        f"{DAYS[3]} is left out: strike (skipped by ann); {DAYS[4]}: flown is not published, its etl began" in message
    )
    holds.hold_pipeline(ledger, "flights", reason="move", actor="bob")
    message = window_incident.check_incomplete_window(Deployment(pipeline(), runtime), now=AFTER)
    assert message is not None
    assert f"{DAYS[4]} is held" in message
