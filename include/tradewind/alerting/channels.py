"""Sending a new incident: to the log always, and to the channels that the YAML names."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tradewind.alerting.alert_channel import AlertChannel, AlertMessage
from tradewind.core.listed_objects import load_listed_object
from tradewind.spec.alert_channels import ALERT_CHANNELS

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
_ALWAYS = "log"
_UPKEEP = "do what it says, or read the task's log; the next upkeep looks again"


def send_alert(incident: Incident, channels: Sequence[str] = ()) -> None:
    """Send a new incident to the log, and to the channels that the YAML names.

    A channel that fails neither fails the work that found the incident nor keeps the message from the other channels.

    :param channels: names of :data:`~tradewind.spec.alert_channels.ALERT_CHANNELS`
    """
    message = alert_message(incident)
    for name in dict.fromkeys((_ALWAYS, *channels)):
        try:
            load_listed_object(ALERT_CHANNELS, name, kind=AlertChannel, what="alert channel").send(message)
        except Exception:  # what a channel can raise is not known here
            log.exception("incident %s was not sent to the channel %s", message.fingerprint, name)


def alert_message(incident: Incident) -> AlertMessage:
    """An incident in the form in which channels send it."""
    return AlertMessage(
        fingerprint=incident.fingerprint,
        pipeline=incident.pipeline,
        stage=incident.stage,
        task=incident.task or incident.subject,
        partitions=incident.partitions,
        error_type=incident.error_type,
        owner=incident.owner,
        since=incident.first,
        what=incident.message,
        evidence=incident.link,
        next_step=describe_next_step(incident),
        runbook=incident.runbook,
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
