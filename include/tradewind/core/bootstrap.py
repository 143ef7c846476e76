"""Paired block bootstrap: how sure a metric, or the difference of two models, is on rows that come in blocks."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tradewind.metrics.metric import difference_statistic

if TYPE_CHECKING:
    from tradewind.metrics.arrays import Floats
    from tradewind.metrics.metric import ModelMetric, Statistic

_DEGENERATE = 0.01
_BEYOND = 2
"""So many resamples must be expected beyond each end of an interval, else the ends are made of the last of them."""
_CELLS = 2**21
"""So many counts of draws are in memory at once (16 MB)."""
_MOST_RESAMPLES = 200_000


@dataclass(frozen=True, slots=True)
class Interval:
    """A value with its two-sided confidence interval.

    :param value: the metric, or difference, on the rows as they are; NaN if it cannot be computed
    :param low: lower end, NaN if no honest interval can be given
    :param high: upper end, NaN likewise
    :param blocks: number of different blocks
    :param rows: number of rows
    :param missing: why there is no interval, in words; empty if there is one
    """

    value: float
    low: float
    high: float
    blocks: int
    rows: int
    missing: str = ""


def metric_interval(
    y: Floats, score: Floats, blocks: Floats, *,
    metric: ModelMetric, confidence: float, seed: int, resamples: int = 2000, min_blocks: int = 5,
) -> Interval:  # fmt: skip
    """Interval of one model's metric; parameters as in :func:`difference_interval` and :func:`block_interval`."""
    value = metric.compute(y, score)
    block, count = _numbered(blocks)
    return block_interval(
        value,
        lambda: metric.resample(y, score, block=block, blocks=count),
        blocks=count, rows=len(y), confidence=confidence, seed=seed, resamples=resamples, min_blocks=min_blocks,
    )  # fmt: skip


def difference_interval(
    y: Floats, score_a: Floats, score_b: Floats, blocks: Floats, *,
    metric: ModelMetric, confidence: float, seed: int, resamples: int = 2000, min_blocks: int = 5,
) -> Interval:  # fmt: skip
    """Interval of how much better model *a* is than model *b* on the same rows (above 0: *a* is better).

    :param y: labels as in :meth:`ModelMetric.compute`, shape (rows,)
    :param score_a: predictions of model *a*, likewise, shape (rows,) or (rows, classes)
    :param score_b: predictions of model *b*, likewise
    :param blocks: block of each row, of a sortable dtype (else see ``groups_of_column``), shape (rows,)
    :param metric: where less is better the sign is turned
    """
    value = metric.sign * (metric.compute(y, score_a) - metric.compute(y, score_b))
    block, count = _numbered(blocks)

    def statistic() -> Statistic:
        a, b = (metric.resample(y, score, block=block, blocks=count) for score in (score_a, score_b))
        return difference_statistic(a, b, sign=metric.sign)

    return block_interval(
        value, statistic,
        blocks=count, rows=len(y), confidence=confidence, seed=seed, resamples=resamples, min_blocks=min_blocks,
    )  # fmt: skip


def block_interval(
    value: float, statistic: Callable[[], Statistic], *,
    blocks: int, rows: int, confidence: float, seed: int, resamples: int = 2000, min_blocks: int = 5,
) -> Interval:  # fmt: skip
    """Interval of any statistic of rows that come in blocks.

    Whole blocks are drawn with replacement, the same for all that is compared (cluster bootstrap, Davison and Hinkley
    1997, §3.8), because rows of a block share their circumstances. The ends are expanded percentiles (Hesterberg
    2015, §5.3): quantiles at Φ(-√(n/(n-1))·t), with t the quantile of Student's t for n-1 degrees of freedom and n
    the number of blocks, which widens what plain percentiles of few blocks make too narrow.

    :param value: the statistic of the rows as they are
    :param statistic: makes what computes it for draws of blocks; called only if there can be an interval
    :param blocks: how many blocks there are
    :param confidence: two-sided, in (0, 1)
    :param seed: of the resampling; the same seed gives the same interval
    :param resamples: number of bootstrap samples; more are drawn where the ends lie so far out that it takes more
    :param min_blocks: with fewer there is no interval; nor with fewer than :func:`blocks_for`
    """
    import numpy as np

    def none(why: str) -> Interval:
        return Interval(value, math.nan, math.nan, blocks, rows, why)

    if math.isnan(value):
        return none("there is no value")
    needed = max(min_blocks, blocks_for(confidence))
    if blocks < needed:
        return none(f"{blocks} blocks, and an interval of {confidence * 100:.4g} % needs {needed}")
    tail = _expanded_tail(confidence, blocks)
    if resamples < (enough := math.ceil(_BEYOND / tail)):
        if enough > _MOST_RESAMPLES:
            return none(f"an interval of {confidence * 100:.6g} % from {blocks} blocks would take {enough:,} resamples")
        resamples = enough
    of_draws = statistic()
    sample = np.concatenate([of_draws(draws) for draws in _draws(blocks, resamples, seed=seed)])
    # A draw of blocks with one class only has no AUC. A few of them change nothing; many would bias the ends.
    if (lost := float((~np.isfinite(sample)).mean())) > _DEGENERATE:
        return none(f"in {lost * 100:.2g} % of the resamples it has no value, because some blocks lack what it needs")
    low, high = np.nanquantile(sample, (tail, 1 - tail))
    return Interval(value, float(low), float(high), blocks, rows)


def blocks_for(confidence: float) -> int:
    """Blocks that an interval of this confidence needs at least: 1 + log₂(1 / (1 - confidence)), rounded up.

    Resamples of blocks reach no further than the lowest and the highest block, and the median of what blocks are drawn
    from lies between these with a probability of 1 - 2^(1 - n) only.
    """
    return math.ceil(1 + math.log2(1 / (1 - confidence)) - 1e-9)


def _draws(blocks: int, resamples: int, *, seed: int) -> Iterator[Floats]:
    """How often each block is drawn in each resample, some resamples at a time; float64, shape (resamples, blocks)."""
    import numpy as np

    rng = np.random.default_rng(seed)
    at_once = max(1, _CELLS // max(blocks, 64))
    for begin in range(0, resamples, at_once):
        size = min(at_once, resamples - begin)
        drawn = rng.integers(0, blocks, (size, blocks)) + blocks * np.arange(size)[:, None]
        yield np.bincount(drawn.ravel(), minlength=size * blocks).reshape(size, blocks).astype(np.float64)


def _expanded_tail(confidence: float, blocks: int) -> float:
    from scipy.special import ndtr, stdtrit

    t = stdtrit(blocks - 1, (1 + confidence) / 2)
    return float(ndtr(-t * (blocks / (blocks - 1)) ** 0.5))


def _numbered(blocks: Floats) -> tuple[Floats, int]:
    import numpy as np

    names, block = np.unique(blocks, return_inverse=True)
    return block, len(names)
