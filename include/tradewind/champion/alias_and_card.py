"""What follows a change of champion: MLflow's alias and tags, and the model card. The ledger decides; these tell it.

Each change that was told leaves a note in the ledger. So upkeep knows a crash (the newest change was never told) from
an edit in MLflow (it was told, and the alias names another version now).
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tradewind.errors import ModelError
from tradewind.ledger import holds
from tradewind.ledger.journal import Entry, Ledger
from tradewind.registry import archive, mlflow_run
from tradewind.registry.model_registry import (
    ALIAS,
    create_mlflow_client,
    open_registry,
    set_champion_alias,
    translate_mlflow_errors,
)

if TYPE_CHECKING:
    from tradewind.core.runtime import Runtime
    from tradewind.deployment import Deployment
    from tradewind.ledger.champions import ChampionChange
    from tradewind.spec.pipeline import Pipeline

log = logging.getLogger(__name__)

ALIASED, CARDED = "aliased", "carded"
"""Outcomes of notes: the alias, or the model card, says what this change says."""


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """What upkeep found.

    :param outcome: ``agreed``; ``repaired`` after a crash; ``edited``: a person changed the alias, and it was put back;
        ``broken``: it cannot be put right without a person
    :param words: what was found and done, or what to do
    :param card: whether the champion's model card is written
    """

    outcome: Literal["agreed", "repaired", "edited", "broken"]
    words: str
    card: bool = True


def update_alias_and_card(deployment: Deployment) -> None:
    """Let alias, tags and model card say what the newest change says, whichever was just asked for.

    A replayed promotion must not undo a later one, nor one that comes while the alias is set. What is told already is
    left alone, except the alias.

    :raises ModelError: the model registry has no such version
    :raises Unavailable: it does not answer
    """
    spec, runtime, ledger = deployment.spec, deployment.runtime, deployment.ledger
    newest = _newest_champion(spec, ledger)
    while newest is not None:
        set_champion_alias(runtime, spec.model_name, newest.model_version)
        if not _is_noted(ledger, newest, ALIASED):
            _tag_champion(runtime, newest)
            _note_outcome(ledger, newest, ALIASED, runtime)
        known, newest = newest, _newest_champion(spec, ledger)
        if newest == known:
            break
    write_champion_card(deployment)


def write_champion_card(deployment: Deployment) -> bool:
    """Write the model card of the newest champion, unless it is there; a failure is logged, and upkeep tries again.

    :return: whether it is written
    """
    ledger = deployment.ledger
    changes = ledger.champions(deployment.spec.pipeline)
    if not changes or _is_noted(ledger, changes[-1], CARDED):
        return bool(changes)
    try:
        from tradewind.champion import model_card

        path = model_card.write_model_card(deployment, changes[-1])
    except Exception:
        # Whatever goes wrong with a page: the promotion stands.
        log.exception(
            "%s: no model card of version %s; upkeep tries again", deployment.spec.pipeline, changes[-1].model_version
        )
        return False
    _note_outcome(ledger, changes[-1], CARDED, deployment.runtime, path=str(path))
    return True


def find_newest_card(deployment: Deployment) -> Path | None:
    """Where the model card of the newest champion lies; None while it is not written."""
    changes = deployment.ledger.champions(deployment.spec.pipeline)
    entry = (
        deployment.ledger.get(deployment.spec.pipeline, "note", key=f"{CARDED}/{changes[-1].seq}") if changes else None
    )
    return Path(entry.evidence["path"]) if entry is not None else None


def reconcile_alias_and_card(deployment: Deployment) -> Reconciliation:
    """Make alias and model card say what the ledger says, and say what was wrong.

    A pipeline that is decommissioned has no alias any more, and gets none. A promotion that comes meanwhile is
    followed, and was not edited.

    :raises Unavailable: the model registry does not answer
    """
    spec, ledger = deployment.spec, deployment.ledger
    if holds.decommission_entry(ledger, spec.pipeline) is not None:
        return Reconciliation("agreed", f"{spec.pipeline} is decommissioned and has no champion")
    newest, before = _newest_champion(spec, ledger), aliased_version(deployment.runtime, spec.model_name)
    while (now := _newest_champion(spec, ledger)) != newest:
        newest, before = now, aliased_version(deployment.runtime, spec.model_name)
    if newest is None:
        return _reconcile_without_champion(deployment, before)
    try:
        found = _reconcile_alias(deployment, newest, before)
        if _newest_champion(spec, ledger) != newest:
            update_alias_and_card(deployment)
        _require_champion_files(deployment, newest)
    except ModelError as exc:
        return Reconciliation("broken", _describe_remedy(spec, ledger.champions(spec.pipeline), exc))
    return replace(found, card=write_champion_card(deployment))


def mark_abandoned_trainings(deployment: Deployment, *, now: datetime) -> list[str]:
    """Mark what killed trainings left in MLflow and no retry came back for; see :func:`mlflow_run.mark_abandoned_runs`.

    :param now: the present, aware; what is younger than a day may belong to a training that goes on
    :raises Unavailable: MLflow does not answer
    """
    spec = deployment.spec
    registry = open_registry(deployment)
    with translate_mlflow_errors(f"what trainings of {spec.model_name} left cannot be searched"):
        marked = mlflow_run.mark_abandoned_runs(registry.client, registry.experiment(), before=now - timedelta(days=1))
    if marked:
        log.warning("%s: killed trainings left in MLflow, marked now: %s", spec.pipeline, ", ".join(marked))
    return marked


def _reconcile_alias(deployment: Deployment, newest: ChampionChange, before: str | None) -> Reconciliation:
    spec, runtime = deployment.spec, deployment.runtime
    known = _is_noted(deployment.ledger, newest, ALIASED)
    moved = set_champion_alias(runtime, spec.model_name, newest.model_version)
    if not known:
        _tag_champion(runtime, newest)
        _note_outcome(deployment.ledger, newest, ALIASED, runtime)
    if moved is None:
        return Reconciliation("agreed", f"alias {ALIAS} and ledger name version {newest.model_version}")
    if not known:
        found = Reconciliation("repaired", f"{moved}: a crash came between ledger and alias")
    else:
        edited = f"version {before}" if before else "nobody"
        found = Reconciliation(
            "edited",
            f"somebody made {edited} {ALIAS} of {spec.model_name} in MLflow, where the ledger says version "
            f"{newest.model_version}; {moved}. Nothing was served by {edited}. To change the champion: "
            f"tradewind rollback {spec.pipeline} --to VERSION --reason TEXT",
        )
    _journal_reconciliation(deployment, found)
    return found


def _reconcile_without_champion(deployment: Deployment, before: str | None) -> Reconciliation:
    spec = deployment.spec
    if before is None:
        return Reconciliation("agreed", f"{spec.pipeline} has no champion")
    with translate_mlflow_errors(f"the alias {ALIAS} of {spec.model_name} cannot be removed"):
        create_mlflow_client(deployment.runtime).delete_registered_model_alias(spec.model_name, ALIAS)
    update_alias_and_card(deployment)
    found = Reconciliation(
        "edited",
        f"somebody made version {before} {ALIAS} of {spec.model_name} in MLflow, where the ledger knows no champion; "
        "the alias is removed. A candidate becomes champion after a verdict",
    )
    _journal_reconciliation(deployment, found)
    return found


def aliased_version(runtime: Runtime, name: str) -> str | None:
    """The version that MLflow's alias names; None if there is none, or there is no such registered model.

    :raises Unavailable: the registry does not answer
    """
    registry = create_mlflow_client(runtime)
    with translate_mlflow_errors(f"the alias {ALIAS} of {name} cannot be read"):
        if not registry.search_registered_models(f"name = '{name}'"):
            return None
        found = registry.get_registered_model(name).aliases.get(ALIAS)
    return None if found is None else str(found)


def _require_champion_files(deployment: Deployment, newest: ChampionChange) -> None:
    """The champion's files are there; one that was archived by mistake is restored."""
    registry = open_registry(deployment)
    version = registry.get(newest.model_version)
    archive.restore_version(deployment, version)
    if not archive.has_version_files(version, deployment.runtime):
        raise ModelError(f"{version}: its files are not at {version.model}")


