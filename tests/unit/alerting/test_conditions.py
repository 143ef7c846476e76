from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tradewind.alerting import incidents
from tradewind.alerting.incident_history import Incident
from tradewind.alerting.lasting_conditions import LastingCondition, heal_condition, open_condition
from tradewind.ledger.journal import Ledger
from tradewind.spec.pipeline import Pipeline

WEEKS = ("2013-01-28", "2013-02-04")
SPEC = Pipeline.model_validate(
    {
        "pipeline": "flights",
        "owner": "ops",
        "description": "Late?",
        "timezone": "America/New_York",
        "partition": "week",
        "start": WEEKS[0],
        "schedule": "0 6 * * 1",
        "datasets": {"flown": {"source": {"files": "{landing}/{day}.csv", "format": "csv"}, "sql": "flown.sql"}},
    }
)


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


def decay(ledger: Ledger, **about: Any) -> Incident | None:
    known = {"message": "3 of 4 below .66", "evidence": {"value": 0.61}, **about}
    return open_condition(ledger, SPEC, LastingCondition("Decay", "monitor", **known), run_id="r")


def heal(ledger: Ledger, **about: Any) -> list[str]:
    known: dict[str, Any] = {"kind": "Decay", "stage": "monitor", "because": "all of 4 above .66", **about}
    return heal_condition(ledger, SPEC, **known, run_id="r")


def test_a_condition_is_opened_once_however_often_it_is_found(ledger: Ledger, alerts: list[logging.LogRecord]) -> None:
    assert decay(ledger)
    assert decay(ledger) is None
    (incident,) = incidents.open_incidents(ledger, "flights")
    assert incident.fingerprint == "flights/monitor/-/Decay"
    assert (incident.lasting, incident.owner, incident.occurrences) == (True, "ops", 1)
    assert incident.by_partition["-"].evidence == {"value": 0.61}
    assert len(alerts) == len(ledger.find("flights", "incident")) == 1


def test_other_values_update_the_incident_and_alert_nobody(ledger: Ledger, alerts: list[logging.LogRecord]) -> None:
    decay(ledger)
    for _ in range(2):
        assert decay(ledger, message="4 of 4 below .66") is None
    (incident,) = incidents.open_incidents(ledger, "flights")
    assert (incident.message, incident.occurrences) == ("4 of 4 below .66", 2)
    assert len(alerts) == 1


def test_values_that_come_back_are_the_newest_again(ledger: Ledger) -> None:
    for message in ("3 of 4", "4 of 4", "3 of 4"):
        decay(ledger, message=message)
    assert incidents.open_incidents(ledger, "flights")[0].message == "3 of 4"


def test_a_success_of_its_stage_does_not_end_a_condition(ledger: Ledger) -> None:
    decay(ledger)
    decay(ledger, subject="temp", partition=WEEKS[0])
    assert incidents.close_stage_incidents(ledger, "flights", "monitor", WEEKS[0]) == []
    assert len(incidents.open_incidents(ledger, "flights")) == 2


def test_a_failure_of_its_stage_does_not_end_a_condition(ledger: Ledger) -> None:
    decay(ledger, partition=WEEKS[0])
    incidents.report_failure(
        ledger, pipeline="flights", stage="monitor", task="judge", partition=WEEKS[0], run_id="r",
        error_type="MissingInput", message="",
    )  # fmt: skip
    assert len(incidents.open_incidents(ledger, "flights")) == 2


def test_what_heals_it_ends_it_and_says_why(ledger: Ledger, alerts: list[logging.LogRecord]) -> None:
    decay(ledger)
    assert heal(ledger) == ["flights/monitor/-/Decay"]
    assert heal(ledger) == []
    assert incidents.open_incidents(ledger, "flights") == []
    assert [entry.reason for entry in ledger.find("flights", "incident_closed")] == ["all of 4 above .66"]
    decay(ledger)
    assert len(alerts) == 2


def test_each_partition_is_healed_for_itself(ledger: Ledger) -> None:
    for week in WEEKS:
        decay(ledger, partition=week, message=f"about {week}")
    assert heal(ledger, partition=WEEKS[1]) == []
    (incident,) = incidents.open_incidents(ledger, "flights")
    assert (incident.partitions, incident.message) == ((WEEKS[0],), f"about {WEEKS[0]}")
    assert heal(ledger) == ["flights/monitor/-/Decay"]


def test_each_subject_is_an_incident_of_its_own(ledger: Ledger) -> None:
    for feature in ("temp", "wind"):
        decay(ledger, subject=feature)
    assert heal(ledger) == []
    assert heal(ledger, subject="temp") == ["flights/monitor/temp/Decay"]
    assert [one.subject for one in incidents.open_incidents(ledger, "flights")] == ["wind"]
    assert heal(ledger, subject=None) == ["flights/monitor/wind/Decay"]


def test_what_was_journalled_before_a_kill_is_alerted_by_the_next_look(
    ledger: Ledger, alerts: list[logging.LogRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(incidents, "alert_once", lambda *_, **__: None)
        decay(ledger)
    assert decay(ledger)
    assert len(alerts) == 1
