"""What a failure callback makes of Airflow's context."""

from __future__ import annotations

import json
from types import SimpleNamespace

from tradewind.errors import AuditFailed, InvalidPartitionKey
from tradewind.notifiers.incident import IncidentNotifier, describe_failure

RUN = SimpleNamespace(dag_id="flight_delay__etl", run_id="r1", partition_key="2013-01-28")
TASK = SimpleNamespace(task_id="flights", try_number=2, log_url="http://log")


def test_a_task_failure_names_stage_task_try_and_error():
    facts = describe_failure({"dag_run": RUN, "task_instance": TASK, "exception": AuditFailed("3 checks failed")})
    assert facts == {
        "stage": "etl",
        "task": "flights",
        "partition": "2013-01-28",
        "run_id": "r1",
        "attempt": 2,
        "error_type": "AuditFailed",
        "message": "3 checks failed",
        "link": "http://log",
    }


def test_a_dag_failure_knows_no_task():
    facts = describe_failure({"dag_run": RUN, "ti": TASK, "reason": "task_failure"})
    assert facts["task"] is None
    assert facts["message"] == "task_failure"


def test_a_wrong_key_is_nobodys_partition():
    facts = describe_failure({"dag_run": RUN, "task_instance": TASK, "exception": InvalidPartitionKey("no such day")})
    assert facts["partition"] is None


def test_without_a_ledger_the_log_is_told(monkeypatch, caplog, tmp_path):
    extra = dict.fromkeys(("project", "lake", "landing", "feast_registry", "reports"), str(tmp_path))
    extra |= {"feast_online": {"type": "sqlite"}, "ledger": f"sqlite:///{tmp_path}/no/such/folder/ledger.db"}
    monkeypatch.setenv("AIRFLOW_CONN_TRADEWIND_DEFAULT", json.dumps({"conn_type": "tradewind", "extra": extra}))
    (tmp_path / "no").write_text("in the way")
    notifier = IncidentNotifier(pipeline="flight_delay", owner="ops@example.com")
    notifier.notify({"dag_run": RUN, "task_instance": TASK, "exception": AuditFailed("3 checks failed")})
    assert "INCIDENT pipeline=flight_delay stage=etl task=flights" in caplog.text
    assert "3 checks failed" in caplog.text


def test_a_failure_is_sent_to_the_channels_of_the_pipeline(monkeypatch, caplog, tmp_path):
    """A channel that is not there shows where it was sent; the YAML would have refused it."""
    extra = dict.fromkeys(("project", "lake", "landing", "feast_registry", "reports"), str(tmp_path))
    extra |= {"feast_online": {"type": "sqlite"}, "ledger": f"sqlite:///{tmp_path}/ledger.db"}
    monkeypatch.setenv("AIRFLOW_CONN_TRADEWIND_DEFAULT", json.dumps({"conn_type": "tradewind", "extra": extra}))
    notifier = IncidentNotifier(pipeline="flight_delay", owner="ops@example.com", channels=("gone",))
    notifier.notify({"dag_run": RUN, "task_instance": TASK, "exception": AuditFailed("3 checks failed")})
    assert "incident flight_delay/etl/flights/AuditFailed was not sent to the channel gone" in caplog.text
