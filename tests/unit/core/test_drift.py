from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tradewind.core import drift, drift_test, profiles
from tradewind.core.drift_psi import PSI, population_stability_index
from tradewind.core.profile_cells import TOP, baseline_cells
from tradewind.core.profiles import ColumnProfile, profile_numbers, profile_texts
from tradewind.spec.policy import Drift

POLICY = Drift()


def normal(seed: int, *, rows: int = 1000, mean: float = 0.0) -> ColumnProfile:
    return profile_numbers(np.random.default_rng(seed).normal(mean, size=rows))


def moving(rng: np.random.Generator, *, rows: int = 600, spread: float = 0.15) -> ColumnProfile:
    """A partition whose own mean moves about: rows of a partition are alike."""
    return profile_numbers(rng.normal(rng.normal(0, spread), size=rows))


def one(
    baseline: list[ColumnProfile], current: ColumnProfile, *, policy: Drift = POLICY, horizon: int = 1
) -> drift.FeatureDrift:
    return drift.judge_drift({"x": baseline}, {"x": current}, tests=(PSI,), policy=policy, horizon=horizon)[0]


def test_psi_of_a_published_example() -> None:
    assert population_stability_index([0.5, 0.5], [0.6, 0.4], smoothing=0) == pytest.approx(0.0405465, abs=1e-7)


def test_smoothing_vanishes_with_many_rows() -> None:
    assert population_stability_index([5e8, 5e8], [6e8, 4e8]) == pytest.approx(0.0405465, abs=1e-6)


def test_an_empty_cell_leaves_psi_finite_and_large() -> None:
    assert 1 < population_stability_index([500, 500, 0], [250, 250, 500]) < 10


def test_cells_that_are_empty_in_both_do_not_count() -> None:
    assert population_stability_index([8000, 0, 8000], [500, 0, 500]) == pytest.approx(0, abs=1e-9)


@given(st.lists(st.tuples(st.integers(0, 500), st.integers(0, 500)), min_size=2, max_size=12))
def test_psi_is_not_negative_and_symmetric(table: list[tuple[int, int]]) -> None:
    expected, actual = [e for e, _ in table], [a for _, a in table]
    assert population_stability_index(expected, actual) >= -1e-12
    assert population_stability_index(expected, actual) == pytest.approx(population_stability_index(actual, expected))


def test_psi_without_drift_follows_its_chi_square_law() -> None:
    """PSI ≈ (1/n + 1/m) χ²(B - 1), so its mean over 300 draws is near (1/n + 1/m)(B - 1)."""
    rng = np.random.default_rng(1)
    n, m, cells = 8000, 1000, 10
    values = [
        population_stability_index(rng.multinomial(n, np.full(cells, 0.1)), rng.multinomial(m, np.full(cells, 0.1)))
        for _ in range(300)
    ]
    assert np.mean(values) == pytest.approx((1 / n + 1 / m) * (cells - 1), rel=0.1)


@given(st.lists(st.floats(0, 1), max_size=30))
def test_correction_agrees_with_scipy(p: list[float]) -> None:
    expected = stats.false_discovery_control(p).tolist() if p else []
    assert drift.benjamini_hochberg(p) == pytest.approx(expected)


def test_cells_are_the_deciles_of_the_baseline() -> None:
    baseline = profile_numbers(np.random.default_rng(0).normal(size=20_000))
    expected, _ = baseline_cells(baseline, baseline)
    filled = [count for count in expected if count]
    assert len(filled) == 10
    assert max(filled) - min(filled) < 400


def test_a_heavily_tied_value_is_a_cell_of_its_own() -> None:
    rng = np.random.default_rng(0)
    zeros, rest = np.zeros(4000), rng.exponential(30, 6000)
    expected, _ = baseline_cells(profile_numbers(np.concatenate([zeros, rest])), profile_numbers(rest))
    assert 4000 in expected


def test_few_distinct_numbers_are_cells_of_their_own_and_others_are_new() -> None:
    baseline, current = profile_numbers(np.repeat([0.0, 10.0], 500)), profile_numbers(np.repeat([0.0, 5.0], 500))
    expected, actual = baseline_cells(baseline, current)
    assert sorted(zip(expected, actual, strict=True)) == [(0, 0)] * 5 + [(0, 500), (500, 0), (500, 500)]


def test_a_changed_constant_drifts() -> None:
    assert one([profile_numbers(np.zeros(1000))] * 6, profile_numbers(np.ones(1000))).alarm


