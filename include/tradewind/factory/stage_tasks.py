"""Which tasks each stage has, and how they follow one another."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import Param, chain

from tradewind.factory.assets import schedule_after, stage_asset
from tradewind.factory.timetable import PartitionTimetable
from tradewind.ledger import completion
from tradewind.operators.approval import ApproveOperator
from tradewind.operators.etl import BuildDatasetOperator, CompleteEtlOperator
from tradewind.operators.features import MaterialiseOperator
from tradewind.operators.monitoring import JudgeOperator, ProfileOperator
from tradewind.operators.scoring import ScoreOperator, ShadowOperator
from tradewind.operators.training import (
    DecideOperator,
    PromoteOperator,
    RefitOperator,
    RollbackOperator,
    TrainOperator,
    VerdictOperator,
)
from tradewind.spec.dataset_order import dataset_order

if TYPE_CHECKING:
    from tradewind.spec.pipeline import Pipeline

PREVIOUS = "previous"


def dag_stages(spec: Pipeline) -> list[str]:
    """The stages that have a DAG: those that events start, and ``rollback``, which only a person starts."""
    return [*spec.stages, *(["rollback"] if spec.train else [])]


def dag_schedule(spec: Pipeline, stage: str) -> Any:
    """What starts the stage: its cron for ``etl``, the event of the stage before it, or nothing for ``rollback``."""
    if stage == "rollback":
        return None
    if stage == "etl":
        return PartitionTimetable(spec.schedule, partitioning=spec.partitioning)
    before = completion.upstream_stage(stage, spec.stages)
    assert before is not None
    return schedule_after(spec.pipeline, before)


def dag_params(spec: Pipeline, stage: str) -> dict[str, Param]:
    """The form of a run by hand."""
    if stage == "rollback":
        return {
            "action": Param(
                RollbackOperator.ROLL_BACK,
                type="string",
                enum=[RollbackOperator.ROLL_BACK, RollbackOperator.LIFT],
                title="What to do",
                description="A rollback pins its version: no candidate takes its place until the pin is lifted.",
            ),
            "to_version": Param(
                PREVIOUS,
                type=["null", "string"],
                title="Version",
                description="The model version that is to serve from the next population on. `previous`: the champion "
                "before the present one. Not looked at where the pin is lifted.",
            ),
            "reason": Param(
                type="string", minLength=3, title="Reason", description="Goes to the ledger with your name."
            ),
        }
    if stage == "train":
        title = "Train by hand because"
        return {
            "by_hand": Param(None, type=["null", "string"], title=title, description="Empty: the policy decides."),
            "by": Param(None, type=["null", "string"], title="In whose name", description="Empty: who starts the run."),
        }
    return {}


def make_tasks(spec: Pipeline, stage: str) -> None:
    """Make the tasks of a stage in the current DAG."""
    {
        "etl": _etl,
        "features": _features,
        "monitor": _monitor,
        "train": _train,
        "score": _score,
        "rollback": _rollback,
    }[stage](spec)


def _etl(spec: Pipeline) -> None:
    # No waiting for an earlier partition: only one run is active at a time, so the one waited for would wait behind it.
    now, built = timedelta(0), dict[str, BuildDatasetOperator]()
    for name in dataset_order(spec.datasets):
        built[name] = BuildDatasetOperator(task_id=name, pipeline=spec, dataset=name, opens=not built, wait=now)
        built[name].set_upstream([built[read] for read in spec.datasets[name].inputs])
    complete = CompleteEtlOperator(task_id="complete", pipeline=spec, outlets=[stage_asset(spec.pipeline, "etl")])
    complete.set_upstream([task for task in built.values() if not task.downstream_list])


def _features(spec: Pipeline) -> None:
    outlets = [stage_asset(spec.pipeline, "features")]
    MaterialiseOperator(task_id="materialise", pipeline=spec, opens=True, outlets=outlets)


def _monitor(spec: Pipeline) -> None:
    outlets = [stage_asset(spec.pipeline, "monitor")]
    chain(
        ProfileOperator(task_id="profile", pipeline=spec, opens=True),
        JudgeOperator(task_id="judge", pipeline=spec, outlets=outlets),
    )


def _train(spec: Pipeline) -> None:
    refit = [RefitOperator(task_id="refit", pipeline=spec)] if spec.train and spec.train.refit else []
    approve = [ApproveOperator(task_id="approve", pipeline=spec)] if spec.promotion.mode == "approval" else []
    chain(
        DecideOperator(task_id="decide", pipeline=spec, opens=True),
        TrainOperator(task_id="train", pipeline=spec),
        VerdictOperator(task_id="verdict", pipeline=spec),
        *refit,  # before anybody is asked: what is approved is what serves
        *approve,
        PromoteOperator(task_id="promote", pipeline=spec, outlets=[stage_asset(spec.pipeline, "model")]),
    )


def _score(spec: Pipeline) -> None:
    outlets = [stage_asset(spec.pipeline, "predictions")]
    score = ScoreOperator(task_id="score", pipeline=spec, opens=True, outlets=outlets)
    if spec.promotion.shadow:
        # After the event: whatever becomes of a shadow, consumers of predictions do not notice.
        score >> ShadowOperator(task_id="shadow", pipeline=spec)


def _rollback(spec: Pipeline) -> None:
    RollbackOperator(
        task_id="rollback",
        pipeline=spec,
        to_version="{{ params.to_version or '' }}",
        reason="{{ params.reason }}",
        action="{{ params.action }}",
        outlets=[stage_asset(spec.pipeline, "model")],
    )
