"""Paired block bootstrap: how sure a metric, or the difference of two models, is on rows that come in time blocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tradewind.core import metrics

if TYPE_CHECKING:
    from tradewind.core.metrics import Floats

MIN_BLOCKS = 5
"""With fewer blocks no interval is given: too few to see how blocks differ."""
_DEGENERATE = 0.01


@dataclass(frozen=True, slots=True)
class Interval:
    """A value with its two-sided confidence interval.

    :param value: the metric, or difference, on the rows as they are; NaN if it cannot be computed
    :param low: lower end, NaN if no honest interval can be given
    :param high: upper end, NaN likewise
    :param blocks: number of different time blocks
    :param rows: number of rows
    """

    value: float
    low: float
    high: float
    blocks: int
    rows: int


def level(
    y: Floats, score: Floats, blocks: Floats, *, metric: str, confidence: float, seed: int, resamples: int = 2000
) -> Interval:
    """Interval of one model's metric. Parameters and method as in :func:`difference`."""
    value = metrics.compute(metric, y, score)
    return _interval(value, y, (score,), blocks, metric=metric, confidence=confidence, resamples=resamples, seed=seed)


def difference(
    y: Floats,
    score_a: Floats,
    score_b: Floats,
    blocks: Floats,
    *,
    metric: str,
    confidence: float,
    seed: int,
    resamples: int = 2000,
) -> Interval:
    """Interval of how much better model *a* is than model *b* on the same rows (above 0: *a* is better).

    Whole blocks are drawn with replacement, the same for both models (cluster bootstrap, Davison and Hinkley
    1997, §3.8), because rows of a block share their circumstances. The ends are expanded percentiles (Hesterberg
    2015, §5.3): quantiles at Φ(-√(n/(n-1))·t), with t the quantile of Student's t for n-1 degrees of freedom and n
    the number of blocks, which widens what plain percentiles of few blocks make too narrow.

    :param y: labels 0 or 1, shape (rows,)
    :param score_a: probability of 1 by model *a*, shape (rows,)
    :param score_b: probability of 1 by model *b*, shape (rows,)
    :param blocks: block of each row, any sortable dtype, shape (rows,)
    :param metric: a key of ``metrics.HIGHER_IS_BETTER``; where less is better the sign is turned
    :param confidence: two-sided, in (0, 1)
    :param seed: of the resampling; the same seed gives the same interval
    :param resamples: number of bootstrap samples
    """
    sign = 1.0 if metrics.HIGHER_IS_BETTER[metric] else -1.0
    value = sign * (metrics.compute(metric, y, score_a) - metrics.compute(metric, y, score_b))
    return _interval(
        value, y, (score_a, score_b), blocks, metric=metric, confidence=confidence, resamples=resamples, seed=seed
    )


def _interval(
    value: float,
    y: Floats,
    scores: tuple[Floats, ...],
    blocks: Floats,
    *,
    metric: str,
    confidence: float,
    resamples: int,
    seed: int,
) -> Interval:
    import numpy as np

    names, block = np.unique(blocks, return_inverse=True)
    count = len(names)
    nothing = Interval(value, float("nan"), float("nan"), count, len(y))
    if count < MIN_BLOCKS or np.isnan(value):
        return nothing
    draws = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=resamples).astype(np.float64)
    values = [_resampled(metric, y, score, block, draws) for score in scores]
    sign = 1.0 if len(scores) == 1 or metrics.HIGHER_IS_BETTER[metric] else -1.0
    sample = values[0] if len(values) == 1 else sign * (values[0] - values[1])
    # A draw of blocks with one class only has no AUC. A few of them change nothing; many would bias the ends.
    if np.isnan(sample).mean() > _DEGENERATE:
        return nothing
    tail = _expanded_tail(confidence, count)
    low, high = np.nanquantile(sample, (tail, 1 - tail))
    return Interval(value, float(low), float(high), count, len(y))


def _expanded_tail(confidence: float, blocks: int) -> float:
    from scipy.special import ndtr, stdtrit

    t = stdtrit(blocks - 1, (1 + confidence) / 2)
    return float(ndtr(-t * (blocks / (blocks - 1)) ** 0.5))


def _resampled(metric: str, y: Floats, score: Floats, block: Floats, draws: Floats) -> Floats:
    """The metric of every resample, shape (resamples,), from sums per block: no resample touches the rows."""
    import numpy as np

    if metric != "roc_auc":
        losses = np.bincount(block, weights=metrics.row_losses(metric, y, score))
        resampled: Floats = (draws @ losses) / (draws @ np.bincount(block))
        return resampled
    concordant, positives, negatives = concordance(y, score, block)
    pairs = (draws @ positives) * (draws @ negatives)
    with np.errstate(invalid="ignore", divide="ignore"):
        areas: Floats = np.where(pairs > 0, ((draws @ concordant) * draws).sum(axis=1) / pairs, np.nan)
    return areas


def concordance(y: Floats, score: Floats, block: Floats) -> tuple[Floats, Floats, Floats]:
    """Concordant pairs between blocks; the AUC of any reweighting *w* of blocks is wᵀCw / ((w·p)(w·n)).

    :param y: labels 0 or 1, shape (rows,)
    :param score: scores without NaN, shape (rows,)
    :param block: block number of each row, 0…blocks-1, shape (rows,)
    :return: C, shape (blocks, blocks), where C[i, j] counts pairs of a positive of block i and a negative of block j
        with the positive above (ties count ½); p and n, the positives and negatives of each block, shape (blocks,)
    """
    import numpy as np

    count = int(block.max()) + 1
    positive = np.asarray(y) == 1
    scores, owners = score[positive], block[positive]
    matrix = np.zeros((count, count))
    for column in range(count):
        rivals = np.sort(score[~positive & (block == column)])
        if len(rivals):
            beaten = (np.searchsorted(rivals, scores, side="left") + np.searchsorted(rivals, scores, side="right")) / 2
            matrix[:, column] = np.bincount(owners, weights=beaten, minlength=count)
    return (
        matrix,
        np.bincount(owners, minlength=count).astype(float),
        np.bincount(block[~positive], minlength=count).astype(float),
    )
