"""An alert channel: a name in the YAML, and the function that sends a message there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class AlertMessage:
    """What a channel sends of a new incident. It holds no rows of data and no secrets.

    :param fingerprint: names the incident: equal for all that is sent about it
    :param task: the task that failed, or what a condition is about; empty where it is neither
    :param partitions: keys of the partitions that have the problem
    :param error_type: name of the exception's class, or the kind of the condition
    :param since: when it was first seen, in UTC
    :param what: what happened, in words
    :param evidence: link to the evidence; empty where there is none
    :param next_step: what the person on call does now
    :param runbook: link to the pipeline's own runbook
    """

    fingerprint: str
    pipeline: str
    stage: str
    task: str
    partitions: tuple[str, ...]
    error_type: str
    owner: str
    since: datetime
    what: str
    evidence: str
    next_step: str
    runbook: str | None = None


@dataclass(frozen=True, slots=True)
class AlertChannel:
    """One way to people.

    :param name: in `alerts.channels` of the YAML
    :param send: sends one message; it raises where the message could not be sent
    """

    name: str
    send: Callable[[AlertMessage], None]
