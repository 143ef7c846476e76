"""Metrics of order: how well scores put the positives above the negatives."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self, cast

from tradewind.metrics.metric import BINARY, ModelMetric

if TYPE_CHECKING:
    from tradewind.metrics.arrays import Floats
    from tradewind.metrics.metric import Statistic

RankMetric = Literal["roc_auc", "average_precision"]
_AT_ONCE = 16
_CELLS = 2**23  # numbers in memory at once: 32 MB
_FEW_BLOCKS = 9
_PAIRED_BLOCKS = 256
"""Up to so many blocks an AUC is resampled by pairs of blocks, whose number grows with the square."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """Rows in falling order of score, so that the metric of any weighting takes one pass over them.

    :param positives: rows whose label is 1, the highest score first, shape (positives,)
    :param negatives: the others, likewise, shape (negatives,)
    :param above: for each positive, how many negatives score higher, shape (positives,)
    :param not_below: for each positive, how many negatives score higher or the same, likewise
    :param peers: for each positive, how many positives score higher or the same, itself counted, likewise
    """

    positives: Floats
    negatives: Floats
    above: Floats
    not_below: Floats
    peers: Floats

    @classmethod
    def of(cls, y: Floats, score: Floats) -> Self:
        """Sort rows by score.

        :param y: labels 0 or 1, shape (rows,)
        :param score: any real numbers, infinite ones too, but no NaN, shape (rows,)
        """
        import numpy as np

        falling = np.negative(np.asarray(score, dtype=np.float64))
        order = np.argsort(falling, kind="stable")
        one = np.asarray(y)[order] == 1
        positives, negatives = order[one], order[~one]
        mine, theirs = falling[positives], falling[negatives]
        return cls(
            positives,
            negatives,
            above=np.searchsorted(theirs, mine, side="left"),
            not_below=np.searchsorted(theirs, mine, side="right"),
            peers=np.searchsorted(mine, mine, side="right"),
        )

    def values(self, metric: RankMetric, won: Floats, rivals: Floats) -> Floats:
        """The metric for each of several weightings of the rows; NaN where one of the classes has no weight.

        ``roc_auc`` is P(a positive scores higher than a negative) + ½ P(the same) (Hanley and McNeil 1982).
        ``average_precision`` is the mean over the positives of the precision at their score, which is scikit-learn's
        Σ (Rₙ - Rₙ₋₁) Pₙ over the distinct scores.

        :param won: weights of the positives in the order of this, shape (positives, weightings)
        :param rivals: sums of the weights of the first 0, 1, … negatives, shape (negatives + 1, weightings)
        :return: float64, shape (weightings,)
        """
        import numpy as np

        total = won.sum(axis=0, dtype=np.float64)
        pairs = total * rivals[-1]
        with np.errstate(invalid="ignore", divide="ignore"):
            if metric == "roc_auc":
                higher = rivals[self.above]
                if not np.array_equal(self.above, self.not_below):
                    higher = (higher + rivals[self.not_below]) / 2
                found = 1 - np.einsum("ij,ij->j", won, higher, dtype=np.float64) / pairs
            else:
                at = np.cumsum(won, axis=0)[self.peers - 1]
                called = at + rivals[self.not_below]
                precision = np.divide(at, called, out=np.zeros(at.shape), where=called > 0, dtype=np.float64)
                found = np.einsum("ij,ij->j", won, precision, dtype=np.float64) / total
            return np.where(pairs > 0, found, np.nan)


def rank_metric(metric: RankMetric, y: Floats, score: Floats, *, weights: Floats | None = None) -> float:
    """A metric of order for scores without NaN; see :meth:`Ranking.values`."""
    import numpy as np

    ranking = Ranking.of(y, score)
    weight = np.ones(len(y)) if weights is None else weights
    rivals = np.concatenate(([0.0], np.cumsum(weight[ranking.negatives])))
    return float(ranking.values(metric, weight[ranking.positives, None], rivals[:, None])[0])


class ResampledRanking:
    """A metric of order as a function of how often each block is drawn, in one pass over the rows for some draws each.

    :param block: number of each row's block, shape (rows,)
    """

    def __init__(self, metric: RankMetric, ranking: Ranking, *, block: Floats) -> None:
        self.metric: RankMetric = metric
        self.ranking = ranking
        self.of_positives, self.of_negatives = block[ranking.positives], block[ranking.negatives]
        self.at_once = max(1, min(_AT_ONCE, _CELLS // max(len(block), 1)))

    def __call__(self, draws: Floats) -> Floats:
        """The metric for each of the draws, shape (resamples, blocks); float64, shape (resamples,)."""
        import numpy as np

        # Few blocks can be drawn in few ways only.
        few = draws.shape[1] <= _FEW_BLOCKS
        drawn, back = np.unique(draws, axis=0, return_inverse=True) if few else (draws, slice(None))
        # Whole numbers up to 2²⁴ are exact in single precision, which halves what has to be moved.
        most = (drawn @ np.bincount(self.of_negatives, minlength=draws.shape[1])).max()
        times = np.ascontiguousarray(drawn.T, dtype=np.float32 if most < 2**22 else np.float64)
        return np.concatenate(list(self._passes(times)))[back]

    def _passes(self, times: Floats) -> Iterator[Floats]:
        import numpy as np

        rivals = np.zeros((len(self.of_negatives) + 1, self.at_once), dtype=times.dtype)
        won = np.empty((len(self.of_positives), self.at_once), dtype=times.dtype)
        for begin in range(0, times.shape[1], self.at_once):
            some = np.ascontiguousarray(times[:, begin : begin + self.at_once])
            if some.shape[1] < self.at_once:  # the last ones
                rivals, won = (np.ascontiguousarray(array[:, : some.shape[1]]) for array in (rivals, won))
            np.take(some, self.of_positives, axis=0, out=won, mode="clip")
            np.take(some, self.of_negatives, axis=0, out=rivals[1:], mode="clip")
            np.cumsum(rivals[1:], axis=0, out=rivals[1:])
            yield self.ranking.values(self.metric, won, rivals)


def concordant_pairs(y: Floats, score: Floats, block: Floats, *, blocks: int) -> tuple[Floats, Floats, Floats]:
    """Concordant pairs between blocks; the AUC of any reweighting *w* of blocks is wᵀCw / ((w·p)(w·n)).

    :param y: labels 0 or 1, shape (rows,)
    :param score: scores without NaN, shape (rows,)
    :param block: block number of each row, 0…blocks-1, shape (rows,); a block may be without rows
    :return: C, shape (blocks, blocks), where C[i, j] counts pairs of a positive of block i and a negative of block j
        with the positive above (ties count ½); p and n, the positives and negatives of each block, shape (blocks,)
    """
    import numpy as np

    order = np.argsort(score, kind="stable")  # sorted needles are found faster
    y, score, block = np.asarray(y)[order], score[order], block[order]
    positive = y == 1
    scores, owners = score[positive], block[positive]
    rivals, theirs = score[~positive], block[~positive]
    matrix = np.zeros((blocks, blocks))
    for column in range(blocks):
        own = rivals[theirs == column]
        if len(own):
            beaten = (np.searchsorted(own, scores, side="left") + np.searchsorted(own, scores, side="right")) / 2
            matrix[:, column] = np.bincount(owners, weights=beaten, minlength=blocks)
    return (
        matrix,
        np.bincount(owners, minlength=blocks).astype(float),
        np.bincount(theirs, minlength=blocks).astype(float),
    )


def _area_of_draws(concordant: Floats, positives: Floats, negatives: Floats) -> Statistic:
    import numpy as np

    def areas(draws: Floats) -> Floats:
        pairs = (draws @ positives) * (draws @ negatives)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(pairs > 0, ((draws @ concordant) * draws).sum(axis=1) / pairs, np.nan)

    return areas


class RankingMetric(ModelMetric):
    """A metric of order; NaN if only one class occurs."""

    def usable_rows(self, score: Floats) -> Floats:
        """Any number has a place in an order, infinite ones too."""
        import numpy as np

        usable: Floats = ~np.isnan(score)
        return usable

    def value_of_rows(self, y: Floats, score: Floats, *, weights: Floats | None) -> float:
        """See :meth:`Ranking.values`."""
        return rank_metric(cast(RankMetric, self.name), y, score, weights=weights)

    def value_of_draws(self, y: Floats, score: Floats, *, block: Floats, blocks: int) -> Statistic:
        """An AUC needs the concordant pairs between any two blocks; with very many blocks, and for the average
        precision, every resample weighs the sorted rows."""
        if self.name == "roc_auc" and blocks <= _PAIRED_BLOCKS:
            return _area_of_draws(*concordant_pairs(y, score, block, blocks=blocks))
        return ResampledRanking(cast(RankMetric, self.name), Ranking.of(y, score), block=block)


ROC_AUC = RankingMetric("roc_auc", BINARY, True, 0.0, 1.0)
AVERAGE_PRECISION = RankingMetric("average_precision", BINARY, True, 0.0, 1.0)
