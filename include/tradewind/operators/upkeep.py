"""The tasks of ``tradewind__upkeep``."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, BaseOperator
from airflow.sdk.exceptions import AirflowSkipException

from tradewind.hooks.tradewind import TradewindHook

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context

    from tradewind.core.runtime import Runtime
    from tradewind.spec.models import Pipeline


class UpkeepOperator(BaseOperator):
    """Base of the upkeep tasks.

    :param pipeline: the pipeline to look after
    :param tradewind_conn_id: connection of type ``tradewind``
    :param mlflow_conn_id: connection of type ``mlflow``
    """

    def __init__(
        self,
        *,
        pipeline: Pipeline,
        tradewind_conn_id: str = TradewindHook.default_conn_name,
        mlflow_conn_id: str = "mlflow_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.pipeline = pipeline
        self.tradewind_conn_id = tradewind_conn_id
        self.mlflow_conn_id = mlflow_conn_id

    def runtime(self, context: Context) -> Runtime:
        """Where things are, from the connections."""
        hook = TradewindHook(self.tradewind_conn_id, mlflow_conn_id=self.mlflow_conn_id)
        return hook.runtime(run_id=context["dag_run"].run_id)


class ResendOperator(UpkeepOperator):
    """Sends an event again for each partition whose next stage never started: events to a paused DAG are lost.

    :param stage: the stage whose event it is
    :param followers: the stages that the event starts
    :param asset: the asset that carries the event
    :param grace_minutes: how long a complete partition may wait before its event counts as lost
    """

    template_fields = ("grace_minutes",)

    def __init__(
        self,
        *,
        stage: str,
        followers: Sequence[str],
        asset: Asset,
        grace_minutes: int | str = 10,
        **kwargs: Any,
    ) -> None:
        super().__init__(outlets=[asset], **kwargs)
        self.stage = stage
        self.followers = followers
        self.asset = asset
        self.grace_minutes = grace_minutes

    def execute(self, context: Context) -> list[str]:
        """Return the partition keys that were sent again; skip when there is none."""
        from tradewind.ledger import progress
        from tradewind.ledger.journal import Ledger

        ledger = Ledger(self.runtime(context).ledger)
        chain = {self.stage: self.followers}
        found = progress.lost(
            ledger, self.pipeline.pipeline, chain, older_than=timedelta(minutes=int(self.grace_minutes))
        )
        lost = [partition for _, partition in found]
        if not lost:
            raise AirflowSkipException(f"every complete partition of {self.stage} has gone on")
        self.log.warning("%s: sending %s again for %s", self.pipeline.pipeline, self.asset.name, ", ".join(lost))
        context["outlet_events"][self.asset].add_partitions(lost)
        return lost


class ReconcileOperator(UpkeepOperator):
    """Makes MLflow's alias ``champion`` say what the ledger says."""

    def execute(self, context: Context) -> str:
        """Return what was done."""
        from tradewind.models.promote import reconcile

        done = reconcile(self.pipeline, self.runtime(context)) or "alias and ledger agree"
        self.log.info("%s: %s", self.pipeline.pipeline, done)
        return done


class HeartbeatOperator(UpkeepOperator):
    """Opens an incident when the newest partition should be complete and is not, also when it never started."""

    def execute(self, context: Context) -> str:
        """Return what was found."""
        from datetime import UTC, datetime

        from tradewind.alerting.heartbeat import check

        return check(self.pipeline, self.runtime(context), now=datetime.now(UTC)) or "nothing is overdue"
