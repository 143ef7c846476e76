"""The journal: what happened and why. Entries are added and never changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from tradewind.core import fault_points
from tradewind.errors import Conflict
from tradewind.ledger import champions
from tradewind.ledger.champions import ChampionChange
from tradewind.ledger.database import LedgerDatabase
from tradewind.ledger.schema import build_tables
from tradewind.ledger.values import as_utc, insert_new, json_value

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection, RowMapping

Kind = Literal[
    "started",
    "complete",
    "decision",
    "trained",
    "refit",
    "verdict",
    "approval",
    "promotion",
    "rollback",
    "materialised",
    "incident",
    "incident_closed",
    "note",
    "left_out",
    "skip",
    "hold",
    "resume",
    "release",
    "rescore",
    "erased",
    "decommissioned",
    "early",
    "shadow",
    "pin",
    "unpin",
    "archived",
    "restored",
    "reproduced",
]


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened.

    :param subject: what it is about: a stage, a model version, an incident's fingerprint
    :param partition: partition key; None where there is none
    :param key: names this entry; unique for its pipeline and kind, so that saying it twice writes it once
    :param outcome: one word: ``train``, ``skip``, ``passed``, ``rejected``…
    :param evidence: the numbers behind it; what JSON can hold
    :param at: when, in UTC
    :param id: order of writing; None while it is not written
    """

    pipeline: str
    kind: Kind
    subject: str
    partition: str | None
    key: str
    outcome: str = ""
    reason: str = ""
    evidence: Mapping[str, Any] = field(default_factory=dict)
    actor: str = "local"
    run_id: str = "local"
    at: datetime = field(default_factory=lambda: datetime.now(UTC))
    id: int | None = None


class Ledger:
    """The append-only journal and the champions of all pipelines of a deployment.

    Making one costs nothing; the first use in a process connects and brings the schema up to date.

    :param url: SQLAlchemy URL of a SQLite file or a PostgreSQL database
    """

    def __init__(self, url: str) -> None:
        self._database = LedgerDatabase(url)

    def append(self, entry: Entry) -> bool:
        """Write an entry; False, and nothing written, if one with its key exists.

        :raises Unavailable: the database is locked or away
        """
        with self._database.begin(f"journal {entry.kind} {entry.key} of {entry.pipeline}") as connection:
            return _insert(connection, entry)

    def get(self, pipeline: str, kind: Kind, *, key: str) -> Entry | None:
        """The entry with this key, if it was written."""
        found = self._select(pipeline, kind, build_tables().journal.c.key == key)
        return found[0] if found else None

    def find(
        self,
        pipeline: str,
        kind: Kind,
        *,
        subject: str | None = None,
        partition: str | None = None,
        until: str | None = None,
    ) -> list[Entry]:
        """Entries in the order in which they were written.

        :param until: only entries whose partition is this one or earlier
        """
        column = build_tables().journal.c
        conditions: list[ColumnElement[bool]] = []
        if subject is not None:
            conditions.append(column.subject == subject)
        if partition is not None:
            conditions.append(column.partition == partition)
        if until is not None:
            conditions.append(column.partition <= until)
        return self._select(pipeline, kind, *conditions)

    def entries(self, pipeline: str, *, at: datetime | None = None) -> list[Entry]:
        """Everything that was written about a pipeline, in the order in which it was.

        :param at: only what had happened by this time (aware)
        """
        from sqlalchemy import select

        table = build_tables().journal
        query = select(table).where(table.c.pipeline == pipeline).order_by(table.c.id)
        if at is not None:
            query = query.where(table.c.at <= as_utc(at))
        with self._database.begin(f"read the journal of {pipeline}") as connection:
            return [_entry(row) for row in connection.execute(query).mappings()]

    def has(self, pipeline: str, kind: Kind, *, subject: str, partition: str) -> bool:
        """Whether there is such an entry."""
        return bool(self.find(pipeline, kind, subject=subject, partition=partition))

    def pipelines(self) -> list[str]:
        """Names of all pipelines that have an entry, in order."""
        from sqlalchemy import select

        name = build_tables().journal.c.pipeline
        with self._database.begin("read the names of the pipelines") as connection:
            return sorted(connection.execute(select(name).distinct()).scalars())

    def champions(self, pipeline: str) -> list[ChampionChange]:
        """All changes of champion, oldest first."""
        with self._database.begin(f"read the champions of {pipeline}") as connection:
            return champions.read_champions(connection, pipeline)

    def champion_for(self, pipeline: str, population: str, *, alone: bool = False) -> ChampionChange | None:
        """The champion that serves a population: of the changes that hold for it, the newest.

        :param population: partition key of the entities that are predicted
        :param alone: wait for a change that is being written: it may not know yet that the population was published
        """
        with self._database.begin(f"read the champions of {pipeline}", alone=pipeline if alone else None) as connection:
            return champions.effective_champion(champions.read_champions(connection, pipeline), population)

    def previous_champion(self, pipeline: str, population: str) -> ChampionChange | None:
        """The version that would serve a population if its champion had never been; None if there is none."""
        changes = self.champions(pipeline)
        current = champions.effective_champion(changes, population)
        if current is None:
            return None
        return champions.effective_champion(
            [
                change
                for change in changes
                if change.seq < current.seq and change.model_version != current.model_version
            ],
            population,
        )

    def promote(
        self, new: ChampionChange, *, expected: int, pin: Entry | None = None, first: Callable[[], str] | None = None
    ) -> ChampionChange:
        """Write a change of champion, if no other was written since.

        A change that is recorded already (same version decided at the same partition; for a person's: the newest
        change is the same) is returned as it was written.

        :param new: the change; its ``seq`` is ignored
        :param expected: the newest ``seq`` that the caller based the decision on; 0 for none
        :param pin: of a person who rolls back: written with the change, or neither is; with a version that is the
            newest champion already, it is all that is written. Without it, a pin that is on refuses the change
        :param first: tells the population from which the change holds; asked while the run that has just published
            one waits (:meth:`champion_for` with ``alone``); ``new.effective_from`` if None
        :raises Conflict: another change came first, or a pin
        """
        doing = f"make version {new.model_version} champion of {new.pipeline}"
        with self._database.begin(doing, alone=new.pipeline) as connection:
            changes = champions.read_champions(connection, new.pipeline)
            if pin is not None and changes and changes[-1].model_version == new.model_version:
                _pin(connection, pin)
                return changes[-1]
            if (written := champions.find_recorded_change(changes, new)) is not None:
                return written
            if len(changes) != expected:
                raise Conflict(f"{doing}: {_who_was_first(changes, expected)}; judge the candidate again")
            held = _pinned(connection, new.pipeline) if pin is None else None
            if held is not None:
                raise Conflict(f"{doing}: {held.actor} pinned version {held.subject} in the meantime: {held.reason}")
            holds_from = first() if first else new.effective_from
            row = replace(
                new, seq=expected + 1, effective_from=holds_from, at=as_utc(new.at), evidence=json_value(new.evidence)
            )
            champions.insert_champion(connection, row)
            fault_points.reach_fault_point("between-champion-and-pin")
            if pin is not None:
                _pin(connection, pin)
            return row

    def pinned(self, pipeline: str) -> Entry | None:
        """The pin that keeps the champion of a pipeline in place; None if it is not pinned."""
        with self._database.begin(f"read the pins of {pipeline}") as connection:
            return _pinned(connection, pipeline)

    def _select(self, pipeline: str, kind: Kind, *conditions: ColumnElement[bool]) -> list[Entry]:
        with self._database.begin(f"read {kind} entries of {pipeline}") as connection:
            return _find(connection, pipeline, kind, *conditions)


