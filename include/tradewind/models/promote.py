"""Who is champion: promotion after a passed verdict, rollback by a person, and the alias that shows it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from tradewind.core import faults
from tradewind.errors import UsageError
from tradewind.lake.dataset import Lake
from tradewind.ledger import holds
from tradewind.ledger.champions import Champion
from tradewind.ledger.journal import Entry, Ledger
from tradewind.models.registry import project_alias

if TYPE_CHECKING:
    from tradewind.core.runtime import Runtime
    from tradewind.spec.models import Pipeline

log = logging.getLogger(__name__)


def promote(spec: Pipeline, partition: str, runtime: Runtime, *, actor: str, comment: str = "") -> Champion:
    """Make the candidate that passed its verdict at a partition champion, from the first population nobody scored yet.

    Promoting again returns what is recorded, and repairs the alias if a crash came between ledger and alias.

    :param partition: partition whose verdict passed
    :param actor: who promotes: ``airflow``, or the person who approved
    :raises UsageError: there is no verdict for the partition, or it rejected the candidate
    :raises Conflict: the champion changed since the verdict; the candidate must be judged again
    """
    ledger = Ledger(runtime.ledger)
    verdict = _passed(spec, partition, ledger)
    version = str(verdict.evidence["version"])
    new = Champion(
        pipeline=spec.pipeline,
        seq=0,
        model_name=spec.model_name,
        model_version=version,
        effective_from=_first_unscored(spec, partition, runtime),
        decided_at=partition,
        reason=verdict.reason,
        actor=actor,
        run_id=runtime.run_id,
        evidence={**_training_of(spec, version, ledger), "verdict_key": verdict.key, "comment": comment},
    )
    champion = ledger.promote(new, expected=int(verdict.evidence["expected_seq"]))
    faults.reach("after-ledger-before-alias")
    _project(spec, runtime, ledger)
    log.info(
        "%s: version %s is champion from %s (change %s, decided at %s)",
        spec.pipeline, champion.model_version, champion.effective_from, champion.seq, partition,
    )  # fmt: skip
    return champion


def rollback(spec: Pipeline, *, to_version: str, reason: str, actor: str, runtime: Runtime) -> Champion:
    """Make a version that was champion before champion again, from the first population nobody scored yet.

    If it is the newest champion already, only the alias is repaired.

    :param to_version: version in the model registry
    :param reason: why, in words
    :param actor: who asks for it
    :raises UsageError: no reason, the version never was champion, or the pipeline is decommissioned
    :raises Conflict: somebody else changed the champion in the same moment
    """
    ledger = Ledger(runtime.ledger)
    if (ended := holds.decommissioned(ledger, spec.pipeline)) is not None:
        raise UsageError(
            f"{spec.pipeline} was decommissioned by {ended.actor}: {ended.reason}; nothing serves any more"
        )
    changes = ledger.champions(spec.pipeline)
    earlier = next((change for change in reversed(changes) if change.model_version == to_version), None)
    if not reason.strip():
        raise UsageError(
            f"a rollback of {spec.pipeline} to version {to_version} needs a reason: it goes into the ledger"
        )
    if earlier is None:
        known = ", ".join(sorted({change.model_version for change in changes}, key=_natural)) or "none"
        raise UsageError(f"{spec.pipeline}: version {to_version} never was champion; versions that were: {known}")
    if changes[-1].model_version == to_version:
        _project(spec, runtime, ledger)
        return changes[-1]
    new = Champion(
        pipeline=spec.pipeline,
        seq=0,
        model_name=spec.model_name,
        model_version=to_version,
        effective_from=_after_newest_scored(spec, runtime) or changes[-1].effective_from,
        reason=f"rollback: {reason}",
        actor=actor,
        run_id=runtime.run_id,
        evidence={**earlier.evidence, "again_from_seq": earlier.seq, "replaces": changes[-1].model_version},
    )
    champion = ledger.promote(new, expected=changes[-1].seq)
    faults.reach("after-ledger-before-alias")
    _project(spec, runtime, ledger)
    log.warning(
        "%s: rolled back to version %s from %s by %s: %s",
        spec.pipeline,
        to_version,
        champion.effective_from,
        actor,
        reason,
    )
    return champion


def reconcile(spec: Pipeline, runtime: Runtime) -> str | None:
    """Make the alias ``champion`` in the model registry say what the ledger says.

    A pipeline that is decommissioned has no alias any more, and gets none.

    :return: what was repaired, in words; None if alias and ledger agree
    """
    ledger = Ledger(runtime.ledger)
    return None if holds.decommissioned(ledger, spec.pipeline) else _project(spec, runtime, ledger)


def _project(spec: Pipeline, runtime: Runtime, ledger: Ledger) -> str | None:
    # The newest change, whichever was just asked for: a replayed promotion must not undo a later one.
    changes = ledger.champions(spec.pipeline)
    return project_alias(runtime, spec.model_name, changes[-1].model_version) if changes else None


def _passed(spec: Pipeline, partition: str, ledger: Ledger) -> Entry:
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


def _training_of(spec: Pipeline, version: str, ledger: Ledger) -> dict[str, Any]:
    """What the version was trained on; monitoring and scoring ask the champion's row for it."""
    trained = ledger.find(spec.pipeline, "trained", subject=version)
    if not trained:
        raise UsageError(f"{spec.pipeline}: the ledger knows no training of version {version}; run train again")
    names = ("train_partitions", "test_partitions", "mlflow_run_id")
    return {name: trained[-1].evidence[name] for name in names}


def _first_unscored(spec: Pipeline, partition: str, runtime: Runtime) -> str:
    """The first population that no run keyed ``partition`` or earlier scores, and that no run has scored."""
    ahead = spec.score.ahead if spec.score else 0
    by_key = spec.partitioning.shift(partition, ahead + 1)
    return max(by_key, _after_newest_scored(spec, runtime) or by_key)


def _after_newest_scored(spec: Pipeline, runtime: Runtime) -> str | None:
    lake = Lake(runtime.lake, storage_options=runtime.storage_options)
    snapshot = lake.dataset(spec.pipeline, "predictions").snapshot()
    if snapshot is None or not snapshot.partitions:
        return None
    return spec.partitioning.shift(max(snapshot.partitions), 1)


def _natural(version: str) -> tuple[int, str]:
    return (int(version), "") if version.isdigit() else (0, version)
