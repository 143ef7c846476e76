"""What a failure callback makes of Airflow's context."""

from __future__ import annotations

from types import SimpleNamespace

from tradewind.errors import AuditFailed
from tradewind.notifiers.incident import failure_of

RUN = SimpleNamespace(dag_id="flight_delay__etl", run_id="r1", partition_key="2013-01-28")
TASK = SimpleNamespace(task_id="flights", try_number=2, log_url="http://log")


def test_a_task_failure_names_stage_task_try_and_error():
    facts = failure_of({"dag_run": RUN, "task_instance": TASK, "exception": AuditFailed("3 checks failed")})
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
    facts = failure_of({"dag_run": RUN, "ti": TASK, "reason": "task_failure"})
    assert facts["task"] is None
    assert facts["message"] == "task_failure"
