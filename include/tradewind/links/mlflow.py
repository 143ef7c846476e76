"""Link from a task to its MLflow run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator


class MlflowRunLink(BaseOperatorLink):
    """Opens the MLflow run of the model that the task worked on."""

    name = "MLflow run"

    def get_link(self, operator: BaseOperator, *, ti_key: Any) -> str:
        """The run's address, or nothing when the task had no run."""
        return str(getattr(operator, "mlflow_run_url", "") or "")
