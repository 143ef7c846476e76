"""How well a single feature tells the label by itself: one that tells nearly all may be the label in other words.

What is said of a group of rows (a category, a value of few) is learned on other rows than it is judged on, in five
folds. A text that is different in every row, like a key, tells each row its label in sample and nothing at all here.
What that cannot see: a label that is spelled into such a text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tradewind.metrics.metric_list import roc_auc

if TYPE_CHECKING:
    from tradewind.metrics.arrays import Floats
    from tradewind.metrics.metric import Task

ROWS = 50_000
"""Of more rows, so many are looked at, evenly spread."""
FEW = 100
"""A number with at most so many different values may be a code, which says nothing by its size."""
_FOLDS = 5


def leakage_score(values: Floats, y: Floats, task: Task, *, categorical: bool, classes: int = 0) -> float:
    """How well a feature tells the label, from 0 to 1; a missing value is a value of its own.

    - binary: ROC AUC of the number in either direction, or of the share of 1 in the rows of the same value
    - multiclass: share of rows whose class is the most frequent one among the rows of the same value (of numbers with
      many values: of the same hundredth of the rows); 0 if that halves not even the errors of the majority class
    - regression: squared correlation with the number, or with its rank (Spearman), or with the mean of the same value

    :param values: numbers, NaN where there is none; or numbers of categories, -1 where there is none; shape (rows,)
    :param y: labels: 0 or 1; the number of the class; or the value itself; shape (rows,)
    :param classes: how many classes there are
    """
    step = -(-len(y) // ROWS)
    values, y = values[::step], y[::step]
    if task == "multiclass":
        return _right(_groups(values, categorical=categorical, most=None), y, classes)
    groups = _groups(values, categorical=categorical, most=FEW)
    found = [0.0] if groups is None else [_by_group(groups, y, task)]
    if not categorical:
        found.append(_auc(values, y) if task == "binary" else _correlation(values, y))
    return max(found)


def _groups(values: Floats, *, categorical: bool, most: int | None) -> Floats | None:
    """Number of each row's group, 0…; None if the groups say nothing, being too many.

    :param most: a number with more values has no groups; None: it is cut into hundredths
    """
    import numpy as np

    names, groups = np.unique(values, return_inverse=True)  # NaN are one value
    if not categorical and len(names) > FEW:
        if most is not None:
            return None
        finite = values[np.isfinite(values)]
        edges = np.unique(np.quantile(finite, np.linspace(0, 1, FEW + 1)[1:-1])) if len(finite) else np.array([0.0])
        cut: Floats = np.where(np.isnan(values), len(edges) + 1, np.searchsorted(edges, values, side="right"))
        return cut
    return groups if 2 * len(names) <= len(values) else None


def _by_group(groups: Floats, y: Floats, task: Task) -> float:
    """How well the mean of the other folds' rows of the same group tells the label."""
    import numpy as np

    count, fold = int(groups.max()) + 1, _folds(len(y))
    cell = fold * count + groups
    sums = np.bincount(cell, weights=y, minlength=_FOLDS * count).reshape(_FOLDS, count)
    rows = np.bincount(cell, minlength=_FOLDS * count).reshape(_FOLDS, count)
    others, known = sums.sum(axis=0) - sums, rows.sum(axis=0) - rows
    means = np.where(known > 0, others / np.maximum(known, 1), y.mean())
    score = means[fold, groups]
    if task == "binary":
        area = roc_auc(y, score)  # not in either direction: which one is good, the other folds say
        return area if np.isfinite(area) else 0.0
    return _squared(score, y)


def _folds(rows: int) -> Floats:
    """Fold of each row, always the same for so many rows; at random, since rows may have a rhythm of their own."""
    import numpy as np

    folds: Floats = np.random.default_rng(0).permutation(rows) % _FOLDS
    return folds


def _auc(values: Floats, y: Floats) -> float:
    import numpy as np

    missing = np.isnan(values)
    ends = (-np.inf, np.inf) if missing.any() else (0.0,)
    areas = [roc_auc(y, np.where(missing, end, values)) for end in ends]
    return max((max(area, 1 - area) for area in areas if np.isfinite(area)), default=0.0)


def _correlation(values: Floats, y: Floats) -> float:
    import numpy as np

    known = np.isfinite(values)
    if not known.any():
        return 0.0
    filled = np.where(known, values, values[known].mean())
    ranks, of = np.unique(filled, return_inverse=True)[1], np.unique(y, return_inverse=True)[1]
    return max(_squared(filled, y), _squared(_mean_ranks(ranks), _mean_ranks(of)))


def _mean_ranks(places: Floats) -> Floats:
    """Ranks with ties, from the place of each row's value among the different values."""
    import numpy as np

    counts = np.bincount(places)
    ranks: Floats = (np.cumsum(counts) - (counts - 1) / 2)[places]
    return ranks


def _squared(a: Floats, b: Floats) -> float:
    import numpy as np

    a, b = a - a.mean(), b - b.mean()
    spread = float((a @ a) * (b @ b))
    return float((a @ b) ** 2 / spread) if spread > 0 and np.isfinite(spread) else 0.0


def _right(groups: Floats | None, y: Floats, classes: int) -> float:
    """Share of rows whose class is the other folds' most frequent one of their group."""
    import numpy as np

    if groups is None:
        return 0.0
    fold, count = _folds(len(y)), int(groups.max()) + 1
    common = np.bincount(y, minlength=classes)
    right = 0
    for number in range(_FOLDS):
        mine = fold == number
        pairs, rows = np.unique(groups[~mine] * classes + y[~mine], return_counts=True)
        best = np.full(count, int(common.argmax()))
        order = np.argsort(rows, kind="stable")  # the most frequent class of a group is written last
        best[(pairs // classes)[order]] = (pairs % classes)[order]
        right += int((best[groups[mine]] == y[mine]).sum())
    share, majority = right / len(y), float(common.max()) / len(y)
    return share if 1 - share <= (1 - majority) / 2 else 0.0
