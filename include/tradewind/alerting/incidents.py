"""Incidents: many failures of one cause are one open problem, told once, closed when the work succeeds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tradewind.alerting import channels
from tradewind.ledger.journal import Entry

if TYPE_CHECKING:
    from tradewind.ledger.journal import Ledger


@dataclass(frozen=True, slots=True)
class Incident:
    """One open problem.

    :param fingerprint: names the problem: ``pipeline/stage/task/error_type``
    :param first: when it was first seen, in UTC
    :param last: when it was seen last, in UTC
    :param occurrences: how often it was seen
    :param partitions: partitions that still have it
    :param message: of the last occurrence
    :param link: to the evidence of the last occurrence
    """

    fingerprint: str
    first: datetime
    last: datetime
    occurrences: int
    partitions: tuple[str, ...]
    message: str
    link: str
    pipeline: str
    stage: str
    task: str
    error_type: str
    owner: str = ""
    runbook: str | None = None


def report(
    ledger: Ledger,
    *,
    pipeline: str,
    stage: str,
    task: str | None,
    partition: str | None,
    run_id: str,
    error_type: str,
    message: str,
    link: str = "",
    attempt: int = 0,
    owner: str = "",
    runbook: str | None = None,
) -> Incident | None:
    """Journal a failure, and alert if it is a new problem.

    Callbacks may call this any number of times for one failure: it is written once. What a DAG-level callback
    (``task`` None) says is dropped when a task of the same run has said it already.

    :param run_id: the Airflow run that failed
    :param error_type: name of the exception's class
    :param link: where the evidence is: a report, else the task's log
    :param attempt: number of the task's try
    :param owner: of the pipeline
    :param runbook: link that says what to do
    :return: the incident if this occurrence alerted, else None
    """
    fingerprint = f"{pipeline}/{stage}/{task or '-'}/{error_type}"
    occasion = str(attempt)
    if task is None:
        histories = _histories(ledger, pipeline)
        if any(
            entry.run_id == run_id and entry.evidence["task"]
            for past in histories.values()
            for entry in past.unsolved.values()
        ):
            return None
        # A run that is cleared keeps its id and has no try number of its own: count what was solved instead.
        occasion = f"after-{histories.get(fingerprint, _History()).solved[partition]}"
    evidence = {
        "stage": stage,
        "task": task or "",
        "error_type": error_type,
        "message": message,
        "link": link,
        "owner": owner,
        "runbook": runbook,
    }
    entry = Entry(
        pipeline,
        "incident",
        fingerprint,
        partition,
        f"{fingerprint}/{run_id}/{occasion}",
        outcome="open",
        reason=message,
        evidence=evidence,
        run_id=run_id,
    )
    if not ledger.append(entry):
        return None
    return _alert_once(ledger, pipeline, fingerprint)


def unrecorded(
    *, pipeline: str, stage: str, task: str | None, partition: str | None, error_type: str, message: str, **rest: Any
) -> Incident:
    """A failure as an incident of its own, for when there is no ledger to look earlier ones up in."""
    now = datetime.now(UTC)
    return Incident(
        fingerprint=f"{pipeline}/{stage}/{task or '-'}/{error_type}",
        first=now,
        last=now,
        occurrences=1,
        partitions=(partition,) if partition else (),
        message=message,
        link=rest.get("link", ""),
        pipeline=pipeline,
        stage=stage,
        task=task or "",
        error_type=error_type,
        owner=rest.get("owner", ""),
        runbook=rest.get("runbook"),
    )


def open_incidents(ledger: Ledger, pipeline: str) -> list[Incident]:
    """Problems that are open, oldest first."""
    histories = _histories(ledger, pipeline)
    found = [_incident(pipeline, history) for history in histories.values() if history.unsolved]
    return sorted(found, key=lambda incident: incident.first)


def waited_in_vain(ledger: Ledger, pipeline: str, stages: Sequence[str]) -> list[str]:
    """Partitions for which one of ``stages`` gave up waiting for an earlier partition, and has not succeeded since."""
    found = [incident for incident in open_incidents(ledger, pipeline) if incident.error_type == "NotReady"]
    return sorted({key for incident in found if incident.stage in stages for key in incident.partitions})


def close(
    ledger: Ledger,
    pipeline: str,
    stage: str,
    partition: str | None,
    *,
    task: str | None = None,
    because: str | None = None,
    run_id: str = "local",
) -> list[str]:
    """Say that a stage succeeded for a partition: what was open for it is solved.

    An incident is closed when none of its partitions has it any more. One that has no partition (a run without a key)
    is solved by any success of its stage.

    :param task: only what this task had opened; None for everything of the stage
    :param because: why it is solved, where that is not because the stage succeeded
    :return: fingerprints of the incidents that are closed now
    """
    closed = []
    for fingerprint, history in _histories(ledger, pipeline).items():
        solved = [key for key in history.unsolved if key in (partition, None)]
        opened = history.entries[-1].evidence
        if not solved or opened["stage"] != stage or task not in (None, opened["task"]):
            continue
        for key in solved:
            ledger.append(_closing(pipeline, fingerprint, history.unsolved[key], because=because, run_id=run_id))
        if len(solved) == len(history.unsolved):
            closed.append(fingerprint)
    return closed


@dataclass(slots=True)
class _History:
    """A fingerprint's past: its present episode, how many were closed before, how often each partition was solved."""

    episodes: int = 0
    solved: Counter[str | None] = field(default_factory=Counter)
    entries: list[Entry] = field(default_factory=list)
    unsolved: dict[str | None, Entry] = field(default_factory=dict)

    def add(self, entry: Entry) -> None:
        if not self.unsolved:
            self.entries = []
        self.entries.append(entry)
        self.unsolved[entry.partition] = entry

    def solve(self, partition: str | None, last: object) -> None:
        # A failure that was journalled after this closing was decided is not solved by it.
        if (entry := self.unsolved.get(partition)) is not None and entry.key == last:
            del self.unsolved[partition]
            self.solved[partition] += 1
            self.episodes += not self.unsolved


