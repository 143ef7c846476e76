"""The tasks of ``tradewind__upkeep``."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset
from airflow.sdk.exceptions import AirflowSkipException

from tradewind.core.disk import translate_disk_errors
from tradewind.deployment import Deployment
from tradewind.errors import ModelError, Unavailable
from tradewind.operators.base import TradewindOperator, task_folders

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context

    from tradewind.core.runtime import Runtime


ALIAS_STAGE = "alias"
"""Stage of the incident that a person edited MLflow's alias."""


class UpkeepOperator(TradewindOperator):
    """Base of the upkeep tasks."""

    def work(self, deployment: Deployment, context: Context) -> Any:
        """Look after the pipeline; what it returns goes to XCom."""
        raise NotImplementedError

    def execute(self, context: Context) -> Any:
        """Work, then close what an earlier failure of this task had opened."""
        spec, runtime = self.spec(), self.runtime(context)
        deployment = Deployment(spec, runtime)
        self._stop_if_decommissioned(deployment)
        try:
            with translate_disk_errors(f"{spec.pipeline}: {self.task_id} cannot write", *task_folders(runtime)):
                done = self.work(deployment, context)
        except AirflowSkipException:
            self._well(runtime)
            raise
        self._well(runtime)
        return done

    def _stop_if_decommissioned(self, deployment: Deployment) -> None:
        from tradewind.ledger import holds

        ledger = deployment.ledger
        if holds.decommission_entry(ledger, deployment.spec.pipeline) is not None:
            raise AirflowSkipException(
                f"nothing is looked after: {holds.describe_stop(ledger, deployment.spec.pipeline)}"
            )

    def _well(self, runtime: Runtime) -> None:
        self.close_incidents(runtime, pipeline="tradewind", stage="upkeep", partition=None, task=self.task_id)


class ResendOperator(UpkeepOperator):
    """Sends an event again for each partition whose next stage never started, or has waited in vain.

    Events to a paused DAG are lost; and a stage that gave up waiting for an earlier partition is not started again by
    that partition's repair.

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

    def work(self, deployment: Deployment, context: Context) -> list[str]:
        """Return the partition keys that were sent again; skip when there is none."""
        from tradewind.alerting import incidents
        from tradewind.ledger import completion, holds, skipped_partitions

        spec, ledger = deployment.spec, deployment.ledger
        if (reason := holds.describe_stop(ledger, spec.pipeline)) is not None:
            raise AirflowSkipException(f"nothing is sent: {reason}")
        grace = timedelta(minutes=int(self.grace_minutes))
        found = completion.lost_events(ledger, spec.pipeline, {self.stage: self.followers}, older_than=grace)
        waited = incidents.partitions_not_ready(ledger, spec.pipeline, self.followers)
        skipped = skipped_partitions.skipped_partitions(ledger, spec.pipeline)
        lost = sorted({key for key in (*(partition for _, partition in found), *waited) if key not in skipped})
        if not lost:
            raise AirflowSkipException(f"every complete partition of {self.stage} has gone on")
        self.log.warning("%s: sending %s again for %s", spec.pipeline, self.asset.name, ", ".join(lost))
        context["outlet_events"][self.asset].add_partitions(lost)
        return lost


class ReconcileOperator(UpkeepOperator):
    """Makes MLflow's alias ``champion`` and the model card say what the ledger says.

    What a crash left is repaired, and what killed trainings left in MLflow is marked. What a person edited in MLflow is
    put back, and is an incident until the next look finds nothing; a champion that MLflow does not have fails the task,
    with what to do, and so does a model card that cannot be written.
    """

    def work(self, deployment: Deployment, context: Context) -> str:
        """Return what was found and done."""
        from datetime import UTC, datetime

        from tradewind.alerting.lasting_conditions import LastingCondition, heal_condition, open_condition
        from tradewind.champion.alias_and_card import mark_abandoned_trainings, reconcile_alias_and_card

        spec = deployment.spec
        found, ledger = reconcile_alias_and_card(deployment), deployment.ledger
        if found.outcome == "broken":
            raise ModelError(found.words)
        self.log.info("%s: %s", spec.pipeline, found.words)
        mark_abandoned_trainings(deployment, now=datetime.now(UTC))
        edited = LastingCondition("AliasEdited", ALIAS_STAGE, message=found.words)
        if found.outcome == "edited":
            open_condition(ledger, spec, edited, run_id=deployment.runtime.run_id)
        else:
            because = "alias and ledger agree again"
            heal_condition(
                ledger, spec, kind=edited.kind, stage=edited.stage, because=because, run_id=deployment.runtime.run_id
            )
        if not found.card:
            raise Unavailable(
                f"{spec.pipeline}: the champion's model card could not be written; the log of this task says why. The "
                "promotion stands; each upkeep tries again"
            )
        return found.words


class HeartbeatOperator(UpkeepOperator):
    """Opens an incident for each stage with partitions that should be complete and are not, also if nothing started,
    and for a training that waits for its window for too long; closes what partitions had that left the range.
    """

    def work(self, deployment: Deployment, context: Context) -> str:
        """Return what was found."""
        from datetime import UTC, datetime

        from tradewind.alerting.incidents import close_incidents_outside_range
        from tradewind.retraining import window_incident
        from tradewind.upkeep.heartbeat import report_overdue_stages

        if gone := close_incidents_outside_range(deployment.ledger, deployment.spec, run_id=deployment.runtime.run_id):
            self.log.info(
                "%s: incidents closed of partitions outside the range: %s", deployment.spec.pipeline, ", ".join(gone)
            )
        now = datetime.now(UTC)
        found = [
            report_overdue_stages(deployment, now=now),
            window_incident.check_incomplete_window(deployment, now=now),
        ]
        return "\n".join(said for said in found if said) or "nothing is overdue"


class VacuumOperator(UpkeepOperator):
    """Removes what no model, no prediction and no retention needs from the lake.

    :param look_only: say what would be removed, and remove nothing
    """

    template_fields = ("look_only",)

    def __init__(self, *, look_only: bool | str = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.look_only = look_only

    def work(self, deployment: Deployment, context: Context) -> dict[str, int]:
        """Return how many files and folders were removed, by dataset."""
        from datetime import UTC, datetime

        from tradewind.upkeep.retention import vacuum_pipeline

        done = vacuum_pipeline(deployment, now=datetime.now(UTC), dry_run=_parse_boolean(self.look_only))
        return {one.dataset: one.removed for one in done}


class ArchiveOperator(UpkeepOperator):
    """Packs the files of model versions that are no longer needed; their evidence stays where it is.

    :param look_only: say what would be packed, and change nothing
    """

    template_fields = ("look_only",)

    def __init__(self, *, look_only: bool | str = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.look_only = look_only

    def work(self, deployment: Deployment, context: Context) -> dict[str, str]:
        """Return why each version was archived."""
        from datetime import UTC, datetime

        from tradewind.upkeep.archiving import archive_old_versions

        done = archive_old_versions(deployment, now=datetime.now(UTC), dry_run=_parse_boolean(self.look_only))
        return {one.version: one.reason for one in done}


def _parse_boolean(value: bool | str) -> bool:
    """A template makes text of a boolean."""
    return value if isinstance(value, bool) else value.strip().lower() == "true"