def test_an_unchanged_constant_does_not_drift() -> None:
    assert one([profile_numbers(np.zeros(1000))] * 6, profile_numbers(np.zeros(1000))).outcome == "ok"


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_no_numbers_drift(bad: float) -> None:
    values = np.random.default_rng(9).normal(size=1000)
    values[::3] = bad
    assert one([normal(s) for s in range(6)], profile_numbers(values)).alarm


def test_new_nulls_drift() -> None:
    assert one(
        [normal(s) for s in range(6)], profile_numbers(np.random.default_rng(9).normal(size=400), null=600)
    ).alarm


def test_one_outlier_does_not_hide_a_shift() -> None:
    values = np.append(np.random.default_rng(9).normal(0.5, size=1000), 1e12)
    with_outlier, without = (
        one([normal(s) for s in range(6)], profile_numbers(values)),
        one([normal(s) for s in range(6)], profile_numbers(values[:-1])),
    )
    assert with_outlier.statistic == pytest.approx(without.statistic, rel=0.05)


def test_a_value_never_seen_before_is_a_cell_of_its_own() -> None:
    baseline, current = profile_texts({"AA": 500, "UA": 500}), profile_texts({"AA": 500, "ZZ": 500})
    expected, actual = baseline_cells(baseline, current)
    assert (0, 500) in zip(expected, actual, strict=True)


def test_rare_values_share_a_cell() -> None:
    baseline = profile_texts({f"v{i:03}": 1000 - i for i in range(TOP + 30)})
    expected, _ = baseline_cells(baseline, baseline)
    assert sum(count > 0 for count in expected) == TOP + 1


def test_where_values_are_lumped_together_an_unlisted_one_is_not_called_new() -> None:
    lumped = profile_texts({f"v{i:05}": 1 for i in range(profiles.MAX_CATEGORIES + 5)})
    expected, actual = baseline_cells(lumped, profile_texts({"unlisted": 5}))
    assert (profiles.MAX_CATEGORIES - TOP + 5, 5) in zip(expected, actual, strict=True)


def test_too_few_rows_are_insufficient_and_never_ok() -> None:
    result = one([normal(s) for s in range(6)], normal(9, rows=499))
    assert (result.outcome, result.reason, result.statistic) == ("insufficient", "499 rows, fewer than 500", None)


def test_too_few_baseline_partitions_are_insufficient() -> None:
    assert one([normal(1), normal(2)], normal(9)).outcome == "insufficient"


def test_a_feature_without_baseline_is_insufficient() -> None:
    (result,) = drift.judge_drift({}, {"x": normal(1)}, tests=(PSI,), policy=POLICY)
    assert (result.outcome, result.reason) == ("insufficient", "0 baseline partitions with 500 rows, fewer than 3")


def test_a_changed_type_is_insufficient_and_says_so() -> None:
    result = one([normal(s) for s in range(6)], profile_texts({"a": 1000}))
    assert result.outcome == "insufficient"
    assert "its type changed" in result.reason


def test_a_large_effect_within_the_baselines_own_variation_is_no_alarm() -> None:
    rng = np.random.default_rng(4)
    baseline = [moving(rng, spread=0.8) for _ in range(8)]
    result = one(baseline, normal(9, mean=0.6))
    assert (result.statistic or 0) > POLICY.floor
    assert result.outcome == "ok"


def test_a_significant_but_tiny_effect_is_no_alarm() -> None:
    baseline = [normal(s, rows=50_000) for s in range(8)]
    result = one(baseline, normal(99, rows=50_000, mean=0.1))
    assert (1 if result.q is None else result.q) < POLICY.fdr
    assert result.outcome == "ok"


def test_one_destroyed_column_of_twenty_is_found() -> None:
    rng = np.random.default_rng(2)
    baselines = {f"x{i}": [moving(rng) for _ in range(6)] for i in range(20)}
    current = {name: moving(rng) for name in baselines} | {"x7": profile_numbers(np.zeros(1000))}
    assert [r.feature for r in drift.judge_drift(baselines, current, tests=(PSI,), policy=POLICY) if r.alarm] == ["x7"]


@pytest.mark.parametrize("partitions", [6, 8])
def test_p_is_about_uniform_when_partitions_vary_but_nothing_drifts(partitions: int) -> None:
    """300 features whose partitions each have their own mean; the current partition is one more of them."""
    rng = np.random.default_rng(3)
    p = [
        drift.measure_drift("x", [moving(rng) for _ in range(partitions)], moving(rng), test=PSI, policy=POLICY).p or 0
        for _ in range(300)
    ]
    assert 0.02 < np.mean(np.array(p) < 0.05) < 0.1
    assert 0.06 < np.mean(np.array(p) < 0.1) < 0.16


