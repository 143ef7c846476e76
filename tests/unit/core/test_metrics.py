from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn import metrics as sk

from tradewind.core import metrics


@st.composite
def rows(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels of both classes, probabilities with many ties, positive weights."""
    n = draw(st.integers(2, 60))
    y = np.array([0, 1, *draw(st.lists(st.integers(0, 1), min_size=n - 2, max_size=n - 2))])
    grid = st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.5000001, 0.9, 1.0])
    p = draw(hnp.arrays(np.float64, n, elements=st.one_of(grid, st.floats(0, 1))))
    weights = draw(hnp.arrays(np.float64, n, elements=st.floats(0.1, 10)))
    return y, p, weights


@given(rows())
def test_roc_auc_agrees_with_scikit_learn_with_ties_and_weights(data: tuple[np.ndarray, ...]) -> None:
    y, p, weights = data
    assert metrics.roc_auc(y, p) == pytest.approx(sk.roc_auc_score(y, p), abs=1e-9)
    assert metrics.roc_auc(y, p, weights=weights) == pytest.approx(
        sk.roc_auc_score(y, p, sample_weight=weights), abs=1e-9
    )


@given(rows())
def test_log_loss_agrees_with_scikit_learn(data: tuple[np.ndarray, ...]) -> None:
    y, p, weights = data
    assert metrics.log_loss(y, p) == pytest.approx(sk.log_loss(y, p), rel=1e-9, abs=1e-12)
    assert metrics.log_loss(y, p, weights=weights) == pytest.approx(
        sk.log_loss(y, p, sample_weight=weights), rel=1e-9, abs=1e-12
    )


@given(rows())
def test_brier_agrees_with_scikit_learn(data: tuple[np.ndarray, ...]) -> None:
    y, p, weights = data
    assert metrics.brier(y, p, weights=weights) == pytest.approx(
        sk.brier_score_loss(y, p, sample_weight=weights), abs=1e-12
    )


@given(rows())
def test_accuracy_agrees_with_scikit_learn(data: tuple[np.ndarray, ...]) -> None:
    y, p, weights = data
    assert metrics.accuracy(y, p, weights=weights) == pytest.approx(
        sk.accuracy_score(y, p > 0.5, sample_weight=weights), abs=1e-12
    )


@given(rows())
def test_roc_auc_turned_around_is_one_minus_itself(data: tuple[np.ndarray, ...]) -> None:
    y, p, _ = data
    assert metrics.roc_auc(y, p) + metrics.roc_auc(y, -p) == pytest.approx(1)


@pytest.mark.parametrize("metric", metrics.HIGHER_IS_BETTER)
def test_a_metric_without_rows_is_nan(metric: str) -> None:
    assert math.isnan(metrics.compute(metric, np.array([]), np.array([])))


@pytest.mark.parametrize("metric", metrics.HIGHER_IS_BETTER)
def test_a_missing_prediction_makes_the_metric_nan(metric: str) -> None:
    assert math.isnan(metrics.compute(metric, np.array([0, 1, 1]), np.array([0.2, np.nan, 0.7])))


def test_roc_auc_of_one_class_is_nan() -> None:
    assert math.isnan(metrics.roc_auc(np.ones(5), np.linspace(0, 1, 5)))


def test_a_missing_label_is_refused() -> None:
    with pytest.raises(ValueError, match="leave rows without a label out"):
        metrics.brier(np.array([0, np.nan]), np.array([0.1, 0.2]))


def test_arrays_of_different_length_are_refused() -> None:
    with pytest.raises(ValueError, match="one length"):
        metrics.roc_auc(np.array([0, 1]), np.array([0.1]))
