"""What all operators share: the pipeline, the runtime, and which errors are tried again."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import gettempdir
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator, ExceptionRetryPolicy, RetryAction, RetryRule

from tradewind.errors import NotReady, TradewindError, Unavailable
from tradewind.hooks.mlflow import MlflowHook
from tradewind.hooks.tradewind import TradewindHook

if TYPE_CHECKING:
    from airflow.sdk import Context

    from tradewind.core.runtime import Runtime
    from tradewind.spec.pipeline import Pipeline

RETRY_POLICY = ExceptionRetryPolicy(
    rules=[
        RetryRule(Unavailable, action=RetryAction.RETRY, reason="not there yet, or away for a while"),
        RetryRule(TradewindError, action=RetryAction.FAIL, reason="trying again without a change cannot help"),
    ]
)

FAIL_WHEN_NOT_READY = ExceptionRetryPolicy(
    rules=[
        RetryRule(NotReady, action=RetryAction.FAIL, reason="what it waits for would wait behind it"),
        *RETRY_POLICY.rules,
    ]
)
"""Where only one run is active at a time: it gets out of the way of what it lacks."""


class TradewindOperator(BaseOperator):
    """Base of the operators: it knows a pipeline and the connections, nothing else.

    :param pipeline: the pipeline, or the path of its YAML
    :param tradewind_conn_id: connection of type ``tradewind``
    :param mlflow_conn_id: connection of type ``mlflow``
    """

    ui_color = "#e8f1f5"

    def __init__(
        self,
        *,
        pipeline: Pipeline | str,
        tradewind_conn_id: str = TradewindHook.default_conn_name,
        mlflow_conn_id: str = MlflowHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("retry_policy", RETRY_POLICY)
        super().__init__(**kwargs)
        self.pipeline = pipeline
        self.tradewind_conn_id = tradewind_conn_id
        self.mlflow_conn_id = mlflow_conn_id

    def spec(self) -> Pipeline:
        """The pipeline, read from its YAML if a path was given."""
        from tradewind.spec.load import load_pipeline

        return load_pipeline(Path(self.pipeline)) if isinstance(self.pipeline, str) else self.pipeline

    def runtime(self, context: Context, *, actor: str = "airflow") -> Runtime:
        """Where things are, from the connections."""
        hook = TradewindHook(self.tradewind_conn_id, mlflow_conn_id=self.mlflow_conn_id)
        runtime = hook.runtime(run_id=context["dag_run"].run_id, actor=actor)
        return replace(runtime, waited=datetime.now(UTC) - run_start_time(context))

    def close_incidents(
        self, runtime: Runtime, *, pipeline: str, stage: str, partition: str | None, task: str | None = None
    ) -> None:
        """It succeeded: what was wrong with it no longer is."""
        from tradewind.alerting import incidents
        from tradewind.ledger.journal import Ledger

        incidents.close_stage_incidents(
            Ledger(runtime.ledger), pipeline, stage, partition, task=task, run_id=runtime.run_id
        )


def task_folders(runtime: Runtime) -> list[str]:
    """Folders that a task writes to."""
    return [str(runtime.lake), str(runtime.reports), gettempdir()]


def run_start_time(context: Context) -> datetime:
    """When the run started; a run that is cleared starts anew."""
    return getattr(context["dag_run"], "start_date", None) or datetime.now(UTC)
