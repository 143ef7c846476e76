"""What happens when a run misses its deadline. The triggerer imports this module."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

from tradewind.spec.partitions import Partitioning


async def deadline_missed(
    *, context: dict[str, Any], pipeline: str, owner: str, slicing: dict[str, Any], tradewind_conn_id: str
) -> None:
    """Report an incident, unless the run replays the past: a partition older than the last two is nobody's emergency.

    :param context: holds ``dag_run`` and ``deadline``
    :param pipeline: name of the pipeline
    :param owner: who is told
    :param slicing: the fields of the pipeline's partitioning
    :param tradewind_conn_id: connection that names the ledger
    """
    run = context["dag_run"]
    partition = run.get("partition_key")
    if partition and not replays(Partitioning(**slicing), partition, now=datetime.now(UTC)):
        await asyncio.to_thread(_report, run, context, pipeline, owner, tradewind_conn_id)


def replays(partitioning: Partitioning, partition: str, *, now: datetime) -> bool:
    """Whether a run of ``partition`` at ``now`` repeats the past: it is not one of the two that ended last."""
    return partition < partitioning.shift(partitioning.key_at(now), -2)


def _report(run: dict[str, Any], context: dict[str, Any], pipeline: str, owner: str, tradewind_conn_id: str) -> None:
    from tradewind.alerting import incidents
    from tradewind.hooks.tradewind import TradewindHook
    from tradewind.ledger.journal import Ledger

    stage = str(run["dag_id"]).rsplit("__", 1)[-1]
    incidents.report(
        Ledger(TradewindHook(tradewind_conn_id).ledger_url()),
        pipeline=pipeline,
        owner=owner,
        runbook=None,
        stage=stage,
        task=None,
        partition=run["partition_key"],
        run_id=str(run.get("dag_run_id") or run.get("run_id") or ""),
        attempt=0,
        error_type="DeadlineMissed",
        message=f"{stage} of {run['partition_key']} is not complete by its deadline {context.get('deadline')}",
        link="",
    )
