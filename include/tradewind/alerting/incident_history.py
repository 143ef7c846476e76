"""The past of every incident, folded from the journal: what is open, for which partitions, since when."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from tradewind.ledger.journal import Entry

if TYPE_CHECKING:
    from tradewind.ledger.journal import Ledger


BY_HAND = "closed by hand"
"""Outcome of a closing that is a person's word."""


@dataclass(slots=True)
class IncidentHistory:
    """A fingerprint's past.

    :param episodes: how many episodes are over
    :param solved: how often each partition was solved
    :param entries: of the present episode
    :param unsolved: for each partition that has the problem its occurrences since it got it, oldest first
    """

    episodes: int = 0
    solved: Counter[str | None] = field(default_factory=Counter)
    entries: list[Entry] = field(default_factory=list)
    unsolved: dict[str | None, list[Entry]] = field(default_factory=dict)

    def add(self, entry: Entry) -> None:
        """Take in an occurrence."""
        if not self.unsolved:
            self.entries = []
        self.entries.append(entry)
        self.unsolved.setdefault(entry.partition, []).append(entry)

    def solve(self, partition: str | None, last: object) -> None:
        """Take in a closing.

        :param last: key of the occurrence that it closes; a failure journalled after the closing was decided stays
        """
        if partition in self.unsolved and self.unsolved[partition][-1].key == last:
            del self.unsolved[partition]
            self.solved[partition] += 1
            self.episodes += not self.unsolved

    @property
    def stage(self) -> str:
        """The stage that has it."""
        return str(self.entries[-1].evidence["stage"])

    @property
    def task(self) -> str:
        """The task that has it; empty where it is the run's or the stage's."""
        return str(self.entries[-1].evidence["task"])

    @property
    def error_type(self) -> str:
        """Name of the exception's class, or the kind of the condition."""
        return str(self.entries[-1].evidence["error_type"])

    @property
    def subject(self) -> str:
        """What a condition is about within its kind."""
        return str(self.entries[-1].evidence.get("subject", ""))

    @property
    def lasting(self) -> bool:
        """Whether it is a condition, which a success of its stage does not end."""
        return bool(self.entries[-1].evidence.get("lasting"))


def read_incident_histories(ledger: Ledger, pipeline: str) -> dict[str, IncidentHistory]:
    """The past of every incident of a pipeline, by fingerprint."""
    found: dict[str, IncidentHistory] = {}
    entries: Sequence[Entry] = [*ledger.find(pipeline, "incident"), *ledger.find(pipeline, "incident_closed")]
    for entry in sorted(entries, key=lambda entry: entry.id or 0):
        history = found.setdefault(entry.subject, IncidentHistory())
        if entry.kind == "incident":
            history.add(entry)
        else:
            history.solve(entry.partition, entry.evidence["last"])
    return found


def close_occurrence(
    ledger: Ledger, last: Entry, *, because: str, actor: str = "local", run_id: str = "local", by_hand: bool = False
) -> None:
    """Journal that a partition has a problem no more.

    :param last: its newest occurrence
    """
    entry = Entry(
        last.pipeline, "incident_closed", last.subject, last.partition, last.key,
        outcome=BY_HAND if by_hand else "closed", reason=because, evidence={"last": last.key},
        actor=actor, run_id=run_id,
    )  # fmt: skip
    ledger.append(entry)


@dataclass(frozen=True, slots=True)
class Occurrence:
    """An incident as one partition has it.

    :param first: since when, in UTC
    :param last: when it was seen last, in UTC
    :param times: how often it was seen
    :param link: to the evidence
    :param evidence: the numbers behind it
    """

    message: str
    link: str
    first: datetime
    last: datetime
    times: int = 1
    evidence: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Incident:
    """One open problem.

    :param fingerprint: names the problem: ``pipeline/stage/task/error_type``, a condition's subject in the task's place
    :param first: when it was first seen, in UTC
    :param last: when it was seen last, in UTC
    :param occurrences: how often it was seen
    :param partitions: partitions that still have it
    :param by_partition: message and link of each of them; :data:`NO_PARTITION` where it is about none
    :param message: of the partitions that still have it
    :param link: to the newest evidence of a partition that still has it
    :param lasting: a condition, which a success of its stage does not end
    """

    fingerprint: str
    first: datetime
    last: datetime
    occurrences: int
    partitions: tuple[str, ...]
    by_partition: Mapping[str, Occurrence]
    message: str
    link: str
    pipeline: str
    stage: str
    task: str
    error_type: str
    subject: str = ""
    owner: str = ""
    runbook: str | None = None
    lasting: bool = False
