"""Watching runs that were started: a bar for each stage with failures as they happen, or lines without a terminal."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from tradewind.alerting.incidents import open_incidents
from tradewind.errors import Unavailable
from tradewind.ledger import completion, skipped_partitions
from tradewind.planning.runs_to_start import following_stages

if TYPE_CHECKING:
    from tradewind.cli.run_starts import StartedRun
    from tradewind.hooks.airflow_api import AirflowApi, DagRun
    from tradewind.ledger.journal import Ledger

POLL = 2.0
LOST_AFTER = 30.0
"""Seconds without any change after which a stage counts as not started: its event was lost or not sent."""
_MARGIN = timedelta(hours=1)

Step = tuple[str, str]
"""A stage of a partition."""


class StageBars:
    """What is seen of the runs: a bar for each stage, or a line for each partition that is through.

    :param totals: how many partitions each stage has
    :param console: where to; standard error by default
    """

    def __init__(self, totals: Mapping[str, int], console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        columns = (TextColumn("{task.description:>10}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._bars = Progress(*columns, TextColumn("{task.fields[now]}"), console=self._console,
                              disable=not self._console.is_terminal)  # fmt: skip
        self._stages = {stage: self._bars.add_task(stage, total=total, now="") for stage, total in totals.items()}

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def say(self, text: str) -> None:
        """Lines of text above the bars."""
        self._console.print(text, highlight=False, soft_wrap=True, markup=False)

    def through(self, partition: str, *, done: int, of: int) -> None:
        """All stages of a partition have succeeded; a line where there are no bars."""
        if not self._console.is_terminal:
            self.say(f"{partition} is through ({done} of {of})")

    def stage(self, stage: str, *, done: int, now: str) -> None:
        """So many partitions are through a stage."""
        bar: TaskID = self._stages[stage]
        self._bars.update(bar, completed=done, now=now)


@dataclass(frozen=True, slots=True)
class WatchResult:
    """What came of the runs.

    :param failed: stages of partitions whose newest run failed
    :param missing: stages of partitions that did not start
    :param left_out: partitions that stay out, so that nothing follows
    """

    failed: tuple[Step, ...]
    missing: tuple[Step, ...]
    left_out: tuple[str, ...]

    @property
    def well(self) -> bool:
        """Nothing failed, and nothing is missing."""
        return not self.failed and not self.missing


@dataclass
class RunWatch:
    """Follows the runs of one pipeline until they, and what their events start, are over.

    :param api: the Airflow that runs them
    :param stages: the stages that the pipeline has
    :param started: the runs
    :param ledger: where incidents and partitions that are left out are looked up
    """

    api: AirflowApi
    pipeline: str
    stages: Sequence[str]
    started: Sequence[StartedRun]
    ledger: Ledger
    clock: Callable[[], float] = field(default=time.monotonic)
    pause: Callable[[float], None] = field(default=time.sleep)
    _reported: set[tuple[str, str]] = field(default_factory=set)
    _through: set[str] = field(default_factory=set)

    def run(self, bars: StageBars) -> WatchResult:
        """Watch until nothing more comes.

        :raises Unavailable: Airflow does not answer; the runs go on
        """
        since, moved = datetime.now(UTC) - _MARGIN, self.clock()
        before: Mapping[Step, DagRun] | None = None
        while True:
            latest = self._latest(since)
            if latest != before:
                before, moved = latest, self.clock()
                self._show(bars, latest)
            ended = self._ended(latest)
            waits = ended.missing or any(not run.over for run in latest.values())
            if not waits or (ended.missing and self._idle(latest) and self.clock() - moved > LOST_AFTER):
                return ended
            self.pause(POLL)

    @property
    def steps(self) -> dict[Step, StartedRun]:
        """What is expected to run, with the run that leads to it."""
        found: dict[Step, StartedRun] = {}
        for one in self.started:
            for stage in (one.order.stage, *following_stages(one.order.stage)):
                if stage in self.stages:
                    found.setdefault((stage, one.order.partition), one)
        return found

    @property
    def totals(self) -> dict[str, int]:
        """How many partitions each stage has."""
        steps = self.steps
        return {stage: count for stage in self.stages if (count := sum(name == stage for name, _ in steps))}

    def _latest(self, since: datetime) -> dict[Step, DagRun]:
        """The newest run of each step: the one that was started, or one that came after it."""
        prefix, steps = f"{self.pipeline}__", self.steps
        runs: dict[Step, list[DagRun]] = {}
        for run in self._runs(since):
            step = (run.dag_id.removeprefix(prefix), run.partition or "")
            if run.dag_id.startswith(prefix) and step in steps:
                runs.setdefault(step, []).append(run)
        by_id = {(run.dag_id, run.run_id): run for some in runs.values() for run in some}
        latest = {}
        for step, some in runs.items():
            first = by_id.get((steps[step].dag_id, steps[step].run_id))
            # A run that was cleared in the meantime has been queued later than what followed it before.
            if first is not None and (after := [run for run in some if run.queued_at >= first.queued_at]):
                latest[step] = after[-1]
        return latest

    def _runs(self, since: datetime) -> list[DagRun]:
        """What has changed of late, and what is on its way however long, by when it was queued."""
        found = {(run.dag_id, run.run_id): run for run in self.api.runs(states=("queued", "running"))}
        found |= {(run.dag_id, run.run_id): run for run in self.api.runs(since=since)}
        return sorted(found.values(), key=lambda run: run.queued_at)

    def _ended(self, latest: Mapping[Step, DagRun]) -> WatchResult:
        failed = [step for step, run in latest.items() if run.state == "failed"]
        skipped = skipped_partitions.skipped_partitions(self.ledger, self.pipeline)
        out = {*skipped_partitions.left_out(self.ledger, self.pipeline), *skipped}
        missing = [
            step for step in self.steps if step not in latest and step[1] not in out and not self._after(step, failed)
        ]
        left_out = {key for stage, key in self.steps if key in out and (stage, key) not in latest}
        return WatchResult(
            tuple(sorted(failed, key=_step_order)), tuple(sorted(missing, key=_step_order)), tuple(sorted(left_out))
        )

    def _after(self, step: Step, failed: Sequence[Step]) -> bool:
        """Whether a stage that leads to this one failed, so that it is not expected."""
        return any(key == step[1] and step[0] in following_stages(stage) for stage, key in failed)

    def _idle(self, latest: Mapping[Step, DagRun]) -> bool:
        return all(run.over for run in latest.values())

    def _show(self, bars: StageBars, latest: Mapping[Step, DagRun]) -> None:
        for stage in self.totals:
            at = {key: run for (name, key), run in latest.items() if name == stage}
            now = [key for key, run in at.items() if run.state == "running"]
            done = sum(run.state == "success" for run in at.values())
            failed = sum(run.state == "failed" for run in at.values())
            bars.stage(stage, done=done, now=(f"{failed} failed " if failed else "") + ", ".join(sorted(now)[:1]))
        for run in latest.values():
            if run.state == "failed" and (run.run_id, run.queued_at) not in self._reported:
                self._reported.add((run.run_id, run.queued_at))
                bars.say(self._failure(run))
        keys = {key for _, key in self.steps}
        for key in sorted(keys - self._through):
            some = [latest.get(step) for step in self.steps if step[1] == key]
            if all(run is not None and run.state == "success" for run in some):
                self._through.add(key)
                bars.through(key, done=len(self._through), of=len(keys))

    def _failure(self, run: DagRun) -> str:
        lines = [f"FAILED {run.dag_id} {run.partition}"]
        try:
            failures = self.api.failures(run)[:1]
        except Unavailable:
            failures = []
        for failure in failures:
            lines[0] = f"FAILED {run.dag_id} {run.partition}, task {failure.task_id}"
            lines.append(f"  {self.api.link(failure)}")
        stage = run.dag_id.removeprefix(f"{self.pipeline}__")
        for incident in open_incidents(self.ledger, self.pipeline):
            if incident.stage == stage and (found := incident.by_partition.get(run.partition or "")):
                lines.append(f"  {found.message.splitlines()[0] if found.message else incident.fingerprint}")
        return "\n".join(lines)


def _step_order(step: Step) -> tuple[str, int]:
    stages = ["etl", *(name for after in completion.CHAIN.values() for name in after)]
    return step[1], stages.index(step[0])
