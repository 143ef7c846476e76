"""Replay history: start each partition's ETL through Airflow's API and wait until all that follows has settled."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tradewind.errors import TradewindError, Unavailable
from tradewind.hooks.airflow_api import AirflowApi, DagRun

if TYPE_CHECKING:
    from tradewind.ledger.journal import Ledger

POLL = 0.3
LOST_AFTER = 30.0
STUCK_AFTER = 900.0


class StageFailed(TradewindError):
    """A stage of a partition failed in Airflow; the message names DAG, task, partition and what the log says."""


@dataclass(frozen=True)
class Replay:
    """The replay of one pipeline.

    :param api: the Airflow that runs it
    :param pipeline: its name
    :param stages: the stages that follow one another by events, ``etl`` first
    :param check: called while waiting; raises if Airflow is gone
    :param on_progress: called with the partition and the stages of it that are done, whenever that changes
    :param ledger: where incidents are looked up for the message of a failure
    """

    api: AirflowApi
    pipeline: str
    stages: Sequence[str]
    check: Callable[[], None]
    on_progress: Callable[[str, frozenset[str]], None]
    ledger: Ledger | None = None
    clock: Callable[[], float] = field(default=time.monotonic)
    pause: Callable[[float], None] = field(default=time.sleep)

    def run(self, partition: str) -> bool:
        """Bring one partition through all stages; what is done already is left alone.

        :returns: False if there was nothing to do
        :raises StageFailed: a stage failed
        :raises Unavailable: nothing moved for a quarter of an hour
        """
        latest = self._latest(partition)
        self.on_progress(partition, _finished_stages(latest))
        if self._settled(latest):
            return False
        # A new run in place of a cleared one: the failure stays on record, and what was done is not done again.
        # (Airflow 3.3.2 cannot clear a failed run whose deadline is still ahead: the API answers 500.)
        again = [stage for stage, run in latest.items() if run.state == "failed"]
        for stage in again if latest else ["etl"]:
            self.api.start(self._dag(stage), partition)
        self._wait(partition)
        return True

    def _wait(self, partition: str) -> None:
        before: dict[str, DagRun] = {}
        moved = self.clock()
        while True:
            self.check()
            latest = self._latest(partition)
            if latest != before:
                before, moved = latest, self.clock()
                self.on_progress(partition, _finished_stages(latest))
            if self._settled(latest):
                return
            idle = all(run.over for run in latest.values())
            if idle and (failed := [run for run in latest.values() if run.state == "failed"]):
                raise self._failure(failed[0], partition)
            if idle and self.clock() - moved > LOST_AFTER:
                self._send_again(latest, partition)
                moved = self.clock()
            if self.clock() - moved > STUCK_AFTER:
                raise Unavailable(
                    f"{self.pipeline} {partition}: nothing moved for {STUCK_AFTER / 60:.0f} minutes; {latest}"
                )
            self.pause(POLL)

    def wait_for_rest(self) -> None:
        """Wait until no run of the pipeline is left: also of those that were started again for nothing."""
        end = self.clock() + STUCK_AFTER
        while any(run.dag_id.startswith(f"{self.pipeline}__") for run in self.api.runs(states=("queued", "running"))):
            self.check()
            if self.clock() > end:
                raise Unavailable(f"runs of {self.pipeline} do not end; look at {self.api.url}")
            self.pause(POLL)

    def _latest(self, partition: str) -> dict[str, DagRun]:
        """The newest run of each stage, by stage."""
        found = {}
        for run in self.api.runs(partition=partition):
            pipeline, _, stage = run.dag_id.rpartition("__")
            if pipeline == self.pipeline and stage in self.stages:
                found[stage] = run
        return found

    def _settled(self, latest: dict[str, DagRun]) -> bool:
        return set(latest) == set(self.stages) and all(run.state == "success" for run in latest.values())

    def _send_again(self, latest: dict[str, DagRun], partition: str) -> None:
        """An event that was sent while its consumer was away is lost: start the first stage that it should have."""
        stage = next(stage for stage in self.stages if stage not in latest)
        self.api.start(self._dag(stage), partition)

    def _failure(self, run: DagRun, partition: str) -> StageFailed:
        lines = [f"{run.dag_id} failed for partition {partition}"]
        for failure in self.api.failures(run)[:1]:
            lines[0] = f"task {failure.task_id} of {run.dag_id} failed for partition {partition}"
            lines += [f"  {self.api.link(failure)}", *self._incidents(partition), "the end of its log:"]
            lines += [f"  {line}" for line in self.api.log(failure).splitlines() if not line.startswith("::")]
        return StageFailed("\n".join(lines))

    def _incidents(self, partition: str) -> list[str]:
        if self.ledger is None:
            return []
        from tradewind.alerting.incidents import open_incidents

        found = [
            incident for incident in open_incidents(self.ledger, self.pipeline) if partition in incident.partitions
        ]
        return [f"  incident {incident.fingerprint}: {incident.by_partition[partition].message}" for incident in found]

    def _dag(self, stage: str) -> str:
        return f"{self.pipeline}__{stage}"


def _finished_stages(latest: dict[str, DagRun]) -> frozenset[str]:
    return frozenset(stage for stage, run in latest.items() if run.state == "success")
