"""The tasks of ``P__train`` and ``P__rollback``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow.sdk import SkipMixin
from airflow.sdk.exceptions import AirflowSkipException, DownstreamTasksSkipped

from tradewind.deployment import Deployment
from tradewind.errors import TradewindError, Unavailable
from tradewind.operators.base import TradewindOperator
from tradewind.operators.stage import StageOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

    from tradewind.core.runtime import Runtime
    from tradewind.retraining.train_stage import TrainStep


class TrainStageOperator(StageOperator, SkipMixin):
    """A task of ``P__train``. It may end the run early, and green, when nothing more is to be done."""

    inherits_from_skipmixin = True

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(stage="train", **kwargs)

    def execute(self, context: Context) -> Any:
        """Work; when it has failed for good the training is settled too, since scoring goes on with who serves now."""
        try:
            return super().execute(context)
        except (DownstreamTasksSkipped, AirflowSkipException):
            raise
        except Exception as exc:
            if is_final_error(exc, context):
                settle_failed_training(exc, Deployment(self.spec(), self.runtime(context)), context)
            raise

    def end_step(self, step: TrainStep, runtime: Runtime, context: Context) -> Mapping[str, Any]:
        """Link what the step made, and skip the tasks after it where it settled the training; what XCom gets."""
        if step.mlflow is not None:
            self.link_mlflow(*step.mlflow)
        if step.report is not None:
            self.link_report(step.report, runtime)
        if step.settled:
            self.skip(ti=context["ti"], tasks=context["task"].get_flat_relatives(upstream=False))
        return step.about


class DecideOperator(TrainStageOperator):
    """Decides whether to train, or to judge the shadow; journals it with the numbers, and skips the rest on no."""

    def work(self, deployment: Deployment, partition: str, context: Context) -> Mapping[str, Any]:
        """Return outcome and reason."""
        from tradewind.retraining.train_stage import run_decision

        params, asked_by = context["params"], getattr(context["dag_run"], "triggering_user_name", None)
        by_hand = params.get("by_hand") or None
        if by_hand and (person := params.get("by") or asked_by):
            deployment = replace(deployment, runtime=replace(deployment.runtime, actor=str(person)))
        return self.end_step(run_decision(deployment, partition, by_hand=by_hand), deployment.runtime, context)


class TrainOperator(TrainStageOperator):
    """Fits a candidate on the window that ends with the partition and registers it; not where a shadow is judged."""

    def work(self, deployment: Deployment, partition: str, context: Context) -> Mapping[str, Any]:
        """Return version and MLflow run of the candidate."""
        from tradewind.retraining.train_stage import run_training

        return self.end_step(run_training(deployment, partition), deployment.runtime, context)


class VerdictOperator(TrainStageOperator):
    """Judges the candidate, or the shadow, at the gates, beside the champion.

    A rejection ends the run green; so does a candidate that predicts what the champion predicts, and one that passed
    and stands as shadow from now on.
    """

    def work(self, deployment: Deployment, partition: str, context: Context) -> Mapping[str, Any]:
        """Return outcome and reason of the verdict."""
        from tradewind.retraining.train_stage import run_verdict

        return self.end_step(run_verdict(deployment, partition), deployment.runtime, context)


class RefitOperator(TrainStageOperator):
    """Fits the candidate that passed once more, on its whole window; not a shadow, which was before it stood.

    Where the YAML asks for a shadow the refit stands from now on, which ends the run green.
    """

    def work(self, deployment: Deployment, partition: str, context: Context) -> Mapping[str, Any]:
        """Return the version that serves, and why."""
        from tradewind.retraining.train_stage import run_refit

        return self.end_step(run_refit(deployment, partition), deployment.runtime, context)


class PromoteOperator(TrainStageOperator):
    """Makes the candidate champion from the first population that is not scored yet; the event ``P/model``.

    Who approved is in the ledger. A candidate that is not promoted, because of a pin, a newer candidate or another
    champion since, ends the run green, and the event is not sent.
    """

    def work(self, deployment: Deployment, partition: str, context: Context) -> Mapping[str, Any]:
        """Return version and the partition from which it holds."""
        from tradewind.retraining.train_stage import run_promotion

        step = run_promotion(deployment, partition)
        if step.outcome != "promoted":
            raise AirflowSkipException(step.reason)
        self.link_report(step.report, deployment.runtime)
        return step.about


class RollbackOperator(TradewindOperator):
    """Makes a version champion from the next population on and pins it; or lifts the pin.

    :param to_version: the model version that is to serve, or ``previous``; not looked at where the pin is lifted
    :param reason: goes to the ledger with the name of who started the run
    :param action: :data:`ROLL_BACK` or :data:`LIFT`
    """

    ROLL_BACK, LIFT = "roll back", "lift the pin"

    template_fields = ("to_version", "reason", "action")

    def __init__(self, *, to_version: str, reason: str, action: str = ROLL_BACK, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.to_version = to_version
        self.reason = reason
        self.action = action

    def execute(self, context: Context) -> dict[str, Any]:
        """Return the action, and version and partition from which it holds."""
        from tradewind.champion.rollback import roll_back_to_version
        from tradewind.ledger import pins
        from tradewind.ledger.journal import Ledger

        spec = self.spec()
        actor = getattr(context["dag_run"], "triggering_user_name", None) or "airflow"
        runtime = self.runtime(context, actor=actor)
        if self.action == self.LIFT:
            ledger = Ledger(runtime.ledger)
            held = pins.lift_pin(ledger, spec.pipeline, reason=self.reason, actor=actor, run_id=runtime.run_id)
            done = {"action": self.action, "version": held.subject}
        else:
            champion = roll_back_to_version(
                Deployment(spec, runtime), to_version=self.to_version, reason=self.reason, actor=actor
            )
            done = {"version": champion.model_version, "effective_from": champion.effective_from}
        self.close_incidents(runtime, pipeline=spec.pipeline, stage="rollback", partition=None)
        return done


def settle_failed_training(error: Exception, deployment: Deployment, context: Context) -> None:
    """Settle the training of the run's partition as failed, unless it waits: scoring goes on with who serves now."""
    from tradewind.retraining import train_stage

    if (partition := context["dag_run"].partition_key) and train_stage.is_training_failure(error):
        train_stage.settle_training(deployment, partition, outcome=train_stage.FAILED)


def is_final_error(exc: Exception, context: Context) -> bool:
    """Whether Airflow will not try again."""
    if isinstance(exc, TradewindError) and not isinstance(exc, Unavailable):
        return True
    instance: Any = context["ti"]
    return bool(instance.try_number > instance.max_tries)
