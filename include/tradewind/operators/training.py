"""The tasks of ``P__train`` and ``P__rollback``."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow.sdk import SkipMixin
from airflow.sdk.exceptions import AirflowSkipException, DownstreamTasksSkipped

from tradewind.errors import Conflict, NotReady, TradewindError, Unavailable
from tradewind.operators.base import TradewindOperator
from tradewind.operators.stage import StageOperator

if TYPE_CHECKING:
    from pathlib import Path

    from airflow.sdk import Context

    from tradewind.core.runtime import Runtime
    from tradewind.spec.models import Pipeline


class TrainStageOperator(StageOperator, SkipMixin):
    """A task of ``P__train``. It may end the run early, and green, when nothing more is to be done."""

    inherits_from_skipmixin = True

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(stage="train", **kwargs)

    def execute(self, context: Context) -> Any:
        """Work; when it has failed for good the training is settled too, since scoring goes on with who serves now."""
        try:
            return super().execute(context)
        except (DownstreamTasksSkipped, AirflowSkipException, NotReady):
            raise
        except Exception as exc:
            if _for_good(exc, context):
                self._settle_failed(context)
            raise

    def settle(self, spec: Pipeline, partition: str, runtime: Runtime, *, outcome: str) -> None:
        """Write down that the partition's training is settled: later partitions need not wait for it."""
        settle(runtime.ledger, spec.pipeline, partition, outcome=outcome, run_id=runtime.run_id)
        if outcome != "failed":
            self.complete(spec, partition, runtime)

    def _settle_failed(self, context: Context) -> None:
        spec, partition = self.spec(), context["dag_run"].partition_key
        if partition:
            self.settle(spec, partition, self.runtime(context), outcome="failed")

    def skip_the_rest(self, context: Context) -> None:
        """Skip every task after this one; the run ends as a success."""
        self.skip(ti=context["ti"], tasks=context["task"].get_flat_relatives(upstream=False))


class DecideOperator(TrainStageOperator):
    """Decides whether to train, or to judge the shadow; journals it with the numbers, and skips the rest on no."""

    def work(self, spec: Pipeline, partition: str, runtime: Runtime, context: Context) -> dict[str, Any] | None:
        """Return outcome, reason and evidence."""
        from tradewind.models.decide import decide

        params, asked_by = context["params"], getattr(context["dag_run"], "triggering_user_name", None)
        by_hand = params.get("by_hand") or None
        if by_hand and (person := params.get("by") or asked_by):
            runtime = replace(runtime, actor=str(person))
        decision = decide(spec, partition, runtime, by_hand=by_hand)
        if decision.outcome == "skip":
            self.settle(spec, partition, runtime, outcome="skip")
            self.skip_the_rest(context)
        return {"outcome": decision.outcome, "reason": decision.reason}


class TrainOperator(TrainStageOperator):
    """Fits a candidate on the window that ends with the partition and registers it; not where a shadow is judged."""

    def work(self, spec: Pipeline, partition: str, runtime: Runtime, context: Context) -> dict[str, Any]:
        """Return version and MLflow run of the candidate."""
        from tradewind.models import shadow
        from tradewind.models.train import NotWorth, train

        if (standing := shadow.judged_here(spec, partition, runtime)) is not None:
            self.log.info("nothing is trained: version %s, the shadow, is judged", standing.subject)
            return {"version": standing.subject, "changed": False}
        trained = train(spec, partition, runtime)
        if isinstance(trained, NotWorth):
            self.settle(spec, partition, runtime, outcome="not worth continuing")
            self.skip_the_rest(context)
            return {"version": None, "reason": trained.reason}
        self.link_mlflow(trained.experiment_id, trained.mlflow_run_id)
        return {"version": trained.version, "mlflow_run_id": trained.mlflow_run_id, "changed": trained.changed}


