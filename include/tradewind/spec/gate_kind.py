"""What a kind of gate is: its fields in the YAML, what is wrong with them, and how it measures the rows that judge.

A kind is one file with one class, and one entry in :mod:`tradewind.spec.gates`. It is a :class:`PredictionGate`, which
measures what models predict for the test rows, or a :class:`ServingGate`, which is judged by a measurement of the
candidate's files and process.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from tradewind.spec.base import Model
from tradewind.spec.problems import Finding, Path, join_words, nearest_word
from tradewind.spec.scalars import Integer, Number, Text

if TYPE_CHECKING:
    from tradewind.metrics.arrays import Floats
    from tradewind.metrics.judged_rows import Groups, TestRows
    from tradewind.metrics.measured_value import MeasuredValue
    from tradewind.spec.metrics import MetricDeclaration

BOUNDS = ("at_least", "at_most", "lower_bound", "upper_bound", "gap_at_most")
UNITS_OF_TIME = ("hour", "day", "week", "month")


@dataclass(frozen=True, slots=True)
class GateContext:
    """What a gate refers to in the rest of the pipeline.

    :param task: ``train.task``; that of two classes where there is no `train`
    :param columns: of the rows that judge; None where there is no `train`, so they are not known
    :param heuristics: names of ``verdict.heuristics``
    :param metrics: metrics of the project, by function
    """

    task: str
    columns: tuple[str, ...] | None
    heuristics: tuple[str, ...]
    metrics: Mapping[str, MetricDeclaration]


class Gate(Model, ABC):
    """A gate of any kind."""

    kind: ClassVar[str]
    """The field that only this kind has, and by which the YAML says which kind it is."""

    @property
    def measured(self) -> str:
        """Name of what is measured: the value of the field :attr:`kind`."""
        return str(getattr(self, self.kind))

    @abstractmethod
    def describe(self) -> str:
        """The gate in words, for example ``roc_auc at least 0.6, for each origin``."""

    def find_flaws(self, context: GateContext, path: Path) -> Iterator[Finding]:
        """What is wrong with the gate where the rest of the pipeline is as it is.

        :param path: where the gate stands
        """
        yield from ()


class ServingGate(Gate):
    """A gate that judges how the candidate serves, and not what it predicts."""

    @property
    @abstractmethod
    def largest(self) -> float | None:
        """Largest value that passes; None where there is no bound."""


class PredictionGate(Gate):
    """A gate that measures what models predict; how sure it is comes from whole blocks of rows that are drawn again."""

    confidence: Number = Field(default=0.9, gt=0.5, lt=1, description="Two-sided confidence of the interval.")
    by: Text = Field(
        default="day",
        description="What is resampled as a whole: hour, day, week or month of the entity's own time, or a column, "
        "like a customer, whose rows belong together.",
    )
    min_rows: Integer = Field(default=100, ge=1, description="Fewer rows than this are insufficient to judge.")
    min_blocks: Integer = Field(
        default=5,
        ge=2,
        description="With fewer blocks than this there is no interval; a gate that needs one fails. An interval of 90 "
        "% needs 5 in any case, of 95 % 6, of 99 % 8.",
    )

    @property
    def opponent(self) -> str | None:
        """Whom the candidate is compared with on the same rows; None without a comparison."""
        return None

    @property
    def condition(self) -> str | None:
        """SQL condition of the rows that are judged; None for all."""
        return None

    @property
    def group_field(self) -> str | None:
        """Name of the field that holds the column whose values are judged or compared; None if there is none."""
        return None

    @property
    def group_column(self) -> str | None:
        """The column whose values are judged each by itself, or compared with each other; None for all rows as one."""
        return getattr(self, self.group_field) if self.group_field else None

    @property
    def compares_groups(self) -> bool:
        """Whether the values of :attr:`group_column` are compared with each other."""
        return False

    @property
    def project_metric(self) -> str | None:
        """The metric of the project that it measures; None if it measures another thing."""
        return None

    @property
    def bound(self) -> tuple[str, float]:
        """Which bound the gate has, one of :data:`BOUNDS`, and its value."""
        return next((name, bound) for name in BOUNDS if (bound := getattr(self, name, None)) is not None)

    @property
    def needs_interval(self) -> bool:
        """Whether an end of the interval decides, and not the value."""
        return self.bound[0] in ("lower_bound", "upper_bound")

    def describe_demand(self) -> str:
        """What the bound asks for, for example ``at least 0.6``."""
        relation, bound = self.bound
        return f"at {'least' if relation in ('at_least', 'lower_bound') else 'most'} {bound:g}"

    @abstractmethod
    def find_obstacle(self, rows: TestRows) -> str:
        """Why such rows cannot be measured, in words; empty if they can."""

    @abstractmethod
    def measure(self, rows: TestRows, groups: Groups | None, *, block: Floats, blocks: int) -> MeasuredValue:
        """Measure rows that count.

        :param rows: those that neither model has seen, that fulfil the condition, and of these one slice
        :param groups: of these rows, where groups are compared; each has enough rows
        :param block: number of each row's block, 0…blocks-1, shape (rows,)
        """


def find_column_flaws(gate: PredictionGate, context: GateContext, path: Path) -> Iterator[Finding]:
    """Columns that a gate names and that the rows that judge do not have."""
    if context.columns is None:
        return
    known, column = context.columns, gate.group_column
    if gate.group_field and column is not None and column not in known:
        expected = join_words(known) if known else "a column that `train.columns` or `verdict.columns` lists"
        message = f"`{column}` is not in `train.columns`, nor in `verdict.columns`"
        yield Finding((*path, gate.group_field), message, expected=expected, suggestion=nearest_word(column, known))
    if gate.by not in UNITS_OF_TIME and gate.by not in known:
        units = [*UNITS_OF_TIME, *known]
        message = f"`{gate.by}` is not a unit of time, and no column that judges"
        yield Finding((*path, "by"), message, expected=join_words(units), suggestion=nearest_word(gate.by, units))


def find_useless_bound(gate: PredictionGate, field: str, span: tuple[float, float], path: Path) -> Iterator[Finding]:
    """A finding if a bound is the very end of what there can be: such a gate lets every candidate pass."""
    least = field in ("at_least", "lower_bound")
    if getattr(gate, field) == span[0 if least else 1]:
        gap = "the gap of " if field == "gap_at_most" else ""
        message = f"every candidate meets this: {gap}{gate.measured} is never {'below' if least else 'above'}"
        yield Finding((*path, field), f"{message} {getattr(gate, field):g}")
