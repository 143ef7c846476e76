"""The task of ``P__train`` that waits for a person."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import Param
from airflow.sdk.exceptions import AirflowSkipException

from tradewind.deployment import Deployment
from tradewind.hooks.tradewind import TradewindHook
from tradewind.links.report import ReportLink, report_url
from tradewind.operators.training import settle_failed_training
from tradewind.spec.scalars import format_duration

if TYPE_CHECKING:
    from airflow.sdk import Context

    from tradewind.core.runtime import Runtime
    from tradewind.ledger.journal import Entry, Ledger
    from tradewind.spec.pipeline import Pipeline

_ASKED = "asked"
"""XCom of the task itself: the key of the verdict that stands in the form."""


class ApproveOperator(ApprovalOperator):
    """Shows the verdict to the approvers and waits; the answer, also "no" and the timeout, goes to the ledger.

    Waiting takes no worker slot, and no later partition waits for the answer. After the timeout the candidate is
    rejected. In a replay of a partition that was promoted on this very verdict no one is asked again.

    :param pipeline: the pipeline
    :param tradewind_conn_id: connection of type ``tradewind``
    """

    operator_extra_links = (ReportLink(),)

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
            body="The verdict stands here when the task has started.",
            defaults=self.REJECT,
            params={"comment": comment},
            assigned_users=users or None,
            ignore_downstream_trigger_rules=True,
            **kwargs,
        )
        self.pipeline = pipeline
        self.tradewind_conn_id = tradewind_conn_id

    def execute(self, context: Context) -> Any:
        """Let later partitions go on, then ask: the verdict, who is champion, and a pin stand in the form.

        It is not tried again, so where it fails the training is settled as failed.
        """
        try:
            return self._ask(context)
        except AirflowSkipException:
            raise
        except Exception as exc:
            runtime = TradewindHook(self.tradewind_conn_id).runtime(run_id=context["dag_run"].run_id)
            settle_failed_training(exc, Deployment(self.pipeline, runtime), context)
            raise

    def _ask(self, context: Context) -> Any:
        from tradewind.ledger import completion, holds
        from tradewind.ledger.journal import Ledger
        from tradewind.retraining import approval

        run, spec = context["dag_run"], self.pipeline
        partition = spec.partitioning.check(run.partition_key)
        runtime = TradewindHook(self.tradewind_conn_id).runtime(run_id=run.run_id)
        ledger = Ledger(runtime.ledger)
        if (reason := holds.describe_stop(ledger, spec.pipeline, partition)) is not None:
            # Written down as not started, so that upkeep sends the event again after `resume`.
            completion.record_start(ledger, spec.pipeline, "train", partition, cause="held", run_id=run.run_id)
            raise AirflowSkipException(f"nobody is asked: {reason}")
        verdict = approval.find_open_approval(Deployment(spec, runtime), partition)
        if verdict is None:
            self._link(approval.find_verdict_to_approve(spec, partition, ledger), runtime)
            self.log.info("nobody is asked: what this verdict says was approved, and promoted, before")
            return None
        # After the fields are rendered: what people wrote into the ledger is not a template.
        self.body = self._render_question(verdict, runtime, ledger)
        context["ti"].xcom_push(key=_ASKED, value=verdict.key)
        return super().execute(context)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """Journal the answer, then go on or skip the promotion."""
        from tradewind.ledger.journal import Ledger
        from tradewind.retraining import approval

        run, spec = context["dag_run"], self.pipeline
        runtime = TradewindHook(self.tradewind_conn_id).runtime(run_id=run.run_id)
        asked = context["ti"].xcom_pull(task_ids=self.task_id, key=_ASKED)
        partition = spec.partitioning.check(run.partition_key)
        verdict = approval.find_verdict_to_approve(spec, partition, Ledger(runtime.ledger), key=asked)
        self._link(verdict, runtime)
        answer = event.get("chosen_options") or [self.REJECT]
        user = event.get("responded_by_user") or {}
        timed_out = bool(event.get("timedout"))
        comment = str((event.get("params_input") or {}).get("comment") or "")
        silence = (
            f"nobody answered within {format_duration(self.response_timeout or spec.promotion.timeout)}"
            if timed_out
            else "no comment"
        )
        approval.record_approval(
            verdict,
            runtime,
            approved=answer[0] == self.APPROVE,
            reason=comment or silence,
            actor=str(user.get("name") or user.get("id") or "timeout"),
            occasion=str(event.get("responded_at")),
            comment=comment,
            timed_out=timed_out,
        )
        return super().execute_complete(context, event)

    def _render_question(self, verdict: Entry, runtime: Runtime, ledger: Ledger) -> str:
        from tradewind.ledger import pins, serving_versions
        from tradewind.verdict import verdict_text

        spec = self.pipeline
        self._link(verdict, runtime)
        refitted = serving_versions.find_refit(ledger, spec.pipeline, str(verdict.evidence["version"]))
        refitted = refitted if spec.train is not None and spec.train.refit else None
        body = verdict_text.render_verdict_markdown(spec, verdict, report=self.report_url, refit=refitted)
        if (held := pins.current_pin(ledger, spec.pipeline)) is None:
            return body
        return f"**An answer changes nothing while the champion is pinned:** {pins.describe_pin(held)}\n\n{body}"

    def _link(self, verdict: Entry, runtime: Runtime) -> None:
        """Show the verdict's page behind the task's Report button, also after the answer."""
        from tradewind.verdict import verdict_files

        self.report_url = report_url(verdict_files.verdict_page_path(verdict, runtime), reports=runtime.reports)
