"""What the demo shows while it works: one bar a stage, or lines where there is no terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars


class DemoProgressBars:
    """Bars of the stages; hears a :class:`~tradewind.local_airflow.demo.Demo`.

    :param console: where to; standard output by default
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console()
        columns = (TextColumn("{task.description:>10}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._bars = Bars(
            *columns, TextColumn("{task.fields[now]}"), console=self._console, disable=not self._console.is_terminal
        )
        self._stages: dict[str, TaskID] = {}
        self._done: dict[str, frozenset[str]] = {}

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def expect(self, stages: Sequence[str], partitions: int) -> None:
        """Show one bar for each stage, of so many partitions."""
        for stage in stages:
            self._stages[stage] = self._bars.add_task(stage, total=partitions, now="")

    def say(self, text: str) -> None:
        """One line of text above the bars."""
        self._console.print(text, highlight=False, soft_wrap=True, markup=False)

    def progress(self, partition: str, done: frozenset[str], *, said: str | None = None) -> None:
        """These stages of a partition are over.

        :param said: what came of them, for the line that tells of a partition where there is no terminal
        """
        before = self._done.get(partition, frozenset())
        self._done[partition] = done
        for stage, bar in self._stages.items():
            count = sum(stage in stages for stages in self._done.values())
            self._bars.update(bar, completed=count, now=partition if stage not in done else "")
        if not self._console.is_terminal and done != before and done == frozenset(self._stages):
            self.say(f"partition {partition}: {said or ', '.join(self._stages)}")

    def tick(self) -> None:
        """Time passes."""
        self._bars.refresh()