def _insert(connection: Connection, entry: Entry) -> bool:
    names = ("pipeline", "kind", "subject", "partition", "key", "outcome", "reason", "actor", "run_id")
    values = {name: getattr(entry, name) for name in names}
    values |= {"evidence": json_value(entry.evidence), "at": as_utc(entry.at)}
    return insert_new(connection, build_tables().journal, values)


def _find(connection: Connection, pipeline: str, kind: Kind, *conditions: ColumnElement[bool]) -> list[Entry]:
    from sqlalchemy import select

    table = build_tables().journal
    query = select(table).where(table.c.pipeline == pipeline, table.c.kind == kind, *conditions).order_by(table.c.id)
    return [_entry(row) for row in connection.execute(query).mappings()]


def _pinned(connection: Connection, pipeline: str) -> Entry | None:
    pins = _find(connection, pipeline, "pin")
    if not pins or _find(connection, pipeline, "unpin", build_tables().journal.c.key == pins[-1].key):
        return None
    return pins[-1]


def _pin(connection: Connection, pin: Entry) -> None:
    """Pins are numbered, and the newest one holds; the same person's same word, said again, is no other pin."""
    held = _pinned(connection, pin.pipeline)
    if held is not None and (held.subject, held.reason, held.actor) == (pin.subject, pin.reason, pin.actor):
        return
    _insert(connection, replace(pin, key=str(len(_find(connection, pin.pipeline, "pin")))))


def _who_was_first(changes: list[ChampionChange], expected: int) -> str:
    after = changes[expected:]
    if not after:
        return f"decided against change {expected}, but the newest one is {len(changes)}"
    other = f"version {after[0].model_version} ({after[0].reason or after[0].actor})"
    return f"decided against change {expected}, but after it came {other}"


def _entry(row: RowMapping) -> Entry:
    return Entry(**{**row, "at": as_utc(row["at"])})
