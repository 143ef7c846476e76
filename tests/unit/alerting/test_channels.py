"""Alert channels: what each gets, and what a channel that fails does not do."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from tradewind.alerting import channels, incidents
from tradewind.alerting.alert_channel import AlertChannel
from tradewind.alerting.incident_history import Incident
from tradewind.alerting.lasting_conditions import LastingCondition, open_condition
from tradewind.core.listed_objects import load_listed_object
from tradewind.ledger.journal import Ledger
from tradewind.spec.alert_channels import ALERT_CHANNELS
from tradewind.spec.pipeline import Pipeline

FAILURE = {"pipeline": "flights", "stage": "etl", "task": "flights", "partition": "2013-01-28", "run_id": "r1"}


def failure() -> Incident:
    return incidents.unrecorded_incident(
        **FAILURE, error_type="MissingInput", message="no file", link="http://log", owner="ops", runbook="http://run"
    )


def test_every_listed_channel_is_one_under_the_name_that_the_list_gives_it() -> None:
    for name in ALERT_CHANNELS:
        assert load_listed_object(ALERT_CHANNELS, name, kind=AlertChannel, what="alert channel").name == name


def test_a_message_says_what_since_when_and_what_to_do() -> None:
    incident = failure()
    message = channels.alert_message(incident)
    assert (message.fingerprint, message.partitions) == ("flights/etl/flights/MissingInput", ("2013-01-28",))
    assert (message.what, message.evidence, message.owner) == ("no file", "http://log", "ops")
    assert (message.since, message.runbook) == (incident.first, "http://run")
    assert message.next_step.startswith("have the named file delivered, then run the partition again: `tradewind backf")


def test_the_log_gets_an_incident_once_whether_or_not_it_is_named(caplog: pytest.LogCaptureFixture) -> None:
    for named in ((), ("log",), ("log", "log")):
        caplog.clear()
        channels.send_alert(failure(), named)
        assert [record.levelname for record in caplog.records if record.message.startswith("INCIDENT")] == ["ERROR"]


def test_a_channel_that_cannot_be_used_fails_nothing_and_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path}/ledger.db")
    with caplog.at_level(logging.ERROR):
        told = incidents.report_failure(ledger, **FAILURE, error_type="E", message="no file", channels=("gone",))
    assert told is not None
    assert "INCIDENT pipeline=flights" in caplog.text
    assert "incident flights/etl/flights/E was not sent to the channel gone" in caplog.text
    assert "unknown alert channel `gone`; valid are log" in caplog.text


def test_a_condition_is_sent_to_the_channels_of_its_pipeline(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A channel that is not there shows where it was sent; the YAML would have refused it."""
    condition = LastingCondition("Decay", "monitor", message="3 of 4 below .66")
    open_condition(Ledger(f"sqlite:///{tmp_path}/ledger.db"), flights(channels=("gone",)), condition, run_id="r")
    assert "incident flights/monitor/-/Decay was not sent to the channel gone" in caplog.text


def flights(**alerts: Any) -> Pipeline:
    fields = {
        "pipeline": "flights",
        "owner": "ops",
        "description": "Late?",
        "timezone": "UTC",
        "partition": "week",
        "start": "2013-01-07",
        "schedule": "0 6 * * 1",
        "datasets": {"flown": {"source": {"files": "{landing}/{day}.csv"}, "sql": "flown.sql"}},
        "alerts": alerts,
    }
    return Pipeline.model_validate(fields)
