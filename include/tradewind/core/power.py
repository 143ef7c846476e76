"""How large a gain given test rows can show, and how many blocks a gain would need."""

from __future__ import annotations

import math
from dataclasses import dataclass

POWER = 0.8
"""How often a gain of the detectable size is shown."""

_MOST_BLOCKS = 1_000_000


@dataclass(frozen=True, slots=True)
class GateResolution:
    """What the blocks of one comparison can show.

    :param error: standard error of the value, in its unit
    :param blocks: how many blocks it rests on
    :param confidence: two-sided, of the interval
    """

    error: float
    blocks: int
    confidence: float

    @classmethod
    def of_interval(cls, low: float, high: float, *, blocks: int, confidence: float) -> GateResolution:
        """From the ends of an interval of :func:`bootstrap.interval`.

        Its ends lie t standard errors from the value, t the quantile of Student's t for blocks - 1 degrees of freedom
        (expanded percentiles), so the error is (high - low) / 2t.
        """
        return cls((high - low) / (2 * _quantile((1 + confidence) / 2, blocks)), blocks, confidence)

    def margin(self, *, power: float = POWER, blocks: int | None = None) -> float:
        """How far above its bound a true value must lie to be shown with this power: the minimum detectable effect.

        (t_{(1+c)/2} + t_power) · SE, with t of n - 1 degrees of freedom and SE shrinking as 1/√n (Bloom 1995,
        Evaluation Review 19(5), eq. 1, for a two-sided interval of confidence c whose lower end decides).

        :param blocks: with so many blocks like these; as many as there are if None
        """
        count = blocks or self.blocks
        error = self.error * math.sqrt(self.blocks / count)
        return (_quantile((1 + self.confidence) / 2, count) + _quantile(power, count)) * error

    def blocks_for(self, margin: float, *, power: float = POWER) -> int | None:
        """The least number of blocks whose :meth:`margin` is at most this; None if a million are not enough.

        :param margin: how far above the bound the true value lies
        """
        if not margin > 0 or self.margin(power=power, blocks=_MOST_BLOCKS) > margin:
            return None
        few, enough = 1, _MOST_BLOCKS  # bisection: the margin falls with the blocks
        while enough - few > 1:
            middle = (few + enough) // 2
            few, enough = (few, middle) if self.margin(power=power, blocks=middle) <= margin else (middle, enough)
        return enough


def approximate_error(metric: str, *, blocks: int, rows: int) -> float | None:
    """Standard error of the difference of two models, where nothing was measured yet; None for metrics without a scale.

    Rows of a block count as independent, so the true error is rather larger. AUC: √(2 (1 - r)) times the error of one
    AUC of .75 among rows of which a fifth are positive (Hanley and McNeil 1982, eq. 2), at a correlation of r = .6
    between the two (1983, their Table I is about .5 to .7 for scores that correlate by .6 to .75). Accuracy, balanced
    accuracy and F1: √(d/n) (McNemar 1947) with d = .15 of the rows on which the two disagree. Brier score: as measured
    on probabilities that differ by .1, √(4·.1²·.16/n).

    :param blocks: how many blocks
    :param rows: of one block
    """
    count = blocks * rows
    if metric == "roc_auc":
        return math.sqrt(2 * (1 - 0.6)) * _error_of_auc(0.75, positives=0.2 * count, negatives=0.8 * count)
    if metric in ("accuracy", "balanced_accuracy", "f1"):
        return math.sqrt(0.15 / count)
    return math.sqrt(4 * 0.1**2 * 0.16 / count) if metric == "brier" else None


def _error_of_auc(area: float, *, positives: float, negatives: float) -> float:
    one, two = area / (2 - area), 2 * area**2 / (1 + area)
    spread = area * (1 - area) + (positives - 1) * (one - area**2) + (negatives - 1) * (two - area**2)
    return math.sqrt(spread / (positives * negatives))


def _quantile(probability: float, blocks: int) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(blocks - 1, probability)) if blocks > 1 else math.inf
