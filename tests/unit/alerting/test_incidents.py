from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tradewind.alerting import incidents
from tradewind.alerting.incidents import Incident
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
    return incidents.report(
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
    assert incident.message == "2013-02-04.csv is not there"
    assert incident.first < incident.last
    assert len(alerts) == 1


def test_a_callback_that_comes_twice_adds_nothing(ledger: Ledger, alerts: list[logging.LogRecord]) -> None:
    for _ in range(2):
        fail(ledger, attempt=2)
    assert len(ledger.find("flights", "incident")) == len(alerts) == 1


def test_another_error_is_another_incident(ledger: Ledger, alerts: list[logging.LogRecord]) -> None:
    fail(ledger)
    fail(ledger, error_type="TransformError")
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
    assert incidents.close(ledger, "flights", "etl", WEEKS[0]) == []
    assert [incident.partitions for incident in incidents.open_incidents(ledger, "flights")] == [(WEEKS[1],)]
    assert incidents.close(ledger, "flights", "etl", WEEKS[1]) == ["flights/etl/flights/MissingInput"]
    assert incidents.open_incidents(ledger, "flights") == []


def test_closing_again_adds_nothing(ledger: Ledger) -> None:
    fail(ledger)
    incidents.close(ledger, "flights", "etl", WEEKS[0])
    assert incidents.close(ledger, "flights", "etl", WEEKS[0]) == []
    assert len(ledger.find("flights", "incident_closed")) == 1


def test_the_success_of_another_stage_closes_nothing(ledger: Ledger) -> None:
    fail(ledger)
    assert incidents.close(ledger, "flights", "score", WEEKS[0]) == []
    assert len(incidents.open_incidents(ledger, "flights")) == 1


def test_a_failure_without_a_partition_is_closed_by_any_success_of_its_stage(ledger: Ledger) -> None:
    fail(ledger, None)
    assert len(incidents.close(ledger, "flights", "etl", WEEKS[1])) == 1


def test_a_problem_that_comes_back_after_it_was_closed_alerts_again(
    ledger: Ledger, alerts: list[logging.LogRecord]
) -> None:
    for attempt in (1, 2):
        assert fail(ledger, attempt=attempt)
        incidents.close(ledger, "flights", "etl", WEEKS[0])
    fail(ledger, attempt=3)
    (incident,) = incidents.open_incidents(ledger, "flights")
    assert incident.occurrences == 1
    assert len(alerts) == 3


def test_a_cleared_run_that_is_killed_again_alerts_again(ledger: Ledger, alerts: list[logging.LogRecord]) -> None:
    fail(ledger)
    incidents.close(ledger, "flights", "etl", WEEKS[0])
    for _ in range(2):
        assert fail(ledger, task=None, error_type="RunFailed")
        incidents.close(ledger, "flights", "etl", WEEKS[0])
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
