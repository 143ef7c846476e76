"""The train stage of a partition, step by step: decide, train, judge, refit where the YAML asks, promote.

Each step says what came of it, and whether it settles the training of the partition: then no later step is taken.
Operators turn that into Airflow's words; a rehearsal takes the same steps in one process.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tradewind.alerting import incidents
from tradewind.errors import Conflict
from tradewind.ledger import progress
from tradewind.ledger.journal import Ledger

if TYPE_CHECKING:
    from pathlib import Path

    from tradewind.core.runtime import Runtime
    from tradewind.spec.models import Pipeline

STAGE = "train"


@dataclass(frozen=True, slots=True)
class Step:
    """What came of one step.

    :param outcome: in one word, as the ledger has it
    :param settled: the training of the partition is over, and no later step is taken
    :param reason: in words
    :param about: ids for whoever looks: version, MLflow run
    :param mlflow: experiment and run in MLflow, if the step has one
    :param report: the HTML page that shows the result, if there is one
    """

    outcome: str
    settled: bool = False
    reason: str = ""
    about: Mapping[str, Any] = field(default_factory=dict)
    mlflow: tuple[str, str] | None = None
    report: Path | str | None = None


def take_decision(spec: Pipeline, partition: str, runtime: Runtime, *, by_hand: str | None = None) -> Step:
    """Decide whether a candidate is trained, or the shadow judged; on no the training is settled.

    :param by_hand: the reason a person gives for training now
    :raises NotReady: training of the partition before, or monitoring of this one, is not complete
    """
    from tradewind.models.decide import decide

    decision = decide(spec, partition, runtime, by_hand=by_hand)
    about = {"outcome": decision.outcome, "reason": decision.reason}
    step = Step(decision.outcome, settled=decision.outcome == "skip", reason=decision.reason, about=about)
    return _settled(step, spec, partition, runtime)


def make_candidate(spec: Pipeline, partition: str, runtime: Runtime) -> Step:
    """Fit and register a candidate; where a shadow is judged, nothing is fitted.

    :raises TradewindError: the candidate could not be made
    """
    from tradewind.models import shadow
    from tradewind.models.train import NotWorth, train

    if (standing := shadow.judged_here(spec, partition, runtime)) is not None:
        reason = f"nothing is trained: version {standing.subject}, the shadow, is judged"
        unchanged: dict[str, Any] = {"version": standing.subject, "changed": False}
        return Step("judge", reason=reason, about=unchanged)
    trained = train(spec, partition, runtime)
    if isinstance(trained, NotWorth):
        none = {"version": None, "reason": trained.reason}
        step = Step("not worth continuing", settled=True, reason=trained.reason, about=none)
        return _settled(step, spec, partition, runtime)
    about = {"version": trained.version, "mlflow_run_id": trained.mlflow_run_id, "changed": trained.changed}
    return Step("trained", about=about, mlflow=(trained.experiment_id, trained.mlflow_run_id))


def judge_candidate(spec: Pipeline, partition: str, runtime: Runtime) -> Step:
    """Judge the candidate, or the shadow; unless it passed and need not stand as shadow first, training is settled.

    :raises TradewindError: no verdict could be reached
    """
    from tradewind.models import shadow
    from tradewind.models.inputs import training
    from tradewind.models.verdict import verdict

    if shadow.judged_here(spec, partition, runtime) is not None:
        judged, begun = shadow.judge(spec, partition, runtime), None
    else:
        judged = verdict(spec, partition, runtime)
        # What is fitted once more stands as shadow when that is done.
        later = judged.outcome == "passed" and training(spec).refit
        begun = None if later else shadow.begin(spec, partition, runtime)
    reason = f"{judged.reason}; {begun.reason}" if begun else judged.reason
    step = Step(
        "shadow" if begun else judged.outcome,
        settled=judged.outcome != "passed" or begun is not None,
        reason=reason,
        about={"version": judged.candidate, "outcome": judged.outcome, "reason": reason},
        mlflow=(judged.experiment_id, judged.mlflow_run_id),
        report=judged.report,
    )
    return _settled(step, spec, partition, runtime)


def refit_candidate(spec: Pipeline, partition: str, runtime: Runtime) -> Step:
    """Fit the candidate that passed once more, on its whole window; where it stands as shadow then, that settles.

    A shadow that was judged is not fitted: it was, before it stood.

    :raises TradewindError: it could not be fitted
    """
    from tradewind.models import shadow
    from tradewind.models.refit import refit

    if (standing := shadow.judged_here(spec, partition, runtime)) is not None:
        reason = f"nothing is fitted: version {standing.subject} stood as shadow"
        return Step("judge", reason=reason, about={"version": standing.subject, "refitted": None})
    done, begun = refit(spec, partition, runtime), shadow.begin(spec, partition, runtime)
    reason = f"{done.reason}; {begun.reason}" if begun else done.reason
    about = {"version": done.version, "judged": done.judged, "refitted": done.refitted, "reason": reason}
    step = Step(
        "shadow" if begun else "refitted",
        settled=begun is not None, reason=reason, about=about, mlflow=(done.experiment_id, done.mlflow_run_id),
    )  # fmt: skip
    return _settled(step, spec, partition, runtime)


def promote_candidate(spec: Pipeline, partition: str, runtime: Runtime) -> Step:
    """Make the candidate champion, unless a pin, a newer candidate or another champion since is in the way.

    :raises UsageError: the verdict rejected it, or nobody approved it where the YAML asks for that
    """
    from tradewind.models.followers import card_of
    from tradewind.models.promote import Withheld, promote

    try:
        champion = promote(spec, partition, runtime, actor=runtime.actor)
    except Conflict as exc:
        return _settled(Step("conflict", settled=True, reason=str(exc)), spec, partition, runtime)
    if isinstance(champion, Withheld):
        reason = f"version {champion.version} is not promoted: {champion.reason}"
        return _settled(Step(champion.outcome, settled=True, reason=reason), spec, partition, runtime)
    about = {"version": champion.model_version, "effective_from": champion.effective_from}
    step = Step("promoted", settled=True, about=about, report=card_of(spec, runtime))
    return _settled(step, spec, partition, runtime)


def settle(spec: Pipeline, partition: str, runtime: Runtime, *, outcome: str) -> None:
    """Record that the training of a partition is settled, and its outcome: later partitions need not wait for it.

    The newest entry holds. Unless it failed, what was wrong with the stage no longer is.
    """
    ledger, evidence = Ledger(runtime.ledger), {"outcome": outcome}
    cause = f"settled: {outcome}"
    progress.complete(ledger, spec.pipeline, STAGE, partition, cause=cause, evidence=evidence, run_id=runtime.run_id)
    if outcome != "failed":
        incidents.close(ledger, spec.pipeline, STAGE, partition, run_id=runtime.run_id)


def _settled(step: Step, spec: Pipeline, partition: str, runtime: Runtime) -> Step:
    if step.settled:
        settle(spec, partition, runtime, outcome=step.outcome)
    return step
