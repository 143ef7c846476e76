"""Calibration: whether a probability of 0.3 comes true in three of ten cases."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tradewind.metrics.additive_metric import AdditiveMetric
from tradewind.metrics.metric import CLASSES

if TYPE_CHECKING:
    from tradewind.metrics.additive_metric import Parts
    from tradewind.metrics.arrays import Floats

BINS = 10
"""Bins of equal width that the expected calibration error is computed with, and that the picture of it shows."""


def claimed_probabilities(y: Floats, score: Floats) -> tuple[Floats, Floats]:
    """What a model claims of each row, and whether it came true.

    Of two classes the claim is the probability of 1 (Naeini, Cooper and Hauskrecht 2015); of many it is the largest
    probability, for the class that has it (Guo et al. 2017). An unknown class, -1, never comes true.

    :param y: labels 0 or 1, or numbers of classes, shape (rows,)
    :param score: probability of 1, shape (rows,), or of each class, shape (rows, classes)
    :return: the probabilities, and 1 where they came true, else 0; float64, shape (rows,) each
    """
    import numpy as np

    if score.ndim == 1:
        return score, np.asarray(y, dtype=np.float64)
    return score.max(axis=1), (score.argmax(axis=1) == y).astype(np.float64)


def calibration_bin(probability: Floats, *, bins: int = BINS) -> Floats:
    """The number of each probability's bin: 0 for [0, 1/bins], i for (i/bins, (i+1)/bins]; int64, shape (rows,).

    The edges are scikit-learn's (``calibration_curve``), to the last bit.
    """
    import numpy as np

    edges = np.linspace(0, 1, bins + 1)[1:-1]
    numbers: Floats = np.searchsorted(edges, probability, side="left")
    return numbers


def _claim_parts(y: Floats, score: Floats) -> Parts:
    """Rows, claims and what came true, by bin."""
    import numpy as np

    claimed, true = claimed_probabilities(y, score)
    cell = calibration_bin(claimed)
    return [(cell, np.ones(len(y))), (cell, claimed), (cell, true)], BINS


def _claim_error(sums: Floats) -> Floats:
    """Σ over bins of share of rows × |mean claim - share that came true|."""
    import numpy as np

    rows, claimed, true = (sums[..., part, :] for part in range(3))
    error: Floats = np.abs(claimed - true).sum(axis=-1) / rows.sum(axis=-1)
    return error


ECE = AdditiveMetric("ece", CLASSES, False, 0.0, 1.0, parts=_claim_parts, formula=_claim_error)
"""Expected calibration error over :data:`BINS` bins."""
