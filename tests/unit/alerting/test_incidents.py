from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tradewind.alerting import incidents
from tradewind.alerting.incident_history import Incident
from tradewind.ledger.journal import Ledger

WEEKS = ("2013-01-28", "2013-02-04")


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(f"sqlite:///{tmp_path}/ledger.db")


@pytest.fixture
def alerts() -> Iterator[list[logging.LogRecord]]:
    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(record)

    records: list[logging.LogRecord] = []
    handler = Keep()
    logger = logging.getLogger("tradewind.incidents")
    logger.addHandler(handler)
    yield records
    logger.removeHandler(handler)


def fail(ledger: Ledger, partition: str | None = WEEKS[0], **about: Any) -> Incident | None:
    run = about.pop("run_id", f"run {partition}")
    task = about.pop("task", "flights")
    failure = {
        "error_type": "MissingInput",
        "message": "2013-01-28.csv is not there",
        "link": "https://log",
        "owner": "ops",
        **about,
    }
    return incidents.report_failure(
        ledger, pipeline="flights", stage="etl", task=task, partition=partition, run_id=run, **failure
    )


def test_a_new_problem_alerts_with_what_evidence_and_what_to_do(
    ledger: Ledger, alerts: list[logging.LogRecord]
) -> None:
    assert fail(ledger, runbook="https://wiki/flights")
    (alert,) = alerts
    line = alert.getMessage()
    assert alert.levelno == logging.ERROR
    assert line.startswith(
        "INCIDENT pipeline=flights stage=etl task=flights partition=2013-01-28 error=MissingInput owner=ops "
    )
    assert 'what="2013-01-28.csv is not there" evidence="https://log" do="have the named file delivered' in line
    assert "tradewind backfill flights --from 2013-01-28 --to 2013-01-28" in line
    assert line.endswith('(runbook: https://wiki/flights)"')


def test_what_is_about_no_partition_asks_nobody_to_run_one_again(
    ledger: Ledger, alerts: list[logging.LogRecord]
) -> None:
    fail(ledger, None, error_type="ModelError", message="version 2 is gone; `tradewind rollback flights`")
    assert "do what it says" in alerts[0].getMessage()
    assert "backfill" not in alerts[0].getMessage()


def test_an_alert_is_one_line_whatever_the_message(ledger: Ledger, alerts: list[logging.LogRecord]) -> None:
    fail(ledger, message='two\nlines and a "quote"')
    assert alerts[0].getMessage().count("\n") == 0


def test_more_failures_of_one_cause_are_one_incident_and_one_alert(
    ledger: Ledger, alerts: list[logging.LogRecord]
) -> None:
    fail(ledger, WEEKS[0])
    assert fail(ledger, WEEKS[1], message="2013-02-04.csv is not there") is None
    (incident,) = incidents.open_incidents(ledger, "flights")
    assert (incident.occurrences, incident.partitions) == (2, WEEKS)
    assert incident.fingerprint == "flights/etl/flights/MissingInput"
    assert incident.message == "2013-01-28: 2013-01-28.csv is not there\n2013-02-04: 2013-02-04.csv is not there"
    assert incident.first < incident.last
    assert len(alerts) == 1


def test_a_callback_that_comes_twice_adds_nothing(ledger: Ledger, alerts: list[logging.LogRecord]) -> None:
    for _ in range(2):
        fail(ledger, attempt=2)
    assert len(ledger.find("flights", "incident")) == len(alerts) == 1


def test_another_error_is_another_incident(ledger: Ledger, alerts: list[logging.LogRecord]) -> None:
    fail(ledger)
    fail(ledger, WEEKS[1], error_type="TransformError")
    assert len(incidents.open_incidents(ledger, "flights")) == len(alerts) == 2


def test_what_the_dag_says_after_its_task_adds_nothing(ledger: Ledger) -> None:
    fail(ledger)
    assert fail(ledger, task=None, error_type="RunFailed") is None
    assert len(ledger.find("flights", "incident")) == 1


def test_a_dag_whose_task_was_killed_speaks_for_it_once(ledger: Ledger, alerts: list[logging.LogRecord]) -> None:
    for _ in range(2):
        fail(ledger, task=None, error_type="RunFailed")
    assert [incident.task for incident in incidents.open_incidents(ledger, "flights")] == [""]
    assert len(alerts) == 1


def test_an_incident_closes_when_its_last_partition_succeeds(ledger: Ledger) -> None:
    for week in WEEKS:
        fail(ledger, week)
    assert incidents.close_stage_incidents(ledger, "flights", "etl", WEEKS[0]) == []
    assert [incident.partitions for incident in incidents.open_incidents(ledger, "flights")] == [(WEEKS[1],)]
    assert incidents.close_stage_incidents(ledger, "flights", "etl", WEEKS[1]) == ["flights/etl/flights/MissingInput"]
    assert incidents.open_incidents(ledger, "flights") == []


def test_closing_again_adds_nothing(ledger: Ledger) -> None:
    fail(ledger)
    incidents.close_stage_incidents(ledger, "flights", "etl", WEEKS[0])
    assert incidents.close_stage_incidents(ledger, "flights", "etl", WEEKS[0]) == []
    assert len(ledger.find("flights", "incident_closed")) == 1


def test_the_success_of_another_stage_closes_nothing(ledger: Ledger) -> None:
    fail(ledger)
    assert incidents.close_stage_incidents(ledger, "flights", "score", WEEKS[0]) == []
    assert len(incidents.open_incidents(ledger, "flights")) == 1


def test_a_failure_without_a_partition_is_closed_by_any_success_of_its_stage(ledger: Ledger) -> None:
    fail(ledger, None)
    assert len(incidents.close_stage_incidents(ledger, "flights", "etl", WEEKS[1])) == 1