def _describe_remedy(spec: Pipeline, changes: list[ChampionChange], exc: ModelError) -> str:
    newest = changes[-1]
    others = list(dict.fromkeys(one.model_version for one in changes if one.model_version != newest.model_version))
    return (
        f"{spec.pipeline}: the ledger says that version {newest.model_version} is champion from population "
        f"{newest.effective_from} on, and MLflow does not have it: {exc}. Restore MLflow's database and files from a "
        f"backup, or name another version: tradewind rollback {spec.pipeline} --to VERSION --reason TEXT (others that "
        f"were champion: {', '.join(others) or 'none'})"
    )


def _tag_champion(runtime: Runtime, change: ChampionChange) -> None:
    tags = {
        "tradewind.champion_from": change.effective_from,
        "tradewind.champion_change": str(change.seq),
        "tradewind.promoted_by": change.actor,
        "tradewind.verdict_key": str(change.evidence.get("verdict_key", "")),
    }
    registry = create_mlflow_client(runtime)
    with translate_mlflow_errors(f"{change.model_name} version {change.model_version} cannot be tagged"):
        for name, value in tags.items():
            registry.set_model_version_tag(change.model_name, change.model_version, name, value)


def _newest_champion(spec: Pipeline, ledger: Ledger) -> ChampionChange | None:
    return next(reversed(ledger.champions(spec.pipeline)), None)


def _is_noted(ledger: Ledger, change: ChampionChange, outcome: str) -> bool:
    return ledger.get(change.pipeline, "note", key=f"{outcome}/{change.seq}") is not None


def _note_outcome(ledger: Ledger, change: ChampionChange, outcome: str, runtime: Runtime, **evidence: str) -> None:
    entry = Entry(
        change.pipeline, "note", change.model_version, None, f"{outcome}/{change.seq}",
        outcome=outcome, reason=f"change {change.seq}", evidence=evidence,
        actor=runtime.actor, run_id=runtime.run_id,
    )  # fmt: skip
    ledger.append(entry)


def _journal_reconciliation(deployment: Deployment, found: Reconciliation) -> None:
    entry = Entry(
        deployment.spec.pipeline, "note", "alias", None, f"alias/{datetime.now(UTC).isoformat()}",
        outcome=found.outcome, reason=found.words, actor=deployment.runtime.actor, run_id=deployment.runtime.run_id,
    )  # fmt: skip
    deployment.ledger.append(entry)
    log.warning("%s: %s", deployment.spec.pipeline, found.words)
