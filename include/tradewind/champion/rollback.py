"""Rollback: a person names the version that is to serve, and no candidate takes its place until the pin is lifted."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from tradewind.champion import alias_and_card
from tradewind.champion.promotion import champion_training_evidence, population_after_newest_scored
from tradewind.core import fault_points
from tradewind.errors import ModelError, UsageError
from tradewind.ledger import holds, pins, serving_versions
from tradewind.ledger.champions import ChampionChange
from tradewind.ledger.journal import Entry, Ledger
from tradewind.registry import archive
from tradewind.registry.model_registry import open_registry
from tradewind.registry.version_files import open_model

if TYPE_CHECKING:
    from tradewind.deployment import Deployment
    from tradewind.spec.pipeline import Pipeline

log = logging.getLogger(__name__)

PREVIOUS = "previous"
"""In place of a version: the one that was champion before the present one.

Said again by the same person for the same reason it is no other rollback: a task that is tried again, because MLflow
was away or its worker died, must not go back from where it went.
"""


def roll_back_to_version(deployment: Deployment, *, to_version: str, reason: str, actor: str) -> ChampionChange:
    """Make a version champion, from the first population not scored yet, and pin it.

    The version must have been champion, or have passed its verdict; its files must be there and load. If it is the
    newest champion already, it is pinned and the alias repaired.

    :param to_version: version in the model registry, or ``previous``
    :param reason: why, in words
    :param actor: who asks for it
    :raises UsageError: no reason, no such version, or the pipeline is decommissioned
    :raises ModelError: the version cannot serve; nothing was changed
    :raises Conflict: another run or person changed the champion in the same moment
    """
    spec, ledger = deployment.spec, deployment.ledger
    if (ended := holds.decommission_entry(ledger, spec.pipeline)) is not None:
        raise UsageError(
            f"{spec.pipeline} was decommissioned by {ended.actor}: {ended.reason}; nothing serves any more"
        )
    if not reason.strip():
        raise UsageError(
            f"a rollback of {spec.pipeline} to version {to_version} needs a reason: it goes into the ledger"
        )
    changes = ledger.champions(spec.pipeline)
    version = _resolve_version(spec, to_version, changes, said=(None, actor, f"rollback: {reason}"))
    why = _justify_rollback(spec, version, changes, ledger)
    if changes[-1].model_version != version:
        _require_servable(deployment, version, changes)
    new = ChampionChange(
        pipeline=spec.pipeline,
        seq=0,
        model_name=spec.model_name,
        model_version=version,
        effective_from="",  # the ledger asks for it while it writes
        reason=f"rollback: {reason}",
        actor=actor,
        run_id=deployment.runtime.run_id,
        evidence={**why, "replaces": changes[-1].model_version},
    )
    champion = ledger.promote(
        new,
        expected=changes[-1].seq,
        pin=pins.pin_entry(new, reason=reason),
        first=lambda: population_after_newest_scored(deployment) or changes[-1].effective_from,
    )
    fault_points.reach_fault_point("after-ledger-before-alias")
    alias_and_card.update_alias_and_card(deployment)
    done = "rolled back to" if champion.seq > changes[-1].seq else "it stays with"
    log.warning(
        "%s: %s version %s, from %s on, pinned by %s: %s",
        spec.pipeline, done, version, champion.effective_from, actor, reason,
    )  # fmt: skip
    return champion


def rollback_candidates(spec: Pipeline, ledger: Ledger) -> list[str]:
    """Versions that one can roll back to: former champions, and those that passed the gates of their newest verdict."""
    passed = {version for version, entry in _verdicts(spec, ledger).items() if _passed_gates(entry)}
    return sorted(passed | {change.model_version for change in ledger.champions(spec.pipeline)}, key=_natural_order)


def _resolve_version(
    spec: Pipeline, to_version: str, changes: list[ChampionChange], *, said: tuple[str | None, str, str]
) -> str:
    if not changes:
        raise UsageError(f"{spec.pipeline} never had a champion, so there is nothing to roll back")
    if to_version != PREVIOUS:
        return to_version
    present = changes[-1].model_version
    if (changes[-1].decided_at, changes[-1].actor, changes[-1].reason) == said:
        return present
    before = next((one.model_version for one in reversed(changes) if one.model_version != present), None)
    if before is None:
        raise UsageError(f"{spec.pipeline}: before version {present} nobody was champion, so there is no previous one")
    return before


def _justify_rollback(spec: Pipeline, version: str, changes: list[ChampionChange], ledger: Ledger) -> dict[str, Any]:
    """What the version was trained on, and the verdict that speaks for it."""
    earlier = next((change for change in reversed(changes) if change.model_version == version), None)
    if earlier is not None:
        return {**earlier.evidence, "again_from_seq": earlier.seq}
    verdict = _verdicts(spec, ledger).get(version)
    if verdict is not None and _passed_gates(verdict):
        return {**champion_training_evidence(spec, version, ledger), "verdict_key": verdict.key}
    there = f"versions that one can roll back to: {', '.join(rollback_candidates(spec, ledger)) or 'none'}"
    if verdict is not None:
        raise UsageError(f"{spec.pipeline}: version {version} was rejected by its verdict ({verdict.reason}); {there}")
    raise UsageError(f"{spec.pipeline}: version {version} never was champion and has no verdict; {there}")


def _verdicts(spec: Pipeline, ledger: Ledger) -> dict[str, Entry]:
    """The newest verdict by version; a refit that may serve, and was not judged itself, has the judged version's."""
    newest = {entry.subject: entry for entry in ledger.find(spec.pipeline, "verdict")}
    for refit in {entry.subject: entry for entry in ledger.find(spec.pipeline, "refit")}.values():
        if refit.outcome == serving_versions.SERVES and refit.subject in newest:
            newest.setdefault(str(refit.evidence["refitted"]), newest[refit.subject])
    return newest


def _passed_gates(verdict: Entry) -> bool:
    """Also one that predicts what its champion predicted may be named by a person."""
    return str(verdict.evidence.get("by_gates", verdict.outcome)) == "passed"


def _require_servable(deployment: Deployment, version: str, changes: list[ChampionChange]) -> None:
    """Check the version's files, then load it: who cannot serve is refused before it is champion."""
    spec = deployment.spec
    try:
        found = open_registry(deployment).get(version)
        archive.restore_version(deployment, found)
        with open_model(deployment, found) as opened:
            assert opened.host.columns is not None  # waits until the model is loaded, or raises
    except ModelError as exc:
        others = [one for one in rollback_candidates(spec, deployment.ledger) if one != version]
        raise ModelError(
            f"{spec.pipeline}: version {version} cannot serve, so version {changes[-1].model_version} stays champion: "
            f"{exc}\nother versions: {', '.join(others) or 'none'}"
        ) from exc


def _natural_order(version: str) -> tuple[int, str]:
    return (int(version), "") if version.isdigit() else (0, version)
