"""The tasks of ``P__etl``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tradewind.errors import AuditFailed
from tradewind.operators.stage import StageOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

    from tradewind.core.runtime import Runtime
    from tradewind.spec.models import Pipeline


class BuildDatasetOperator(StageOperator):
    """Stages, audits and publishes one partition of one dataset.

    :param dataset: name of the dataset in the pipeline's YAML
    """

    def __init__(self, *, dataset: str, **kwargs: Any) -> None:
        super().__init__(stage="etl", **kwargs)
        self.dataset = dataset

    def work(self, spec: Pipeline, partition: str, runtime: Runtime, context: Context) -> dict[str, Any]:
        """Build the partition; the report is linked also when the audit fails."""
        from tradewind.etl.dataset import build_dataset

        try:
            result = build_dataset(spec, self.dataset, partition, runtime)
        except AuditFailed as exc:
            self.link_report(exc.report, runtime)
            raise
        self.link_report(result.report, runtime)
        published = result.published
        return {
            "dataset": self.dataset,
            "version": published.version,
            "digest": published.digest,
            "rows": published.rows,
            "bad_rows": result.bad_rows,
        }


class CompleteEtlOperator(StageOperator):
    """Writes down that every dataset of the partition is published; its success is the event ``P/etl``."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(stage="etl", **kwargs)

    def work(self, spec: Pipeline, partition: str, runtime: Runtime, context: Context) -> str:
        """Return the cause of the partition: a hash over its datasets' digests."""
        from tradewind.core import faults
        from tradewind.etl.stage import complete_etl

        cause = complete_etl(spec, partition, runtime)
        self.complete(spec, partition, runtime)
        faults.reach("after-commit-before-event")
        return cause
