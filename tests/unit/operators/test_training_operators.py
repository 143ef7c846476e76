"""Training that fails for good does not stop scoring; an approval holds nobody up and is journalled each time."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowSkipException, DownstreamTasksSkipped, TaskAwaitingInput

from tradewind.errors import ModelError, NotReady, Unavailable
from tradewind.ledger import holds
from tradewind.ledger.champions import ChampionChange
from tradewind.ledger.journal import Entry, Ledger
from tradewind.operators.approval import ApproveOperator
from tradewind.operators.training import DecideOperator, PromoteOperator, RollbackOperator, TrainStageOperator
from tradewind.spec.pipeline import Pipeline

DAY = "2024-01-02"


class Failing(TrainStageOperator):
    """Raises what it is given."""

    def __init__(self, *, error: Exception, **kwargs: Any) -> None:
        super().__init__(task_id="train", **kwargs)
        self.error = error

    def work(self, deployment: Any, partition: str, context: Any) -> Any:
        raise self.error


def context(*, attempt: int = 1) -> Any:
    known: dict[str, Any] = {}
    instance = SimpleNamespace(
        try_number=attempt,
        max_tries=3,
        map_index=-1,
        xcom_push=lambda *, key, value, **_: known.update({key: value}),
        xcom_pull=lambda *, key, **_: known.get(key),
    )
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


@pytest.mark.parametrize(("by", "actor"), [("ben", "ben"), (None, "ann")])
def test_a_training_by_hand_is_journalled_with_who_asked_and_why(ledger, trips, by, actor):
    files = {"files": "{landing}/{day}.csv"}
    fields = trips.model_dump(mode="json", exclude_unset=True) | {
        "start": DAY,
        "features": {"definitions": "features.py"},
        "score": {"population": {**files, "sql": "p.sql", "key": "id", "timestamp": "at"}},
        "train": {
            "window": 2, "test": 1, "service": "v1", "label": {"dataset": "trips", "column": "late"},
            "model": "x/model.py:build",
        },
        "gates": [{"metric": "roc_auc", "at_least": 0.6}],
    }  # fmt: skip
    given = context() | {
        "params": {"by_hand": "new buses", "by": by},
        "dag_run": SimpleNamespace(partition_key=DAY, run_id="r1", triggering_user_name="ann"),
        "task": SimpleNamespace(get_flat_relatives=lambda *, upstream: []),
    }
    DecideOperator(task_id="decide", pipeline=Pipeline.model_validate(fields)).execute(given)
    (entry,) = ledger.find("trips", "decision")
    assert (entry.actor, entry.evidence["by_hand"]) == (actor, "new buses")


GATE = {
    "gate": "roc_auc at least 0.6", "metric": "roc_auc", "outcome": "pass", "value": 0.7, "low": 0.68, "high": 0.72,
    "bound": 0.6, "rows": 400, "blocks": 7, "reason": "roc_auc 0.7 reaches 0.6 on 400 rows", "slice": None,
    "relation": "at_least", "versus": None, "confidence": 0.9,
}  # fmt: skip


@pytest.fixture
def judged(ledger):
    """Version 3, the candidate of the day, passed its verdict."""
    evidence = {
        "version": "3", "champion": None, "expected_seq": 0, "basis": "test", "test_partitions": ["2024-01-01"],
        "gates": [GATE], "warnings": ["the example {{ here }}"], "rows": 400,
    }  # fmt: skip
    ledger.append(Entry("trips", "verdict", "3", DAY, "v", "passed", "1 of 1 gate results pass", evidence))
    return ledger


def approve(
    spec: Pipeline,
    answer: str,
    when: datetime,
    *,
    timedout: bool = False,
    comment: str = "hm",
    about: str | None = None,
) -> ApproveOperator:
    operator = ApproveOperator(task_id="approve", pipeline=spec)
    operator.params = {}
    event = {
        "chosen_options": [answer],
        "params_input": {} if timedout else {"comment": comment},
        "responded_at": when,
        "responded_by_user": None if timedout else {"id": "ann", "name": "Ann"},
        "timedout": timedout,
    }
    given = context()
    if about:
        given["ti"].xcom_push(key="asked", value=about)
    operator.execute_complete(given, event)
    return operator


def test_every_answer_of_a_run_is_journalled_with_what_it_is_about(judged, trips):
    approve(trips, "Reject", datetime(2024, 1, 3, tzinfo=UTC))
    approve(trips, "Approve", datetime(2024, 1, 4, tzinfo=UTC), comment="")
    entries = judged.find("trips", "approval")
    assert [(entry.outcome, entry.actor) for entry in entries] == [("rejected", "Ann"), ("approved", "Ann")]
    assert [entry.reason for entry in entries] == ["hm", "no comment"]
    assert {entry.evidence["version"] for entry in entries} == {"3"}
    assert {entry.evidence["verdict_key"] for entry in entries} == {"v"}


def test_silence_rejects_and_says_so(judged, trips):
    assert ApproveOperator(task_id="approve", pipeline=trips).defaults == ["Reject"]
    approve(trips, "Reject", datetime(2024, 1, 3, tzinfo=UTC), timedout=True)
    (entry,) = judged.find("trips", "approval")
    assert (entry.outcome, entry.actor) == ("rejected", "timeout")
    assert entry.reason == "nobody answered within 1d"


def test_an_answer_is_about_the_verdict_that_stood_in_the_form(judged, trips):
    later = judged.find("trips", "verdict")[0]
    judged.append(replace(later, id=None, subject="4", key="v2", evidence={**later.evidence, "version": "4"}))
    approve(trips, "Approve", datetime(2024, 1, 4, tzinfo=UTC), about="v")
    (entry,) = judged.find("trips", "approval")
    assert (entry.evidence["version"], entry.evidence["verdict_key"]) == ("3", "v")


def test_the_report_stays_linked_after_the_answer(judged, trips):
    operator = approve(trips, "Approve", datetime(2024, 1, 4, tzinfo=UTC))
    assert operator.report_url == f"/tradewind/reports/trips/verdict-{DAY}-version-3.html"


def test_nobody_is_asked_while_the_pipeline_is_held_and_the_event_is_sent_again_later(judged, trips):
    holds.hold_pipeline(judged, "trips", reason="odd", actor="ann")
    given = context()
    with pytest.raises(AirflowSkipException, match="nobody is asked: trips is held by ann"):
        ApproveOperator(task_id="approve", pipeline=trips).execute(given)
    assert settled(judged) == []
    assert [entry.evidence["cause"] for entry in judged.find("trips", "started", subject="train")] == ["held"]


@pytest.fixture
def asked(judged, trips, monkeypatch):
    """Starts the task as Airflow does, fields rendered, and returns what stands in the form then."""

    def ask() -> dict[str, Any]:
        shown: dict[str, Any] = {}

        def upsert(**form: Any) -> None:
            shown.update(form, settled=settled(judged))

        monkeypatch.setattr("airflow.providers.standard.operators.hitl.upsert_hitl_detail", upsert)
        operator = ApproveOperator(task_id="approve", pipeline=trips)
        given = context()
        given |= {"task_instance": SimpleNamespace(id="instance"), "ti": given["ti"]}
        operator.render_template_fields(given)
        with pytest.raises(TaskAwaitingInput):
            operator.execute(given)
        return shown

    return ask


def test_the_form_shows_the_verdict_as_it_is_when_the_task_starts(asked):
    form = asked()
    assert form["subject"] == f"trips: promote the candidate of {DAY}?"
    assert "Version 3 passed" in form["body"]
    assert "here" in form["body"]  # what people wrote is not a template
    assert form["defaults"] == ["Reject"]


def test_asking_settles_the_training_before_anybody_answers(asked):
    assert asked()["settled"] == ["waits for approval"]


def test_in_a_replay_of_what_was_promoted_nobody_is_asked_again(judged, trips):
    new = ChampionChange("trips", 0, "trips", "3", DAY, decided_at=DAY, evidence={"verdict_key": "v"})
    judged.promote(new, expected=0)
    assert ApproveOperator(task_id="approve", pipeline=trips).execute(context()) is None
    assert settled(judged) == []


def test_the_form_says_that_the_champion_is_pinned(asked, judged):
    pin = Entry("trips", "pin", "1", None, "0", "pinned", "the new ones are odd", actor="ann")
    judged.append(pin)
    body = asked()["body"]
    assert body.startswith("**An answer changes nothing while the champion is pinned:** ann pinned version 1")
    assert "the new ones are odd" in body


def test_only_the_approvers_of_the_yaml_may_answer(trips):
    approvers = trips.model_copy(update={"promotion": trips.promotion.model_copy(update={"approvers": ("ann", "bob")})})
    operator = ApproveOperator(task_id="approve", pipeline=approvers)
    assert [user["name"] for user in operator.assigned_users] == ["ann", "bob"]


def test_a_candidate_that_is_not_promoted_ends_the_run_green_with_its_reason(judged, trips):
    trained = {"train_partitions": [], "test_partitions": [], "mlflow_run_id": "m"}
    judged.append(Entry("trips", "trained", "3", DAY, "c", evidence=trained))
    judged.append(Entry("trips", "pin", "1", None, "0", "pinned", "the new ones are odd", actor="ann"))
    with pytest.raises(AirflowSkipException, match="version 3 is not promoted: ann pinned version 1"):
        PromoteOperator(task_id="promote", pipeline=trips).execute(context())
    assert settled(judged) == ["pinned"]


def test_the_pin_is_lifted_by_the_form_of_the_rollback_too(ledger, trips):
    ledger.append(Entry("trips", "pin", "1", None, "0", "pinned", "odd", actor="ann"))
    given = context()
    given["dag_run"].triggering_user_name = "bob"
    operator = RollbackOperator(
        task_id="rollback", pipeline=trips, to_version="", reason="fine again", action=RollbackOperator.LIFT
    )
    assert operator.execute(given) == {"action": "lift the pin", "version": "1"}
    assert ledger.pinned("trips") is None
    (over,) = ledger.find("trips", "unpin")
    assert (over.actor, over.reason) == ("bob", "fine again")
