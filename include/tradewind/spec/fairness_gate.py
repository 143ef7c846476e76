"""Gates of fairness: how differently the candidate treats the groups of a column."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field, model_validator

from tradewind.metrics import fairness
from tradewind.metrics.judged_rows import CANDIDATE
from tradewind.metrics.measured_value import MeasuredValue, describe_extremes, unpredicted_rows
from tradewind.metrics.metric import table_statistic, valid_predictions
from tradewind.spec.gate_kind import GateContext, PredictionGate, find_column_flaws, find_useless_bound
from tradewind.spec.problems import Finding, Path
from tradewind.spec.scalars import Number, Text, value_error

if TYPE_CHECKING:
    from tradewind.metrics.arrays import Floats
    from tradewind.metrics.judged_rows import Groups, TestRows


class FairnessGate(PredictionGate):
    """How differently the candidate treats the groups of a column; for two classes. fairlearn's definitions."""

    kind: ClassVar[str] = "fairness"

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

    @property
    def group_field(self) -> str | None:
        """`group`."""
        return "group"

    @property
    def compares_groups(self) -> bool:
        """Always."""
        return True

    def describe(self) -> str:
        """The gate in words, for example ``disparate_impact_ratio of sex at least 0.8 (selected above 0.5)``."""
        return f"{self.fairness} of {self.group} {self.describe_demand()} (selected above {self.threshold:g})"

    def find_flaws(self, context: GateContext, path: Path) -> Iterator[Finding]:
        """Another task than two classes, bounds that are no shares, and unknown columns."""
        if context.task != "binary":
            message = f"fairness is defined here for two classes, and `train.task` is {context.task}"
            yield Finding((*path, "fairness"), message)
        else:
            for field in ("at_least", "at_most"):
                value = getattr(self, field)
                if value is not None and not 0 <= value <= 1:
                    yield Finding((*path, field), f"{self.fairness} lies between 0 and 1, found {value:g}")
                else:
                    yield from find_useless_bound(self, field, (0.0, 1.0), path)
        yield from find_column_flaws(self, context, path)

    def find_obstacle(self, rows: TestRows) -> str:
        """Another task than two classes."""
        return "" if rows.task == "binary" else f"fairness is defined here for two classes, and this is {rows.task}"

    def measure(self, rows: TestRows, groups: Groups | None, *, block: Floats, blocks: int) -> MeasuredValue:
        """How far apart the groups are."""
        import numpy as np

        assert groups is not None
        score, names = rows.scores[CANDIDATE], groups.names
        if without := int((~valid_predictions(score, probabilities=True)).sum()):
            return MeasuredValue(math.nan, unpredicted_rows(CANDIDATE, without, len(rows.y)))

        def sums(block: Floats, blocks: int) -> Floats:
            return fairness.fairness_sums_by_block(
                rows.y, score, groups.number, threshold=self.threshold, groups=len(names), block=block, blocks=blocks
            )

        whole = sums(np.zeros_like(block), 1)[0]
        rates = fairness.group_rates(self.fairness, whole).tolist()
        rate = "true positive rate" if self.fairness == "equal_opportunity_difference" else "selection rate"
        value = float(fairness.fairness_from_sums(self.fairness, whole))
        if missing := [name for name, one in zip(names, rates, strict=True) if math.isnan(one)]:
            return MeasuredValue(value, f"no positive label where {self.group} is {', '.join(missing)}")
        if not whole[1].any():  # no difference either: that would be fair by saying no to everybody
            words = f"nobody's probability is above {self.threshold:g}: nothing is compared"
            return MeasuredValue(math.nan, words)
        words = f"{self.fairness} {value:.4f}: {rate} {describe_extremes(names, rates)} on {len(rows.y)} rows"
        return MeasuredValue(
            value,
            words,
            lambda: table_statistic(sums(block, blocks), lambda each: fairness.fairness_from_sums(self.fairness, each)),
        )
