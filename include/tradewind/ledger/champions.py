"""Who was champion for which populations: the queries of the champions table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tradewind.ledger.schema import build_tables
from tradewind.ledger.values import as_utc, insert_new, json_value

if TYPE_CHECKING:
    from sqlalchemy import Connection, RowMapping


@dataclass(frozen=True, slots=True)
class ChampionChange:
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

    def same_change(self, other: ChampionChange) -> bool:
        """Whether ``other`` (not written yet) asks for what this row already records."""
        if self.model_version != other.model_version or self.decided_at != other.decided_at:
            return False
        return self.decided_at is not None or self.effective_from == other.effective_from


def read_champions(connection: Connection, pipeline: str) -> list[ChampionChange]:
    """All changes of a pipeline's champion, oldest first."""
    from sqlalchemy import select

    table = build_tables().champions
    rows = connection.execute(select(table).where(table.c.pipeline == pipeline).order_by(table.c.seq))
    return [_champion(row) for row in rows.mappings()]


def insert_champion(connection: Connection, champion: ChampionChange) -> bool:
    """Write one change; False if its ``seq`` is taken: another run came first."""
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
    values |= {"at": as_utc(champion.at), "evidence": json_value(champion.evidence)}
    return insert_new(connection, build_tables().champions, values)


def find_recorded_change(changes: list[ChampionChange], new: ChampionChange) -> ChampionChange | None:
    """The row that says already what ``new`` asks for: of a person's changes only the newest counts as the same."""
    return next((row for row in (changes if new.decided_at else changes[-1:]) if row.same_change(new)), None)


def effective_champion(champions: list[ChampionChange], population: str) -> ChampionChange | None:
    """The newest change that holds for ``population``; what came later wins over what came before."""
    return next((champion for champion in reversed(champions) if champion.effective_from <= population), None)


def _champion(row: RowMapping) -> ChampionChange:
    return ChampionChange(**{**row, "at": as_utc(row["at"])})
