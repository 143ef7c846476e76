"""Who served each population, as the newest run of its partition left it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from tradewind.scoring.fallbacks import CHAMPION, describe_served_by

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tradewind.ledger.journal import Entry, Ledger

LATEST = 3
"""How many of the newest populations are shown where the champion served all of them."""


@dataclass(frozen=True, slots=True)
class ServedPopulation:
    """A population and who served it.

    :param partition: whose run scored it
    :param served_by: place in line: ``champion``, ``previous_champion`` or ``majority``
    :param kept: why what was published before stays; empty if it is what the newest run would make
    :param at: when that was settled, in UTC
    """

    population: str
    partition: str
    rows: int
    version: str
    served_by: str
    kept: str
    at: datetime

    @property
    def by_champion(self) -> bool:
        """Whether the newest run found the champion serving."""
        return self.served_by == CHAMPION and not self.kept

    def __str__(self) -> str:
        if self.kept:
            return self.kept
        by = describe_served_by(self.served_by, self.version)
        return f"population {self.population} by {by}{'' if self.by_champion else ', and not by the champion'}"


def served_populations(ledger: Ledger, pipeline: str) -> list[ServedPopulation]:
    """Every population that was scored, oldest first."""
    newest = {entry.partition: entry for entry in ledger.find(pipeline, "complete", subject="score")}
    found = [served_population(entry) for entry in newest.values()]
    return sorted((one for one in found if one is not None), key=lambda one: one.population)


def served_population(entry: Entry) -> ServedPopulation | None:
    """What the completion of a stage says of its population; None if it is about none, or nothing was scored."""
    text = entry.evidence
    if entry.subject != "score" or "served_by" not in text:
        return None
    return ServedPopulation(
        str(text["population"]), entry.partition or "", int(text["rows"]), str(text["model_version"]),
        str(text["served_by"]), str(text.get("kept", "")), entry.at,
    )  # fmt: skip


def noteworthy_populations(found: Sequence[ServedPopulation]) -> list[ServedPopulation]:
    """The newest populations, newest first, and of the earlier ones those that the champion did not serve."""
    earlier, latest = found[:-LATEST], found[-LATEST:]
    return [*reversed(latest), *(one for one in reversed(earlier) if not one.by_champion)]
