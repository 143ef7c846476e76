"""From when a run's deadline counts. Runs that replay the past have none."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, Self

from airflow.sdk.definitions.deadline import BaseDeadlineReference

from tradewind.spec.partitions import Kind, Partitioning

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


@dataclass(eq=False)
class NewPartitionQueued(BaseDeadlineReference):
    """When a run of a new partition was queued; None, and so no deadline, for a backfill or a replay of the past.

    Airflow 3.3.2's own ``DAGRUN_QUEUED_AT`` would do but for one thing: while such a deadline is ahead, clearing the
    run fails with a ``TypeError`` (the interval is kept as a dict and read as a number), so no one on call could
    restart a failed task. Airflow wants every field to have a default.

    :param kind: of the pipeline's partitioning, like the other three fields
    """

    required_kwargs: ClassVar[set[str]] = {"dag_id", "run_id"}

    kind: Kind = "day"
    timezone: str = "UTC"
    start: str = "1970-01-01"
    end: str | None = None

    def serialize_reference(self) -> dict[str, Any]:
        """The fields, with the name by which Airflow finds the class again."""
        return {"reference_type": self.reference_name, **asdict(self)}

    @classmethod
    def deserialize_reference(cls, reference_data: dict[str, Any]) -> Self:
        """Inverse of :meth:`serialize_reference`."""
        return cls(**{name: reference_data[name] for name in cls.__dataclass_fields__ if name in reference_data})

    def _evaluate_with(self, *, session: Session, dag_id: str, run_id: str) -> datetime | None:
        from airflow.models import DagRun
        from airflow.utils.types import DagRunType
        from sqlalchemy import select

        wanted = select(DagRun.partition_key, DagRun.run_type, DagRun.queued_at)
        run = session.execute(wanted.where(DagRun.dag_id == dag_id, DagRun.run_id == run_id)).one_or_none()
        if run is None or run.partition_key is None or run.run_type == DagRunType.BACKFILL_JOB:
            return None
        now = datetime.now(UTC)
        slicing = Partitioning(self.kind, self.timezone, self.start, self.end)
        return None if is_replay(slicing, run.partition_key, now=now) else run.queued_at or now


def is_replay(partitioning: Partitioning, partition: str, *, now: datetime) -> bool:
    """Whether a run of ``partition`` at ``now`` repeats the past: it is not one of the two that ended last."""
    return partition < partitioning.shift(partitioning.key_at(now), -2)
