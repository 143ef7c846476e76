"""What follows a change of champion: MLflow's alias and tags, and the model card. The ledger decides; these tell it.

Each change that was told leaves a note in the ledger. So upkeep knows a crash (the newest change was never told) from
somebody's edit in MLflow (it was told, and the alias names another version now).
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
from tradewind.models import archive, runs
from tradewind.models.registry import ALIAS, Registry, answering, client, project_alias

if TYPE_CHECKING:
    from tradewind.core.runtime import Runtime
    from tradewind.ledger.champions import Champion
    from tradewind.spec.models import Pipeline

log = logging.getLogger(__name__)

ALIASED, CARDED = "aliased", "carded"
"""Outcomes of notes: the alias, or the model card, says what this change says."""


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What upkeep found.

    :param outcome: ``agreed``; ``repaired`` after a crash; ``edited``: somebody changed the alias, and it was put back;
        ``broken``: it cannot be put right without a person
    :param words: what was found and done, or what to do
    :param card: whether the champion's model card is written
    """

    outcome: Literal["agreed", "repaired", "edited", "broken"]
    words: str
    card: bool = True


def follow(spec: Pipeline, runtime: Runtime, ledger: Ledger) -> None:
    """Let alias, tags and model card say what the newest change says, whichever was just asked for.

    A replayed promotion must not undo a later one, nor one that comes while the alias is set. What is told already is
    left alone, except the alias.

    :raises ModelError: the model registry has no such version
    :raises Unavailable: it does not answer
    """
    newest = _newest(spec, ledger)
    while newest is not None:
        project_alias(runtime, spec.model_name, newest.model_version)
        if not _told(ledger, newest, ALIASED):
            _tag(runtime, newest)
            _note(ledger, newest, ALIASED, runtime)
        known, newest = newest, _newest(spec, ledger)
        if newest == known:
            break
    write_card(spec, runtime, ledger)


def write_card(spec: Pipeline, runtime: Runtime, ledger: Ledger) -> bool:
    """Write the model card of the newest champion, unless it is there; a failure is logged, and upkeep tries again.

    :return: whether it is written
    """
    changes = ledger.champions(spec.pipeline)
    if not changes or _told(ledger, changes[-1], CARDED):
        return bool(changes)
    try:
        from tradewind.models import model_card

        path = model_card.write(spec, runtime, changes[-1])
    except Exception:
        # Whatever goes wrong with a page: the promotion stands.
        log.exception("%s: no model card of version %s; upkeep tries again", spec.pipeline, changes[-1].model_version)
        return False
    _note(ledger, changes[-1], CARDED, runtime, path=str(path))
    return True


def card_of(spec: Pipeline, runtime: Runtime) -> Path | None:
    """Where the model card of the newest champion lies; None while it is not written."""
    changes = Ledger(runtime.ledger).champions(spec.pipeline)
    entry = Ledger(runtime.ledger).get(spec.pipeline, "note", key=f"{CARDED}/{changes[-1].seq}") if changes else None
    return Path(entry.evidence["path"]) if entry is not None else None


def reconcile(spec: Pipeline, runtime: Runtime) -> Reconciled:
    """Make alias and model card say what the ledger says, and say what was wrong.

    A pipeline that is decommissioned has no alias any more, and gets none. A promotion that comes meanwhile is
    followed, and is nobody's edit.

    :raises Unavailable: the model registry does not answer
    """
    ledger = Ledger(runtime.ledger)
    if holds.decommissioned(ledger, spec.pipeline) is not None:
        return Reconciled("agreed", f"{spec.pipeline} is decommissioned and has no champion")
    newest, before = _newest(spec, ledger), aliased(runtime, spec.model_name)
    while (now := _newest(spec, ledger)) != newest:
        newest, before = now, aliased(runtime, spec.model_name)
    if newest is None:
        return _without_champion(spec, runtime, ledger, before)
    try:
        found = _reconcile_alias(spec, runtime, ledger, newest, before)
        if _newest(spec, ledger) != newest:
            follow(spec, runtime, ledger)
        _require_files(spec, runtime, ledger, newest)
    except ModelError as exc:
        return Reconciled("broken", _what_to_do(spec, ledger.champions(spec.pipeline), exc))
    return replace(found, card=write_card(spec, runtime, ledger))


def mark_abandoned(spec: Pipeline, runtime: Runtime, *, now: datetime) -> list[str]:
    """Mark what killed trainings left in MLflow and no retry came back for; see :func:`runs.mark_abandoned`.

    :param now: the present, aware; what is younger than a day may belong to a training that goes on
    :raises Unavailable: MLflow does not answer
    """
    registry = Registry(runtime, spec.model_name)
    with answering(f"what trainings of {spec.model_name} left cannot be searched"):
        marked = runs.mark_abandoned(registry.client, registry.experiment(), before=now - timedelta(days=1))
    if marked:
        log.warning("%s: killed trainings left in MLflow, marked now: %s", spec.pipeline, ", ".join(marked))
    return marked


