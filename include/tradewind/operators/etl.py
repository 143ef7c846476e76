"""The tasks of ``P__etl``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tradewind.errors import AuditFailed
from tradewind.operators.base import FAIL_WHEN_NOT_READY
from tradewind.operators.stage import StageOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

    from tradewind.deployment import Deployment


class BuildDatasetOperator(StageOperator):
    """Stages, audits and publishes one partition of one dataset.

    If an earlier partition is missing that it looks back to, it fails at once: it is started again by
    :class:`CompleteEtlOperator` of that partition.

    :param dataset: name of the dataset in the pipeline's YAML
    """

    def __init__(self, *, dataset: str, **kwargs: Any) -> None:
        kwargs.setdefault("retry_policy", FAIL_WHEN_NOT_READY)
        super().__init__(stage="etl", **kwargs)
        self.dataset = dataset

    def work(self, deployment: Deployment, partition: str, context: Context) -> dict[str, Any]:
        """Build the partition; the report is linked also when the audit fails."""
        from tradewind.etl.dataset_build import build_dataset

        try:
            result = build_dataset(deployment, self.dataset, partition)
        except AuditFailed as exc:
            self.link_report(exc.report, deployment.runtime)
            raise
        self.link_report(result.report, deployment.runtime)
        published = result.published
        return {
            "dataset": self.dataset,
            "version": published.version,
            "digest": published.digest,
            "rows": published.rows,
            "bad_rows": result.bad_rows,
        }


class CompleteEtlOperator(StageOperator):
    """Writes down that every dataset of the partition is published; its success is the event ``P/etl``.

    Runs of later partitions that failed for want of this one are cleared, and go on in place.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(stage="etl", **kwargs)

    def work(self, deployment: Deployment, partition: str, context: Context) -> str:
        """Return the cause of the partition: a hash over its datasets' digests."""
        from tradewind.core import fault_points
        from tradewind.etl.etl_completion import complete_etl

        cause = complete_etl(deployment, partition)
        self.complete(deployment, partition)
        fault_points.reach_fault_point("after-commit-before-event")
        self._clear_followers(deployment, partition, context)
        return cause

    def _clear_followers(self, deployment: Deployment, partition: str, context: Context) -> None:
        """Clear the failed runs that waited for this partition; one that cannot be cleared stays failed."""
        from tradewind.etl.etl_completion import failed_dependent_runs

        instance = context["ti"]
        for key, run_id in failed_dependent_runs(deployment, partition).items():
            try:
                if instance.get_dagrun_state(instance.dag_id, run_id) == "failed":
                    _clear_run(instance.dag_id, run_id)
                    self.log.info("partition %s had waited for %s: run %s is started again", key, partition, run_id)
            except Exception as exc:  # the event of a complete partition is not lost for a follower
                self.log.warning("partition %s waits for %s and is not started again: %s", key, partition, exc)


def _clear_run(dag_id: str, run_id: str) -> None:
    # What TriggerDagRunOperator does with `reset_dag_run`; as an exception of its own it would end this task.
    from airflow.sdk.execution_time import task_runner
    from airflow.sdk.execution_time.comms import TriggerDagRun

    task_runner.SUPERVISOR_COMMS.send(TriggerDagRun(dag_id=dag_id, run_id=run_id, reset_dag_run=True))
