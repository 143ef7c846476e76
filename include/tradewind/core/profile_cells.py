"""Cells of a baseline: the bins of two profiles brought together, so that their counts can be compared."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tradewind.core.profiles import ColumnProfile

BINS = 10
TOP = 50
_OTHER, _NEW, _NULL, _NAN, _ABOVE, _BELOW = range(-6, 0)


def baseline_cells(baseline: ColumnProfile, current: ColumnProfile) -> tuple[list[float], list[float]]:
    """Counts of both profiles in the baseline's cells.

    Numeric: deciles of the baseline cut between bins, with open ends; a bin with a tenth of the rows or more is a
    cell of its own, and so is every bin when there are no more than ten. Categorical: the 50 most frequent values,
    the rest together. In both, NULL, NaN, ±∞, OTHER and NEW (never seen in the baseline) have cells of their own.
    """
    place = _deciles(baseline) if baseline.kind == "numeric" and len(baseline.counts) > BINS else _values(baseline)
    columns: tuple[dict[int, float], dict[int, float]] = ({}, {})
    for column, profile in zip(columns, (baseline, current), strict=True):
        for key, count in profile.counts.items():
            cell = place(key)
            column[cell] = column.get(cell, 0) + count
        column[_OTHER] = column.get(_OTHER, 0) + profile.other
        column.update({_NULL: profile.null, _NAN: profile.nan, _ABOVE: profile.above, _BELOW: profile.below})
    names = sorted(columns[0].keys() | columns[1].keys())
    return [columns[0].get(name, 0) for name in names], [columns[1].get(name, 0) for name in names]


def _deciles(baseline: ColumnProfile) -> Callable[[int | str], int]:
    """Cell of a bin: the position of the first cut at or above it."""
    bins = sorted(key for key in baseline.counts if isinstance(key, int))
    total, passed = sum(baseline.counts.values()), 0
    cuts: list[int] = []
    for previous, bin_ in zip([None, *bins], bins[:-1], strict=False):
        count = baseline.counts[bin_]
        if count * BINS >= total and previous is not None and cuts[-1:] != [previous]:
            cuts.append(previous)
        before, passed = passed, passed + count
        if passed * BINS // total > before * BINS // total:
            cuts.append(bin_)
    return lambda key: bisect_left(cuts, int(key))


def _values(baseline: ColumnProfile) -> Callable[[int | str], int]:
    """Cell of a value: its rank; OTHER when it is rare in the baseline, NEW when it is unknown there."""
    ranked = sorted(baseline.counts, key=lambda key: (-baseline.counts[key], str(key)))
    ranks = {key: rank if rank < TOP else _OTHER for rank, key in enumerate(ranked)}
    # With values already lumped together, one that is not listed may be old: it goes where it would have been.
    unknown = _OTHER if baseline.other else _NEW
    return lambda key: ranks.get(key, unknown)
