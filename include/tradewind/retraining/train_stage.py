"""The train stage of a partition, step by step: decide, train, judge, refit where the YAML asks, promote.

Each step says what came of it, and whether it settles the training of the partition: then no later step is taken.
Operators take one step a task and turn that into Airflow's words; :func:`run_train_stage` takes them in one process.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tradewind.alerting import incidents
from tradewind.errors import Conflict, LeftOut, NotDelivered, NotReady
from tradewind.ledger import completion

if TYPE_CHECKING:
    from pathlib import Path

    from tradewind.deployment import Deployment
    from tradewind.spec.pipeline import Pipeline

STAGE = "train"
FAILED = "failed"
APPROVE = "approve"
"""The step in which a person is asked, where the YAML says ``promotion.mode: approval``."""


@dataclass(frozen=True, slots=True)
class TrainStep:
    """What came of one step.

    :param outcome: in one word, as the ledger has it
    :param settled: the training of the partition is over, and no later step is taken
    :param reason: in words
    :param about: ids for the reader: version, MLflow run
    :param mlflow: experiment and run in MLflow, if the step has one
    :param report: the HTML page that shows the result, if there is one
    """

    outcome: str
    settled: bool = False
    reason: str = ""
    about: Mapping[str, Any] = field(default_factory=dict)
    mlflow: tuple[str, str] | None = None
    report: Path | str | None = None


StepFunction = Callable[["Deployment", str], TrainStep]


def list_train_steps(spec: Pipeline, *, ask: StepFunction) -> dict[str, StepFunction]:
    """The steps that the YAML asks for, in order.

    :param ask: the step :data:`APPROVE`: who is asked, and how, is not the stage's business
    """
    refit = {"refit": run_refit} if spec.train and spec.train.refit else {}
    # After the refit: what is approved is what serves.
    approve = {APPROVE: ask} if spec.promotion.mode == "approval" else {}
    steps: dict[str, StepFunction] = {"decide": run_decision, "train": run_training, "verdict": run_verdict}
    return {**steps, **refit, **approve, "promote": run_promotion}


def run_train_stage(
    deployment: Deployment,
    partition: str,
    *,
    steps: Mapping[str, StepFunction],
    run_task: Callable[[str, StepFunction], TrainStep] | None = None,
) -> TrainStep:
    """Take the steps in this process until one settles the training.

    An error that is no wait settles it too, as failed: scoring goes on with the champion that serves now.

    :param steps: :func:`list_train_steps`
    :param run_task: takes a step by its name, with what belongs to a task around it; None for the step alone
    :return: the last step that was taken
    """
    step = TrainStep("", reason="there is no step")
    try:
        for name, function in steps.items():
            step = run_task(name, function) if run_task else function(deployment, partition)
            if step.settled:
                break
    except Exception as exc:
        if is_training_failure(exc):
            settle_training(deployment, partition, outcome=FAILED)
        raise
    return step


def is_training_failure(error: BaseException) -> bool:
    """Whether an error that is not tried again settles the training as failed.

    What waits for something, or is kept out by a person, is decided later.
    """
    return not isinstance(error, NotReady | NotDelivered | LeftOut)


def run_decision(deployment: Deployment, partition: str, *, by_hand: str | None = None) -> TrainStep:
    """Decide whether a candidate is trained, or the shadow judged; on no the training is settled.

    :param by_hand: the reason a person gives for training now
    :raises NotReady: training of the partition before, or monitoring of this one, is not complete
    """
    from tradewind.retraining.training_decision import decide_training

    decision = decide_training(deployment, partition, by_hand=by_hand)
    about = {"outcome": decision.outcome, "reason": decision.reason}
    step = TrainStep(decision.outcome, settled=decision.outcome == "skip", reason=decision.reason, about=about)
    return _settle_step(step, deployment, partition)


def run_training(deployment: Deployment, partition: str) -> TrainStep:
    """Fit and register a candidate; where a shadow is judged, nothing is fitted.

    :raises TradewindError: the candidate could not be made
    """
    from tradewind.scoring import shadow
    from tradewind.training.candidate import EarlyRejection, train_candidate

    if (standing := shadow.find_shadow_to_judge(deployment, partition)) is not None:
        reason = f"nothing is trained: version {standing.subject}, the shadow, is judged"
        unchanged: dict[str, Any] = {"version": standing.subject, "changed": False}
        return TrainStep("judge", reason=reason, about=unchanged)
    trained = train_candidate(deployment, partition)
    if isinstance(trained, EarlyRejection):
        none = {"version": None, "reason": trained.reason}
        step = TrainStep("not worth continuing", settled=True, reason=trained.reason, about=none)
        return _settle_step(step, deployment, partition)
    about = {"version": trained.version, "mlflow_run_id": trained.mlflow_run_id, "changed": trained.changed}
    return TrainStep("trained", about=about, mlflow=(trained.experiment_id, trained.mlflow_run_id))


def run_verdict(deployment: Deployment, partition: str) -> TrainStep:
    """Judge the candidate, or the shadow; unless it passed and need not stand as shadow first, training is settled.

    :raises TradewindError: no verdict could be reached
    """
    from tradewind.scoring import shadow
    from tradewind.training.model_inputs import train_config
    from tradewind.verdict.judgement import judge_candidate_version

    if shadow.find_shadow_to_judge(deployment, partition) is not None:
        judged, begun = shadow.judge_shadow(deployment, partition), None
    else:
        judged = judge_candidate_version(deployment, partition)
        # What is fitted once more stands as shadow when that is done.
        later = judged.outcome == "passed" and train_config(deployment.spec).refit
        begun = None if later else shadow.begin_shadow(deployment, partition)
    reason = f"{judged.reason}; {begun.reason}" if begun else judged.reason
    step = TrainStep(
        "shadow" if begun else judged.outcome,
        settled=judged.outcome != "passed" or begun is not None,
        reason=reason,
        about={"version": judged.candidate, "outcome": judged.outcome, "reason": reason},
        mlflow=(judged.experiment_id, judged.mlflow_run_id),
        report=judged.report,
    )
    return _settle_step(step, deployment, partition)


def run_refit(deployment: Deployment, partition: str) -> TrainStep:
    """Fit the candidate that passed once more, on its whole window; where it stands as shadow then, that settles.

    A shadow that was judged is not fitted: it was, before it stood.

    :raises TradewindError: it could not be fitted
    """
    from tradewind.champion.refit import refit_version
    from tradewind.scoring import shadow

    if (standing := shadow.find_shadow_to_judge(deployment, partition)) is not None:
        reason = f"nothing is fitted: version {standing.subject} stood as shadow"
        return TrainStep("judge", reason=reason, about={"version": standing.subject, "refitted": None})
    done, begun = refit_version(deployment, partition), shadow.begin_shadow(deployment, partition)
    reason = f"{done.reason}; {begun.reason}" if begun else done.reason
    about = {"version": done.version, "judged": done.judged, "refitted": done.refitted, "reason": reason}
    step = TrainStep(
        "shadow" if begun else "refitted",
        settled=begun is not None, reason=reason, about=about, mlflow=(done.experiment_id, done.mlflow_run_id),
    )  # fmt: skip
    return _settle_step(step, deployment, partition)


def run_promotion(deployment: Deployment, partition: str) -> TrainStep:
    """Make the candidate champion, unless a pin, a newer candidate or another champion since is in the way.

    :raises UsageError: the verdict rejected it, or it was not approved where the YAML asks for that
    """
    from tradewind.champion.alias_and_card import find_newest_card
    from tradewind.champion.promotion import WithheldPromotion, promote_passed_candidate

    try:
        champion = promote_passed_candidate(deployment, partition, actor=deployment.runtime.actor)
    except Conflict as exc:
        return _settle_step(TrainStep("conflict", settled=True, reason=str(exc)), deployment, partition)
    if isinstance(champion, WithheldPromotion):
        reason = f"version {champion.version} is not promoted: {champion.reason}"
        return _settle_step(TrainStep(champion.outcome, settled=True, reason=reason), deployment, partition)
    about = {"version": champion.model_version, "effective_from": champion.effective_from}
    step = TrainStep("promoted", settled=True, about=about, report=find_newest_card(deployment))
    return _settle_step(step, deployment, partition)


def settle_training(deployment: Deployment, partition: str, *, outcome: str) -> None:
    """Record that the training of a partition is settled, and its outcome: later partitions need not wait for it.

    The newest entry holds. Unless it failed, what was wrong with the stage no longer is.
    """
    ledger, evidence = deployment.ledger, {"outcome": outcome}
    cause = f"settled: {outcome}"
    completion.record_completion(
        ledger,
        deployment.spec.pipeline,
        STAGE,
        partition,
        cause=cause,
        evidence=evidence,
        run_id=deployment.runtime.run_id,
    )
    if outcome != FAILED:
        incidents.close_stage_incidents(
            ledger, deployment.spec.pipeline, STAGE, partition, run_id=deployment.runtime.run_id
        )


def _settle_step(step: TrainStep, deployment: Deployment, partition: str) -> TrainStep:
    if step.settled:
        settle_training(deployment, partition, outcome=step.outcome)
    return step
