"""Shadows: versions that passed their verdict and stand beside the champion without serving, until they are judged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tradewind.ledger.journal import Entry

if TYPE_CHECKING:
    from tradewind.ledger.journal import Ledger

BEGAN, REPLACED, WITHDRAWN, FAILED = "began", "replaced", "withdrawn", "failed"
_ENDS = frozenset({REPLACED, WITHDRAWN, "passed", "rejected", "unchanged"})


def record_shadow_begin(
    ledger: Ledger,
    pipeline: str,
    partition: str,
    *,
    version: str,
    populations: Sequence[str],
    judged_at: str,
    verdict_key: str,
    actor: str = "airflow",
    run_id: str = "local",
) -> Entry:
    """Record that a version stands as shadow from now on; one that stands already is replaced.

    :param partition: whose verdict it passed
    :param populations: keys of those that it predicts
    :param judged_at: the partition by whose end the labels of all of them have fallen due
    :return: the entry that holds; saying it again changes nothing
    """
    key = f"{partition}/{version}"
    if again := sum(one.outcome == WITHDRAWN for one in ledger.find(pipeline, "shadow", partition=partition)):
        key += f"#{again}"
    before = standing_shadow(ledger, pipeline, partition)
    if before is not None and before.key != key:
        why = f"version {version}, the candidate of {partition}, passed its verdict and stands in its place"
        record_shadow_end(ledger, before, partition, outcome=REPLACED, reason=why, actor=actor, run_id=run_id)
    evidence = {
        "version": version,
        "from": populations[0],
        "populations": list(populations),
        "judged_at": judged_at,
        "verdict_key": verdict_key,
    }
    reason = f"predicts populations {populations[0]} … {populations[-1]} without serving; judged at {judged_at}"
    ledger.append(Entry(pipeline, "shadow", version, partition, key, BEGAN, reason, evidence, actor, run_id))
    written = ledger.get(pipeline, "shadow", key=key)
    assert written is not None  # by this run, or by one that came first
    return written


def record_shadow_end(
    ledger: Ledger, shadow: Entry, partition: str, *, outcome: str, reason: str, actor: str = "airflow",
    run_id: str = "local",
) -> None:  # fmt: skip
    """Record that a version stands as shadow no more.

    :param partition: whose run decided
    :param outcome: ``passed``, ``rejected`` or ``unchanged`` by its second verdict, ``replaced`` by a newer one, or
        ``withdrawn`` because the verdict that let it stand was made again and rejected it, or the YAML asks for no
        shadow any more
    """
    evidence = {"version": shadow.subject, "began": shadow.key}
    key = f"{shadow.key}/{outcome}"
    ledger.append(
        Entry(shadow.pipeline, "shadow", shadow.subject, partition, key, outcome, reason, evidence, actor, run_id)
    )


def record_shadow_failure(
    ledger: Ledger, shadow: Entry, population: str, *, reason: str, actor: str = "airflow", run_id: str = "local"
) -> None:
    """Record that a shadow could not predict a population; its verdict will miss these rows."""
    evidence = {"version": shadow.subject, "began": shadow.key}
    key = f"{shadow.key}/{population}/{FAILED}"
    ledger.append(
        Entry(shadow.pipeline, "shadow", shadow.subject, population, key, FAILED, reason, evidence, actor, run_id)
    )


def standing_shadow(ledger: Ledger, pipeline: str, partition: str | None = None) -> Entry | None:
    """The entry that began the shadow, as it is known to the run of a partition: a replay finds what the first run did.

    :param partition: None for what stands at the moment, whichever partition decided it
    """
    entries = ledger.find(pipeline, "shadow")
    return newest_shadow([one for one in entries if partition is None or (one.partition or "") < partition])


def newest_shadow(entries: Sequence[Entry]) -> Entry | None:
    """Of a pipeline's entries about shadows: the one that began the shadow that stands; None if none does."""
    began = sorted((one for one in entries if one.outcome == BEGAN), key=lambda one: (one.partition or "", one.id or 0))
    if not began:
        return None
    ended = {one.evidence["began"] for one in entries if one.outcome in _ENDS}
    return None if began[-1].key in ended else began[-1]


def labels_are_due(shadow: Entry, partition: str) -> bool:
    """Whether the labels of all its populations have fallen due by the end of a partition."""
    return str(shadow.evidence["judged_at"]) <= partition
