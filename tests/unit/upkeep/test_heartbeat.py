"""What should be complete by now, and what is said when it is not."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.local_runtime import local_runtime

from tradewind.alerting import incidents
from tradewind.core.runtime import Runtime
from tradewind.deployment import Deployment
from tradewind.ledger import completion, holds, skipped_partitions
from tradewind.ledger.journal import Ledger
from tradewind.spec.pipeline import Pipeline
from tradewind.upkeep.heartbeat import MOST, completion_deadline, find_overdue_partitions, report_overdue_stages

DAYS = [f"2013-02-{day:02}" for day in range(1, 11)]
# The run of 10 February starts on the 11th at 06:00; all its stages have until 10:00.
NOW = datetime(2013, 2, 11, 12, tzinfo=UTC)
STAGES = ("etl", "features", "monitor", "train", "score")


def pipeline(*parts: str, **fields: Any) -> Pipeline:
    """A daily pipeline; of the stages after etl it has those that are named, or all."""
    files = {"files": "{landing}/{day}.csv"}
    given = {
        "features": {"definitions": "features.py"},
        "score": {"population": {**files, "sql": "p.sql", "key": "id", "timestamp": "at"}},
        "train": {
            "window": 3,
            "test": 1,
            "service": "v1",
            "label": {"dataset": "flown", "column": "late"},
            "model": "model.py:build",
        },
        "monitor": {"performance": {"metric": "roc_auc", "at_least": 0.66}},
    }
    about = {
        "pipeline": "flights",
        "owner": "ops",
        "description": "late?",
        "partition": "day",
        "timezone": "UTC",
        "start": DAYS[0],
        "schedule": "0 6 * * *",
        "datasets": {"flown": {"source": files, "sql": "flown.sql"}},
    }
    stages = {name: part for name, part in given.items() if not parts or name in parts}
    return Pipeline.model_validate({**about, **stages, **fields})


@pytest.fixture
def runtime(tmp_path: Path) -> Runtime:
    return local_runtime(tmp_path)


@pytest.fixture
def ledger(runtime: Runtime) -> Ledger:
    return Ledger(runtime.ledger)


def complete(ledger: Ledger, stages: tuple[str, ...], days: list[str]) -> None:
    for stage in stages:
        for day in days:
            completion.record_completion(ledger, "flights", stage, day, cause="c")


def opened(ledger: Ledger) -> dict[str, tuple[str, ...]]:
    return {incident.stage: incident.partitions for incident in incidents.open_incidents(ledger, "flights")}


def test_nothing_is_said_when_all_is_complete(runtime: Runtime, ledger: Ledger) -> None:
    complete(ledger, STAGES, DAYS)
    assert report_overdue_stages(Deployment(pipeline(), runtime), now=NOW) is None
    assert opened(ledger) == {}


def test_every_partition_since_the_last_complete_one_is_named_in_one_incident(runtime: Runtime, ledger: Ledger) -> None:
    complete(ledger, STAGES, DAYS[:7])
    found = report_overdue_stages(Deployment(pipeline(), runtime), now=NOW)
    assert found is not None
    assert "etl of 3 partitions 2013-02-08, 2013-02-09, 2013-02-10 should be complete" in found
    assert opened(ledger) == {"etl": ("2013-02-08", "2013-02-09", "2013-02-10")}


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_of_the_yaml_is_watched_under_its_own_name(runtime: Runtime, ledger: Ledger, stage: str) -> None:
    complete(ledger, STAGES, DAYS[:8])
    others = tuple(other for other in STAGES if other != stage)
    complete(ledger, others, DAYS[8:])
    report_overdue_stages(Deployment(pipeline(), runtime), now=NOW)
    assert opened(ledger) == {stage: ("2013-02-09", "2013-02-10")}
    (incident,) = incidents.open_incidents(ledger, "flights")
    assert (incident.fingerprint, incident.owner) == (f"flights/{stage}/-/Overdue", "ops")
    assert f"look for a run of flights__{stage} with each key" in incident.message


def test_a_stage_is_not_late_while_the_one_before_it_is(runtime: Runtime, ledger: Ledger) -> None:
    complete(ledger, STAGES, DAYS[:8])
    complete(ledger, ("etl",), DAYS[8:])
    complete(ledger, ("features", "score"), DAYS[8:9])
    report_overdue_stages(Deployment(pipeline(), runtime), now=NOW)
    assert opened(ledger) == {"features": ("2013-02-10",), "monitor": ("2013-02-09",)}


def test_training_follows_features_where_nothing_is_monitored(runtime: Runtime, ledger: Ledger) -> None:
    spec = pipeline("features", "score", "train")
    complete(ledger, ("etl", "features", "score"), DAYS)
    complete(ledger, ("train",), DAYS[:9])
    report_overdue_stages(Deployment(spec, runtime), now=NOW)
    assert opened(ledger) == {"train": ("2013-02-10",)}


def test_stages_that_the_yaml_lacks_are_not_missed(runtime: Runtime, ledger: Ledger) -> None:
    complete(ledger, ("etl", "features"), DAYS)
    assert report_overdue_stages(Deployment(pipeline("features"), runtime), now=NOW) is None


def test_looking_again_adds_nothing_and_a_further_partition_does(
    runtime: Runtime, ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    complete(ledger, STAGES, DAYS[:9])
    with caplog.at_level(logging.ERROR, logger="tradewind.incidents"):
        for now in (NOW, NOW + timedelta(hours=1), NOW + timedelta(days=1)):
            report_overdue_stages(Deployment(pipeline(), runtime), now=now)
    assert opened(ledger) == {"etl": ("2013-02-10", "2013-02-11")}
    assert len(ledger.find("flights", "incident")) == 2
    assert len([record for record in caplog.records if "INCIDENT" in record.getMessage()]) == 1


def test_a_partition_that_completes_leaves_the_incident_to_the_others(runtime: Runtime, ledger: Ledger) -> None:
    complete(ledger, STAGES, DAYS[:8])
    report_overdue_stages(Deployment(pipeline(), runtime), now=NOW)
    incidents.close_stage_incidents(ledger, "flights", "etl", "2013-02-09")
    assert opened(ledger) == {"etl": ("2013-02-10",)}
    incidents.close_stage_incidents(ledger, "flights", "etl", "2013-02-10")
    assert opened(ledger) == {}


def test_only_so_many_partitions_are_named(runtime: Runtime, ledger: Ledger) -> None:
    complete(ledger, STAGES, DAYS[:1])
    found = report_overdue_stages(Deployment(pipeline(), runtime), now=NOW + timedelta(days=100))
    assert found is not None
    assert f"etl of {MOST} or more partitions" in found
    assert found.count("2013-") == MOST + 1


def test_a_partition_is_due_at_the_tick_after_its_end_and_the_deadline() -> None:
    spec = pipeline(timezone="America/New_York", alerts={"deadline": "2h"})
    assert completion_deadline(spec, "etl", "2013-02-10") == datetime(2013, 2, 11, 13, tzinfo=UTC)
    assert completion_deadline(pipeline(), "etl", "2013-02-10") == datetime(2013, 2, 11, 7, tzinfo=UTC)


def test_each_stage_has_its_time_after_the_one_before() -> None:
    hours = {stage: completion_deadline(pipeline(), stage, "2013-02-10").hour for stage in STAGES}
    assert hours == {"etl": 7, "features": 8, "monitor": 9, "score": 9, "train": 10}


def test_training_that_asks_people_has_the_time_that_they_have() -> None:
    asking = {"mode": "approval", "approvers": ["ana"], "timeout": "24h"}
    later = completion_deadline(pipeline(promotion=asking), "train", "2013-02-10") - completion_deadline(
        pipeline(), "train", "2013-02-10"
    )
    assert later == timedelta(hours=24)


@pytest.mark.parametrize(
    ("hours", "late"), [(6.9, ["2013-02-08", "2013-02-09"]), (7, ["2013-02-08", "2013-02-09", "2013-02-10"])]
)
def test_what_is_not_due_yet_is_not_overdue(hours: float, late: list[str]) -> None:
    now = datetime(2013, 2, 11, tzinfo=UTC) + timedelta(hours=hours)
    assert find_overdue_partitions(pipeline(), "etl", set(DAYS[:7]), now=now) == late


def test_nothing_outside_the_pipelines_range_is_overdue() -> None:
    spec = pipeline(end="2013-02-04")
    assert find_overdue_partitions(spec, "etl", set(DAYS[:1]), now=NOW) == DAYS[1:3]
    assert find_overdue_partitions(spec, "etl", set(DAYS[:3]), now=NOW) == []
    assert find_overdue_partitions(spec, "etl", set(), now=datetime(2013, 2, 1, 12, tzinfo=UTC)) == []


def test_while_nothing_is_complete_only_the_newest_is_expected() -> None:
    assert find_overdue_partitions(pipeline(), "etl", set(), now=NOW) == DAYS[-1:]


def test_a_pipeline_that_ended_long_ago_is_history_that_somebody_may_replay() -> None:
    spec = pipeline(end="2013-02-04")
    assert find_overdue_partitions(spec, "etl", set(DAYS[:1]), now=NOW + timedelta(days=MOST)) == []


def test_nothing_is_late_while_a_person_holds_the_pipeline(runtime: Runtime, ledger: Ledger) -> None:
    complete(ledger, STAGES, DAYS[:7])
    holds.hold_pipeline(ledger, "flights", reason="the source lies", actor="ann")
    assert report_overdue_stages(Deployment(pipeline(), runtime), now=NOW) is None
    holds.resume_pipeline(ledger, "flights", reason="mended", actor="ann")
    assert report_overdue_stages(Deployment(pipeline(), runtime), now=NOW) is not None


def test_a_partition_that_stays_out_is_not_late_and_hides_no_other(runtime: Runtime, ledger: Ledger) -> None:
    complete(ledger, STAGES, DAYS[:7])
    skipped_partitions.leave_out(ledger, "flights", DAYS[8], dataset="flown", reason="no file")
    skipped_partitions.skip_partition(ledger, "flights", DAYS[9], reason="strike", actor="ann")
    report_overdue_stages(Deployment(pipeline(), runtime), now=NOW)
    assert opened(ledger) == {"etl": (DAYS[7],)}
