"""Drift: is a feature's distribution further from the baseline than the baseline's partitions are from each other?"""

from __future__ import annotations

import logging
import math
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from tradewind.core.profiles import ColumnProfile, merge_profiles

if TYPE_CHECKING:
    from tradewind.spec.policy import Drift

log = logging.getLogger(__name__)

MIN_PARTITIONS = 3
"""With fewer baseline partitions their own variation is not known."""
IN_TRAINING = "reach into the champion's training"
"""Why nothing can be judged for as many partitions after a training as the horizon has."""
BINS = 10
TOP = 50
_OTHER, _NEW, _NULL, _NAN, _ABOVE, _BELOW = range(-6, 0)


@dataclass(frozen=True, slots=True)
class FeatureDrift:
    """What is known of the drift of one feature.

    :param psi: population stability index against the merged baseline; None if it was not computed
    :param null_mean: geometric mean of the baseline's own PSI
    :param null_high: upper end of its one-sided prediction interval, at confidence 1 - fdr, for one feature alone
    :param p: probability of a PSI at least this large if the current rows were one more baseline partition
    :param q: ``p`` corrected over all features of the judgement
    :param alarm: the outcome is ``drift``
    """

    feature: str
    outcome: Literal["ok", "drift", "insufficient"]
    reason: str
    rows: int
    psi: float | None = None
    null_mean: float | None = None
    null_high: float | None = None
    p: float | None = None
    q: float | None = None

    @property
    def alarm(self) -> bool:
        """Whether this is a drift that people are told of."""
        return self.outcome == "drift"


def judge_drift(
    baselines: Mapping[str, Sequence[ColumnProfile]],
    current: Mapping[str, ColumnProfile],
    *,
    policy: Drift,
    horizon: int = 1,
) -> tuple[FeatureDrift, ...]:
    """Judge every feature at once.

    An alarm needs both an effect, PSI at or above ``policy.floor``, and significance: ``p`` corrected over the features
    (Benjamini and Hochberg 1995) at or below ``policy.fdr``. Below the minimum sample the outcome is ``insufficient``:
    ``policy.min_rows`` counts the rows of what is compared, over all partitions of the horizon.

    :param baselines: for each feature one profile a baseline partition, in order of time
    :param current: for each feature the profile to judge: of one partition, or merged over ``horizon`` partitions
    :param policy: floor, false discovery rate and least number of rows
    :param horizon: number of partitions in ``current``
    """
    measured = [
        measure_drift(name, baselines.get(name, ()), profile, policy=policy, horizon=horizon)
        for name, profile in current.items()
    ]
    tested = [m for m in measured if m.p is not None]
    corrected = benjamini_hochberg([m.p for m in tested if m.p is not None])
    q_of = {m.feature: q for m, q in zip(tested, corrected, strict=True)}
    results = tuple(_decide(m, q_of[m.feature], policy) if m.feature in q_of else m for m in measured)
    for result in results:
        log.log(
            logging.WARNING if result.alarm else logging.DEBUG,
            "drift of %s over %d partition%s: %s, %s",
            result.feature,
            horizon,
            "" if horizon == 1 else "s",
            result.outcome,
            result.reason,
        )
    return results


def measure_drift(
    feature: str, baseline: Sequence[ColumnProfile], current: ColumnProfile, *, policy: Drift, horizon: int = 1
) -> FeatureDrift:
    """PSI of one feature, the null that it is held against and its ``p``; not yet corrected, so without alarm.

    The null is :func:`null_distribution`. Its logarithms are taken as normal, so that of one more value is Student's t:
    ``p = P(T > (log PSI - mean) / (sd √(1 + 1/n)))`` with n-1 degrees of freedom (prediction interval of one
    future observation, Hahn and Meeker 1991). A PSI below 1/n + 1/m, the noise of one cell, counts as that much.
    """
    if current.rows < policy.min_rows:
        where = f" in the {horizon} partitions" if horizon > 1 else ""
        reason = f"{current.rows} rows{where}, fewer than {policy.min_rows}"
        return FeatureDrift(feature, "insufficient", reason, current.rows)
    length, firsts = _stretches(baseline, horizon=horizon, min_rows=policy.min_rows)
    if (count := _apart(firsts, length)) < MIN_PARTITIONS:
        parts = "baseline partitions" if length == 1 else f"stretches of {length} baseline partitions"
        reason = f"{count} {parts} with {policy.min_rows} rows, fewer than {MIN_PARTITIONS}"
        return FeatureDrift(feature, "insufficient", reason, current.rows)
    usable = [baseline[place] for place in _covered(firsts, length)]
    if len({profile.kind for profile in (*usable, current)}) > 1:
        reason = f"it was {usable[0].kind} and is {current.kind}: its type changed, so there is nothing to compare"
        return FeatureDrift(feature, "insufficient", reason, current.rows)
    null, independent = null_distribution(baseline, horizon=horizon, min_rows=policy.min_rows)
    psi = compare_profiles(merge_profiles(usable), current)
    mean, high, p = _against(math.log(max(psi, _noise(usable, current))), null, independent, policy.fdr)
    return FeatureDrift(feature, "ok", "", current.rows, psi=psi, null_mean=mean, null_high=high, p=p)


