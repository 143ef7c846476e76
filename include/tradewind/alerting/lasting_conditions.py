"""Conditions: incidents that are a state of a pipeline and no failed task, such as decay or a missing champion."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tradewind.alerting import incident_history, incidents
from tradewind.alerting.incident_history import IncidentHistory
from tradewind.ledger.journal import Entry
from tradewind.ledger.values import json_value

if TYPE_CHECKING:
    from tradewind.alerting.incident_history import Incident
    from tradewind.ledger.journal import Ledger
    from tradewind.spec.pipeline import Pipeline


@dataclass(frozen=True, slots=True)
class LastingCondition:
    """What is wrong with a pipeline although its tasks succeed.

    :param kind: names it, for example ``Decay``; :data:`tradewind.alerting.channels` says what to do
    :param stage: the stage that found it
    :param subject: what it is about within its kind: a feature, a dataset; each subject is an incident of its own
    :param partition: the partition that has it, where each can have it for itself; None if the pipeline has it
    :param message: what, since when, with which values, and what to do next
    :param link: where the evidence is
    :param evidence: the numbers behind it
    """

    kind: str
    stage: str
    subject: str = ""
    partition: str | None = None
    message: str = ""
    link: str = ""
    evidence: Mapping[str, Any] = field(default_factory=dict)


def open_condition(ledger: Ledger, spec: Pipeline, condition: LastingCondition, *, run_id: str) -> Incident | None:
    """Journal that a condition holds, and alert if it is a new episode.

    It may be called each time that it is found: the same message again writes nothing, another one updates the
    incident. It ends by :func:`heal_condition` (or by hand, or when its partition leaves the range), not by a success
    of its stage.

    :param run_id: the run that found it
    :return: the incident if this call alerted, else None
    """
    fingerprint = f"{spec.pipeline}/{condition.stage}/{condition.subject or '-'}/{condition.kind}"
    past = incident_history.read_incident_histories(ledger, spec.pipeline).get(fingerprint, IncidentHistory())
    before = past.unsolved.get(condition.partition, [])
    evidence = {
        "stage": condition.stage,
        "task": "",
        "error_type": condition.kind,
        "message": incidents.shorten_message(condition.message),
        "link": condition.link,
        "owner": spec.owner,
        "runbook": spec.runbook,
        "subject": condition.subject,
        "lasting": True,
        "values": json_value(condition.evidence),
    }
    if not before or before[-1].evidence != evidence:
        digest = hashlib.sha256(json.dumps(evidence, sort_keys=True).encode()).hexdigest()[:16]
        key = f"{fingerprint}/{condition.partition}/{past.solved[condition.partition]}/{len(before)}/{digest}"
        entry = Entry(
            spec.pipeline, "incident", fingerprint, condition.partition, key,
            outcome="open", reason=str(evidence["message"]), evidence=evidence, run_id=run_id,
        )  # fmt: skip
        ledger.append(entry)
    # Also when nothing is new: the process that journalled it may have been killed before the alert.
    return incidents.alert_once(ledger, spec.pipeline, fingerprint, channels=spec.alerts.channels)


def heal_condition(
    ledger: Ledger,
    spec: Pipeline,
    *,
    kind: str,
    stage: str,
    subject: str | None = "",
    partition: str | None = None,
    because: str,
    run_id: str,
) -> list[str]:
    """Journal that a condition holds no more; nothing is written where it did not hold.

    :param subject: what it was about; None for every subject of its kind
    :param partition: only as this partition has it; None for all that have it
    :param because: what healed it
    :return: fingerprints of the incidents that are closed now
    """
    closed = []
    for fingerprint, history in incident_history.read_incident_histories(ledger, spec.pipeline).items():
        if not history.unsolved or (history.stage, history.error_type) != (stage, kind):
            continue
        if subject is not None and history.subject != subject:
            continue
        healed = [key for key in history.unsolved if partition in (None, key)]
        for key in healed:
            incident_history.close_occurrence(ledger, history.unsolved[key][-1], because=because, run_id=run_id)
        if len(healed) == len(history.unsolved):
            closed.append(fingerprint)
    return closed
