"""Drift: is a feature's distribution further from the baseline than the baseline's partitions are from each other?"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from tradewind.core.drift_test import MIN_PARTITIONS, DriftTest, sample_baseline
from tradewind.core.profiles import ColumnProfile, merge_profiles

if TYPE_CHECKING:
    from tradewind.spec.policy import Drift

log = logging.getLogger(__name__)

IN_TRAINING = "reach into the champion's training"
"""Why nothing can be judged for as many partitions after a training as the horizon has."""


@dataclass(frozen=True, slots=True)
class FeatureDrift:
    """What one test found of the drift of one feature.

    :param test: name of the test
    :param statistic: of the test, against the merged baseline; None if it was not computed
    :param null_mean: what the statistic usually is, where the test knows it
    :param null_high: the largest usual value, at confidence 1 - fdr, for one feature alone
    :param p: probability of a statistic at least this large if nothing drifted
    :param q: ``p`` corrected over all features and tests of the judgement
    :param alarm: the outcome is ``drift``
    """

    feature: str
    test: str
    outcome: Literal["ok", "drift", "insufficient"]
    reason: str
    rows: int
    statistic: float | None = None
    null_mean: float | None = None
    null_high: float | None = None
    p: float | None = None
    q: float | None = None

    @property
    def alarm(self) -> bool:
        """Whether this is a drift that people are alerted to."""
        return self.outcome == "drift"


def judge_drift(
    baselines: Mapping[str, Sequence[ColumnProfile]],
    current: Mapping[str, ColumnProfile],
    *,
    tests: Sequence[DriftTest],
    policy: Drift,
    horizon: int = 1,
) -> tuple[FeatureDrift, ...]:
    """Judge every feature at once, by each of the tests that can compare profiles of its kind.

    An alarm needs both an effect, a statistic at or above the test's floor, and significance: ``p`` corrected over
    the features and tests (Benjamini and Hochberg 1995) at or below ``policy.fdr``. Below the minimum sample the
    outcome is ``insufficient``: ``policy.min_rows`` counts the rows of what is compared, over all partitions of the
    horizon.

    :param baselines: for each feature one profile a baseline partition, in order of time
    :param current: for each feature the profile to judge: of one partition, or merged over ``horizon`` partitions
    :param tests: what is applied
    :param policy: floor, false discovery rate and least number of rows
    :param horizon: number of partitions in ``current``
    """
    measured = [
        (test, measure_drift(name, baselines.get(name, ()), profile, test=test, policy=policy, horizon=horizon))
        for name, profile in current.items()
        for test in tests
        if profile.kind in test.kinds
    ]
    corrected = iter(benjamini_hochberg([found.p for _, found in measured if found.p is not None]))
    results = tuple(
        found if found.p is None else _decide(found, next(corrected), test, policy) for test, found in measured
    )
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
    feature: str,
    baseline: Sequence[ColumnProfile],
    current: ColumnProfile,
    *,
    test: DriftTest,
    policy: Drift,
    horizon: int = 1,
) -> FeatureDrift:
    """Statistic of one feature, what it is held against and its ``p``; not yet corrected, so without alarm."""
    if current.rows < policy.min_rows:
        where = f" in the {horizon} partitions" if horizon > 1 else ""
        reason = f"{current.rows} rows{where}, fewer than {policy.min_rows}"
        return FeatureDrift(feature, test.name, "insufficient", reason, current.rows)
    sample = sample_baseline(baseline, current, horizon=horizon, policy=policy)
    if (count := sample.independent) < MIN_PARTITIONS:
        parts = "baseline partitions" if sample.length == 1 else f"stretches of {sample.length} baseline partitions"
        reason = f"{count} {parts} with {policy.min_rows} rows, fewer than {MIN_PARTITIONS}"
        return FeatureDrift(feature, test.name, "insufficient", reason, current.rows)
    usable = sample.usable
    if len({profile.kind for profile in (*usable, current)}) > 1:
        reason = f"it was {usable[0].kind} and is {current.kind}: its type changed, so there is nothing to compare"
        return FeatureDrift(feature, test.name, "insufficient", reason, current.rows)
    statistic = test.statistic(merge_profiles(usable), current)
    found = test.judge_statistic(statistic, sample)
    return FeatureDrift(
        feature, test.name, "ok", "", current.rows,
        statistic=statistic, null_mean=found.null_mean, null_high=found.null_high, p=found.p,
    )  # fmt: skip


def benjamini_hochberg(p: Sequence[float]) -> list[float]:
    """Adjusted p-values, in the order given: min over ranks j ≥ i of p₍ⱼ₎·m/j (Benjamini and Hochberg 1995)."""
    order = sorted(range(len(p)), key=lambda i: p[i], reverse=True)
    adjusted, smallest = [1.0] * len(p), 1.0
    for position, index in enumerate(order):
        smallest = min(smallest, p[index] * len(p) / (len(p) - position))
        adjusted[index] = smallest
    return adjusted


def _decide(measured: FeatureDrift, q: float, test: DriftTest, policy: Drift) -> FeatureDrift:
    statistic, floor = measured.statistic or 0, test.floor(policy)
    effect, significant = statistic >= floor, q <= policy.fdr
    numbers = f"{test.words} {statistic:.3f}, floor {floor:g}; p corrected {q:.3g}, limit {policy.fdr:g}"
    outcome: Literal["ok", "drift"] = "drift" if effect and significant else "ok"
    return replace(measured, outcome=outcome, q=q, reason=numbers)
