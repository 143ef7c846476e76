"""The tasks of ``P__score``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowSkipException

from tradewind.operators.stage import StageOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

    from tradewind.deployment import Deployment


class ScoreOperator(StageOperator):
    """Scores the population that the partition must predict; skips, with the reason, while no champion holds for it."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(stage="score", **kwargs)

    def work(self, deployment: Deployment, partition: str, context: Context) -> dict[str, Any]:
        """Return population, rows, and the model version that served."""
        from tradewind.scoring.batch_scoring import SkippedPopulation, score_population

        scored = score_population(deployment, partition)
        self.complete(deployment, partition)
        if isinstance(scored, SkippedPopulation):
            raise AirflowSkipException(scored.reason)
        return {
            "population": scored.population,
            "rows": scored.rows,
            "model_version": scored.version,
            "served_by": scored.served_by,
            "kept": scored.kept,
        }


class ShadowOperator(StageOperator):
    """Lets the shadow predict what was scored, without serving; a task of its own, so that nothing waits for it."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(stage="score", **kwargs)

    def work(self, deployment: Deployment, partition: str, context: Context) -> dict[str, Any]:
        """Return population, rows and version; skip where no shadow has to predict this population."""
        from tradewind.scoring.shadow import score_shadow

        done = score_shadow(deployment, partition)
        if done is None:
            raise AirflowSkipException("no shadow stands for this population")
        return {"population": done.population, "rows": done.rows, "model_version": done.version, "reason": done.reason}
