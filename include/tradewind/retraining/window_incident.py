"""A training that has a reason and lacks only its window: how long that may last, what is missing, and what to do."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from tradewind.alerting import incidents
from tradewind.alerting.lasting_conditions import LastingCondition, heal_condition, open_condition
from tradewind.etl.quarantine_release import list_quarantined
from tradewind.ledger import holds
from tradewind.ledger.journal import Ledger
from tradewind.spec.scalars import format_duration
from tradewind.training import window as windows
from tradewind.training.model_inputs import train_config

if TYPE_CHECKING:
    from tradewind.deployment import Deployment
    from tradewind.ledger.journal import Entry
    from tradewind.spec.pipeline import Pipeline
    from tradewind.training.window import TrainingWindow

log = logging.getLogger(__name__)

STAGE = "decide"
ERROR = "WindowIncomplete"
_NAMED = 8


def check_incomplete_window(deployment: Deployment, *, now: datetime) -> str | None:
    """Open an incident if training waits for its window for longer than `train.patience`; close it when it goes on.

    It has waited since the end of the first of the newest decided partitions that all had a reason to train and an
    incomplete window. A pipeline that is too young for its window waits for nothing that could be missing.

    :param now: the present, aware
    :return: what is missing and what to do, or None
    """
    spec = deployment.spec
    if spec.train is None:
        return None
    ledger = deployment.ledger
    waiting = _waiting_partitions(spec, ledger)
    window = windows.find_training_window(deployment, waiting[-1]) if waiting else None
    if window is None or not window.missing or _is_too_young(spec, waiting[-1]):
        because = "training does not wait for its window any more"
        heal_condition(ledger, spec, kind=ERROR, stage=STAGE, because=because, run_id=deployment.runtime.run_id)
        return None
    since = spec.partitioning.bounds(waiting[0]).end
    if now - since <= train_config(spec).patience:
        return None
    message = _incident_message(deployment, waiting, window)
    open_condition(ledger, spec, LastingCondition(ERROR, STAGE, message=message), run_id=deployment.runtime.run_id)
    return message


def _waiting_partitions(spec: Pipeline, ledger: Ledger) -> list[str]:
    """The newest partitions, oldest first, whose decision was that only the window is lacking."""
    newest: dict[str, Entry] = {}
    for entry in ledger.find(spec.pipeline, "decision", subject="train"):
        if entry.partition is not None:
            newest[entry.partition] = entry
    found: list[str] = []
    for key in sorted(newest, reverse=True):
        if not newest[key].evidence.get("waiting"):
            break
        found.append(key)
    return found[::-1]


def _is_too_young(spec: Pipeline, partition: str) -> bool:
    """Whether the window would not be complete either if everything since the start were there."""
    keys = spec.partitioning.window(partition, train_config(spec).window)
    return bool(windows.split_window(spec, partition, published=keys, left_out={}).missing)


def _incident_message(deployment: Deployment, waiting: Sequence[str], window: TrainingWindow) -> str:
    spec = deployment.spec
    lacking = [key for key in window.absent if key >= spec.start]
    named = [_explain_absence(deployment, key, window.absent[key]) for key in lacking[:_NAMED]]
    more = f"; and {len(lacking) - _NAMED} more" if len(lacking) > _NAMED else ""
    also = "" if len(waiting) == 1 else f", in {len(waiting)} partitions"
    train, out = train_config(spec), (lacking or waiting)[0]
    asked = train.window if train.complete == "all" else train.complete
    return (
        f"{spec.pipeline} has a reason to train since partition {waiting[0]}{also}, and its window has not been "
        f"complete for longer than {format_duration(train.patience)}: {'; '.join(named)}{more}. Mend what is named; or "
        f"keep a partition out that will not come (tradewind skip {spec.pipeline} {out} --reason TEXT); or let "
        f"`train.complete` ask for fewer partitions than {asked}"
    )


def _explain_absence(deployment: Deployment, key: str, absence: str) -> str:
    """Why a partition is not there, as far as anybody knows, and what to do about it."""
    spec, ledger = deployment.spec, deployment.ledger
    if absence.startswith("left out"):
        return f"{key} is {absence}"
    held = holds.describe_stop(ledger, spec.pipeline, key)
    if held is not None:
        return f"{key} is held: {held}"
    lake = deployment.lake
    for name in _label_sources(spec):
        found = list_quarantined(lake.dataset(spec.pipeline, name), key)
        snapshot = lake.dataset(spec.pipeline, name).snapshot()
        if found and not (snapshot and key in snapshot.partitions):
            what = "; ".join(found[-1].reasons) or "it failed its audit"
            release = f"tradewind release {spec.pipeline} {name} {key} --reason TEXT"
            return f"{key}: {name} is in quarantine ({what}; to publish it all the same: {release})"
    for incident in incidents.open_incidents(ledger, spec.pipeline):
        if incident.stage == "etl" and key in incident.partitions:
            return f"{key}: {incident.by_partition[key].message}"
    label = train_config(spec).label.dataset
    begun = ledger.has(spec.pipeline, "started", subject="etl", partition=key)
    so = "its etl began and did not end" if begun else f"its etl never ran; start {spec.pipeline}__etl with this key"
    return f"{key}: {label} is not published, {so}"


def _label_sources(spec: Pipeline) -> Iterator[str]:
    """The label's dataset and what it reads, nearest first."""
    known = [train_config(spec).label.dataset]
    for name in known:
        yield name
        known += [read for read in spec.datasets[name].inputs if read not in known]
