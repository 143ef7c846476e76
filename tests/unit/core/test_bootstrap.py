from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tradewind.core import bootstrap
from tradewind.metrics.mean_losses import BRIER
from tradewind.metrics.metric_list import METRICS, compute_metric, roc_auc, task_metrics
from tradewind.metrics.ranking import ROC_AUC, Ranking, RankMetric, ResampledRanking, concordant_pairs, rank_metric

Rows = tuple[np.ndarray, np.ndarray]


def blocked(seed: int, *, blocks: int = 14, size: int = 60) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Rows whose noise is shared within a block: labels, two scores, block."""
    rng = np.random.default_rng(seed)
    block = np.repeat(np.arange(blocks), size)
    skill = rng.normal(1.0, 0.6, blocks)[block]
    y = (rng.random(len(block)) < 0.35).astype(int)
    score = skill * y + rng.normal(size=len(block))
    return y, 1 / (1 + np.exp(-score)), rng.random(len(block)), block


def made(task: str, seed: int, *, n: int = 40) -> Rows:
    """Labels and tied predictions of a task."""
    rng = np.random.default_rng(seed)
    if task == "regression":
        return rng.normal(size=n), rng.integers(-3, 3, n) / 2
    if task == "binary":
        return rng.integers(0, 2, n), rng.integers(0, 6, n) / 5
    shares = rng.integers(1, 5, (n, 3))
    return rng.integers(-1, 3, n), shares / shares.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
@settings(max_examples=30)
@given(st.integers(0, 10_000), st.integers(2, 6))
def test_a_resample_has_the_metric_of_the_drawn_rows(task: str, seed: int, count: int) -> None:
    """The naive loop: repeat the rows of each block as often as it was drawn, and compute."""
    y, score = made(task, seed)
    rng = np.random.default_rng(seed)
    block = np.concatenate([np.arange(count), rng.integers(0, count, len(y) - count)])
    draws = rng.multinomial(count, np.full(count, 1 / count), size=4).astype(float)
    drawn = [np.repeat(np.arange(len(y)), times[block].astype(int)) for times in draws]
    for metric in task_metrics(task):
        found = METRICS[metric].resample(y, score, block=block, blocks=count)(draws)
        expected = [compute_metric(metric, y[taken], score[taken]) for taken in drawn]
        assert found == pytest.approx(expected, nan_ok=True, abs=1e-9), metric


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.sampled_from([2, 9, 10, 40]))
def test_both_ways_to_an_auc_agree_and_a_block_may_be_without_rows(seed: int, count: int) -> None:
    y, score = made("binary", seed)
    block = np.random.default_rng(seed).integers(0, count, len(y))
    draws = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=37).astype(float)
    matrix, positives, negatives = concordant_pairs(y, score, block, blocks=count)
    by_pairs = [
        times @ matrix @ times / area if (area := (times @ positives) * (times @ negatives)) else math.nan
        for times in draws
    ]
    by_ranks = ResampledRanking("roc_auc", Ranking.of(y, score), block=block)(draws)
    assert by_ranks == pytest.approx(by_pairs, nan_ok=True)


def test_a_resample_of_labels_that_are_all_the_same_has_no_r2_and_no_rounding_for_one() -> None:
    block = np.repeat(np.arange(200), 7)
    y = np.random.default_rng(0).normal(size=200)[block]
    assert np.isnan(METRICS["r2"].resample(y, y + 1.0, block=block, blocks=200)(np.eye(200))).all()


@pytest.mark.parametrize("metric", ["roc_auc", "average_precision"])
def test_numbers_that_single_precision_does_not_have_are_weighed_in_double(metric: RankMetric) -> None:
    y, score = made("binary", 1)
    block = np.arange(len(y)) % 10
    times = 16_777_217.0 + np.arange(10.0)
    ranking = Ranking.of(y, score)
    expected = rank_metric(metric, y, score, weights=times[block])
    assert ResampledRanking(metric, ranking, block=block)(times[None, :])[0] == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize("metric", ["brier", "accuracy", "log_loss"])
def test_the_ends_are_scipys_percentiles_at_the_expanded_level(metric: str) -> None:
    """SciPy resamples the means of equally large blocks, at the confidence that the expansion amounts to."""
    y, a, _, block = blocked(11, blocks=20)
    ours = bootstrap.metric_interval(y, a, block, metric=METRICS[metric], confidence=0.9, seed=1, resamples=20_000)
    table = METRICS[metric].sums_by_block(y, a, block=block, blocks=20)
    t = stats.t.ppf(0.95, 19) * math.sqrt(20 / 19)
    theirs = stats.bootstrap(
        (table[:, 0, 0] / table[:, 1, 0],), np.mean, confidence_level=1 - 2 * stats.norm.cdf(-t),
        n_resamples=20_000, method="percentile", rng=np.random.default_rng(2),
    ).confidence_interval  # fmt: skip
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.03 * (ours.high - ours.low))


def test_a_difference_of_aucs_has_scipys_paired_percentiles() -> None:
    y, a, b, block = blocked(12, blocks=12, size=30)
    ours = bootstrap.difference_interval(y, a, b, block, metric=ROC_AUC, confidence=0.9, seed=1, resamples=4000)
    rows = [np.flatnonzero(block == number) for number in range(12)]

    def statistic(drawn: np.ndarray) -> float:
        taken = np.concatenate([rows[int(number)] for number in drawn])
        return roc_auc(y[taken], a[taken]) - roc_auc(y[taken], b[taken])

    t = stats.t.ppf(0.95, 11) * math.sqrt(12 / 11)
    theirs = stats.bootstrap(
        (np.arange(12),), statistic, vectorized=False, confidence_level=1 - 2 * stats.norm.cdf(-t),
        n_resamples=2000, method="percentile", rng=np.random.default_rng(2),
    ).confidence_interval  # fmt: skip
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.1 * (ours.high - ours.low))


def test_the_same_seed_gives_the_same_interval() -> None:
    y, a, b, block = blocked(1)
    first = bootstrap.difference_interval(y, a, b, block, metric=ROC_AUC, confidence=0.9, seed=3)
    assert first == bootstrap.difference_interval(y, a, b, block, metric=ROC_AUC, confidence=0.9, seed=3)
    assert first != bootstrap.difference_interval(y, a, b, block, metric=ROC_AUC, confidence=0.9, seed=4)


def test_the_order_of_rows_does_not_matter() -> None:
    y, a, b, block = blocked(2)
    order = np.random.default_rng(0).permutation(len(y))
    straight = bootstrap.difference_interval(y, a, b, block, metric=ROC_AUC, confidence=0.9, seed=3)
    shuffled = bootstrap.difference_interval(
        y[order], a[order], b[order], block[order], metric=ROC_AUC, confidence=0.9, seed=3
    )
    assert (shuffled.low, shuffled.value, shuffled.high) == pytest.approx((straight.low, straight.value, straight.high))


@pytest.mark.parametrize("metric", task_metrics("binary"))
def test_a_better_model_has_a_positive_difference_for_every_metric(metric: str) -> None:
    y, a, b, block = blocked(3)
    good = np.clip(0.2 + 0.5 * y + 0.1 * (a - 0.5), 0.01, 0.99)
    interval = bootstrap.difference_interval(y, good, b, block, metric=METRICS[metric], confidence=0.9, seed=1)
    assert 0 < interval.low < interval.value < interval.high


def test_a_model_against_itself_differs_by_exactly_nothing() -> None:
    y, a, _, block = blocked(4)
    interval = bootstrap.difference_interval(y, a, a, block, metric=ROC_AUC, confidence=0.9, seed=1)
    assert (interval.low, interval.value, interval.high) == (0, 0, 0)


def test_an_interval_widens_with_confidence() -> None:
    y, a, _, block = blocked(5)
    narrow = bootstrap.metric_interval(y, a, block, metric=ROC_AUC, confidence=0.8, seed=1)
    wide = bootstrap.metric_interval(y, a, block, metric=ROC_AUC, confidence=0.99, seed=1)
    assert wide.low < narrow.low < narrow.high < wide.high


@pytest.mark.parametrize("metric", METRICS)
def test_every_metric_has_an_interval_around_its_value(metric: str) -> None:
    task = "regression" if "regression" in METRICS[metric].tasks else "binary"
    y, score = made(task, 1, n=800)
    interval = bootstrap.metric_interval(y, score, np.arange(800) % 40, metric=METRICS[metric], confidence=0.9, seed=1)
    assert interval.low < interval.value < interval.high


def test_too_few_blocks_give_no_interval_and_say_so() -> None:
    y, a, b, block = blocked(6, blocks=4)
    interval = bootstrap.difference_interval(y, a, b, block, metric=ROC_AUC, confidence=0.9, seed=1, min_blocks=2)
    assert math.isfinite(interval.value)
    assert math.isnan(interval.low)
    assert interval.blocks == 4
    assert interval.missing == "4 blocks, and an interval of 90 % needs 5"


def test_more_blocks_can_be_asked_for() -> None:
    y, a, _, block = blocked(6, blocks=9)
    assert bootstrap.metric_interval(y, a, block, metric=BRIER, confidence=0.9, seed=1, min_blocks=9).missing == ""
    few = bootstrap.metric_interval(y, a, block, metric=BRIER, confidence=0.9, seed=1, min_blocks=10)
    assert few.missing == "9 blocks, and an interval of 90 % needs 10"


@pytest.mark.parametrize(("confidence", "needed"), [(0.75, 3), (0.9, 5), (0.95, 6), (0.99, 8), (0.999, 11)])
def test_an_interval_needs_so_many_blocks_that_their_range_holds_the_median_as_often(
    confidence: float, needed: int
) -> None:
    assert bootstrap.blocks_for(confidence) == needed
    assert 1 - 2.0 ** (1 - needed) >= confidence > 1 - 2.0 ** (2 - needed)


def test_ends_far_out_are_made_of_more_resamples() -> None:
    y, a, _, block = blocked(8, blocks=9)
    asked: list[int] = []

    def statistic() -> Callable[[np.ndarray], np.ndarray]:
        inner = BRIER.resample(y, a, block=block, blocks=9)
        return lambda draws: asked.append(len(draws)) or inner(draws)

    value = compute_metric("brier", y, a)
    bootstrap.block_interval(value, statistic, blocks=9, rows=len(y), confidence=0.99, seed=1, resamples=300)
    assert sum(asked) == 10_742
    asked.clear()
    bootstrap.block_interval(value, statistic, blocks=9, rows=len(y), confidence=0.9, seed=1, resamples=300)
    assert sum(asked) == 300


def test_ends_that_would_take_too_many_resamples_are_not_guessed() -> None:
    y, a, _, block = blocked(8, blocks=20)
    interval = bootstrap.metric_interval(y, a, block, metric=BRIER, confidence=1 - 1e-5, seed=1)
    assert math.isnan(interval.low)
    assert "would take" in interval.missing


def test_blocks_that_mostly_lack_a_class_give_no_interval() -> None:
    y, a, b, block = blocked(7, blocks=6)
    y = np.where(block == 0, y, 0)
    interval = bootstrap.difference_interval(y, a, b, block, metric=ROC_AUC, confidence=0.9, seed=1)
    assert math.isnan(interval.low)
    assert "of the resamples it has no value" in interval.missing


@pytest.mark.parametrize("metric", ["roc_auc", "average_precision", "brier"])
def test_many_blocks_take_little_memory(metric: str) -> None:
    """20,000 customers: their pairs alone would take 3 GB."""
    import tracemalloc

    y, a, _, _ = blocked(9, blocks=20, size=1000)
    tracemalloc.start()
    interval = bootstrap.metric_interval(
        y, a, np.arange(len(y)), metric=METRICS[metric], confidence=0.9, seed=1, resamples=210
    )
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert interval.low < interval.value < interval.high
    assert peak < 150e6


@pytest.mark.parametrize("blocks", [7, 14])
@pytest.mark.parametrize("metric", ["roc_auc", "brier", "balanced_accuracy"])
def test_the_interval_covers_the_truth_about_as_often_as_it_says(metric: str, blocks: int) -> None:
    """400 draws from a population of blocks; the truth is the metric of 4,000 blocks."""
    truth = compute_metric(metric, *blocked(99, blocks=4000)[:2])
    covered = 0
    for seed in range(400):
        y, a, _, block = blocked(seed, blocks=blocks, size=30)
        interval = bootstrap.metric_interval(
            y, a, block, metric=METRICS[metric], confidence=0.9, seed=seed, resamples=400
        )
        covered += interval.low <= truth <= interval.high
    assert 0.86 <= covered / 400 <= 0.95


def test_intervals_by_row_would_be_too_narrow() -> None:
    """Why blocks: where rows share their day, an interval that resamples rows misses the truth far too often."""
    truth_y, truth_a, _, _ = blocked(99, blocks=1000)
    truth = roc_auc(truth_y, truth_a)
    covered = 0
    for seed in range(40):
        y, a, _, _ = blocked(seed, size=60)
        interval = bootstrap.metric_interval(
            y, a, np.arange(len(y)), metric=ROC_AUC, confidence=0.9, seed=seed, resamples=200
        )
        covered += interval.low <= truth <= interval.high
    assert covered / 40 < 0.8
