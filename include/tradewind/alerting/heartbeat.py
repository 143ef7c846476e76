"""Is the newest partition there? Asked of the clock, since what never starts raises nothing."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from tradewind.alerting import incidents
from tradewind.ledger import progress
from tradewind.ledger.journal import Ledger

if TYPE_CHECKING:
    from tradewind.core.runtime import Runtime
    from tradewind.spec.models import Pipeline

GRACE = timedelta(hours=1)


def overdue(spec: Pipeline, *, now: datetime) -> str | None:
    """Key of the newest partition that should be complete at ``now`` (aware); None if there is none.

    A partition is due at the first tick of the schedule after its end, plus the deadline of the YAML (one hour
    without one).
    """
    slicing = spec.partitioning
    key = slicing.shift(slicing.key_at(now), -1)
    while key >= slicing.start:
        if (slicing.end is None or key < slicing.end) and due(spec, key) <= now:
            return key
        key = slicing.shift(key, -1)
    return None


def due(spec: Pipeline, partition: str) -> datetime:
    """When the run of ``partition`` should be complete (aware)."""
    from croniter import croniter

    end = spec.partitioning.bounds(partition).end.astimezone(ZoneInfo(spec.timezone))
    tick: datetime = croniter(spec.schedule, end - timedelta(seconds=1)).get_next(datetime)
    return tick + (spec.alerts.deadline or GRACE)


def check(spec: Pipeline, runtime: Runtime, *, now: datetime) -> str | None:
    """Open an incident if the newest due partition is not complete; it closes when the partition completes.

    :return: what was found, or None
    """
    ledger = Ledger(runtime.ledger)
    partition = overdue(spec, now=now)
    if partition is None or progress.is_complete(ledger, spec.pipeline, "etl", partition):
        return None
    message = (
        f"partition {partition} should be complete since {due(spec, partition).isoformat()} and is not; "
        f""
        f"look for a run of {spec.pipeline}__etl with this key, "
        "start one if there is none, and unpause the DAG if it is paused"
    )
    incidents.report(
        ledger,
        pipeline=spec.pipeline,
        owner=spec.owner,
        runbook=spec.runbook,
        stage="etl",
        task=None,
        partition=partition,
        run_id=f"heartbeat {partition}",
        attempt=0,
        error_type="Overdue",
        message=message,
        link="",
    )
    return message
