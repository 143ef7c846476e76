"""Who served a population: the champion that holds for it, who predicted it, on which verdict, and who promoted it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tradewind.ledger.champions import ChampionChange
    from tradewind.ledger.journal import Entry, Ledger


@dataclass(frozen=True, slots=True)
class ScoringEvent:
    """One time that a population was scored, or was not.

    :param partition: whose run of ``score`` it was
    :param served_by: ``champion``, ``previous_champion`` or ``majority``; empty where nothing was predicted
    :param rows: entities that were predicted
    :param kept: why what was published before stays; empty if it is what the run made or found
    :param skipped: why nothing was predicted, in words; empty if something was
    :param at: when, in UTC: wall time
    """

    partition: str
    version: str
    served_by: str
    rows: int
    kept: str
    skipped: str
    run_id: str
    at: datetime


@dataclass(frozen=True, slots=True)
class PopulationHistory:
    """What the ledger says of one population, whenever it was scored.

    :param champion: the change of champion that holds for it now; None if there is none
    :param verdict: that the champion was promoted on; None where a person named it without one
    :param approval: who approved it; None where no person was asked
    :param scorings: each time it was scored with another result, oldest first; the last one is published
    :param fallbacks: why it was not the champion, each time
    """

    population: str
    champion: ChampionChange | None
    verdict: Entry | None
    approval: Entry | None
    scorings: tuple[ScoringEvent, ...]
    fallbacks: tuple[str, ...]

    @property
    def by_champion(self) -> bool:
        """Whether the champion that holds now is who served it."""
        if self.champion is None or not self.scorings:
            return False
        last = self.scorings[-1]
        return (last.served_by, last.version) == ("champion", self.champion.model_version)


def read_population_history(ledger: Ledger, pipeline: str, population: str) -> PopulationHistory:
    """Look up one population; its key is partition time, so a replay years later answers as the first run did."""
    champion = ledger.champion_for(pipeline, population)
    verdict = approval = None
    if champion is not None and (key := champion.evidence.get("verdict_key")):
        verdict = ledger.get(pipeline, "verdict", key=str(key))
        answers = [one for one in ledger.find(pipeline, "approval") if one.evidence.get("verdict_key") == key]
        approval = answers[-1] if answers else None  # the newest answer about a verdict holds
    scorings = [
        _read_scoring(entry)
        for entry in ledger.find(pipeline, "complete", subject="score")
        if entry.evidence.get("population") == population
    ]
    fallbacks = [one.reason for one in ledger.find(pipeline, "note", subject="fallback", partition=population)]
    return PopulationHistory(population, champion, verdict, approval, tuple(scorings), tuple(dict.fromkeys(fallbacks)))


def _read_scoring(entry: Entry) -> ScoringEvent:
    found = entry.evidence
    return ScoringEvent(
        str(entry.partition), str(found.get("model_version", "")), str(found.get("served_by", "")),
        int(found.get("rows", 0)), str(found.get("kept", "")), str(found.get("skipped", "")), entry.run_id, entry.at,
    )  # fmt: skip
