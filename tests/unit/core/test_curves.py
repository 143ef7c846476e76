from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

from tradewind.core import curves
from tradewind.metrics.metric_list import compute_metric, roc_auc

Rows = tuple[np.ndarray, np.ndarray]


@st.composite
def rows(draw: st.DrawFn) -> Rows:
    """Labels of both classes and scores with ties."""
    n = draw(st.integers(2, 60))
    y = np.array([0, 1, *draw(st.lists(st.integers(0, 1), min_size=n - 2, max_size=n - 2))])
    p = np.array(draw(st.lists(st.integers(0, 20).map(lambda v: v / 20), min_size=n, max_size=n)))
    return y, p


def many(n: int = 5000) -> Rows:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, n)
    return y, 1 / (1 + np.exp(-(y - 0.5 + rng.normal(size=n))))


@given(rows())
def test_the_roc_curve_is_scikit_learns(given_rows: Rows) -> None:
    y, p = given_rows
    false, true, _ = sk.roc_curve(y, p, drop_intermediate=False)
    assert curves.roc_curve(y, p) == [pytest.approx(point) for point in zip(false, true, strict=True)]


@given(rows())
def test_precision_over_recall_is_scikit_learns_up_to_full_recall(given_rows: Rows) -> None:
    y, p = given_rows
    precision, recall, _ = sk.precision_recall_curve(y, p)
    expected = list(zip(recall[::-1], precision[::-1], strict=True))
    first_full = next(i for i, (reached, _) in enumerate(expected) if reached == 1)
    assert curves.precision_recall(y, p) == [pytest.approx(point) for point in expected[: first_full + 1]]


@given(rows())
def test_bins_of_reliability_are_scikit_learns(given_rows: Rows) -> None:
    from sklearn.calibration import calibration_curve

    y, p = given_rows
    observed, predicted = calibration_curve(y, p, n_bins=10)
    found = curves.reliability_curve(y, p)
    assert [one.observed for one in found] == pytest.approx(observed)
    assert [one.predicted for one in found] == pytest.approx(predicted)
    assert sum(one.rows for one in found) == len(y)
    assert all(one.low <= one.predicted <= one.high + 1e-12 for one in found)


@given(rows())
def test_the_calibration_error_is_that_of_the_bins_that_are_drawn(given_rows: Rows) -> None:
    y, p = given_rows
    error = sum(one.rows * abs(one.predicted - one.observed) for one in curves.reliability_curve(y, p)) / len(y)
    assert compute_metric("ece", y, p) == pytest.approx(error)


def test_of_many_classes_the_largest_probability_is_drawn() -> None:
    y, p = np.array([0, 2, -1]), np.array([[0.75, 0.15, 0.1], [0.1, 0.7, 0.2], [0.72, 0.2, 0.08]])
    (one, other) = curves.reliability_curve(y, p)
    assert (one.rows, one.predicted, one.observed) == (1, pytest.approx(0.7), 0)
    assert (other.rows, other.predicted, other.observed) == (2, pytest.approx(0.735), 0.5)


def test_a_long_curve_is_thinned_and_keeps_its_ends_and_its_area() -> None:
    y, p = many()
    points = curves.roc_curve(y, p, points=100)
    assert 50 < len(points) <= 100
    assert (points[0], points[-1]) == ((0.0, 0.0), (1.0, 1.0))
    x, height = zip(*points, strict=True)
    assert sk.auc(x, height) == pytest.approx(roc_auc(y, p), abs=2e-3)
    whole = set(curves.roc_curve(y, p, points=10**6))
    assert set(points) <= whole


def test_a_long_curve_of_precision_is_thinned_and_keeps_its_ends() -> None:
    y, p = many()
    points = curves.precision_recall(y, p, points=100)
    assert len(points) <= 100
    assert points[0] == (0.0, 1.0)
    assert points[-1][0] == 1.0
    assert set(points) <= set(curves.precision_recall(y, p, points=10**6))


@pytest.mark.parametrize("y", [np.ones(4), np.zeros(4), np.array([])])
def test_one_class_alone_has_no_curve(y: np.ndarray) -> None:
    p = np.linspace(0, 1, len(y))
    assert curves.roc_curve(y, p) == curves.precision_recall(y, p) == []


def test_a_missing_prediction_has_no_curve() -> None:
    y, p = np.array([0, 1, 1]), np.array([0.1, np.nan, 0.5])
    assert curves.roc_curve(y, p) == curves.precision_recall(y, p) == []
    assert curves.reliability_curve(y, p) == []


def test_no_rows_have_no_bins() -> None:
    assert curves.reliability_curve(np.array([]), np.array([])) == []
