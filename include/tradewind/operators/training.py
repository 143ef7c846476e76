"""The tasks of ``P__train`` and ``P__rollback``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator, SkipMixin

from tradewind.errors import Conflict
from tradewind.operators.stage import StageOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

    from tradewind.core.runtime import Runtime
    from tradewind.spec.models import Pipeline


class TrainStageOperator(StageOperator, SkipMixin):
    """A task of ``P__train``. It may end the run early, and green, when nothing more is to be done."""

    inherits_from_skipmixin = True

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(stage="train", **kwargs)

    def settle(self, spec: Pipeline, partition: str, runtime: Runtime, *, outcome: str) -> None:
        """Write down that the partition's training is settled: later partitions need not wait for it."""
        from tradewind.ledger import progress
        from tradewind.ledger.journal import Ledger

        ledger = Ledger(runtime.ledger)
        progress.complete(
            ledger,
            spec.pipeline,
            "train",
            partition,
            cause=outcome,
            evidence={"outcome": outcome},
            run_id=runtime.run_id,
        )
        self.close_incidents(spec, partition, runtime)

    def skip_the_rest(self, context: Context) -> None:
        """Skip every task after this one; the run ends as a success."""
        self.skip(ti=context["ti"], tasks=context["task"].get_flat_relatives(upstream=False))


class DecideOperator(TrainStageOperator):
    """Decides whether to train, journals yes or no with the numbers, and skips the rest on no."""

    def work(self, spec: Pipeline, partition: str, runtime: Runtime, context: Context) -> dict[str, Any] | None:
        """Return outcome, reason and evidence."""
        from tradewind.models.decide import decide

        decision = decide(spec, partition, runtime, by_hand=context["params"].get("by_hand") or None)
        self.log.info("%s %s: %s, because %s", spec.pipeline, partition, decision.outcome, decision.reason)
        if decision.outcome == "skip":
            self.settle(spec, partition, runtime, outcome="skip")
            self.skip_the_rest(context)
        return {"outcome": decision.outcome, "reason": decision.reason}


class TrainOperator(TrainStageOperator):
    """Fits a candidate on the window that ends with the partition and registers it."""

    def work(self, spec: Pipeline, partition: str, runtime: Runtime, context: Context) -> dict[str, Any]:
        """Return version and MLflow run of the candidate."""
        from tradewind.models.train import train

        trained = train(spec, partition, runtime)
        self.link_mlflow(trained.experiment_id, trained.mlflow_run_id)
        return {"version": trained.version, "mlflow_run_id": trained.mlflow_run_id, "changed": trained.changed}


class VerdictOperator(TrainStageOperator):
    """Judges the candidate at the gates, beside the champion; a rejection ends the run green."""

    def work(self, spec: Pipeline, partition: str, runtime: Runtime, context: Context) -> dict[str, Any]:
        """Return outcome and reason of the verdict."""
        from tradewind.models.verdict import verdict

        judged = verdict(spec, partition, runtime)
        self.link_mlflow(judged.experiment_id, judged.mlflow_run_id)
        self.link_report(judged.report, runtime)
        # A person may take a day: later partitions need not wait for the answer.
        if judged.outcome != "passed" or spec.promotion.mode == "approval":
            self.settle(spec, partition, runtime, outcome=judged.outcome)
        if judged.outcome != "passed":
            self.skip_the_rest(context)
        return {"version": judged.candidate, "outcome": judged.outcome, "reason": judged.reason}


class PromoteOperator(TrainStageOperator):
    """Makes the candidate champion from the first population that nobody has scored yet; the event ``P/model``."""

    def work(self, spec: Pipeline, partition: str, runtime: Runtime, context: Context) -> dict[str, Any]:
        """Return version and the partition from which it holds."""
        from tradewind.models.promote import promote

        answer = context["ti"].xcom_pull(task_ids="approve") if spec.promotion.mode == "approval" else None
        actor, comment = _approver(answer)
        try:
            champion = promote(spec, partition, runtime, actor=actor or runtime.actor, comment=comment)
        except Conflict:
            self.settle(spec, partition, runtime, outcome="conflict")
            raise
        if spec.promotion.mode == "automatic":
            self.settle(spec, partition, runtime, outcome="promoted")
        return {"version": champion.model_version, "effective_from": champion.effective_from}


class RollbackOperator(BaseOperator):
    """Makes an earlier version champion again, from the next population on."""

    template_fields = ("to_version", "reason")

    def __init__(
        self,
        *,
        pipeline: Pipeline | str,
        to_version: str,
        reason: str,
        tradewind_conn_id: str = "tradewind_default",
        mlflow_conn_id: str = "mlflow_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.pipeline = pipeline
        self.to_version = to_version
        self.reason = reason
        self.tradewind_conn_id = tradewind_conn_id
        self.mlflow_conn_id = mlflow_conn_id

    def execute(self, context: Context) -> dict[str, Any]:
        """Return version and the partition from which it holds."""
        from pathlib import Path

        from tradewind.hooks.tradewind import TradewindHook
        from tradewind.models.promote import rollback
        from tradewind.spec.load import load

        spec = load(Path(self.pipeline)) if isinstance(self.pipeline, str) else self.pipeline
        run = context["dag_run"]
        actor = getattr(run, "triggering_user_name", None) or "airflow"
        runtime = TradewindHook(self.tradewind_conn_id, mlflow_conn_id=self.mlflow_conn_id).runtime(
            run_id=run.run_id, actor=actor
        )
        champion = rollback(spec, to_version=self.to_version, reason=self.reason, actor=actor, runtime=runtime)
        return {"version": champion.model_version, "effective_from": champion.effective_from}


def _approver(answer: dict[str, Any] | None) -> tuple[str, str]:
    if not answer:
        return "", ""
    user = answer.get("responded_by_user") or {}
    return str(user.get("name") or user.get("id") or ""), str((answer.get("params_input") or {}).get("comment", ""))
