"""The tasks of ``P__monitor``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tradewind.operators.stage import StageOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

    from tradewind.deployment import Deployment


class ProfileOperator(StageOperator):
    """Publishes the profiles of one partition: every feature as the model sees it, and the predictions."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(stage="monitor", **kwargs)

    def work(self, deployment: Deployment, partition: str, context: Context) -> dict[str, Any]:
        """Return version and digest of the published profiles."""
        from tradewind.monitoring.profile_rows import profile_partition

        published = profile_partition(deployment, partition)
        return {"version": published.version, "digest": published.digest}


class JudgeOperator(StageOperator):
    """Judges drift against the champion's baseline, and the performance of populations whose labels fell due."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(stage="monitor", **kwargs)

    def work(self, deployment: Deployment, partition: str, context: Context) -> dict[str, Any]:
        """Return the alarms and the realised metrics."""
        from tradewind.monitoring.partition_judgement import judge_partition

        judged = judge_partition(deployment, partition)
        self.link_report(judged.report, deployment.runtime)
        self.complete(deployment, partition)
        return {"alarms": list(judged.alarms), "performance": dict(judged.performance)}
