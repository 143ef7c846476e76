"""Fairness: how differently a model treats groups of rows, by fairlearn's definitions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from tradewind.metrics.arrays import Floats

Fairness = Literal["demographic_parity_difference", "equal_opportunity_difference", "disparate_impact_ratio"]


def fairness_gap(measure: Fairness, y: Floats, score: Floats, group: Floats, *, threshold: float = 0.5) -> float:
    """How far apart groups are.

    - ``demographic_parity_difference``: largest minus smallest share of rows that are predicted positive
    - ``disparate_impact_ratio``: smallest by largest such share (fairlearn's ``demographic_parity_ratio``)
    - ``equal_opportunity_difference``: largest minus smallest true positive rate (Hardt, Price and Srebro 2016)

    :param y: labels 0 or 1, shape (rows,)
    :param score: probability of 1, shape (rows,)
    :param group: number of each row's group, 0…groups-1, shape (rows,)
    :param threshold: a probability above this is predicted positive
    :return: NaN where a group has no rows, or no positive where true positive rates are compared, where no row is
        predicted positive and a ratio is asked for, or where a prediction is missing
    :raises ValueError: arrays of different length, or a label that is neither 0 nor 1
    """
    import numpy as np

    if not len(y) or np.isnan(np.asarray(score, dtype=np.float64)).any():
        return float("nan")
    return float(fairness_from_sums(measure, fairness_sums_by_block(y, score, group, threshold=threshold))[0])


def fairness_sums_by_block(
    y: Floats, score: Floats, group: Floats, *,
    threshold: float, groups: int | None = None, block: Floats | None = None, blocks: int = 1,
) -> Floats:  # fmt: skip
    """What ``value`` makes a measure of: rows, predicted, positives and found positives of each group, by block.

    :param block: number of each row's block, 0…blocks-1, shape (rows,); one block if None
    :return: float64, shape (blocks, 4, groups)
    """
    import numpy as np

    y, score, group = np.asarray(y), np.asarray(score, dtype=np.float64), np.asarray(group)
    if not y.shape == score.shape == group.shape or y.ndim != 1:
        raise ValueError(f"labels {y.shape}, scores {score.shape} and groups {group.shape} must be rows of one length")
    if not np.isin(y, (0, 1)).all():
        raise ValueError("labels must be 0 or 1; leave rows without a label out before")
    groups = int(group.max()) + 1 if groups is None else groups
    block = np.zeros(len(y), dtype=np.int64) if block is None else block
    positive, selected = y == 1, score > threshold
    cell, size = block * groups + group, blocks * groups
    parts = [np.ones(len(y)), selected, positive, positive & selected]
    tables = [np.bincount(cell, weights=part, minlength=size).reshape(blocks, groups) for part in parts]
    return np.stack(tables, axis=1)


def fairness_from_sums(measure: Fairness, sums: Floats) -> Floats:
    """The measure, shape (…), from sums like those of ``by_block``, shape (…, 4, groups); NaN where there is none."""
    import numpy as np

    share = group_rates(measure, sums)
    low, high = share.min(axis=-1), share.max(axis=-1)
    if measure != "disparate_impact_ratio":
        found: Floats = high - low
        return found
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(high > 0, low / high, np.nan)


def group_rates(measure: Fairness, sums: Floats) -> Floats:
    """The rate of each group that the measure compares, shape (…, groups); NaN where a group has nothing to count."""
    import numpy as np

    rows, selected, positives, found = (sums[..., part, :] for part in range(4))
    above, below = (found, positives) if measure == "equal_opportunity_difference" else (selected, rows)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(below > 0, above / below, np.nan)
