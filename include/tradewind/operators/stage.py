"""A task of a stage: its partition, waiting for earlier ones, its links."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowSkipException

from tradewind.core.disk import translate_disk_errors
from tradewind.deployment import Deployment
from tradewind.errors import Conflict, InvalidPartitionKey, LeftOut, NotDelivered, NotReady, Unavailable
from tradewind.links.mlflow import MlflowRunLink
from tradewind.links.report import ReportLink, report_url
from tradewind.operators.base import TradewindOperator, run_start_time, task_folders
from tradewind.triggers.ready import ReadyTrigger

if TYPE_CHECKING:
    from pathlib import Path

    from airflow.sdk import Context

    from tradewind.core.runtime import Runtime
    from tradewind.spec.pipeline import Pipeline


class StageOperator(TradewindOperator):
    """One task of a stage: builds the runtime, calls one function, logs the outcome, returns ids and URIs.

    :param stage: ``etl``, ``features``, ``monitor``, ``train`` or ``score``
    :param opens: this task is the first of its DAG: the run is written down as started
    :param wait: how long to wait, without a slot, for an earlier partition
    """

    operator_extra_links = (MlflowRunLink(), ReportLink())

    def __init__(
        self, *, stage: str, opens: bool = False, wait: timedelta = timedelta(minutes=15), **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.stage = stage
        self.opens = opens
        self.wait = wait

    def work(self, deployment: Deployment, partition: str, context: Context) -> Any:
        """Call the stage's function; what it returns goes to XCom."""
        raise NotImplementedError

    def execute(self, context: Context) -> Any:
        """Check the partition key, then work; wait for an earlier partition if the work asks for it.

        While a person holds the pipeline or keeps the partition out, the task ends as skipped, with the reason.

        :raises InvalidPartitionKey: no key, one outside ``start…end``, or one of a partition that is not over yet
        """
        from tradewind.ledger import holds

        spec = self.spec()
        partition = _partition_is_over(spec, spec.partitioning.check(context["dag_run"].partition_key))
        deployment = Deployment(spec, self.runtime(context))
        try:
            holds.require_not_held(
                deployment.ledger,
                spec,
                partition,
                stage=self.stage,
                first=self.opens,
                run_id=deployment.runtime.run_id,
            )
            if self.opens:
                self._write_down_start(deployment, partition)
            with translate_disk_errors(
                f"{spec.pipeline} {partition}: {self.task_id} cannot write", *task_folders(deployment.runtime)
            ):
                done = self.work(deployment, partition, context)
        except NotReady as exc:
            if exc.stage is None or exc.partition is None:
                raise
            self._defer_until_ready(spec, exc)
        except NotDelivered as exc:
            self._defer_until_next_look(exc, context)
        except LeftOut as exc:
            raise AirflowSkipException(str(exc)) from exc
        except Conflict as exc:
            # Who lost looks again: it finds the same result, or builds a newer one from what is there now.
            raise Unavailable(str(exc)) from exc
        self.close_incidents(
            deployment.runtime, pipeline=spec.pipeline, stage=self.stage, partition=partition, task=self.task_id
        )
        return done

    def resume(self, context: Context, event: dict[str, Any]) -> Any:
        """Go on after waiting; the work says again what is missing if it still is."""
        self.wait = timedelta(0) if not event["ready"] else self.wait
        return self.execute(context)

    def look_again(self, context: Context, event: Any = None) -> Any:
        """Go on after a while; the work says again what has not come if it still has not."""
        return self.execute(context)

    def link_report(self, report: Path | str | None, runtime: Runtime) -> None:
        """Show ``report`` behind the task's Report button."""
        self.report_url = report_url(report, reports=runtime.reports) if report else ""

    def link_mlflow(self, experiment_id: str, run_id: str) -> None:
        """Show an MLflow run behind the task's button."""
        from tradewind.hooks.mlflow import MlflowHook

        base = MlflowHook(self.mlflow_conn_id).ui_url()
        self.mlflow_run_url = f"{base}/#/experiments/{experiment_id}/runs/{run_id}"

    def complete(self, deployment: Deployment, partition: str) -> None:
        """All that the stage does for this partition is done."""
        from tradewind.alerting import incidents

        self.close_incidents(
            deployment.runtime, pipeline=deployment.spec.pipeline, stage=self.stage, partition=partition
        )
        incidents.close_incidents_outside_range(deployment.ledger, deployment.spec, run_id=deployment.runtime.run_id)

    def _write_down_start(self, deployment: Deployment, partition: str) -> None:
        from tradewind.ledger import completion

        ledger = deployment.ledger
        completion.record_begin(
            ledger,
            deployment.spec.pipeline,
            self.stage,
            partition,
            stages=deployment.spec.stages,
            run_id=deployment.runtime.run_id,
        )

    def _defer_until_ready(self, spec: Pipeline, missing: NotReady) -> None:
        assert missing.stage is not None
        assert missing.partition is not None
        if not self.wait:
            raise missing
        self.log.info("waiting up to %s: %s", self.wait, missing)
        trigger = ReadyTrigger(
            tradewind_conn_id=self.tradewind_conn_id,
            pipeline=spec.pipeline,
            stage=missing.stage,
            partition=missing.partition,
            deadline=(datetime.now(UTC) + self.wait).isoformat(),
        )
        # The trigger gives up by itself; the timeout is for a triggerer that is down.
        self.defer(trigger=trigger, method_name="resume", timeout=self.wait + timedelta(minutes=1))

    def _defer_until_next_look(self, missing: NotDelivered, context: Context) -> None:
        from airflow.providers.standard.triggers.temporal import DateTimeTrigger

        from tradewind.etl.late_inputs import next_poll_time

        now = datetime.now(UTC)
        moment = next_poll_time(now, started=run_start_time(context), wait_for=missing.wait_for)
        self.log.info("looking again at %s: %s", moment.isoformat(timespec="seconds"), missing)
        # The timeout is for a triggerer that is down.
        timeout = moment - now + timedelta(minutes=10)
        self.defer(trigger=DateTimeTrigger(moment=moment), method_name="look_again", timeout=timeout)


def _partition_is_over(spec: Pipeline, partition: str) -> str:
    end = spec.partitioning.bounds(partition).end
    if end > datetime.now(UTC):
        raise InvalidPartitionKey(
            f"partition {partition} of {spec.pipeline} is not over yet: it ends at {end.isoformat()}, "
            "and what is published of it before would pass for complete; start the run then"
        )
    return partition
