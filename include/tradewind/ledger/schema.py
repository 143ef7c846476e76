"""The ledger's tables, as the newest migration leaves them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import Table

HEAD = "0001"
"""Newest migration; revisions are numbers of four digits, so that text order is the order of time."""

VERSION_TABLE = "tradewind_ledger_version"


@dataclass(frozen=True, slots=True)
class LedgerTables:
    """The SQLAlchemy tables of the ledger."""

    journal: Table
    champions: Table


@cache
def build_tables() -> LedgerTables:
    """Build the table objects; once a process, and only where the ledger is really used."""
    from sqlalchemy import JSON, BigInteger, Column, DateTime, Integer, MetaData, String, Table, Text

    metadata = MetaData()
    # Keys are compared with <=: byte order, whatever the collation of the database.
    key = String(200).with_variant(String(200, collation="C"), "postgresql")
    row_id = BigInteger().with_variant(Integer, "sqlite")
    instant = DateTime(timezone=True)

    def text(name: str) -> Column[str]:
        return Column(name, Text, nullable=False)

    journal = Table(
        "tradewind_journal",
        metadata,
        Column("id", row_id, primary_key=True, autoincrement=True),
        *(text(name) for name in ("pipeline", "kind", "subject")),
        Column("partition", key),
        *(text(name) for name in ("key", "outcome", "reason")),
        Column("evidence", JSON, nullable=False),
        *(text(name) for name in ("actor", "run_id")),
        Column("at", instant, nullable=False),
    )
    champions = Table(
        "tradewind_champions",
        metadata,
        Column("pipeline", Text, primary_key=True),
        Column("seq", Integer, primary_key=True, autoincrement=False),
        *(text(name) for name in ("model_name", "model_version")),
        Column("effective_from", key, nullable=False),
        Column("decided_at", key),
        *(text(name) for name in ("reason", "actor", "run_id")),
        Column("at", instant, nullable=False),
        Column("evidence", JSON, nullable=False),
    )
    return LedgerTables(journal, champions)
