"""Metrics of order: how well scores put the positives above the negatives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self

if TYPE_CHECKING:
    from tradewind.core.metrics import Floats

RankMetric = Literal["roc_auc", "average_precision"]


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

    def value(self, metric: RankMetric, won: Floats, lost: Floats) -> float:
        """The metric for weights of the positives, ``won``, and of the negatives, ``lost``, in the order of this.

        ``roc_auc`` is P(a positive scores higher than a negative) + ½ P(the same) (Hanley and McNeil 1982).
        ``average_precision`` is the mean over the positives of the precision at their score, which is scikit-learn's
        Σ (Rₙ - Rₙ₋₁) Pₙ over the distinct scores. Both are NaN where one of the classes has no weight.
        """
        import numpy as np

        rivals = np.concatenate(([0.0], np.cumsum(lost)))
        total = float(won.sum())
        if not total * rivals[-1] > 0:
            return float("nan")
        if metric == "roc_auc":
            higher = (rivals[self.above] + rivals[self.not_below]) / 2
            return 1 - float(won @ higher) / (total * float(rivals[-1]))
        found = np.cumsum(won)[self.peers - 1]
        called = found + rivals[self.not_below]
        precision = np.divide(found, called, out=np.zeros_like(found), where=called > 0)
        return float(won @ precision) / total


def rank_metric(metric: RankMetric, y: Floats, score: Floats, *, weights: Floats | None = None) -> float:
    """A metric of order for scores without NaN; see :meth:`Ranking.value`."""
    import numpy as np

    ranking = Ranking.of(y, score)
    weight = np.ones(len(y)) if weights is None else weights
    return ranking.value(metric, weight[ranking.positives], weight[ranking.negatives])


def concordance(y: Floats, score: Floats, block: Floats, *, blocks: int) -> tuple[Floats, Floats, Floats]:
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
