"""What happens when a run misses its deadline. The triggerer imports this module."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any


async def deadline_missed(
    *, context: dict[str, Any], pipeline: str, owner: str, tradewind_conn_id: str, channels: Sequence[str] = ()
) -> None:
    """Report an incident.

    :param context: holds ``dag_run`` and ``deadline``
    :param pipeline: name of the pipeline
    :param owner: who is told
    :param tradewind_conn_id: connection that names the ledger
    :param channels: where a new incident is sent, beside the log
    """
    await asyncio.to_thread(_report, context, pipeline, owner, tradewind_conn_id, channels)


def _report(
    context: dict[str, Any], pipeline: str, owner: str, tradewind_conn_id: str, channels: Sequence[str]
) -> None:
    from tradewind.alerting import incidents
    from tradewind.hooks.tradewind import TradewindHook
    from tradewind.ledger import holds
    from tradewind.ledger.journal import Ledger

    run, due = context["dag_run"], context.get("deadline")
    stage = str(run["dag_id"]).rsplit("__", 1)[-1]
    ledger = Ledger(TradewindHook(tradewind_conn_id).ledger_url())
    if holds.describe_stop(ledger, pipeline, run.get("partition_key")) is not None:
        return  # a person stopped it and knows
    incidents.report_failure(
        ledger,
        pipeline=pipeline,
        owner=owner,
        channels=channels,
        stage=stage,
        task=None,
        partition=run.get("partition_key"),
        run_id=str(run.get("dag_run_id") or run.get("run_id") or ""),
        error_type="DeadlineMissed",
        message=f"{stage} of {run.get('partition_key')} is not complete by its deadline {due}",
    )