def _histories(ledger: Ledger, pipeline: str) -> dict[str, _History]:
    found: dict[str, _History] = {}
    entries: Sequence[Entry] = [*ledger.find(pipeline, "incident"), *ledger.find(pipeline, "incident_closed")]
    for entry in sorted(entries, key=lambda entry: entry.id or 0):
        history = found.setdefault(entry.subject, _History())
        if entry.kind == "incident":
            history.add(entry)
        else:
            history.solve(entry.partition, entry.evidence["last"])
    return found


def _closing(pipeline: str, fingerprint: str, last: Entry, *, because: str | None, run_id: str) -> Entry:
    return Entry(
        pipeline,
        "incident_closed",
        fingerprint,
        last.partition,
        last.key,
        outcome="closed",
        reason=because or f"{last.evidence['stage']} of partition {last.partition or '-'} succeeded",
        evidence={"last": last.key},
        run_id=run_id,
    )


def _alert_once(ledger: Ledger, pipeline: str, fingerprint: str) -> Incident | None:
    """Alert for a new episode; of several processes that see it at once, the one that writes the note does."""
    history = _histories(ledger, pipeline)[fingerprint]
    if not history.unsolved:
        return None
    incident = _incident(pipeline, history)
    note = Entry(
        pipeline,
        "note",
        fingerprint,
        history.entries[-1].partition,
        f"alert/{fingerprint}/{history.episodes}",
        outcome="alerted",
        reason=incident.message,
        run_id=history.entries[-1].run_id,
    )
    if not ledger.append(note):
        return None
    channels.to_log(incident)
    return incident


def _incident(pipeline: str, history: _History) -> Incident:
    first, last = history.entries[0], history.entries[-1]
    about: dict[str, Any] = dict(last.evidence)
    return Incident(
        fingerprint=last.subject,
        first=first.at,
        last=last.at,
        occurrences=len(history.entries),
        partitions=tuple(sorted(key for key in history.unsolved if key is not None)),
        message=str(about["message"]),
        link=str(about["link"]),
        pipeline=pipeline,
        stage=str(about["stage"]),
        task=str(about["task"]),
        error_type=str(about["error_type"]),
        owner=str(about["owner"]),
        runbook=about["runbook"],
    )