def _reconcile_alias(
    spec: Pipeline, runtime: Runtime, ledger: Ledger, newest: Champion, before: str | None
) -> Reconciled:
    known = _told(ledger, newest, ALIASED)
    moved = project_alias(runtime, spec.model_name, newest.model_version)
    if not known:
        _tag(runtime, newest)
        _note(ledger, newest, ALIASED, runtime)
    if moved is None:
        return Reconciled("agreed", f"alias {ALIAS} and ledger name version {newest.model_version}")
    if not known:
        found = Reconciled("repaired", f"{moved}: a crash came between ledger and alias")
    else:
        edited = f"version {before}" if before else "nobody"
        found = Reconciled(
            "edited",
            f"somebody made {edited} {ALIAS} of {spec.model_name} in MLflow, where the ledger says version "
            f"{newest.model_version}; {moved}. Nothing was served by {edited}. To change the champion: "
            f"tradewind rollback {spec.pipeline} --to VERSION --reason TEXT",
        )
    _journal(spec, ledger, runtime, found)
    return found


def _without_champion(spec: Pipeline, runtime: Runtime, ledger: Ledger, before: str | None) -> Reconciled:
    if before is None:
        return Reconciled("agreed", f"{spec.pipeline} has no champion")
    with answering(f"the alias {ALIAS} of {spec.model_name} cannot be removed"):
        client(runtime).delete_registered_model_alias(spec.model_name, ALIAS)
    follow(spec, runtime, ledger)
    found = Reconciled(
        "edited",
        f"somebody made version {before} {ALIAS} of {spec.model_name} in MLflow, where the ledger knows no champion; "
        "the alias is removed. A candidate becomes champion after a verdict",
    )
    _journal(spec, ledger, runtime, found)
    return found


def aliased(runtime: Runtime, name: str) -> str | None:
    """The version that MLflow's alias names; None if nobody is, or there is no such registered model.

    :raises Unavailable: the registry does not answer
    """
    registry = client(runtime)
    with answering(f"the alias {ALIAS} of {name} cannot be read"):
        if not registry.search_registered_models(f"name = '{name}'"):
            return None
        found = registry.get_registered_model(name).aliases.get(ALIAS)
    return None if found is None else str(found)


def _require_files(spec: Pipeline, runtime: Runtime, ledger: Ledger, newest: Champion) -> None:
    """The champion's files are there; one that was archived by mistake is restored."""
    registry = Registry(runtime, spec.model_name)
    version = registry.get(newest.model_version)
    archive.restore(spec, version, runtime, ledger)
    if not archive.has_files(version, runtime):
        raise ModelError(f"{version}: its files are not at {version.model}")


def _what_to_do(spec: Pipeline, changes: list[Champion], exc: ModelError) -> str:
    newest = changes[-1]
    others = list(dict.fromkeys(one.model_version for one in changes if one.model_version != newest.model_version))
    return (
        f"{spec.pipeline}: the ledger says that version {newest.model_version} is champion from population "
        f"{newest.effective_from} on, and MLflow does not have it: {exc}. Restore MLflow's database and files from a "
        f"backup, or name another version: tradewind rollback {spec.pipeline} --to VERSION --reason TEXT (others that "
        f"were champion: {', '.join(others) or 'none'})"
    )


def _tag(runtime: Runtime, change: Champion) -> None:
    tags = {
        "tradewind.champion_from": change.effective_from,
        "tradewind.champion_change": str(change.seq),
        "tradewind.promoted_by": change.actor,
        "tradewind.verdict_key": str(change.evidence.get("verdict_key", "")),
    }
    registry = client(runtime)
    with answering(f"{change.model_name} version {change.model_version} cannot be tagged"):
        for name, value in tags.items():
            registry.set_model_version_tag(change.model_name, change.model_version, name, value)


def _newest(spec: Pipeline, ledger: Ledger) -> Champion | None:
    return next(reversed(ledger.champions(spec.pipeline)), None)


def _told(ledger: Ledger, change: Champion, outcome: str) -> bool:
    return ledger.get(change.pipeline, "note", key=f"{outcome}/{change.seq}") is not None


def _note(ledger: Ledger, change: Champion, outcome: str, runtime: Runtime, **evidence: str) -> None:
    entry = Entry(
        change.pipeline, "note", change.model_version, None, f"{outcome}/{change.seq}",
        outcome=outcome, reason=f"change {change.seq}", evidence=evidence,
        actor=runtime.actor, run_id=runtime.run_id,
    )  # fmt: skip
    ledger.append(entry)


def _journal(spec: Pipeline, ledger: Ledger, runtime: Runtime, found: Reconciled) -> None:
    entry = Entry(
        spec.pipeline, "note", "alias", None, f"alias/{datetime.now(UTC).isoformat()}",
        outcome=found.outcome, reason=found.words, actor=runtime.actor, run_id=runtime.run_id,
    )  # fmt: skip
    ledger.append(entry)
    log.warning("%s: %s", spec.pipeline, found.words)
