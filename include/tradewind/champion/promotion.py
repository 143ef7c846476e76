"""Who is champion: promotion of a candidate that passed its verdict."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from tradewind.alerting import model_alarms
from tradewind.champion import alias_and_card
from tradewind.core import fault_points
from tradewind.errors import UsageError
from tradewind.ledger import champions, pins, serving_versions
from tradewind.ledger.champions import ChampionChange
from tradewind.ledger.journal import Entry, Ledger

if TYPE_CHECKING:
    from tradewind.core.runtime import Runtime
    from tradewind.deployment import Deployment
    from tradewind.spec.pipeline import Pipeline

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WithheldPromotion:
    """A candidate that passed its verdict and is not promoted; the champion stays.

    :param outcome: ``pinned``: a person pinned the champion; ``superseded``: a newer candidate passed since
    :param reason: why, in words
    """

    version: str
    outcome: Literal["pinned", "superseded"]
    reason: str


def promote_passed_candidate(
    deployment: Deployment, partition: str, *, actor: str, comment: str = ""
) -> ChampionChange | WithheldPromotion:
    """Make the candidate that passed its verdict at a partition champion, from the first population not scored yet.

    Promoting again returns what is recorded, and repairs the alias if a crash came between ledger and alias. Who
    approved, and the comment, are taken from the ledger where a person was asked.

    :param partition: partition whose verdict passed
    :param actor: who promotes, where no person was asked
    :raises UsageError: there is no verdict for the partition, it rejected the candidate, it was not approved, or it has
        to stand as shadow first
    :raises Conflict: the champion changed since the verdict; the candidate must be judged again
    """
    spec = deployment.spec
    fault_points.reach_fault_point("after-verdict-before-promote")
    ledger = deployment.ledger
    verdict = _require_passed_verdict(spec, partition, ledger)
    approval = _require_approval(spec, partition, verdict, ledger)
    if approval is not None:
        actor, comment = approval.actor, str(approval.evidence.get("comment", approval.reason))
    new = _champion_change(deployment, partition, verdict=verdict, actor=actor, comment=comment)
    if champions.find_recorded_change(ledger.champions(spec.pipeline), new) is None:
        _require_shadow(spec, verdict)
        if (withheld := _reason_withheld(verdict, ledger, asked=approval is not None)) is not None:
            _journal_withheld(withheld, verdict, ledger, runtime=deployment.runtime, actor=actor)
            return withheld
    champion = ledger.promote(
        new,
        expected=int(verdict.evidence["expected_seq"]),
        first=lambda: first_unscored_population(deployment, partition),
    )
    fault_points.reach_fault_point("after-ledger-before-alias")
    model_alarms.close_champion_incident(spec, ledger, version=champion.model_version, run_id=deployment.runtime.run_id)
    alias_and_card.update_alias_and_card(deployment)
    log.info(
        "%s: version %s is champion from %s (change %s, decided at %s)",
        spec.pipeline, champion.model_version, champion.effective_from, champion.seq, partition,
    )  # fmt: skip
    return champion


def first_unscored_population(deployment: Deployment, partition: str) -> str:
    """The first population that no run keyed ``partition`` or earlier scores, and that no run has scored."""
    spec = deployment.spec
    ahead = spec.score.ahead if spec.score else 0
    by_key = spec.partitioning.shift(partition, ahead + 1)
    return max(by_key, population_after_newest_scored(deployment) or by_key)


def population_after_newest_scored(deployment: Deployment) -> str | None:
    """The population after the newest one that was scored; None while none was."""
    lake = deployment.lake
    snapshot = lake.dataset(deployment.spec.pipeline, "predictions").snapshot()
    if snapshot is None or not snapshot.partitions:
        return None
    return deployment.spec.partitioning.shift(max(snapshot.partitions), 1)


def champion_training_evidence(spec: Pipeline, version: str, ledger: Ledger) -> dict[str, Any]:
    """What the version was trained on; monitoring and scoring ask the champion's row for it.

    :raises UsageError: the ledger does not know
    """
    trained = ledger.find(spec.pipeline, "trained", subject=version)
    if not trained:
        raise UsageError(f"{spec.pipeline}: the ledger knows no training of version {version}; run train again")
    names = ("train_partitions", "test_partitions", "mlflow_run_id", "refit_of")
    return {name: trained[-1].evidence[name] for name in names if name in trained[-1].evidence}


def _champion_change(
    deployment: Deployment, partition: str, *, verdict: Entry, actor: str, comment: str
) -> ChampionChange:
    spec = deployment.spec
    version = _version_to_serve(spec, verdict, deployment.ledger)
    return ChampionChange(
        pipeline=spec.pipeline,
        seq=0,
        model_name=spec.model_name,
        model_version=version,
        effective_from="",  # the ledger asks for it while it writes
        decided_at=partition,
        reason=verdict.reason,
        actor=actor,
        run_id=deployment.runtime.run_id,
        evidence={
            **champion_training_evidence(spec, version, deployment.ledger),
            "verdict_key": verdict.key,
            "comment": comment,
        },
    )


def _version_to_serve(spec: Pipeline, verdict: Entry, ledger: Ledger) -> str:
    """The version that the verdict lets serve: where the YAML asks for it, the refit of the one that was judged."""
    judged = str(verdict.evidence["version"])
    if not spec.train or not spec.train.refit or verdict.evidence.get("basis", "test") != "test":
        return judged  # a shadow has been refitted before it stood
    if serving_versions.find_refit(ledger, spec.pipeline, judged) is None:
        raise UsageError(
            f"{spec.pipeline}: version {judged}, the candidate of {verdict.partition}, was not fitted once more, as "
            f"`train.refit` says: clear the task `refit` of this partition's {spec.pipeline}__train"
        )
    return serving_versions.serving_version(ledger, verdict)


def _require_passed_verdict(spec: Pipeline, partition: str, ledger: Ledger) -> Entry:
    verdicts = ledger.find(spec.pipeline, "verdict", partition=partition)
    if not verdicts:
        raise UsageError(
            f"{spec.pipeline}: no verdict at partition {partition}; judge the candidate before promoting it"
        )
    if verdicts[-1].outcome != "passed":
        raise UsageError(
            f"{spec.pipeline}: the verdict at partition {partition} is {verdicts[-1].outcome}: {verdicts[-1].reason}"
        )
    return verdicts[-1]


def _require_approval(spec: Pipeline, partition: str, verdict: Entry, ledger: Ledger) -> Entry | None:
    """The newest answer about this verdict; where the YAML asks for one, it must be a yes."""
    version = verdict.evidence["version"]
    answers = [
        entry
        for entry in ledger.find(spec.pipeline, "approval", partition=partition)
        if entry.evidence.get("verdict_key", verdict.key) == verdict.key
    ]
    newest = answers[-1] if answers else None
    if newest is not None and newest.outcome != "approved":
        raise UsageError(
            f"{spec.pipeline}: version {version} was rejected by {newest.actor} at partition {partition}: "
            f"{newest.reason}"
        )
    if newest is None and spec.promotion.mode == "approval":
        raise UsageError(
            f"{spec.pipeline}: nobody approved version {version}, the candidate of {partition}, on its newest verdict; "
            f"the YAML says `promotion.mode: approval`: clear `approve` of this partition's {spec.pipeline}__train"
        )
    return newest


def _require_shadow(spec: Pipeline, verdict: Entry) -> None:
    """Where the YAML asks for a shadow, a verdict on test rows promotes no candidate over a champion."""
    judged = verdict.evidence
    if spec.promotion.shadow and judged.get("champion") is not None and judged.get("basis", "test") == "test":
        raise UsageError(
            f"{spec.pipeline}: version {judged['version']} has to stand beside the champion for "
            f"{spec.promotion.shadow} populations first, as `promotion.shadow` says"
        )


def _reason_withheld(verdict: Entry, ledger: Ledger, *, asked: bool) -> WithheldPromotion | None:
    version = str(verdict.evidence["version"])
    if (held := pins.current_pin(ledger, verdict.pipeline)) is not None:
        return WithheldPromotion(version, "pinned", pins.describe_pin(held))
    if asked:
        return None  # a person said yes to this one; whether they want a newer one is not known yet
    newer = [
        entry
        for entry in ledger.find(verdict.pipeline, "verdict")
        if (entry.partition or "") > (verdict.partition or "")
        and entry.outcome == "passed"
        and entry.evidence["version"] != version
    ]
    if not newer:
        return None
    why = f"version {newer[-1].evidence['version']}, the candidate of {newer[-1].partition}, passed its verdict since"
    return WithheldPromotion(version, "superseded", why)


def _journal_withheld(
    withheld: WithheldPromotion, verdict: Entry, ledger: Ledger, *, runtime: Runtime, actor: str
) -> None:
    entry = Entry(
        verdict.pipeline, "promotion", withheld.version, verdict.partition,
        f"{verdict.key}/{withheld.outcome}/{runtime.run_id}",
        outcome=withheld.outcome, reason=withheld.reason, evidence={"verdict_key": verdict.key},
        actor=actor, run_id=runtime.run_id,
    )  # fmt: skip
    ledger.append(entry)
    log.warning(
        "%s: version %s is not promoted (%s): %s",
        verdict.pipeline, withheld.version, withheld.outcome, withheld.reason,
    )  # fmt: skip
