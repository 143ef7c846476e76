from __future__ import annotations

import numpy as np
import pytest

from tradewind.metrics.calibration import calibration_bin, claimed_probabilities
from tradewind.metrics.metric_list import compute_metric


def test_a_probability_on_an_edge_belongs_to_the_bin_below_and_zero_to_the_first() -> None:
    assert calibration_bin(np.array([0.0, 0.1, 0.1000001, 0.5, 1.0])).tolist() == [0, 0, 1, 4, 9]


def test_of_two_classes_the_claim_is_the_probability_of_one() -> None:
    claimed, true = claimed_probabilities(np.array([0.0, 1.0]), np.array([0.2, 0.9]))
    assert (claimed.tolist(), true.tolist()) == ([0.2, 0.9], [0, 1])


def test_of_many_classes_the_claim_is_the_largest_probability() -> None:
    claimed, true = claimed_probabilities(np.array([1, -1]), np.array([[0.3, 0.7], [0.6, 0.4]]))
    assert (claimed.tolist(), true.tolist()) == ([0.7, 0.6], [1, 0])


def test_a_calibrated_model_has_a_small_error_and_an_overconfident_one_a_large_one() -> None:
    rng = np.random.default_rng(0)
    p = rng.random(20_000)
    y = (rng.random(len(p)) < p).astype(int)
    assert compute_metric("ece", y, p) < 0.02
    assert compute_metric("ece", y, (p > 0.5) * 1.0) == pytest.approx(0.25, abs=0.01)


def test_ten_equal_forecasts_have_the_error_that_is_counted_by_hand() -> None:
    """Ten forecasts of 0.7, seven of which come true, have no error; eight: a tenth."""
    assert compute_metric("ece", np.array([1] * 7 + [0] * 3), np.full(10, 0.7)) == pytest.approx(0)
    assert compute_metric("ece", np.array([1] * 8 + [0] * 2), np.full(10, 0.7)) == pytest.approx(0.1)
