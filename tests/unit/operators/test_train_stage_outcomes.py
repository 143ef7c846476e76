"""Operators, one step a task, and the train stage in one process come to the same outcomes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk.exceptions import AirflowSkipException, DownstreamTasksSkipped

from tradewind.deployment import Deployment
from tradewind.errors import LeftOut, ModelError, NotReady, TradewindError, UsageError
from tradewind.hooks.tradewind import TradewindHook
from tradewind.ledger import holds
from tradewind.ledger.champions import ChampionChange
from tradewind.ledger.journal import Entry, Ledger
from tradewind.operators.approval import ApproveOperator
from tradewind.operators.training import PromoteOperator, TrainStageOperator
from tradewind.retraining import train_stage
from tradewind.retraining.train_stage import StepFunction, TrainStep
from tradewind.spec.pipeline import Pipeline

DAY = "2024-01-02"


class StepOperator(TrainStageOperator):
    """Takes a step that is given."""

    def __init__(self, *, step: StepFunction, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.step = step

    def work(self, deployment: Deployment, partition: str, context: Any) -> Mapping[str, Any]:
        return self.end_step(self.step(deployment, partition), deployment.runtime, context)


def context() -> Any:
    later = EmptyOperator(task_id="later")
    return {
        "dag_run": SimpleNamespace(partition_key=DAY, run_id="r1"),
        "ti": SimpleNamespace(try_number=4, max_tries=3, map_index=-1, xcom_push=lambda *, key, value: None),
        "task": SimpleNamespace(get_flat_relatives=lambda *, upstream: [later]),
    }


def run_tasks(operators: Mapping[str, Any]) -> list[str]:
    """Run tasks one after another as Airflow does; the names of those that were started."""
    started = []
    for name, operator in operators.items():
        started.append(name)
        try:
            operator.execute(context())
        except (DownstreamTasksSkipped, AirflowSkipException, TradewindError):
            break
    return started


def run_in_one_process(spec: Pipeline, steps: Mapping[str, StepFunction]) -> list[str]:
    """Run the stage; the names of the steps that were started."""
    started = []
    deployment = Deployment(spec, TradewindHook().runtime(run_id="r1"))

    def run_task(name: str, step: StepFunction) -> TrainStep:
        started.append(name)
        return step(deployment, DAY)

    with suppress(TradewindError):
        train_stage.run_train_stage(deployment, DAY, steps=steps, run_task=run_task)
    return started


def settled(ledger: Ledger) -> list[str]:
    return [entry.evidence["outcome"] for entry in ledger.find("trips", "complete", subject="train", partition=DAY)]


def ends(outcome: str) -> StepFunction:
    def step(deployment: Deployment, partition: str) -> TrainStep:
        train_stage.settle_training(deployment, partition, outcome=outcome)
        return TrainStep(outcome, settled=True)

    return step


def goes_on(deployment: Deployment, partition: str) -> TrainStep:
    return TrainStep("went on")


def fails(error: Exception) -> StepFunction:
    def step(deployment: Deployment, partition: str) -> TrainStep:
        raise error

    return step


@pytest.fixture(params=["tasks", "one process"])
def run(request: pytest.FixtureRequest, trips: Pipeline) -> Callable[[Mapping[str, StepFunction]], list[str]]:
    """The steps, taken by tasks or in one process."""

    def take(steps: Mapping[str, StepFunction]) -> list[str]:
        if request.param == "one process":
            return run_in_one_process(trips, steps)
        return run_tasks({name: StepOperator(task_id=name, step=step, pipeline=trips) for name, step in steps.items()})

    return take


@pytest.mark.parametrize(
    ("second", "started", "outcomes"),
    [
        (goes_on, ["decide", "train", "verdict"], []),
        (ends("rejected"), ["decide", "train"], ["rejected"]),
        (fails(ModelError("one class only")), ["decide", "train"], ["failed"]),
        (fails(NotReady("monitoring is not complete")), ["decide", "train"], []),
        (fails(LeftOut("a person left it out")), ["decide", "train"], []),
    ],
)
def test_what_a_step_says_ends_both_alike(ledger, run, second, started, outcomes):
    assert run({"decide": goes_on, "train": second, "verdict": goes_on}) == started
    assert settled(ledger) == outcomes


@pytest.fixture(params=["tasks", "one process"])
def promote(request: pytest.FixtureRequest, trips: Pipeline, ledger: Ledger) -> Callable[[], list[str]]:
    """The promotion of version 3, which passed its verdict over no champion."""
    judged = {"version": "3", "champion": None, "expected_seq": 0, "basis": "test", "test_partitions": []}
    trained = {"train_partitions": [], "test_partitions": [], "mlflow_run_id": "m"}
    ledger.append(Entry("trips", "trained", "3", DAY, "c", evidence=trained))
    ledger.append(Entry("trips", "verdict", "3", DAY, "v", "passed", "all gates passed", judged))

    def take() -> list[str]:
        if request.param == "one process":
            return run_in_one_process(trips, {"promote": train_stage.run_promotion, "after": goes_on})
        operators = {
            "promote": PromoteOperator(task_id="promote", pipeline=trips),
            "after": StepOperator(task_id="after", step=goes_on, pipeline=trips),
        }
        return run_tasks(operators)

    return take


def test_another_champion_since_the_verdict_ends_both_as_a_conflict(ledger, promote):
    ledger.promote(ChampionChange("trips", 0, "trips", "1", "2024-01-03", decided_at="2024-01-01"), expected=0)
    assert promote() == ["promote"]
    assert settled(ledger) == ["conflict"]


def test_a_pin_ends_both_as_pinned(ledger, promote):
    ledger.append(Entry("trips", "pin", "1", None, "0", "pinned", "the new ones are odd", actor="ann"))
    assert promote() == ["promote"]
    assert settled(ledger) == ["pinned"]


def test_a_candidate_that_a_person_rejected_fails_both(ledger, promote):
    evidence = {"version": "3", "verdict_key": "v"}
    ledger.append(Entry("trips", "approval", "promotion", DAY, "a", "rejected", "no", evidence, actor="ann"))
    assert promote() == ["promote"]
    assert settled(ledger) == ["failed"]


def test_a_hold_in_the_middle_skips_the_tasks_that_follow(ledger, trips):
    def held(deployment: Deployment, partition: str) -> TrainStep:
        holds.hold_pipeline(ledger, "trips", reason="odd", actor="ann")
        return TrainStep("went on")

    steps = {"decide": held, "train": goes_on, "verdict": goes_on}
    operators = {name: StepOperator(task_id=name, step=step, pipeline=trips) for name, step in steps.items()}
    assert run_tasks(operators) == ["decide", "train"]
    assert settled(ledger) == []
    assert [entry.evidence["cause"] for entry in ledger.find("trips", "started", subject="train")] == ["held"]


def test_a_question_that_cannot_be_asked_settles_the_training_as_failed(ledger, trips):
    """Without a verdict there is nothing to ask about; the task is not tried again."""
    with pytest.raises(UsageError, match="no verdict at partition"):
        ApproveOperator(task_id="approve", pipeline=trips).execute(context())
    assert settled(ledger) == ["failed"]


@pytest.mark.parametrize(
    ("promotion", "refit", "names"),
    [
        ({}, False, ["decide", "train", "verdict", "promote"]),
        ({"mode": "approval", "approvers": ["ann"]}, False, ["decide", "train", "verdict", "approve", "promote"]),
        (
            {"mode": "approval", "approvers": ["ann"]},
            True,
            ["decide", "train", "verdict", "refit", "approve", "promote"],
        ),
    ],
)
def test_the_tasks_of_the_dag_are_the_steps_of_the_stage(trips, promotion, refit, names):
    from airflow.sdk import DAG

    from tradewind.factory.stage_tasks import make_tasks

    spec = training(trips, promotion=promotion, refit=refit)
    with DAG("trips__train") as dag:
        make_tasks(spec, "train")
    assert [task.task_id for task in dag.topological_sort()] == names
    assert list(train_stage.list_train_steps(spec, ask=goes_on)) == names


def training(trips: Pipeline, *, promotion: dict[str, Any], refit: bool) -> Pipeline:
    files = {"files": "{landing}/{day}.csv"}
    fields = trips.model_dump(mode="json", exclude_unset=True) | {
        "features": {"definitions": "features.py"},
        "score": {"population": {**files, "sql": "p.sql", "key": "id", "timestamp": "at"}},
        "train": {
            "window": 2, "test": 1, "service": "v1", "label": {"dataset": "trips", "column": "late"},
            "model": "x/model.py:build", "refit": refit,
        },
        "gates": [{"metric": "roc_auc", "at_least": 0.6}],
        "promotion": promotion,
    }  # fmt: skip
    return Pipeline.model_validate(fields)