class VerdictOperator(TrainStageOperator):
    """Judges the candidate, or the shadow, at the gates, beside the champion.

    A rejection ends the run green; so does a candidate that passed and stands as shadow from now on.
    """

    def work(self, spec: Pipeline, partition: str, runtime: Runtime, context: Context) -> dict[str, Any]:
        """Return outcome and reason of the verdict."""
        from tradewind.models import shadow
        from tradewind.models.verdict import verdict

        if shadow.judged_here(spec, partition, runtime) is not None:
            judged, begun = shadow.judge(spec, partition, runtime), None
        else:
            judged = verdict(spec, partition, runtime)
            begun = shadow.begin(spec, partition, runtime)
        self.link_mlflow(judged.experiment_id, judged.mlflow_run_id)
        self.link_report(judged.report, runtime)
        if judged.outcome != "passed" or begun is not None:
            self.settle(spec, partition, runtime, outcome="shadow" if begun else judged.outcome)
            self.skip_the_rest(context)
        reason = f"{judged.reason}; {begun.reason}" if begun else judged.reason
        return {"version": judged.candidate, "outcome": judged.outcome, "reason": reason}


class PromoteOperator(TrainStageOperator):
    """Makes the candidate champion from the first population that nobody has scored yet; the event ``P/model``.

    Who approved is in the ledger. A candidate that is not promoted, because of a pin, a newer candidate or another
    champion since, ends the run green, and the event is not sent.
    """

    def work(self, spec: Pipeline, partition: str, runtime: Runtime, context: Context) -> dict[str, Any]:
        """Return version and the partition from which it holds."""
        from tradewind.models.promote import Withheld, promote

        try:
            champion = promote(spec, partition, runtime, actor=runtime.actor)
        except Conflict as exc:
            self.settle(spec, partition, runtime, outcome="conflict")
            raise AirflowSkipException(str(exc)) from exc
        if isinstance(champion, Withheld):
            self.settle(spec, partition, runtime, outcome=champion.outcome)
            raise AirflowSkipException(f"version {champion.version} is not promoted: {champion.reason}")
        self.settle(spec, partition, runtime, outcome="promoted")
        self.link_report(_card(spec, runtime), runtime)
        return {"version": champion.model_version, "effective_from": champion.effective_from}


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
        from tradewind.ledger import pins
        from tradewind.ledger.journal import Ledger
        from tradewind.models.rollback import rollback

        spec = self.spec()
        actor = getattr(context["dag_run"], "triggering_user_name", None) or "airflow"
        runtime = self.runtime(context, actor=actor)
        if self.action == self.LIFT:
            ledger = Ledger(runtime.ledger)
            held = pins.lift(ledger, spec.pipeline, reason=self.reason, actor=actor, run_id=runtime.run_id)
            done = {"action": self.action, "version": held.subject}
        else:
            champion = rollback(spec, to_version=self.to_version, reason=self.reason, actor=actor, runtime=runtime)
            done = {"version": champion.model_version, "effective_from": champion.effective_from}
        self.close_incidents(runtime, pipeline=spec.pipeline, stage="rollback", partition=None)
        return done


def settle(ledger_url: str, pipeline: str, partition: str, *, outcome: str, run_id: str) -> None:
    """Write down that the training of a partition is settled, and what came of it; the newest entry holds."""
    from tradewind.ledger import progress
    from tradewind.ledger.journal import Ledger

    evidence = {"outcome": outcome}
    progress.complete(
        Ledger(ledger_url), pipeline, "train", partition, cause=f"settled: {outcome}", evidence=evidence, run_id=run_id
    )


def _for_good(exc: Exception, context: Context) -> bool:
    """Whether Airflow will not try again."""
    if isinstance(exc, TradewindError) and not isinstance(exc, Unavailable):
        return True
    instance: Any = context["ti"]
    return bool(instance.try_number > instance.max_tries)


def _card(spec: Pipeline, runtime: Runtime) -> Path | None:
    from tradewind.models.followers import card_of

    return card_of(spec, runtime)
