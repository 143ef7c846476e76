"""Failures become incidents: one open problem, however often it shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseNotifier

from tradewind.errors import InvalidPartitionKey, TradewindError, mask_userinfo

if TYPE_CHECKING:
    from airflow.sdk import Context


class IncidentNotifier(BaseNotifier):
    """Writes a failure of a task or a DAG run to the ledger, and tells the channels when the problem is new.

    It is both a task's and a DAG's ``on_failure_callback``: a task killed by SIGKILL calls only the DAG's, a lost
    worker's tasks call twice; the ledger keeps one entry for each failure.

    :param pipeline: name of the pipeline
    :param owner: who is told
    :param runbook: link that says what to do
    :param channels: where a new problem is sent, beside the log
    :param tradewind_conn_id: connection that names the ledger
    """

    def __init__(
        self, *, pipeline: str, owner: str, runbook: str | None = None, channels: Sequence[str] = (),
        tradewind_conn_id: str = "tradewind_default",
    ) -> None:  # fmt: skip
        super().__init__()
        self.pipeline = pipeline
        self.owner = owner
        self.runbook = runbook
        self.channels = channels
        self.tradewind_conn_id = tradewind_conn_id

    def notify(self, context: Context) -> None:
        """Report the failure that Airflow's ``context`` describes."""
        from tradewind.alerting import channels, incidents
        from tradewind.hooks.tradewind import TradewindHook
        from tradewind.ledger.journal import Ledger

        known = {"pipeline": self.pipeline, "owner": self.owner, "runbook": self.runbook, **describe_failure(context)}
        try:
            ledger = Ledger(TradewindHook(self.tradewind_conn_id).ledger_url())
            incidents.report_failure(ledger, **known, channels=self.channels)
        except TradewindError as exc:
            # Without its ledger it cannot tell a new problem from a known one; better told twice than never.
            self.log.error("the ledger did not take the incident: %s", exc)
            channels.send_alert(incidents.unrecorded_incident(**known), self.channels)


def describe_failure(context: Context | dict[str, Any]) -> dict[str, Any]:
    """The facts of a failure: ``stage, task, partition, run_id, attempt, error_type, message, link``.

    ``task`` is None when the callback is the DAG's: which task failed is then for the ledger to know.
    """
    run = context.get("dag_run")
    instance = context.get("task_instance") or context.get("ti")
    error = context.get("exception")
    dag_id = str(getattr(run, "dag_id", None) or getattr(context.get("dag"), "dag_id", ""))
    of_task = instance is not None and error is not None
    return {
        "stage": dag_id.rsplit("__", 1)[-1],
        "task": instance.task_id if of_task and instance is not None else None,
        # An invalid key belongs to no partition: any later success shows that it was a slip.
        "partition": None if isinstance(error, InvalidPartitionKey) else getattr(run, "partition_key", None),
        "run_id": str(getattr(run, "run_id", None) or context.get("run_id", "")),
        "attempt": int(getattr(instance, "try_number", 0) or 0) if of_task else 0,
        "error_type": type(error).__name__ if error is not None else "RunFailed",
        "message": _without_secrets(
            str(error) if error is not None else str(context.get("reason") or "the run failed")
        ),
        "link": str(getattr(instance, "log_url", "") or ""),
    }


def _without_secrets(message: str) -> str:
    """A message without the secrets that Airflow knows of: errors of other libraries may repeat them."""
    from airflow.sdk import log

    return mask_userinfo(str(log.redact(message)))  # type: ignore[attr-defined]  # there, but not in `__all__`
