"""What came of the newest candidate: rejected and why, standing as shadow, waiting for a person, champion."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tradewind.champion import model_card
from tradewind.ledger import serving_versions, shadows
from tradewind.verdict import verdict_files, verdict_text

if TYPE_CHECKING:
    from tradewind.ledger.champions import ChampionChange
    from tradewind.ledger.journal import Entry, Ledger

WAITS = "waits for approval"


@dataclass(frozen=True, slots=True)
class JudgedCandidate:
    """A version that was judged.

    :param outcome: ``rejected`` by its gates, ``unchanged`` from the champion, ``declined`` by a person, ``shadow``,
        ``waits for approval``, ``pinned`` or ``superseded`` where it passed and was not promoted, ``champion``,
        ``replaced`` where another one is champion since, or just ``passed``
    :param reasons: why, in words
    :param verdict: the ledger's entry that it was last judged by
    """

    version: str
    partition: str
    outcome: str
    reasons: tuple[str, ...]
    verdict: Entry


def newest_candidate(ledger: Ledger, pipeline: str) -> JudgedCandidate | None:
    """The candidate of the newest partition whose candidate was judged, with what came of it; None before the first."""
    verdicts = ledger.find(pipeline, "verdict")
    if not verdicts:
        return None
    entry = max(verdicts, key=lambda one: (one.partition or "", one.id or 0))
    outcome, reasons = _candidate_outcome(ledger, entry)
    return JudgedCandidate(entry.subject, entry.partition or "", outcome, tuple(reasons), entry)


def describe_shadow(ledger: Ledger, pipeline: str) -> str | None:
    """The version that stands as shadow and how far it is, in words; None if none does."""
    standing = shadows.standing_shadow(ledger, pipeline)
    return f"version {standing.subject}: {_describe_progress(ledger, standing)}" if standing else None


def find_evidence_pages(
    candidate: JudgedCandidate | None, champion: ChampionChange | None, reports: Path
) -> dict[str, str]:
    """Where the ``report`` of the candidate's verdict and the champion's ``card`` lie, if they are on this machine."""
    found = {
        **({"report": verdict_files.relative_verdict_path(candidate.verdict)} if candidate else {}),
        **({"card": model_card.model_card_path(champion)} if champion else {}),
    }
    return {name: str(reports / place) for name, place in found.items() if (reports / place).is_file()}


def _candidate_outcome(ledger: Ledger, entry: Entry) -> tuple[str, list[str]]:
    if entry.outcome != "passed":
        known = "gates" in entry.evidence and "version" in entry.evidence
        return entry.outcome, (verdict_text.failure_reasons(entry) if known else []) or [entry.reason]
    serving = _serving_version(ledger, entry)
    if (standing := shadows.standing_shadow(ledger, entry.pipeline)) is not None and standing.subject == serving:
        return "shadow", [_describe_progress(ledger, standing)]
    changes = ledger.champions(entry.pipeline)
    for change in reversed(changes):
        if change.evidence.get("verdict_key") == entry.key:
            return _promotion_outcome(change, changes[-1], judged=entry.subject)
    return _reason_not_promoted(ledger, entry) or ("passed", [entry.reason])


def _serving_version(ledger: Ledger, entry: Entry) -> str:
    """The version that was to serve after a verdict: where the YAML asks for it, the judged one fitted once more."""
    found = serving_versions.find_refit(ledger, entry.pipeline, entry.subject)
    return (
        str(found.evidence["refitted"])
        if found is not None and found.outcome == serving_versions.SERVES
        else entry.subject
    )


def _promotion_outcome(change: ChampionChange, newest: ChampionChange, *, judged: str) -> tuple[str, list[str]]:
    text = f"from population {change.effective_from} on, by {change.actor}"
    if change.model_version != judged:
        text = f"as version {change.model_version}, which is version {judged} fitted once more, {text}"
    if newest.model_version == change.model_version:
        return "champion", [text]
    after = f"since population {newest.effective_from} it is version {newest.model_version}, by {newest.actor}"
    return "replaced", [f"champion {text}; {after}"]


def _reason_not_promoted(ledger: Ledger, entry: Entry) -> tuple[str, list[str]] | None:
    """Why a candidate that passed is not champion, as far as the ledger says."""
    held = [
        one
        for one in ledger.find(entry.pipeline, "promotion", subject=entry.subject)
        if one.evidence.get("verdict_key") == entry.key
    ]
    if held:
        return held[-1].outcome, [held[-1].reason]
    answers = [
        one
        for one in ledger.find(entry.pipeline, "approval", partition=entry.partition)
        if one.evidence.get("version", entry.subject) == entry.subject
    ]
    if answers:
        said = f"by {answers[-1].actor}: {answers[-1].reason}"
        return ("declined", [said]) if answers[-1].outcome != "approved" else ("passed", [f"approved {said}"])
    settled = ledger.find(entry.pipeline, "complete", subject="train", partition=entry.partition)
    if settled and settled[-1].evidence.get("outcome") == WAITS:
        return WAITS, [f"in the task approve of {entry.pipeline}__train, run {settled[-1].run_id}"]
    return None


def _describe_progress(ledger: Ledger, standing: Entry) -> str:
    """How far the shadow is: populations that were scored while it stood, without those that it could not predict."""
    asked: list[str] = list(standing.evidence["populations"])
    scored = {one.evidence.get("population") for one in ledger.find(standing.pipeline, "complete", subject="score")}
    failed = {
        one.partition
        for one in ledger.find(standing.pipeline, "shadow", subject=standing.subject)
        if one.outcome == shadows.FAILED and one.evidence.get("began") == standing.key
    }
    done = [key for key in asked if key in scored and key not in failed]
    missed = f", {len(failed)} could not be predicted" if failed else ""
    return f"{len(done)} of {len(asked)} populations{missed}; judged at {standing.evidence['judged_at']}"
