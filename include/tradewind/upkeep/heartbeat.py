"""Are the partitions there that should be? Asked of the clock, since what never starts raises nothing."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from tradewind.alerting import incidents
from tradewind.ledger import completion, holds, skipped_partitions
from tradewind.ledger.journal import Ledger

if TYPE_CHECKING:
    from tradewind.deployment import Deployment
    from tradewind.spec.pipeline import Pipeline

GRACE = timedelta(hours=1)
"""How long a stage may take where the YAML gives no deadline."""
MOST = 50
"""So many partitions are looked at and named; a stage that stands still for longer is in trouble enough."""


def report_overdue_stages(deployment: Deployment, *, now: datetime) -> str | None:
    """Open an incident for each stage that has overdue partitions; each partition closes when its stage completes.

    A stage is late for a partition only if the stage before it is complete: else that one is late. Nothing is late
    while the pipeline is held, nor for a partition that is skipped or left out.

    :param now: the present, aware
    :return: what was found, one line a stage, or None
    """
    spec, ledger = deployment.spec, deployment.ledger
    if holds.stopping_entry(ledger, spec.pipeline) is not None:
        return None
    out = {
        *skipped_partitions.skipped_partitions(ledger, spec.pipeline),
        *skipped_partitions.left_out(ledger, spec.pipeline),
    }
    complete = {
        stage: {entry.partition for entry in ledger.find(spec.pipeline, "complete", subject=stage) if entry.partition}
        for stage in spec.stages
    }
    lines = []
    for stage in spec.stages:
        before = completion.upstream_stage(stage, spec.stages)
        late = find_overdue_partitions(spec, stage, complete[stage], now=now)
        late = [key for key in late if key not in out and (before is None or key in complete[before])]
        if late:
            lines.append(_report_overdue(spec, ledger, stage, late))
    return "\n".join(lines) or None


def find_overdue_partitions(spec: Pipeline, stage: str, complete: Collection[str], *, now: datetime) -> list[str]:
    """Keys after the newest complete one that should be complete at ``now`` (aware), in order.

    Only the last :data:`MOST` partitions before ``now`` are looked at: what ended long before is history that a person
    may replay, and no emergency. While nothing is complete yet, only the newest is expected.

    :param complete: keys for which the stage is complete
    """
    slicing = spec.partitioning
    key = slicing.shift(slicing.key_at(now), -1)
    oldest = max(slicing.start, slicing.shift(key, 1 - MOST))
    if slicing.end is not None:
        key = min(key, slicing.shift(slicing.end, -1))
    found: list[str] = []
    while key >= oldest and key not in complete:
        if completion_deadline(spec, stage, key) <= now:
            found.append(key)
        key = slicing.shift(key, -1)
    return found[::-1] if complete else found[:1]


def completion_deadline(spec: Pipeline, stage: str, partition: str) -> datetime:
    """When a stage of ``partition`` should be complete (aware).

    That is the first tick of the schedule after the partition's end, plus the deadline of the YAML (one hour without
    one) for this stage and each one before it, plus the time that people have where training asks for approval.
    """
    from croniter import croniter

    end = spec.partitioning.bounds(partition).end.astimezone(ZoneInfo(spec.timezone))
    tick: datetime = croniter(spec.schedule, end - timedelta(seconds=1)).get_next(datetime)
    before, steps = completion.upstream_stage(stage, spec.stages), 1
    while before is not None:
        before, steps = completion.upstream_stage(before, spec.stages), steps + 1
    asked = stage == "train" and spec.promotion.mode == "approval"
    return tick + steps * (spec.alerts.deadline or GRACE) + (spec.promotion.timeout if asked else timedelta(0))


def _report_overdue(spec: Pipeline, ledger: Ledger, stage: str, late: Sequence[str]) -> str:
    several = len(late) > 1
    at_least = " or more" if len(late) == MOST else ""
    message = (
        f"{stage} of {f'{len(late)}{at_least} partitions' if several else 'partition'} {', '.join(late)} "
        f"should be complete{', the first' if several else ''} since "
        f"{completion_deadline(spec, stage, late[0]).isoformat()}, "
        f"and {'are' if several else 'is'} not; look for a run of {spec.pipeline}__{stage} with "
        f"{'each key' if several else 'this key'}, start one if there is none, and unpause the DAG if it is paused"
    )
    for partition in late:
        incidents.report_failure(
            ledger,
            pipeline=spec.pipeline,
            owner=spec.owner,
            runbook=spec.runbook,
            channels=spec.alerts.channels,
            stage=stage,
            task=None,
            partition=partition,
            run_id=f"heartbeat {partition}",
            error_type="Overdue",
            message=message,
        )
    return message