def test_psi_alone_would_alarm_where_the_null_does_not() -> None:
    """Why a null: partitions that vary a lot are further apart than any fixed limit, week after week."""
    rng = np.random.default_rng(3)
    results = [one([moving(rng, spread=0.6) for _ in range(8)], moving(rng, spread=0.6)) for _ in range(200)]
    assert np.mean([(r.statistic or 0) > 0.2 for r in results]) > 0.5
    assert np.mean([r.alarm for r in results]) < 0.1


def test_shuffled_partitions_give_no_alarm() -> None:
    """20 calendars in which every row is drawn from one distribution, 13 features each."""
    rng = np.random.default_rng(11)
    alarms = 0
    for _ in range(20):
        baselines = {f"x{i}": [profile_numbers(rng.normal(size=1000)) for _ in range(6)] for i in range(13)}
        alarms += sum(
            r.alarm
            for r in drift.judge_drift(
                baselines, {n: profile_numbers(rng.normal(size=1000)) for n in baselines}, tests=(PSI,), policy=POLICY
            )
        )
    assert alarms == 0


def test_alarms_on_varying_partitions_stay_within_the_false_discovery_rate() -> None:
    rng = np.random.default_rng(12)
    judgements = 0
    for _ in range(30):
        baselines = {f"x{i}": [moving(rng, spread=0.5) for _ in range(6)] for i in range(13)}
        current = {name: moving(rng, spread=0.5) for name in baselines}
        judgements += any(r.alarm for r in drift.judge_drift(baselines, current, tests=(PSI,), policy=POLICY))
    assert judgements / 30 <= 0.12


@pytest.mark.parametrize(("partitions", "independent", "parts"), [(6, 6, 6), (12, 3, 9), (13, 3, 10)])
def test_a_horizon_compares_runs_of_partitions_when_there_are_enough(
    partitions: int, independent: int, parts: int
) -> None:
    baseline = [normal(s) for s in range(partitions)]
    sample = drift_test.sample_baseline(baseline, normal(99), horizon=4, policy=POLICY)
    null = drift_test.null_distribution(PSI, sample)
    assert (len(null), sample.independent) == (parts, independent)


def test_the_least_number_of_rows_is_that_of_the_horizon_and_not_of_one_partition() -> None:
    days = [normal(seed, rows=100) for seed in range(21)]
    week = profiles.merge_profiles([normal(seed, rows=100) for seed in range(30, 37)])
    changed = profiles.merge_profiles([normal(seed, rows=100, mean=2) for seed in range(30, 37)])
    assert one(days, week, horizon=7).outcome == "ok"
    assert one(days, changed, horizon=7).outcome == "drift"
    assert one(days, normal(30, rows=100)).reason == "100 rows, fewer than 500"
    few = profiles.merge_profiles([normal(seed, rows=60) for seed in range(7)])
    assert one(days, few, horizon=7).reason == "420 rows in the 7 partitions, fewer than 500"


def test_stretches_of_the_baseline_that_are_too_small_do_not_count() -> None:
    small = [normal(seed, rows=10) for seed in range(14)]
    days = [normal(seed, rows=100) for seed in range(7)]
    week = profiles.merge_profiles([normal(seed, rows=100) for seed in range(30, 37)])
    assert one([*days, *small], week, horizon=7).reason == (
        "1 stretches of 7 baseline partitions with 500 rows, fewer than 3"
    )
    assert one(days, week, horizon=7).reason == "0 baseline partitions with 500 rows, fewer than 3"


def test_the_log_says_over_how_many_partitions(caplog: pytest.LogCaptureFixture) -> None:
    one([normal(seed) for seed in range(6)], normal(9, mean=3))
    one([normal(seed) for seed in range(6)], normal(9, mean=3), horizon=2)
    said = [record.getMessage().split(":")[0] for record in caplog.records if record.levelname == "WARNING"]
    assert said == ["drift of x over 1 partition", "drift of x over 2 partitions"]


def test_a_horizon_of_merged_partitions_is_not_more_alarming_without_drift() -> None:
    rng = np.random.default_rng(13)
    p = []
    for _ in range(150):
        current = profiles.merge_profiles([moving(rng) for _ in range(4)])
        p.append(
            drift.measure_drift("x", [moving(rng) for _ in range(6)], current, test=PSI, policy=POLICY, horizon=4).p
            or 0
        )
    assert np.mean(np.array(p) < 0.05) <= 0.05


def test_the_order_of_baseline_partitions_does_not_matter() -> None:
    baseline = [normal(s) for s in range(6)]
    straight, turned = one(baseline, normal(9)), one(baseline[::-1], normal(9))
    assert straight.p == pytest.approx(turned.p)