def null_distribution(
    baseline: Sequence[ColumnProfile], *, horizon: int = 1, min_rows: int = 0
) -> tuple[list[float], int]:
    """The baseline's own variation: log PSI of each part of it against the rest, and how many of them are independent.

    With horizon 1 a part is one partition (leave one out). With horizon h it is each run of h neighbouring
    partitions; they overlap, so only those that do not count as independent, ⌊n/h⌋ where all are used. Where that is
    fewer than :data:`MIN_PARTITIONS`, single partitions are used: PSI is convex, so merged partitions are on average no
    further away than single ones and the null is too high, never too low.

    :param min_rows: parts with fewer rows are not used: what they differ by is mostly chance
    """
    length, firsts = _stretches(baseline, horizon=horizon, min_rows=min_rows)
    places = _covered(firsts, length)
    values = []
    for first in firsts:
        part = merge_profiles(baseline[first : first + length])
        rest = [baseline[place] for place in places if not first <= place < first + length]
        values.append(math.log(max(compare_profiles(merge_profiles(rest), part), _noise(rest, part))))
    return values, _apart(firsts, length)


def _stretches(baseline: Sequence[ColumnProfile], *, horizon: int, min_rows: int) -> tuple[int, list[int]]:
    """How many partitions a part of the null has, and where those that have enough rows begin."""
    length = horizon if len(baseline) // horizon >= MIN_PARTITIONS else 1
    rows = [profile.rows for profile in baseline]
    firsts = range(len(baseline) - length + 1)
    return length, [first for first in firsts if sum(rows[first : first + length]) >= min_rows]


def _covered(firsts: Sequence[int], length: int) -> list[int]:
    """The partitions that any of the parts has."""
    return sorted({place for first in firsts for place in range(first, first + length)})


def _apart(firsts: Sequence[int], length: int) -> int:
    """How many of the parts do not overlap."""
    count, free = 0, 0
    for first in firsts:
        if first >= free:
            count, free = count + 1, first + length
    return count


def compare_profiles(baseline: ColumnProfile, current: ColumnProfile) -> float:
    """PSI of two profiles of one kind in the bins that :func:`baseline_cells` makes of the baseline."""
    expected, actual = baseline_cells(baseline, current)
    return population_stability_index(expected, actual)


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


def benjamini_hochberg(p: Sequence[float]) -> list[float]:
    """Adjusted p-values, in the order given: min over ranks j ≥ i of p₍ⱼ₎·m/j (Benjamini and Hochberg 1995)."""
    order = sorted(range(len(p)), key=lambda i: p[i], reverse=True)
    adjusted, smallest = [1.0] * len(p), 1.0
    for position, index in enumerate(order):
        smallest = min(smallest, p[index] * len(p) / (len(p) - position))
        adjusted[index] = smallest
    return adjusted


def _against(value: float, null: Sequence[float], independent: int, fdr: float) -> tuple[float, float, float]:
    from scipy.special import stdtr, stdtrit

    mean = sum(null) / len(null)
    sd = math.sqrt(sum((v - mean) ** 2 for v in null) / (len(null) - 1))
    scale, freedom = sd * math.sqrt(1 + 1 / independent), independent - 1
    if scale < 1e-12:
        return math.exp(mean), math.exp(mean), 0.0 if value > mean + 1e-9 else 1.0
    high = math.exp(min(mean + float(stdtrit(freedom, 1 - fdr)) * scale, 700))
    return math.exp(mean), high, float(stdtr(freedom, -(value - mean) / scale))


def _noise(baseline: Sequence[ColumnProfile], current: ColumnProfile) -> float:
    return 1 / sum(profile.rows for profile in baseline) + 1 / current.rows


def _decide(measured: FeatureDrift, q: float, policy: Drift) -> FeatureDrift:
    effect, significant = (measured.psi or 0) >= policy.floor, q <= policy.fdr
    numbers = f"PSI {measured.psi:.3f}, floor {policy.floor:g}; p corrected {q:.3g}, limit {policy.fdr:g}"
    outcome: Literal["ok", "drift"] = "drift" if effect and significant else "ok"
    return replace(measured, outcome=outcome, q=q, reason=numbers)
