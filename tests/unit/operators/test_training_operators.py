"""Training that fails for good does not stop scoring; an approval holds nobody up and is journalled each time."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import DownstreamTasksSkipped

from tradewind.errors import ModelError, NotReady, Unavailable
from tradewind.ledger.journal import Ledger
from tradewind.operators.approval import ApproveOperator
from tradewind.operators.training import TrainStageOperator
from tradewind.spec.models import Pipeline

DAY = "2024-01-02"


class Failing(TrainStageOperator):
    """Raises what it is given."""

    def __init__(self, *, error: Exception, **kwargs: Any) -> None:
        super().__init__(task_id="train", **kwargs)
        self.error = error

    def work(self, spec: Pipeline, partition: str, runtime: Any, context: Any) -> Any:
        raise self.error


def context(*, attempt: int = 1) -> Any:
    instance = SimpleNamespace(try_number=attempt, max_tries=3, map_index=-1, xcom_push=lambda **_: None)
    return {"dag_run": SimpleNamespace(partition_key=DAY, run_id="r1"), "ti": instance}


def settled(ledger: Ledger) -> list[str]:
    return [entry.evidence["outcome"] for entry in ledger.find("trips", "complete", subject="train", partition=DAY)]


def test_an_error_that_is_not_retried_settles_the_training(ledger, trips):
    with pytest.raises(ModelError):
        Failing(error=ModelError("one class only"), pipeline=trips).execute(context())
    assert settled(ledger) == ["failed"]


def test_an_error_that_will_be_retried_does_not(ledger, trips):
    with pytest.raises(Unavailable):
        Failing(error=Unavailable("MLflow is away"), pipeline=trips).execute(context(attempt=2))
    assert settled(ledger) == []


def test_the_last_try_settles_it(ledger, trips):
    with pytest.raises(Unavailable):
        Failing(error=Unavailable("MLflow is away"), pipeline=trips).execute(context(attempt=4))
    assert settled(ledger) == ["failed"]


def test_what_waits_or_skips_settles_nothing(ledger, trips):
    for error in (NotReady("monitor is missing"), DownstreamTasksSkipped(tasks=["train"])):
        with pytest.raises(type(error)):
            Failing(error=error, pipeline=trips).execute(context(attempt=4))
    assert settled(ledger) == []


def approve(spec: Pipeline, answer: str, when: datetime) -> None:
    operator = ApproveOperator(task_id="approve", pipeline=spec)
    operator.params = {}
    event = {
        "chosen_options": [answer],
        "params_input": {"comment": "hm"},
        "responded_at": when,
        "responded_by_user": {"id": "ann", "name": "Ann"},
        "timedout": False,
    }
    operator.execute_complete(context(), event)


def test_every_answer_of_a_run_is_journalled(ledger, trips):
    approve(trips, "Reject", datetime(2024, 1, 3, tzinfo=UTC))
    approve(trips, "Approve", datetime(2024, 1, 4, tzinfo=UTC))
    entries = ledger.find("trips", "approval")
    assert [(entry.outcome, entry.actor) for entry in entries] == [("rejected", "Ann"), ("approved", "Ann")]


def test_asking_settles_the_training_before_anybody_answers(ledger, trips, monkeypatch):
    operator = ApproveOperator(task_id="approve", pipeline=trips)
    asked = []
    parent = "airflow.providers.standard.operators.hitl.HITLOperator.execute"
    monkeypatch.setattr(parent, lambda self, context: asked.append(settled(ledger)))
    operator.execute(context())
    assert asked == [["waits for approval"]]
