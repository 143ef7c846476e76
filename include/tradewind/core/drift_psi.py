"""The population stability index (PSI) as a drift test: for columns of any kind, in the cells of the baseline."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tradewind.core.drift_test import DriftTest
from tradewind.core.profile_cells import baseline_cells

if TYPE_CHECKING:
    from tradewind.core.profiles import ColumnProfile


def population_stability_index(expected: Sequence[float], actual: Sequence[float], *, smoothing: float = 0.5) -> float:
    """Population stability index: Σ (a - e) ln(a / e) over the shares of each cell (Siddiqi 2006; Jeffreys divergence).

    :param expected: counts of each cell in the baseline
    :param actual: counts of each cell now; the same cells
    :param smoothing: added to every cell of both, so that an empty one does not make it infinite; cells that are
        empty in both are left out
    """
    used = [(e + smoothing, a + smoothing) for e, a in zip(expected, actual, strict=True) if e or a]
    total_e, total_a = sum(e for e, _ in used), sum(a for _, a in used)
    return sum((a / total_a - e / total_e) * math.log((a / total_a) / (e / total_e)) for e, a in used)


def profile_stability_index(baseline: ColumnProfile, current: ColumnProfile) -> float:
    """PSI of two profiles of one kind, in the cells that :func:`baseline_cells` makes of the baseline."""
    return population_stability_index(*baseline_cells(baseline, current))


def one_cell_noise(baseline_rows: int, current_rows: int) -> float:
    """PSI that chance alone gives one cell: 1/n + 1/m."""
    return 1 / baseline_rows + 1 / current_rows


PSI = DriftTest(
    "psi",
    words="PSI",
    statistic=profile_stability_index,
    noise=one_cell_noise,
    floor=lambda policy: policy.floor,
)