def test_a_problem_that_comes_back_after_it_was_closed_alerts_again(
    ledger: Ledger, alerts: list[logging.LogRecord]
) -> None:
    for attempt in (1, 2):
        assert fail(ledger, attempt=attempt)
        incidents.close_stage_incidents(ledger, "flights", "etl", WEEKS[0])
    fail(ledger, attempt=3)
    (incident,) = incidents.open_incidents(ledger, "flights")
    assert incident.occurrences == 1
    assert len(alerts) == 3


def test_a_cleared_run_that_is_killed_again_alerts_again(ledger: Ledger, alerts: list[logging.LogRecord]) -> None:
    fail(ledger)
    incidents.close_stage_incidents(ledger, "flights", "etl", WEEKS[0])
    for _ in range(2):
        assert fail(ledger, task=None, error_type="RunFailed")
        incidents.close_stage_incidents(ledger, "flights", "etl", WEEKS[0])
    assert len(alerts) == 3


def test_of_processes_that_see_a_problem_at_once_one_alerts(ledger: Ledger, alerts: list[logging.LogRecord]) -> None:
    import threading

    barrier = threading.Barrier(6)

    def one(number: int) -> None:
        barrier.wait()
        fail(ledger, run_id=f"run {number}")

    threads = [threading.Thread(target=one, args=[number]) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(alerts) == 1
    assert incidents.open_incidents(ledger, "flights")[0].occurrences == 6


def test_each_partition_keeps_its_own_message_and_link(ledger: Ledger) -> None:
    fail(ledger, WEEKS[0], message="a.csv is missing", link="https://log/a")
    fail(ledger, WEEKS[1], message="b.csv is missing", link="https://log/b")
    incidents.close_stage_incidents(ledger, "flights", "etl", WEEKS[1])
    (incident,) = incidents.open_incidents(ledger, "flights")
    assert (incident.message, incident.link) == ("a.csv is missing", "https://log/a")
    assert {key: (one.message, one.link) for key, one in incident.by_partition.items()} == {
        WEEKS[0]: ("a.csv is missing", "https://log/a")
    }


def test_partitions_that_say_the_same_say_it_once(ledger: Ledger) -> None:
    for week in WEEKS:
        fail(ledger, week, message="the database is away")
    (incident,) = incidents.open_incidents(ledger, "flights")
    assert incident.message == "the database is away"
    assert incident.by_partition[WEEKS[0]].times == 1


def test_a_partition_that_fails_otherwise_closes_what_it_failed_of_before(ledger: Ledger) -> None:
    for week in WEEKS:
        fail(ledger, week)
    fail(ledger, WEEKS[0], error_type="TransformError", run_id="run 2")
    assert {one.error_type: one.partitions for one in incidents.open_incidents(ledger, "flights")} == {
        "MissingInput": (WEEKS[1],),
        "TransformError": (WEEKS[0],),
    }
    (closed,) = ledger.find("flights", "incident_closed")
    assert closed.reason == "etl of partition 2013-01-28 fails otherwise now: TransformError"


def test_datasets_that_fail_beside_each_other_are_both_open(ledger: Ledger) -> None:
    fail(ledger, task="flights")
    fail(ledger, task="weather", error_type="TransformError")
    assert len(incidents.open_incidents(ledger, "flights")) == 2


def test_another_task_of_a_stage_of_one_thread_takes_the_place_of_the_first(ledger: Ledger) -> None:
    about: dict[str, Any] = {"pipeline": "flights", "stage": "train", "partition": WEEKS[0], "message": ""}
    incidents.report_failure(ledger, **about, task="train", run_id="1", error_type="ModelError")
    incidents.report_failure(ledger, **about, task="decide", run_id="2", error_type="NotReady")
    assert [one.error_type for one in incidents.open_incidents(ledger, "flights")] == ["NotReady"]


def test_a_task_that_fails_says_more_than_that_its_run_was_killed(ledger: Ledger) -> None:
    fail(ledger, task=None, error_type="RunFailed")
    fail(ledger, run_id="run 2")
    assert [one.error_type for one in incidents.open_incidents(ledger, "flights")] == ["MissingInput"]


def test_that_a_run_is_late_is_not_why_it_failed(ledger: Ledger) -> None:
    fail(ledger, task=None, error_type="Overdue", run_id="heartbeat")
    fail(ledger)
    assert len(incidents.open_incidents(ledger, "flights")) == 2


def test_a_message_without_end_is_cut_and_what_is_cut_off_is_counted(
    ledger: Ledger, alerts: list[logging.LogRecord]
) -> None:
    fail(ledger, message="x" * 200_000)
    (incident,) = incidents.open_incidents(ledger, "flights")
    assert incident.message.endswith("x … (198,000 more characters; see the task's log)")
    (entry,) = ledger.find("flights", "incident")
    assert len(entry.reason) < 2100
    assert len(alerts[0].getMessage()) < 2500


def test_the_hint_to_release_is_a_whole_command(ledger: Ledger, alerts: list[logging.LogRecord]) -> None:
    fail(ledger, error_type="AuditFailed")
    assert "`tradewind release flights flights 2013-01-28 --reason TEXT`" in alerts[0].getMessage()


def test_what_is_malformed_may_be_mended_in_the_yaml_too(ledger: Ledger, alerts: list[logging.LogRecord]) -> None:
    fail(ledger, error_type="MalformedInput", message="query.sql on shop_db: there is no column 'temperature'")
    assert "delivered again, or correct the source's `columns` or query" in alerts[0].getMessage()
