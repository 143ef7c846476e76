"""Where a new incident is told. The log is always told; more channels come with later versions."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tradewind.alerting.incident_history import Incident

log = logging.getLogger("tradewind.incidents")

_WHAT_TO_DO = {
    "AliasEdited": "nothing, if it was a mistake: the alias is back; who wants another champion says so with "
    "`tradewind rollback {pipeline} --to VERSION --reason TEXT`",
    "AuditFailed": "read the report; correct the delivery or the expectations and run the partition again, or "
    "accept it with `tradewind release {pipeline} {task} {partition} --reason TEXT`",
    "CandidatesRejected": "read the reports of these verdicts (`tradewind history {pipeline}`); mend data, model or "
    "gates; the next candidate that passes closes this",
    "Conflict": "another run was first: look at its result, then run this partition again if it is still needed",
    "Decay": "read the report; train anew (`tradewind train {pipeline} --reason TEXT`), or go back "
    "(`tradewind rollback {pipeline} --to VERSION --reason TEXT`); fewer decayed populations than the rule close this",
    "DecayNotJudged": "ask for fewer rows of one population (`monitor.performance.min_rows`), or see why so few have a "
    "label; until then nobody knows whether the champion decays",
    "Drift": "read the report: see whether the data are wrong or the world has changed; in the second case train anew "
    "(`tradewind train {pipeline} --reason TEXT`) once enough of it is in the window; fewer drifted partitions than "
    "the rule close this",
    "DriftNotJudged": "judge over more partitions (`monitor.horizons`), or ask for fewer rows "
    "(`monitor.drift.min_rows`, which counts the rows of all partitions of the horizon); until then nobody knows "
    "whether anything drifts",
    "InvalidPartitionKey": "start the run again with a valid partition key, over REST or the form in the UI",
    "Overdue": "look for a run with each key; start one if there is none, and unpause the DAG if it is paused",
    "DeadlineMissed": "open the run and see what it waits for or works on",
    "MalformedInput": "have the named input delivered again, or correct the source's `columns` or query, then run the "
    "partition again",
    "MissingInput": "have the named file delivered, then run the partition again",
    "Skew": "see who else writes to the online store, then materialise the partition again",
    "SpecError": "correct the YAML; `tradewind validate` shows every problem",
    "TransformError": "correct the named SQL file, then run the partition again",
    "NoChampion": "read the last verdict (`tradewind show {pipeline}`) and mend data, model or gates; or name a "
    "version that serves: `tradewind rollback {pipeline} --to VERSION --reason TEXT`",
    "NotReady": "complete the earlier partition that it names; this one then starts again: a dataset at once, any "
    "other stage at the next upkeep",
    "NotServedByChampion": "mend what keeps the champion from serving (changed files: restore them from a backup), or "
    "give another version the place with `tradewind rollback {pipeline} --to VERSION --reason TEXT`; then `tradewind "
    "backfill {pipeline} --stale` lets the champion score it",
    "WindowIncomplete": "mend, release or skip the named partitions; the next partition then trains",
    "StorageFault": "make room in the named folder, or mount it so that the tasks can write to it; then run the "
    "partition again",
    "Unavailable": "bring the named service back, then run the partition again",
}
_NAMED = 5
_UPKEEP = "do what it says, or read the task's log; the next upkeep looks again"


def log_incident(incident: Incident) -> None:
    """Write one line at ERROR: what happened, where the evidence is, what to do."""
    quoted = {name: json.dumps(text, ensure_ascii=False) for name, text in _incident_texts(incident).items()}
    log.error(
        "INCIDENT pipeline=%s stage=%s task=%s partition=%s error=%s owner=%s what=%s evidence=%s do=%s",
        incident.pipeline,
        incident.stage,
        incident.task or incident.subject or "-",
        ",".join(incident.partitions) or "-",
        incident.error_type,
        incident.owner or "-",
        quoted["what"],
        quoted["evidence"],
        quoted["do"],
    )


def describe_next_step(incident: Incident) -> str:
    """The next step of the person on call."""
    again = "" if incident.lasting or incident.error_type == "Overdue" else _backfill_commands(incident)
    # What upkeep finds is about no partition, and its message says what to do.
    general = "read the task's log, remove the cause, then run the partition again" if again else _UPKEEP
    step = _WHAT_TO_DO.get(incident.error_type, general).format(
        pipeline=incident.pipeline,
        task=incident.task or "DATASET",
        partition=incident.partitions[0] if len(incident.partitions) == 1 else "PARTITION",
    )
    runbook = f" (runbook: {incident.runbook})" if incident.runbook else ""
    return f"{step}{f': {again}' if again else ''}{runbook}"


def _backfill_commands(incident: Incident) -> str:
    keys = incident.partitions
    commands = [f"`tradewind backfill {incident.pipeline} --from {key} --to {key}`" for key in keys[:_NAMED]]
    return " ".join(commands) + (f" and {len(keys) - _NAMED} more partitions" if len(keys) > _NAMED else "")


def _incident_texts(incident: Incident) -> dict[str, str]:
    return {"what": incident.message, "evidence": incident.link or "-", "do": describe_next_step(incident)}
