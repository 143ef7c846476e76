"""Gates: what a candidate must pass before it may become champion."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from tradewind.spec.base import Model
from tradewind.spec.metrics import Metric
from tradewind.spec.scalars import FunctionPath, Integer, Name, Number, Text, value_error

BOUNDS = ("at_least", "at_most", "lower_bound", "upper_bound", "gap_at_most")
UNITS_OF_TIME = ("hour", "day", "week", "month")


class _Resampled(Model):
    """How sure a gate is: whole blocks of rows are drawn again."""

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


class MetricGate(_Resampled):
    """A metric of the candidate, or how much better it is than another model on the same rows."""

    metric: Metric = Field(description="What is measured on the test partitions.")
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


class FairnessGate(_Resampled):
    """How differently the candidate treats the groups of a column; for two classes. fairlearn's definitions."""

    fairness: Literal["demographic_parity_difference", "equal_opportunity_difference", "disparate_impact_ratio"] = (
        Field(
            description="Largest difference of selection rates between groups, of true positive rates, or smallest "
            "ratio of selection rates (fairlearn's demographic_parity_ratio)."
        )
    )
    group: Text = Field(
        description="Column whose values are the groups; those with fewer than `min_rows` rows are left out and named, "
        "and two must remain."
    )
    threshold: Number = Field(
        default=0.5, ge=0, le=1, description="A probability above this counts as predicted positive."
    )
    at_least: Number | None = Field(default=None, description="For a ratio: it must reach this, for example 0.8.")
    at_most: Number | None = Field(default=None, description="For a difference: it must not exceed this.")

    @model_validator(mode="after")
    def _its_bound(self) -> Self:
        needed, other = (
            ("at_least", "at_most") if self.fairness == "disparate_impact_ratio" else ("at_most", "at_least")
        )
        if getattr(self, needed) is None or getattr(self, other) is not None:
            raise value_error(f"{self.fairness} has the bound `{needed}`", field="fairness")
        return self


class CheckGate(Model):
    """What the candidate needs to serve. `loads` and `schema` are checked also where no gate names them."""

    check: Literal["loads", "schema", "latency", "size", "stability"] = Field(
        description="loads: seconds in which a clean process loads the registered files and predicts `rows` real rows. "
        "schema: its columns are those of the feature service and `train.columns`. latency: milliseconds for one "
        "prediction of `rows` rows, the 95th percentile over batches of the fastest try of each. size: megabytes of "
        "its files. stability: how far predictions move, on average, when numbers are shaken by `noise`."
    )
    at_most: Number | None = Field(default=None, gt=0, description="Largest value; `schema` has none.")
    rows: Integer = Field(default=100, ge=1, description="With `loads` and `latency`: rows that are predicted.")
    noise: Number = Field(
        default=0.01, gt=0, description="With `stability`: standard deviation of the noise, in those of each column."
    )

    @model_validator(mode="after")
    def _its_bound(self) -> Self:
        if self.check == "schema" and self.at_most is not None:
            raise value_error("`check: schema` has no bound", field="at_most")
        if self.check in ("latency", "size", "stability") and self.at_most is None:
            raise value_error(f"`check: {self.check}` needs `at_most`", field="check")
        for field, of in (("rows", ("loads", "latency")), ("noise", ("stability",))):
            if getattr(self, field) != type(self).model_fields[field].default and self.check not in of:
                known = " and ".join(f"`check: {one}`" for one in of)
                raise value_error(f"`check: {self.check}` has no `{field}`; it belongs to {known}", field=field)
        return self


def _kind(value: Any) -> str:
    if isinstance(value, FairnessGate | CheckGate):
        return "<fairness>" if isinstance(value, FairnessGate) else "<check>"
    named = value if isinstance(value, dict) else {}
    return "<fairness>" if "fairness" in named else "<check>" if "check" in named else "<metric>"


# In angle brackets, so that the place of an error can be told from the fields around it.
Gate = Annotated[
    Annotated[MetricGate, Tag("<metric>")]
    | Annotated[FairnessGate, Tag("<fairness>")]
    | Annotated[CheckGate, Tag("<check>")],
    Discriminator(_kind),
]
"""A gate; which kind it is, one of `metric`, `fairness` and `check` in it says."""


class VerdictSpec(Model):
    """How candidates are judged."""

    columns: tuple[Text, ...] = Field(
        default=(),
        description="Columns of the label dataset that gates may use although the model does not see them.",
    )
    heuristics: dict[Name, FunctionPath] = Field(
        default={},
        description="Rules that a candidate can be compared with, by name: file.py:function, which takes the test rows "
        "as a frame and returns what a model would.",
    )
    correction: Literal["none", "bonferroni"] = Field(
        default="none",
        description="bonferroni: the intervals of all gates hold together with the stated confidence. All gates must "
        "pass anyway, so `none` does not let more bad candidates pass.",
    )
    resamples: Integer = Field(default=2000, ge=200, description="How often blocks are drawn again.")
