"""What given blocks can show is what resampled blocks show."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradewind.core import bootstrap
from tradewind.core.power import GateResolution, approximate_error
from tradewind.metrics.metric_list import METRICS


def days(random: np.random.Generator, *, blocks: int, gain: float, rows: int = 40, scatter: float = 0.1):
    """Absolute errors of two models; the candidate's are smaller by ``gain``, which differs from day to day."""
    day = np.repeat(np.arange(blocks), rows)
    other = np.abs(random.normal(1.0, 0.3, len(day)))
    return np.zeros(len(day)), other - gain - random.normal(0, scatter, blocks)[day], other, day


def shown(random: np.random.Generator, *, blocks: int, gain: float) -> bootstrap.Interval:
    y, ours, theirs, day = days(random, blocks=blocks, gain=gain)
    return bootstrap.difference_interval(
        y, np.abs(ours), theirs, day, metric=METRICS["mae"],
        confidence=0.9, seed=int(random.integers(2**31)), resamples=400
    )  # fmt: skip


@pytest.mark.parametrize("blocks", [12, 21, 60])
def test_the_error_behind_an_interval_is_that_of_blocks_drawn_anew(blocks: int) -> None:
    random = np.random.default_rng(blocks)
    found = [shown(random, blocks=blocks, gain=0.1) for _ in range(150)]
    errors = [GateResolution.of_interval(i.low, i.high, blocks=blocks, confidence=0.9).error for i in found]
    assert np.mean(errors) == pytest.approx(np.std([i.value for i in found]), rel=0.15)


@pytest.mark.parametrize("blocks", [12, 30])
def test_a_gain_of_the_detectable_size_is_shown_in_eight_of_ten_cases(blocks: int) -> None:
    random, bound = np.random.default_rng(blocks), -0.01
    margin = GateResolution(0.1 / math.sqrt(blocks), blocks, 0.9).margin()
    passed = [shown(random, blocks=blocks, gain=bound + margin).low >= bound for _ in range(300)]
    assert np.mean(passed) == pytest.approx(0.8, abs=0.07)
    none = [shown(random, blocks=blocks, gain=bound).low >= bound for _ in range(300)]
    assert np.mean(none) == pytest.approx(0.05, abs=0.04)


def test_so_many_blocks_as_are_said_to_be_needed_show_it() -> None:
    random, bound, gain = np.random.default_rng(5), 0.0, 0.05
    few = GateResolution(0.1 / math.sqrt(12), 12, 0.9)
    needed = few.blocks_for(gain)
    assert needed is not None
    assert few.margin() > gain
    passed = [shown(random, blocks=needed, gain=gain).low >= bound for _ in range(200)]
    assert np.mean(passed) == pytest.approx(0.8, abs=0.09)


@given(
    error=st.floats(1e-4, 1.0), blocks=st.integers(5, 400), margin=st.floats(1e-3, 2.0),
    confidence=st.sampled_from([0.8, 0.9, 0.95]),
)  # fmt: skip
def test_the_blocks_that_are_needed_are_the_fewest(error: float, blocks: int, margin: float, confidence: float) -> None:
    resolution = GateResolution(error, blocks, confidence)
    needed = resolution.blocks_for(margin)
    if needed is None:
        assert resolution.margin(blocks=1_000_000) > margin
        return
    assert resolution.margin(blocks=needed) <= margin
    assert needed == 2 or resolution.margin(blocks=needed - 1) > margin
    assert (resolution.margin() <= margin) == (needed <= blocks)


def test_what_lies_on_its_bound_is_shown_by_no_number_of_blocks() -> None:
    assert GateResolution(0.1, 20, 0.9).blocks_for(0.0) is None


@pytest.mark.parametrize("rows", [100, 1000])
def test_the_approximation_of_an_auc_is_near_what_resampled_blocks_of_independent_rows_say(rows: int) -> None:
    random, blocks = np.random.default_rng(rows), 14
    widths = []
    for seed in range(20):
        y = (random.random(blocks * rows) < 0.2).astype(float)
        common = random.normal(size=len(y)) * math.sqrt(0.6) + 0.95 * y
        a, b = (common + random.normal(size=len(y)) * math.sqrt(0.4) for _ in range(2))
        found = bootstrap.difference_interval(
            y,
            a,
            b,
            np.repeat(np.arange(blocks), rows),
            metric=METRICS["roc_auc"],
            confidence=0.9,
            seed=seed,
            resamples=400,
        )
        widths.append(GateResolution.of_interval(found.low, found.high, blocks=blocks, confidence=0.9).error)
    assert approximate_error("roc_auc", blocks=blocks, rows=rows) == pytest.approx(np.mean(widths), rel=0.25)


@pytest.mark.parametrize("metric", ["accuracy", "brier"])
def test_the_other_approximations_are_of_the_size_that_resampled_blocks_say(metric: str) -> None:
    random, blocks, rows = np.random.default_rng(3), 14, 200
    widths = []
    for seed in range(20):
        chance = random.beta(2, 3, blocks * rows)
        y = (random.random(len(chance)) < chance).astype(float)
        a, b = (np.clip(chance + random.normal(0, 0.1 / math.sqrt(2), len(y)), 0, 1) for _ in range(2))
        found = bootstrap.difference_interval(
            y,
            a,
            b,
            np.repeat(np.arange(blocks), rows),
            metric=METRICS[metric],
            confidence=0.9,
            seed=seed,
            resamples=400,
        )
        widths.append(GateResolution.of_interval(found.low, found.high, blocks=blocks, confidence=0.9).error)
    assert approximate_error(metric, blocks=blocks, rows=rows) == pytest.approx(np.mean(widths), rel=0.3)


def test_a_metric_without_a_scale_has_no_approximation() -> None:
    assert approximate_error("mae", blocks=14, rows=100) is None
