"""Who was champion for which populations: the queries of the champions table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tradewind.ledger.rows import insert_new, plain, utc
from tradewind.ledger.tables import tables

if TYPE_CHECKING:
    from sqlalchemy import Connection, RowMapping


@dataclass(frozen=True, slots=True)
class Champion:
    """One change of champion.

    :param seq: 1 for the first champion of the pipeline, then without gaps; 0 while it is not written yet
    :param model_version: version in the model registry
    :param effective_from: key of the first population that it serves
    :param decided_at: partition whose run decided; None where a person did (a rollback)
    :param evidence: numbers and keys behind it, among them ``train_partitions`` and ``verdict_key``
    """

    pipeline: str
    seq: int
    model_name: str
    model_version: str
    effective_from: str
    decided_at: str | None = None
    reason: str = ""
    actor: str = "local"
    run_id: str = "local"
    at: datetime = field(default_factory=lambda: datetime.now(UTC))
    evidence: Mapping[str, Any] = field(default_factory=dict)

    def same_change(self, other: Champion) -> bool:
        """Whether ``other`` (not written yet) asks for what this row already records."""
        if self.model_version != other.model_version or self.decided_at != other.decided_at:
            return False
        return self.decided_at is not None or self.effective_from == other.effective_from


def read(connection: Connection, pipeline: str) -> list[Champion]:
    """All changes of a pipeline's champion, oldest first."""
    from sqlalchemy import select

    table = tables().champions
    rows = connection.execute(select(table).where(table.c.pipeline == pipeline).order_by(table.c.seq))
    return [_champion(row) for row in rows.mappings()]


def insert(connection: Connection, champion: Champion) -> bool:
    """Write one change; False if its ``seq`` is taken: somebody else came first."""
    values = {
        name: getattr(champion, name)
        for name in (
            "pipeline",
            "seq",
            "model_name",
            "model_version",
            "effective_from",
            "decided_at",
            "reason",
            "actor",
            "run_id",
        )
    }
    values |= {"at": utc(champion.at), "evidence": plain(champion.evidence)}
    return insert_new(connection, tables().champions, values)


def recorded(changes: list[Champion], new: Champion) -> Champion | None:
    """The row that says already what ``new`` asks for: of a person's changes only the newest counts as the same."""
    return next((row for row in (changes if new.decided_at else changes[-1:]) if row.same_change(new)), None)


def effective(champions: list[Champion], population: str) -> Champion | None:
    """The newest change that holds for ``population``; what came later wins over what came before."""
    return next((champion for champion in reversed(champions) if champion.effective_from <= population), None)


def _champion(row: RowMapping) -> Champion:
    return Champion(**{**row, "at": utc(row["at"])})
