"""A DAG written by hand from Tradewind's operators: the whole life of one partition in a single Airflow run.

The factory makes several DAGs from the same YAML, wired by events, so that stages run and fail by themselves.
Use the operators directly when you need another shape. Every operator stands here once.
"""

from __future__ import annotations

from pathlib import Path

from airflow.sdk import DAG, Param, chain, task

from tradewind.factory.assets import stage_asset
from tradewind.factory.timetable import PartitionTimetable
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
from tradewind.operators.upkeep import (
    ArchiveOperator,
    HeartbeatOperator,
    ReconcileOperator,
    ResendOperator,
    VacuumOperator,
)
from tradewind.spec.dataset_order import dataset_order
from tradewind.spec.load import load_pipeline

PROJECT = Path(__file__).resolve().parents[2]
flight_delay = load_pipeline(PROJECT / "dags" / "flight_delay.yaml")

with DAG(
    dag_id="flight_delay_by_hand",
    schedule=PartitionTimetable(flight_delay.schedule, partitioning=flight_delay.partitioning),
    start_date=flight_delay.partitioning.bounds(flight_delay.start).end,
    end_date=flight_delay.partitioning.bounds(flight_delay.end).end,
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 2},
    params={"roll_back_to": Param(None, type=["null", "string"]), "reason": Param("", type="string")},
    doc_md=__doc__,
    tags=["flight_delay", "example"],
) as dag:
    # etl: one task a dataset, in the order of what they read
    datasets = {
        name: BuildDatasetOperator(task_id=name, pipeline=flight_delay, dataset=name)
        for name in dataset_order(flight_delay.datasets)
    }
    for name, build in datasets.items():
        build.set_upstream([datasets[read] for read in flight_delay.datasets[name].inputs])
    complete = CompleteEtlOperator(task_id="complete", pipeline=flight_delay)
    complete.set_upstream(list(datasets.values()))

    # features, then the two that need them
    materialise = MaterialiseOperator(task_id="materialise", pipeline=flight_delay)
    score = ScoreOperator(task_id="score", pipeline=flight_delay)
    judge = JudgeOperator(task_id="judge", pipeline=flight_delay)
    # the shadow is a task of its own: whatever becomes of it, nobody who is served notices
    chain(complete, materialise, score, ShadowOperator(task_id="shadow", pipeline=flight_delay))
    chain(materialise, ProfileOperator(task_id="profile", pipeline=flight_delay), judge)

    # training: each task may end the rest, green, when there is nothing more to do
    chain(
        judge,
        DecideOperator(task_id="decide", pipeline=flight_delay),
        TrainOperator(task_id="train", pipeline=flight_delay),
        VerdictOperator(task_id="verdict", pipeline=flight_delay),
        RefitOperator(task_id="refit", pipeline=flight_delay),
        ApproveOperator(task_id="approve", pipeline=flight_delay),
        PromoteOperator(task_id="promote", pipeline=flight_delay),
    )

    # by hand, and upkeep
    @task.short_circuit
    def asked(params: dict[str, str | None]) -> bool:
        """Go on only if the form names a version."""
        return bool(params["roll_back_to"])

    asked() >> RollbackOperator(
        task_id="rollback",
        pipeline=flight_delay,
        to_version="{{ params.roll_back_to }}",
        reason="{{ params.reason }}",
    )
    HeartbeatOperator(task_id="heartbeat", pipeline=flight_delay)
    ReconcileOperator(task_id="reconcile", pipeline=flight_delay)
    VacuumOperator(task_id="vacuum", pipeline=flight_delay)
    ArchiveOperator(task_id="archive", pipeline=flight_delay)
    ResendOperator(
        task_id="resend",
        pipeline=flight_delay,
        stage="etl",
        followers=["features"],
        asset=stage_asset("flight_delay", "etl"),
    )
