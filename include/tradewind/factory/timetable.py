"""The timetable of ``P__etl``: one run a partition, keyed with the partition that just ended."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

from airflow.exceptions import InvalidPartitionKeyError
from airflow.timetables.base import DagRunInfo
from airflow.timetables.trigger import CronPartitionTimetable
from pendulum import instance

from tradewind.errors import InvalidPartitionKey
from tradewind.spec.partitions import Partitioning

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pendulum import DateTime


class PartitionTimetable(CronPartitionTimetable):
    """Cron that keys each run with the partition that ended last before it.

    Scheduled, manual and backfilled runs of one partition get the same key and the same partition date (the
    partition's start), and no run lies outside the pipeline's ``start…end``. In a backfill ``--to-date`` is inclusive.

    It overrides methods that Airflow does not promise to keep; ``tests/unit/factory/test_timetable.py`` pins them.

    :param cron: when runs start, in the pipeline's time zone
    :param partitioning: how the pipeline slices time
    """

    def __init__(self, cron: str, *, partitioning: Partitioning) -> None:
        super().__init__(cron, timezone=partitioning.timezone)
        self._partitioning = partitioning

    @property
    def summary(self) -> str:
        """What the list of DAGs shows."""
        return f"{self._expression} ({self._partitioning.kind} partitions)"

    def serialize(self) -> dict[str, Any]:
        """The cron expression and the partitioning's fields."""
        slicing = self._partitioning
        return {
            "expression": self._expression,
            "kind": slicing.kind,
            "timezone": slicing.timezone,
            "start": slicing.start,
            "end": slicing.end,
        }

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> PartitionTimetable:
        """Inverse of :meth:`serialize`."""
        slicing = Partitioning(data["kind"], data["timezone"], data["start"], data["end"])
        return cls(data["expression"], partitioning=slicing)

    def iter_partition_dagrun_infos(
        self, *, earliest: datetime.datetime, latest: datetime.datetime
    ) -> Iterable[DagRunInfo]:
        """One info for each partition that starts between two dates, both inclusive, and inside ``start…end``."""
        slicing = self._partitioning
        first = self.localize_partition_datetime(earliest)
        last = self.localize_partition_datetime(latest)
        if latest.time() == datetime.time():
            last = self.localize_partition_datetime(latest + datetime.timedelta(days=1)).subtract(microseconds=1)
        key = max(slicing.key_at(first), slicing.start)
        while (start := slicing.bounds(key).start) <= last and (slicing.end is None or key < slicing.end):
            if start >= first:
                date = instance(start)
                yield DagRunInfo(run_after=date, data_interval=None, partition_date=date, partition_key=key)
            key = slicing.shift(key, 1)

    def _get_partition_info(self, run_date: DateTime) -> tuple[DateTime, str]:
        key = self._partitioning.shift(self._partitioning.key_at(run_date), -1)
        return instance(self._partitioning.bounds(key).start), key

    def _decode_partition_date(self, partition_key: str) -> datetime.datetime:
        try:
            return self._partitioning.bounds(self._partitioning.check(partition_key)).start
        except InvalidPartitionKey as exc:
            raise InvalidPartitionKeyError(str(exc)) from exc
