"""Drift tests as a kind: each by its own statistic, floor and null, corrected together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tradewind.core.drift import judge_drift
from tradewind.core.drift_psi import PSI
from tradewind.core.drift_test import DriftSample, DriftTest, Significance
from tradewind.core.drift_tests import drift_test_words, load_drift_tests
from tradewind.core.profiles import ColumnProfile, profile_numbers, profile_texts
from tradewind.errors import UsageError
from tradewind.spec.drift_tests import DRIFT_TESTS
from tradewind.spec.policy import Drift

POLICY = Drift()


def missing_share(baseline: ColumnProfile, current: ColumnProfile) -> float:
    return abs(current.null / current.rows - baseline.null / baseline.rows)


MISSING = DriftTest(
    "missing",
    words="missing share",
    statistic=missing_share,
    noise=lambda n, m: 1 / n + 1 / m,
    floor=lambda policy: 0.05,
)


def normal(seed: int, *, null: int = 0) -> ColumnProfile:
    return profile_numbers(np.random.default_rng(seed).normal(size=1000 - null), null=null)


BASELINE = [normal(seed) for seed in range(6)]


def test_every_listed_test_is_one_under_the_name_that_the_list_gives_it() -> None:
    assert [test.name for test in load_drift_tests(list(DRIFT_TESTS))] == list(DRIFT_TESTS)


def test_an_unknown_test_is_named_with_the_valid_ones() -> None:
    with pytest.raises(UsageError, match="unknown drift test `psy`; valid are psi"):
        load_drift_tests(["psy"])


def test_a_test_that_is_not_listed_any_more_is_called_by_its_name() -> None:
    assert (drift_test_words("psi"), drift_test_words("gone")) == ("PSI", "gone")


def test_each_test_judges_each_feature_and_says_so_in_its_own_words() -> None:
    found = judge_drift({"x": BASELINE}, {"x": normal(9, null=200)}, tests=(PSI, MISSING), policy=POLICY)
    assert [(one.test, one.reason.split(",")[0]) for one in found] == [
        ("psi", f"PSI {found[0].statistic:.3f}"),
        ("missing", "missing share 0.200"),
    ]
    assert found[1].alarm


def test_an_effect_below_the_floor_of_its_test_is_no_alarm() -> None:
    demanding = replace(MISSING, floor=lambda policy: 0.3)
    (found,) = judge_drift({"x": BASELINE}, {"x": normal(9, null=200)}, tests=(demanding,), policy=POLICY)
    assert (found.outcome, found.q) == ("ok", 0.0)


def test_a_feature_of_a_kind_that_a_test_cannot_compare_is_not_judged_by_it() -> None:
    numbers_only = replace(MISSING, kinds=frozenset({"numeric"}))
    texts = [profile_texts({"AA": 600, "UA": 400})] * 6
    found = judge_drift(
        {"x": BASELINE, "c": texts}, {"x": normal(9), "c": texts[0]}, tests=(numbers_only,), policy=POLICY
    )
    assert [one.feature for one in found] == ["x"]


def test_a_test_may_bring_its_own_significance() -> None:
    def certain(test: DriftTest, statistic: float, sample: DriftSample) -> Significance:
        return Significance(p=0.01)

    (found,) = judge_drift(
        {"x": BASELINE},
        {"x": normal(9, null=200)},
        tests=(replace(MISSING, significance=certain),),
        policy=POLICY,
    )
    assert (found.p, found.q, found.null_high, found.outcome) == (0.01, 0.01, None, "drift")


def test_p_is_corrected_over_features_and_tests_together() -> None:
    def p_of(p: float) -> DriftTest:
        return replace(MISSING, significance=lambda test, statistic, sample: Significance(p=p))

    found = judge_drift({"x": BASELINE}, {"x": normal(9, null=200)}, tests=(p_of(0.03), p_of(0.9)), policy=POLICY)
    assert [one.q for one in found] == pytest.approx([0.06, 0.9])
    assert not found[0].alarm
