"""Incidents: many failures of one cause are one open problem, told once, closed when the work succeeds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from tradewind.alerting import incident_history
from tradewind.alerting.channels import send_alert
from tradewind.alerting.incident_history import Incident, IncidentHistory, Occurrence
from tradewind.errors import InvalidPartitionKey, UsageError
from tradewind.ledger.journal import Entry

if TYPE_CHECKING:
    from tradewind.ledger.journal import Ledger
    from tradewind.spec.partitions import Partitioning
    from tradewind.spec.pipeline import Pipeline

MESSAGE_LENGTH = 2000
"""So many characters of a message are kept; what an exception can say has no bound."""
NO_PARTITION = "-"
"""Stands for "no partition" among the partitions of an incident."""
_SPOKEN = 5


def report_failure(
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
    channels: Sequence[str] = (),
) -> Incident | None:
    """Journal a failure, and alert if it is a new problem; what the partition failed of before is closed.

    Callbacks may call this any number of times for one failure: it is written once. What a DAG-level callback
    (``task`` None) says is dropped when a task of the same run has said it already.

    :param run_id: the Airflow run that failed
    :param error_type: name of the exception's class
    :param message: at most :data:`MESSAGE_LENGTH` characters of it are kept
    :param link: where the evidence is: a report, else the task's log
    :param attempt: number of the task's try
    :param owner: of the pipeline
    :param runbook: link that says what to do
    :param channels: `alerts.channels` of the pipeline: where a new problem is sent, beside the log
    :return: the incident if this occurrence alerted, else None
    """
    fingerprint, known = (
        f"{pipeline}/{stage}/{task or '-'}/{error_type}",
        incident_history.read_incident_histories(ledger, pipeline),
    )
    occasion = str(attempt)
    if task is None:
        if _has_failed(known.values(), run_id):
            return None
        # A run that is cleared keeps its id and has no try number of its own: count what was solved instead.
        occasion = f"after-{known.get(fingerprint, IncidentHistory()).solved[partition]}"
    evidence = {
        "stage": stage,
        "task": task or "",
        "error_type": error_type,
        "message": shorten_message(message),
        "link": link,
        "owner": owner,
        "runbook": runbook,
    }
    entry = Entry(
        pipeline, "incident", fingerprint, partition, f"{fingerprint}/{run_id}/{occasion}",
        outcome="open", reason=shorten_message(message), evidence=evidence, run_id=run_id,
    )  # fmt: skip
    if not ledger.append(entry):
        return None
    _close_superseded(ledger, known, entry)
    return alert_once(ledger, pipeline, fingerprint, channels=channels)


def unrecorded_incident(
    *, pipeline: str, stage: str, task: str | None, partition: str | None, error_type: str, message: str, **rest: Any
) -> Incident:
    """A failure as an incident of its own, for when there is no ledger to look earlier ones up in."""
    now, link = datetime.now(UTC), rest.get("link", "")
    return Incident(
        fingerprint=f"{pipeline}/{stage}/{task or '-'}/{error_type}",
        first=now,
        last=now,
        occurrences=1,
        partitions=(partition,) if partition else (),
        by_partition={partition or NO_PARTITION: Occurrence(shorten_message(message), link, now, now)},
        message=shorten_message(message),
        link=link,
        pipeline=pipeline,
        stage=stage,
        task=task or "",
        error_type=error_type,
        owner=rest.get("owner", ""),
        runbook=rest.get("runbook"),
    )


def open_incidents(ledger: Ledger, pipeline: str) -> list[Incident]:
    """Problems that are open, oldest first."""
    known = incident_history.read_incident_histories(ledger, pipeline)
    found = [_build_incident(pipeline, history) for history in known.values() if history.unsolved]
    return sorted(found, key=lambda incident: incident.first)


def partitions_not_ready(ledger: Ledger, pipeline: str, stages: Sequence[str]) -> list[str]:
    """Partitions for which one of ``stages`` gave up waiting for an earlier partition, and has not succeeded since."""
    found = [incident for incident in open_incidents(ledger, pipeline) if incident.error_type == "NotReady"]
    return sorted({key for incident in found if incident.stage in stages for key in incident.partitions})


def runs_not_ready(ledger: Ledger, pipeline: str, stage: str) -> dict[str, str]:
    """Ids of the runs of a stage that gave up waiting for an earlier partition, by their own, which still lacks it."""
    waited = [
        one
        for one in incident_history.read_incident_histories(ledger, pipeline).values()
        if (one.stage, one.error_type) == (stage, "NotReady")
    ]
    return {key: seen[-1].run_id for one in waited for key, seen in one.unsolved.items() if key is not None}


def close_stage_incidents(
    ledger: Ledger,
    pipeline: str,
    stage: str,
    partition: str | None,
    *,
    task: str | None = None,
    because: str | None = None,
    run_id: str = "local",
) -> list[str]:
    """Say that a stage succeeded for a partition: what had failed of it is solved.

    An incident is closed when none of its partitions has it any more. One that has no partition (a run without a key)
    is solved by any success of its stage. A condition is not: it ends when what it says is true no more.

    :param task: only what this task had opened; None for everything of the stage
    :param because: why it is solved, where that is not because the stage succeeded
    :return: fingerprints of the incidents that are closed now
    """
    closed = []
    for fingerprint, history in incident_history.read_incident_histories(ledger, pipeline).items():
        if not history.entries or history.lasting or history.stage != stage or task not in (None, history.task):
            continue
        solved = [key for key in history.unsolved if key in (partition, None)]
        for key in solved:
            why = because or f"{stage} of partition {key or NO_PARTITION} succeeded"
            incident_history.close_occurrence(ledger, history.unsolved[key][-1], because=why, run_id=run_id)
        if solved and len(solved) == len(history.unsolved):
            closed.append(fingerprint)
    return closed


def close_incident_by_hand(
    ledger: Ledger, pipeline: str, fingerprint: str, *, partition: str | None = None, reason: str, actor: str
) -> tuple[str, ...]:
    """Close an incident, or what one partition has of it, by a person's word; what is still true opens it again.

    :param partition: None for all that have it
    :return: the partitions that had it; :data:`NO_PARTITION` where it was about none
    :raises UsageError: no such incident is open, or the partition does not have it
    """
    known = incident_history.read_incident_histories(ledger, pipeline)
    unsolved = known[fingerprint].unsolved if fingerprint in known else {}
    if not unsolved:
        there = [name for name, history in sorted(known.items()) if history.unsolved]
        nearest = get_close_matches(fingerprint, there, n=1, cutoff=0.5) or there[:5]
        hint = f"; open is {', '.join(nearest)}" if nearest else "; none is"
        raise UsageError(f"{pipeline}: no incident {fingerprint} is open{hint}")
    keys = [key for key in unsolved if partition in (None, key)]
    if not keys:
        have = ", ".join(sorted(key or NO_PARTITION for key in unsolved))
        raise UsageError(f"{pipeline}: partition {partition} does not have the incident {fingerprint}; it is of {have}")
    for key in keys:
        incident_history.close_occurrence(ledger, unsolved[key][-1], because=reason, actor=actor, by_hand=True)
    return tuple(sorted(key or NO_PARTITION for key in keys))


def close_incidents_outside_range(ledger: Ledger, spec: Pipeline, *, run_id: str = "local") -> list[str]:
    """Close what partitions have that lie outside ``start … end`` by now: no run can mend them any more.

    Populations reach beyond ``end`` by `score.ahead`.

    :return: these partitions
    """
    slicing, closed = spec.partitioning, set()
    end = slicing.shift(slicing.end, spec.score.ahead if spec.score else 0) if slicing.end else None
    for history in incident_history.read_incident_histories(ledger, spec.pipeline).values():
        for key, entries in history.unsolved.items():
            if key is not None and not _is_within(slicing, key, end):
                why = f"partition {key} is outside the pipeline's range now: {slicing.start} … {slicing.end or ''}"
                incident_history.close_occurrence(ledger, entries[-1], because=why.rstrip(), run_id=run_id)
                closed.add(key)
    return sorted(closed)


def group_partitions_by_message(found: Mapping[str, Occurrence]) -> list[tuple[str, list[str]]]:
    """What the partitions of an incident say, and which of them say it."""
    texts: dict[str, list[str]] = {}
    for key, one in found.items():
        texts.setdefault(one.message, []).append(key)
    return list(texts.items())


def shorten_message(message: str) -> str:
    """A message that a person can read: what is cut off is counted."""
    over = len(message) - MESSAGE_LENGTH
    return message if over <= 0 else f"{message[:MESSAGE_LENGTH]} … ({over:,} more characters; see the task's log)"


def alert_once(ledger: Ledger, pipeline: str, fingerprint: str, *, channels: Sequence[str] = ()) -> Incident | None:
    """Alert for a new episode; of several processes that see it at once, the one that writes the note does.

    :param channels: where it is sent, beside the log
    :return: the incident if this call alerted
    """
    history = incident_history.read_incident_histories(ledger, pipeline)[fingerprint]
    if not history.unsolved:
        return None
    incident, last = _build_incident(pipeline, history), history.entries[-1]
    note = Entry(
        pipeline, "note", fingerprint, last.partition, f"alert/{fingerprint}/{history.episodes}",
        outcome="alerted", reason=incident.message, run_id=last.run_id,
    )  # fmt: skip
    if not ledger.append(note):
        return None
    send_alert(incident, channels)
    return incident


def _is_within(slicing: Partitioning, key: str, end: str | None) -> bool:
    try:
        slicing.bounds(key)
    except InvalidPartitionKey:
        return False
    return key >= slicing.start and (end is None or key < end)


def _has_failed(known: Iterable[IncidentHistory], run_id: str) -> bool:
    """Whether a task of the run has reported a failure that is not solved."""
    return any(
        entry.run_id == run_id and entry.evidence["task"]
        for history in known
        for entries in history.unsolved.values()
        for entry in entries[-1:]
    )


def _close_superseded(ledger: Ledger, known: Mapping[str, IncidentHistory], new: Entry) -> None:
    """A partition that fails otherwise than before has the new problem in place of the old one.

    Tasks of `etl` run beside each other, one a dataset: one that fails says nothing about another. Whether a run is
    late (`Overdue`, `DeadlineMissed`) is not why it failed, and stays.
    """
    stage, task, error = (str(new.evidence[name]) for name in ("stage", "task", "error_type"))
    if new.partition is None or not (task or error == "RunFailed"):
        return
    for fingerprint, history in known.items():
        if fingerprint == new.subject or new.partition not in history.unsolved or history.stage != stage:
            continue
        last = history.unsolved[new.partition][-1]
        beside = stage == "etl" and history.task not in ("", task) and (task or last.run_id == new.run_id)
        if history.lasting or beside or not (history.task or history.error_type == "RunFailed"):
            continue
        why = f"{stage} of partition {new.partition} fails otherwise now: {error}"
        incident_history.close_occurrence(ledger, last, because=why, run_id=new.run_id)


def _build_incident(pipeline: str, history: IncidentHistory) -> Incident:
    first, last = history.entries[0], history.entries[-1]
    found = {key or NO_PARTITION: _build_occurrence(history.unsolved[key]) for key in sorted(history.unsolved, key=str)}
    return Incident(
        fingerprint=last.subject,
        first=first.at,
        last=last.at,
        occurrences=len(history.entries),
        partitions=tuple(sorted(key for key in history.unsolved if key is not None)),
        by_partition=found,
        message=_combined_message(found),
        link=max(found.values(), key=lambda one: one.last).link,
        pipeline=pipeline,
        stage=history.stage,
        task=history.task,
        error_type=history.error_type,
        subject=history.subject,
        owner=str(last.evidence["owner"]),
        runbook=last.evidence["runbook"],
        lasting=history.lasting,
    )


def _build_occurrence(entries: Sequence[Entry]) -> Occurrence:
    about: dict[str, Any] = dict(entries[-1].evidence)
    return Occurrence(
        message=str(about["message"]),
        link=str(about["link"]),
        first=entries[0].at,
        last=entries[-1].at,
        times=len(entries),
        evidence=about.get("values", {}),
    )


def _combined_message(found: Mapping[str, Occurrence]) -> str:
    """What the partitions say: once, where all say the same; else each for itself, one a line."""
    texts = group_partitions_by_message(found)
    if len(texts) == 1:
        return texts[0][0]
    lines = [f"{', '.join(keys)}: {text}" for text, keys in texts[:_SPOKEN]]
    more = [f"… and {len(texts) - _SPOKEN} more"] if len(texts) > _SPOKEN else []
    return "\n".join([*lines, *more])
