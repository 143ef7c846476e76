"""A drift test: how far apart two profiles are, whether that is unusual, and from where on it matters."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from tradewind.core.profiles import ColumnProfile, merge_profiles

if TYPE_CHECKING:
    from tradewind.spec.policy import Drift

MIN_PARTITIONS = 3
"""With fewer baseline partitions their own variation is not known."""

ProfileKind = Literal["numeric", "categorical"]


@dataclass(frozen=True, slots=True)
class DriftSample:
    """One feature as a drift test sees it: what is compared, and how the baseline is cut into parts.

    :param baseline: one profile a baseline partition, in order of time, also those that are too small to be compared
    :param current: the profile that is judged
    :param length: so many neighbouring partitions are one part of the baseline
    :param firsts: where the parts begin that have enough rows; parts may overlap
    :param fdr: the false discovery rate of the policy
    """

    baseline: Sequence[ColumnProfile]
    current: ColumnProfile
    length: int
    firsts: Sequence[int]
    fdr: float

    @property
    def covered(self) -> list[int]:
        """Places of the partitions that any of the parts has."""
        return sorted({place for first in self.firsts for place in range(first, first + self.length)})

    @property
    def usable(self) -> list[ColumnProfile]:
        """Profiles of the partitions that any of the parts has."""
        return [self.baseline[place] for place in self.covered]

    @property
    def independent(self) -> int:
        """How many of the parts do not overlap."""
        count, free = 0, 0
        for first in self.firsts:
            if first >= free:
                count, free = count + 1, first + self.length
        return count

    def parts(self) -> list[tuple[list[ColumnProfile], ColumnProfile]]:
        """Each part of the baseline: the partitions that are not in it, and its own merged profile."""
        places, found = self.covered, []
        for first in self.firsts:
            inside = range(first, first + self.length)
            rest = [self.baseline[place] for place in places if place not in inside]
            found.append((rest, merge_profiles(self.baseline[first : first + self.length])))
        return found


@dataclass(frozen=True, slots=True)
class Significance:
    """How unusual a statistic is if nothing drifted.

    :param p: probability of a statistic at least this large
    :param null_mean: what the statistic usually is; None where the test knows none
    :param null_high: the largest usual value, at confidence 1 - fdr, for one feature alone; None where it knows none
    """

    p: float
    null_mean: float | None = None
    null_high: float | None = None


@dataclass(frozen=True, slots=True)
class DriftTest:
    """One way to find drift; :mod:`tradewind.core.drift` applies it to every feature of the kinds that it needs.

    :param name: in the YAML (``monitor.drift.tests``) and in the tables
    :param words: what the statistic is called where people read it
    :param statistic: of the merged baseline and the current profile; at least 0, larger is further apart
    :param noise: a statistic below this is counted as this: what chance gives profiles of n and of m rows
    :param floor: smallest statistic that is worth an alarm
    :param kinds: kinds of profile that it can compare; a feature of another kind is not judged by it
    :param significance: how unusual the statistic is; None for :func:`partition_variation`
    :param code: raise it when the same profiles are judged otherwise: partitions are then judged again
    """

    name: str
    words: str
    statistic: Callable[[ColumnProfile, ColumnProfile], float]
    noise: Callable[[int, int], float]
    floor: Callable[[Drift], float]
    kinds: frozenset[ProfileKind] = frozenset({"numeric", "categorical"})
    significance: Callable[[DriftTest, float, DriftSample], Significance] | None = None
    code: str = "1"

    def judge_statistic(self, statistic: float, sample: DriftSample) -> Significance:
        """How unusual the statistic is for the sample."""
        return (self.significance or partition_variation)(self, statistic, sample)


def sample_baseline(
    baseline: Sequence[ColumnProfile], current: ColumnProfile, *, horizon: int = 1, policy: Drift
) -> DriftSample:
    """Cut the baseline into parts of as many partitions as ``current`` has.

    With horizon h a part is each run of h neighbouring partitions. They overlap, so only those that do not count as
    independent, ⌊n/h⌋ where all are used. Where that is fewer than :data:`MIN_PARTITIONS`, single partitions are used.
    Parts with fewer rows than ``policy.min_rows`` are not used: what they differ by is mostly chance.
    """
    length = horizon if len(baseline) // horizon >= MIN_PARTITIONS else 1
    rows = [profile.rows for profile in baseline]
    firsts = range(len(baseline) - length + 1)
    enough = [first for first in firsts if sum(rows[first : first + length]) >= policy.min_rows]
    return DriftSample(baseline, current, length, enough, policy.fdr)


def null_distribution(test: DriftTest, sample: DriftSample) -> list[float]:
    """The baseline's own variation: logarithm of the statistic of each part of it against the rest.

    With horizon 1 a part is one partition (leave one out). Single partitions in place of runs err on the safe side: a
    convex statistic such as PSI is on average no larger between merged partitions than between single ones, so the
    null is too high, never too low.
    """
    return [_log_statistic(test, rest, part) for rest, part in sample.parts()]


def partition_variation(test: DriftTest, statistic: float, sample: DriftSample) -> Significance:
    """Probability of the statistic if the current rows were one more baseline partition.

    The logarithms of :func:`null_distribution` are taken as normal, so that of one more value is Student's t:
    ``p = P(T > (log statistic - mean) / (sd √(1 + 1/n)))`` with n-1 degrees of freedom (prediction interval of one
    future observation, Hahn and Meeker 1991). A statistic below the test's noise counts as that much.
    """
    from scipy.special import stdtr, stdtrit

    null, independent = null_distribution(test, sample), sample.independent
    value = math.log(max(statistic, _noise(test, sample.usable, sample.current)))
    mean = sum(null) / len(null)
    sd = math.sqrt(sum((v - mean) ** 2 for v in null) / (len(null) - 1))
    scale, freedom = sd * math.sqrt(1 + 1 / independent), independent - 1
    if scale < 1e-12:
        return Significance(0.0 if value > mean + 1e-9 else 1.0, math.exp(mean), math.exp(mean))
    high = math.exp(min(mean + float(stdtrit(freedom, 1 - sample.fdr)) * scale, 700))
    return Significance(float(stdtr(freedom, -(value - mean) / scale)), math.exp(mean), high)


def _log_statistic(test: DriftTest, baseline: Sequence[ColumnProfile], part: ColumnProfile) -> float:
    return math.log(max(test.statistic(merge_profiles(baseline), part), _noise(test, baseline, part)))


def _noise(test: DriftTest, baseline: Sequence[ColumnProfile], current: ColumnProfile) -> float:
    return test.noise(sum(profile.rows for profile in baseline), current.rows)
