"""The task of ``P__features``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tradewind.operators.stage import StageOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

    from tradewind.deployment import Deployment


class MaterialiseOperator(StageOperator):
    """Applies changed feature definitions and materialises the partition's window into the online store."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(stage="features", **kwargs)

    def work(self, deployment: Deployment, partition: str, context: Context) -> dict[str, Any]:
        """Return the rows written for each feature view."""
        from tradewind.features.stage import materialise_features

        result = materialise_features(deployment, partition)
        self.complete(deployment, partition)
        return {"rows": dict(result.rows), "changed": result.changed}
