"""Gates of a metric: its value, its gap between slices, or how much better the candidate is than another model."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar, Self

from pydantic import Field, model_validator

from tradewind.metrics.judged_rows import CANDIDATE
from tradewind.metrics.measured_value import MeasuredValue, describe_extremes, undefined_reason
from tradewind.metrics.metric import difference_statistic
from tradewind.spec.gate_kind import BOUNDS, GateContext, PredictionGate, find_column_flaws, find_useless_bound
from tradewind.spec.metrics import MetricName, find_impossible_value, find_metric_flaw, is_project_metric, metric_info
from tradewind.spec.problems import Finding, Path, join_words, nearest_word
from tradewind.spec.scalars import Number, Text, value_error

if TYPE_CHECKING:
    from tradewind.metrics.arrays import Floats
    from tradewind.metrics.judged_rows import Groups, TestRows
    from tradewind.metrics.metric import MetricInfo, ModelMetric, Statistic

_PLAIN = ("at_least", "at_most", "lower_bound", "upper_bound")
_WHOSE = {"champion": "the champion's", "majority": "the majority's"}


class MetricGate(PredictionGate):
    """A metric of the candidate, or how much better it is than another model on the same rows."""

    kind: ClassVar[str] = "metric"

    metric: MetricName = Field(description="What is measured on the test partitions.")
    versus: Text | None = Field(
        default=None,
        description="Whom the candidate is compared with on the same rows: `champion`, `majority` (the training rows' "
        "majority class, shares or mean), or a name of `verdict.heuristics`. The bound is then for candidate minus "
        "other, in the direction in which more is better.",
    )
    at_least: Number | None = Field(
        default=None, description="The metric must reach this. With `versus`: the difference must."
    )
    at_most: Number | None = Field(
        default=None,
        description="The metric must not exceed this. With `versus`: a larger difference is too good to be true.",
    )
    lower_bound: Number | None = Field(
        default=None,
        description="The interval's lower end must reach this. With `versus: champion` a small negative number asks "
        "for no worse by more than that.",
    )
    upper_bound: Number | None = Field(default=None, description="The interval's upper end must not exceed this.")
    gap_at_most: Number | None = Field(
        default=None, ge=0, description="With `slice`: how far the best and the worst slice may lie apart."
    )
    slice: Text | None = Field(
        default=None, description="Column; every value of it that has `min_rows` rows is judged by itself."
    )
    where: Text | None = Field(
        default=None, description="SQL condition over the test rows, like `distance > 1000`; only these are judged."
    )

    @model_validator(mode="after")
    def _one_bound(self) -> Self:
        given = [name for name in BOUNDS if getattr(self, name) is not None]
        if len(given) != 1:
            found = f"found {' and '.join(f'`{name}`' for name in given)}" if given else "found none"
            raise value_error(f"a gate has exactly one of {', '.join(f'`{name}`' for name in BOUNDS)}; {found}")
        if self.gap_at_most is not None and self.slice is None:
            raise value_error("`gap_at_most` compares slices: it needs `slice`", field="gap_at_most")
        if self.gap_at_most is not None and self.versus is not None:
            raise value_error("`gap_at_most` compares slices of the candidate; leave `versus` out", field="versus")
        return self

    @property
    def opponent(self) -> str | None:
        """`versus`."""
        return self.versus

    @property
    def condition(self) -> str | None:
        """`where`."""
        return self.where

    @property
    def group_field(self) -> str | None:
        """`slice`."""
        return "slice"

    @property
    def compares_groups(self) -> bool:
        """With `gap_at_most`."""
        return self.gap_at_most is not None

    @property
    def project_metric(self) -> str | None:
        """The metric, if it is a function of the project."""
        return self.metric if is_project_metric(self.metric) else None

    def describe(self) -> str:
        """The gate in words, for example ``roc_auc at least 0.6, for each origin``."""
        where = f", where {self.where}" if self.where else ""
        relation, bound = self.bound
        if relation == "gap_at_most":
            return f"{self.metric} differs by at most {bound:g} between the values of {self.slice}{where}"
        end = {"lower_bound": "lower", "upper_bound": "upper"}.get(relation)
        interval = f" ({end} end of the {self.confidence * 100:g} % interval by {self.by})" if end else ""
        each = f", for each {self.slice}" if self.slice else ""
        return f"{self.metric} {self.describe_demand()}{interval}{each}{where}"

    def describe_demand(self) -> str:
        """What the bound asks for, for example ``no worse than the champion's by more than 0.01``."""
        if self.versus is None:
            return super().describe_demand()
        relation, bound = self.bound
        other, size = _WHOSE.get(self.versus, f"{self.versus}'s"), f"{abs(bound):g}"
        if relation in ("at_least", "lower_bound"):
            if bound > 0:
                return f"better than {other} by at least {size}"
            return f"no worse than {other} by more than {size}" if bound < 0 else f"no worse than {other}"
        if bound > 0:
            return f"better than {other} by at most {size}, more is suspicious"
        return f"worse than {other} by at least {size}" if bound < 0 else f"no better than {other}"

    def find_flaws(self, context: GateContext, path: Path) -> Iterator[Finding]:
        """What the task, the metric's direction and range, heuristics and columns do not allow."""
        wrong = find_metric_flaw(self.metric, context.task, (*path, "metric"), declared=context.metrics)
        if wrong is not None:
            yield wrong
            return
        known = metric_info(self.metric, context.metrics)
        assert known is not None  # else it was a flaw
        yield from self._bound_flaws(known, path)
        names = ["champion", "majority", *context.heuristics]
        if self.versus is not None and self.versus not in names:
            message, expected = f"nobody is called `{self.versus}`", join_words(names)
            yield Finding((*path, "versus"), message, expected=f"{expected}, or a name of `verdict.heuristics`",
                          suggestion=nearest_word(self.versus, names))  # fmt: skip
        yield from find_column_flaws(self, context, path)

    def _bound_flaws(self, known: MetricInfo, path: Path) -> Iterator[Finding]:
        span, given = known.highest - known.lowest, [name for name in _PLAIN if getattr(self, name) is not None]
        if self.versus is not None:
            (bound,) = given
            if span <= 2 and abs(getattr(self, bound)) >= span:
                message = f"differences of {self.metric} lie between -{span:g} and {span:g}"
                yield Finding((*path, bound), f"{message}, found {getattr(self, bound):g}")
            return
        turned = {} if known.greater_is_better else {"at_least": "at_most", "lower_bound": "upper_bound"}
        for field in given:
            if field in turned:
                message = f"{self.metric} is better when smaller: this would let only bad candidates pass"
                yield Finding((*path, field), message, suggestion=turned[field], on_key=True)
            else:
                yield from find_impossible_value(known, getattr(self, field), (*path, field))
                yield from find_useless_bound(self, field, (known.lowest, known.highest), path)
        yield from find_useless_bound(self, "gap_at_most", (0.0, span), path)

    def find_obstacle(self, rows: TestRows) -> str:
        """A metric that the task does not have or that cannot be run, or a condition without an answer."""
        metric = rows.metric(self.metric)
        if metric is None:
            return rows.absent.get(self.metric, f"{self.metric} is not at hand")
        if rows.task not in metric.tasks:
            return f"{self.metric} means nothing where the task is {rows.task}"
        if self.where is not None and self.where not in rows.masks:
            unknown = f"it is not known for which test rows `{self.where}` holds"
            return rows.absent.get(self.where, unknown)
        return ""

    def measure(self, rows: TestRows, groups: Groups | None, *, block: Floats, blocks: int) -> MeasuredValue:
        """The value, the gain over the other, or the gap between groups."""
        metric = rows.metric(self.metric)
        assert metric is not None  # else there is an obstacle
        if groups is not None:
            return self._measure_gap(metric, rows, groups, block=block, blocks=blocks)
        names = [CANDIDATE] if self.versus is None else [CANDIDATE, self.versus]
        values = [metric.compute(rows.y, rows.scores[name]) for name in names]
        if not all(math.isfinite(value) for value in values):
            return MeasuredValue(math.nan, undefined_reason(metric, rows, names))

        def resample(name: str) -> Statistic:
            return metric.resample(rows.y, rows.scores[name], block=block, blocks=blocks)

        count, other = len(rows.y), self.versus
        if other is None:
            return MeasuredValue(
                values[0], f"{self.metric} {values[0]:.4f} on {count} rows", lambda: resample(CANDIDATE)
            )
        better = metric.sign * (values[0] - values[1])
        found = f"{self.metric} {values[0]:.4f}, {other} {values[1]:.4f}"
        words = f"{found}: {'better' if better >= 0 else 'worse'} by {abs(better):.4f} on {count} rows"
        return MeasuredValue(
            better, words, lambda: difference_statistic(resample(CANDIDATE), resample(other), sign=metric.sign)
        )

    def _measure_gap(
        self, metric: ModelMetric, rows: TestRows, groups: Groups, *, block: Floats, blocks: int
    ) -> MeasuredValue:
        import numpy as np

        y, score = rows.y, rows.scores[CANDIDATE]
        parts = [groups.number == number for number in range(len(groups.names))]
        values = [metric.compute(y[part], score[part]) for part in parts]
        for name, part, value in zip(groups.names, parts, values, strict=True):
            if not math.isfinite(value):
                why = undefined_reason(metric, rows.where(part), [CANDIDATE])
                return MeasuredValue(math.nan, f"{self.slice}={name}: {why}")

        def statistic() -> Statistic:
            each = [metric.resample(y[part], score[part], block=block[part], blocks=blocks) for part in parts]
            return lambda draws: np.ptp(np.stack([one(draws) for one in each]), axis=0)

        words = f"{self.metric} {describe_extremes(groups.names, values)}"
        return MeasuredValue(max(values) - min(values), words, statistic)
