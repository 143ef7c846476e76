from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradewind.core import bootstrap, metrics
from tradewind.core.ranking import concordance


def blocked(seed: int, *, blocks: int = 14, size: int = 60) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Rows whose noise is shared within a block: labels, two scores, block."""
    rng = np.random.default_rng(seed)
    block = np.repeat(np.arange(blocks), size)
    skill = rng.normal(1.0, 0.6, blocks)[block]
    y = (rng.random(len(block)) < 0.35).astype(int)
    score = skill * y + rng.normal(size=len(block))
    return y, 1 / (1 + np.exp(-score)), rng.random(len(block)), block


@given(st.integers(0, 10_000), st.integers(2, 6))
def test_auc_from_block_counts_equals_the_auc_of_the_drawn_rows(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    block, y, score = rng.integers(0, count, 40), rng.integers(0, 2, 40), rng.integers(0, 6, 40) / 5
    block[:count] = np.arange(count)
    weights = rng.multinomial(count, np.full(count, 1 / count))
    c, p, n = concordance(y, score, block, blocks=count)
    repeated = np.concatenate([np.repeat(np.flatnonzero(block == b), weights[b]) for b in range(count)])
    expected = metrics.roc_auc(y[repeated], score[repeated])
    if math.isnan(expected):
        assert (weights @ p) * (weights @ n) == 0
    else:
        assert weights @ c @ weights / ((weights @ p) * (weights @ n)) == pytest.approx(expected)


def test_the_same_seed_gives_the_same_interval() -> None:
    y, a, b, block = blocked(1)
    first = bootstrap.difference(y, a, b, block, metric="roc_auc", confidence=0.9, seed=3)
    assert first == bootstrap.difference(y, a, b, block, metric="roc_auc", confidence=0.9, seed=3)
    assert first != bootstrap.difference(y, a, b, block, metric="roc_auc", confidence=0.9, seed=4)


def test_the_order_of_rows_does_not_matter() -> None:
    y, a, b, block = blocked(2)
    order = np.random.default_rng(0).permutation(len(y))
    straight = bootstrap.difference(y, a, b, block, metric="roc_auc", confidence=0.9, seed=3)
    shuffled = bootstrap.difference(
        y[order], a[order], b[order], block[order], metric="roc_auc", confidence=0.9, seed=3
    )
    assert (shuffled.low, shuffled.value, shuffled.high) == pytest.approx((straight.low, straight.value, straight.high))


@pytest.mark.parametrize("metric", metrics.HIGHER_IS_BETTER)
def test_a_better_model_has_a_positive_difference_for_every_metric(metric: str) -> None:
    y, a, b, block = blocked(3)
    good = np.clip(0.2 + 0.5 * y + 0.1 * (a - 0.5), 0.01, 0.99)
    interval = bootstrap.difference(y, good, b, block, metric=metric, confidence=0.9, seed=1)
    assert 0 < interval.low < interval.value < interval.high


def test_a_model_against_itself_differs_by_exactly_nothing() -> None:
    y, a, _, block = blocked(4)
    interval = bootstrap.difference(y, a, a, block, metric="roc_auc", confidence=0.9, seed=1)
    assert (interval.low, interval.value, interval.high) == (0, 0, 0)


def test_an_interval_widens_with_confidence() -> None:
    y, a, _, block = blocked(5)
    narrow = bootstrap.level(y, a, block, metric="roc_auc", confidence=0.8, seed=1)
    wide = bootstrap.level(y, a, block, metric="roc_auc", confidence=0.99, seed=1)
    assert wide.low < narrow.low < narrow.high < wide.high


def test_too_few_blocks_give_no_interval() -> None:
    y, a, b, block = blocked(6, blocks=4)
    interval = bootstrap.difference(y, a, b, block, metric="roc_auc", confidence=0.9, seed=1)
    assert math.isfinite(interval.value)
    assert math.isnan(interval.low)
    assert interval.blocks == 4


def test_blocks_that_mostly_lack_a_class_give_no_interval() -> None:
    y, a, b, block = blocked(7, blocks=6)
    y = np.where(block == 0, y, 0)
    assert math.isnan(bootstrap.difference(y, a, b, block, metric="roc_auc", confidence=0.9, seed=1).low)


@pytest.mark.parametrize("blocks", [7, 14])
def test_the_interval_covers_the_truth_about_as_often_as_it_says(blocks: int) -> None:
    """200 draws from a population of blocks; the truth is the metric of 1,000 blocks."""
    truth_y, truth_a, _, _ = blocked(99, blocks=1000)
    truth = metrics.roc_auc(truth_y, truth_a)
    covered = 0
    for seed in range(200):
        y, a, _, block = blocked(seed, blocks=blocks, size=30)
        interval = bootstrap.level(y, a, block, metric="roc_auc", confidence=0.9, seed=seed, resamples=400)
        covered += interval.low <= truth <= interval.high
    assert 0.85 <= covered / 200 <= 0.95


def test_intervals_by_row_would_be_too_narrow() -> None:
    """Why blocks: where rows share their day, an interval that resamples rows misses the truth far too often."""
    truth_y, truth_a, _, _ = blocked(99, blocks=1000)
    truth = metrics.roc_auc(truth_y, truth_a)
    covered = 0
    for seed in range(40):
        y, a, _, _ = blocked(seed, size=60)
        interval = bootstrap.level(y, a, np.arange(len(y)), metric="roc_auc", confidence=0.9, seed=seed, resamples=200)
        covered += interval.low <= truth <= interval.high
    assert covered / 40 < 0.8
