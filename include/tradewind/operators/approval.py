"""The task of ``P__train`` that waits for a person."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import Param

from tradewind.hooks.tradewind import TradewindHook
from tradewind.operators.training import settle

if TYPE_CHECKING:
    from airflow.sdk import Context

    from tradewind.spec.models import Pipeline


class ApproveOperator(ApprovalOperator):
    """Shows the verdict to the approvers and waits; the answer, also "no" and the timeout, goes to the ledger.

    Waiting takes no worker slot, and no later partition waits for the answer. After the timeout the candidate is
    rejected.

    :param pipeline: the pipeline
    :param tradewind_conn_id: connection of type ``tradewind``
    """

    def __init__(
        self, *, pipeline: Pipeline, tradewind_conn_id: str = TradewindHook.default_conn_name, **kwargs: Any
    ) -> None:
        users = [{"id": name, "name": name} for name in pipeline.promotion.approvers]
        # A second try would ask a second time, and an execution timeout would end the wait.
        kwargs.update(retries=0, execution_timeout=None)
        kwargs.setdefault("response_timeout", pipeline.promotion.timeout or timedelta(hours=24))
        # The parameters of the DAG's own form arrive here too, and are no part of this one.
        kwargs.pop("params", None)
        comment = Param("", type=["string", "null"], title="Comment", source="task")
        super().__init__(
            subject=f"{pipeline.pipeline}: promote the candidate of {{{{ dag_run.partition_key }}}}?",
            body="Version {{ ti.xcom_pull(task_ids='verdict')['version'] }} passed its gates: "
            "{{ ti.xcom_pull(task_ids='verdict')['reason'] }}",
            defaults=self.REJECT,
            params={"comment": comment},
            assigned_users=users or None,
            ignore_downstream_trigger_rules=True,
            **kwargs,
        )
        self.pipeline = pipeline
        self.tradewind_conn_id = tradewind_conn_id

    def execute(self, context: Context) -> Any:
        """Let later partitions go on, then ask."""
        run = context["dag_run"]
        partition = self.pipeline.partitioning.check(run.partition_key)
        url = TradewindHook(self.tradewind_conn_id).ledger_url()
        settle(url, self.pipeline.pipeline, partition, outcome="waits for approval", run_id=run.run_id)
        return super().execute(context)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """Journal the answer, then go on or skip the promotion."""
        from tradewind.ledger.journal import Entry, Ledger

        run = context["dag_run"]
        answer = event.get("chosen_options") or [self.REJECT]
        user = event.get("responded_by_user") or {}
        entry = Entry(
            pipeline=self.pipeline.pipeline,
            kind="approval",
            subject="promotion",
            partition=run.partition_key,
            key=f"{run.partition_key}/{run.run_id}/{event.get('responded_at')}",
            outcome="approved" if answer[0] == self.APPROVE else "rejected",
            reason=str((event.get("params_input") or {}).get("comment") or "no comment"),
            evidence={"timed_out": bool(event.get("timedout"))},
            actor=str(user.get("name") or user.get("id") or "timeout"),
            run_id=run.run_id,
        )
        Ledger(TradewindHook(self.tradewind_conn_id).ledger_url()).append(entry)
        return super().execute_complete(context, event)
