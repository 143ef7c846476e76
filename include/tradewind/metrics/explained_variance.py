"""The coefficient of determination."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from tradewind.metrics.additive_metric import AdditiveMetric
from tradewind.metrics.metric import NUMBERS

if TYPE_CHECKING:
    from tradewind.metrics.additive_metric import Parts
    from tradewind.metrics.arrays import Floats


def _variance_parts(y: Floats, score: Floats) -> Parts:
    import numpy as np

    one, first = np.ones(len(y)), np.zeros(len(y), dtype=np.int64)
    # Any centre gives the same r2. The median is exactly the value where all are the same, which a mean is not.
    centred = y - np.median(y)
    return [(first, (y - score) ** 2), (first, centred), (first, centred**2), (first, one)], 1


def _explained_share(sums: Floats) -> Floats:
    import numpy as np

    residual, centred, squared, rows = (sums[..., part, 0] for part in range(4))
    total = squared - centred**2 / rows
    # Below this the difference is rounding: the labels are all the same, and nothing can be explained.
    return np.where(total > 1e-12 * squared, 1 - residual / total, np.nan)


R2 = AdditiveMetric("r2", NUMBERS, True, -math.inf, 1.0, parts=_variance_parts, formula=_explained_share)
"""NaN where all labels are the same."""
