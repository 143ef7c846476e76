from __future__ import annotations

import itertools
import math
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn import metrics as sk

from tradewind.metrics.metric_list import METRICS, compute_metric, roc_auc, task_metrics

Rows = tuple[np.ndarray, np.ndarray, np.ndarray]
BINARY, MULTICLASS, REGRESSION = (task_metrics(task) for task in ("binary", "multiclass", "regression"))
GRID = st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.5000001, 0.9, 1.0])


def weights(n: int) -> st.SearchStrategy[np.ndarray]:
    return hnp.arrays(np.float64, n, elements=st.floats(0.1, 10))


@st.composite
def binary(draw: st.DrawFn) -> Rows:
    """Labels of both classes, probabilities with many ties, positive weights."""
    n = draw(st.integers(2, 60))
    y = np.array([0, 1, *draw(st.lists(st.integers(0, 1), min_size=n - 2, max_size=n - 2))])
    return y, draw(hnp.arrays(np.float64, n, elements=st.one_of(GRID, st.floats(0, 1)))), draw(weights(n))


@st.composite
def multiclass(draw: st.DrawFn) -> Rows:
    """Labels of at least two of four classes; not every class occurs, and probabilities are tied."""
    n = draw(st.integers(2, 40))
    y = np.array([0, 3, *draw(st.lists(st.integers(0, 3), min_size=n - 2, max_size=n - 2))])
    shares = draw(hnp.arrays(np.int64, (n, 4), elements=st.integers(0, 5))) + np.eye(4, dtype=np.int64)[y[::-1]]
    return y, shares / shares.sum(axis=1, keepdims=True), draw(weights(n))


@st.composite
def regression(draw: st.DrawFn) -> Rows:
    n = draw(st.integers(2, 40))
    values = hnp.arrays(np.float64, n, elements=st.integers(-50, 50).map(lambda v: v / 4))
    y = draw(values)
    y[:2] = (0.0, 1.0)
    return y + draw(st.sampled_from([0, 1e6])), draw(values), draw(weights(n))


def sklearn_binary(metric: str, y: np.ndarray, p: np.ndarray, w: np.ndarray | None) -> float:
    decided = {
        "accuracy": sk.accuracy_score,
        "balanced_accuracy": sk.balanced_accuracy_score,
        "f1": lambda *a, **k: sk.f1_score(*a, **k, zero_division=0),
    }
    ranked = {
        "roc_auc": sk.roc_auc_score,
        "average_precision": sk.average_precision_score,
        "log_loss": sk.log_loss,
        "brier": sk.brier_score_loss,
    }
    if metric == "ece":
        return naive_ece(p, y, w)
    return float(
        ranked[metric](y, p, sample_weight=w) if metric in ranked else decided[metric](y, p > 0.5, sample_weight=w)
    )


def naive_ece(claimed: np.ndarray, true: np.ndarray, w: np.ndarray | None) -> float:
    w = np.ones(len(claimed)) if w is None else w
    edges = np.linspace(0, 1, 11)
    total = 0.0
    for low, high in itertools.pairwise(edges):
        inside = (claimed > low) & (claimed <= high) if low else claimed <= high
        if inside.any():
            gap = np.average(claimed[inside], weights=w[inside]) - np.average(true[inside], weights=w[inside])
            total += w[inside].sum() / w.sum() * abs(gap)
    return total


def sklearn_multiclass(metric: str, y: np.ndarray, p: np.ndarray, w: np.ndarray | None) -> float:
    guess = p.argmax(axis=1)
    if metric == "ece":
        return naive_ece(p.max(axis=1), guess == y, w)
    if metric in ("log_loss", "brier"):
        function = sk.log_loss if metric == "log_loss" else sk.brier_score_loss
        return float(function(y, p, sample_weight=w, labels=[0, 1, 2, 3]))
    if metric == "f1":
        return float(sk.f1_score(y, guess, sample_weight=w, average="macro", zero_division=0))
    function = {"accuracy": sk.accuracy_score, "balanced_accuracy": sk.balanced_accuracy_score}[metric]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # classes that are predicted and never true
        return float(function(y, guess, sample_weight=w))


@given(binary(), st.booleans())
def test_metrics_of_two_classes_agree_with_scikit_learn(rows: Rows, weighted: bool) -> None:
    y, p, given_weights = rows
    w = given_weights if weighted else None
    for metric in BINARY:
        found = compute_metric(metric, y, p, weights=w)
        if metric == "f1" and not (y + (p > 0.5)).any():
            assert math.isnan(found)
        else:
            assert found == pytest.approx(sklearn_binary(metric, y, p, w), rel=1e-9, abs=1e-9), metric


@given(multiclass(), st.booleans())
def test_metrics_of_many_classes_agree_with_scikit_learn(rows: Rows, weighted: bool) -> None:
    y, p, given_weights = rows
    w = given_weights if weighted else None
    for metric in MULTICLASS:
        expected = sklearn_multiclass(metric, y, p, w)
        assert compute_metric(metric, y, p, weights=w) == pytest.approx(expected, rel=1e-9, abs=1e-9), metric


@given(regression(), st.booleans())
def test_metrics_of_regression_agree_with_scikit_learn(rows: Rows, weighted: bool) -> None:
    y, values, given_weights = rows
    w = given_weights if weighted else None
    theirs = {"mae": sk.mean_absolute_error, "rmse": sk.root_mean_squared_error, "r2": sk.r2_score}
    for metric in REGRESSION:
        expected = theirs[metric](y, values, sample_weight=w)
        assert compute_metric(metric, y, values, weights=w) == pytest.approx(expected, rel=1e-6, abs=1e-9), metric


@given(binary())
def test_roc_auc_turned_around_is_one_minus_itself(rows: Rows) -> None:
    y, p, _ = rows
    assert roc_auc(y, p) + roc_auc(y, -p) == pytest.approx(1)


@given(binary(), st.integers(1, 3))
def test_a_weight_counts_like_a_row_that_is_there_as_often(rows: Rows, times: int) -> None:
    y, p, _ = rows
    often = np.arange(len(y)) % 3 + times
    for metric in BINARY:
        repeated = compute_metric(metric, np.repeat(y, often), np.repeat(p, often))
        found = compute_metric(metric, y, p, weights=often)
        assert found == pytest.approx(repeated, nan_ok=True), metric


def test_a_class_that_nobody_knows_is_always_wrong_and_had_no_chance() -> None:
    y, p = np.array([0, 1, -1]), np.array([[0.8, 0.2], [0.4, 0.6], [0.9, 0.1]])
    assert compute_metric("accuracy", y, p) == pytest.approx(2 / 3)
    assert compute_metric("balanced_accuracy", y, p) == pytest.approx(2 / 3)
    assert compute_metric("f1", y, p) == pytest.approx((2 / 3 + 1 + 0) / 3)
    eps = np.finfo(float).eps
    assert compute_metric("log_loss", y, p) == pytest.approx(-(np.log(0.8) + np.log(0.6) + np.log(eps)) / 3)
    assert compute_metric("brier", y, p) == pytest.approx((0.08 + 0.32 + (0.81 + 0.01 + 1)) / 3)
    assert compute_metric("ece", y, p) == pytest.approx((abs(0.8 - 1) + abs(0.6 - 1) + abs(0.9 - 0)) / 3)


def test_infinite_scores_have_an_order() -> None:
    assert roc_auc(np.array([0, 1, 1]), np.array([-np.inf, 0.0, np.inf])) == 1


@pytest.mark.parametrize("metric", BINARY)
def test_a_metric_without_rows_is_nan(metric: str) -> None:
    assert math.isnan(compute_metric(metric, np.array([]), np.array([])))


@pytest.mark.parametrize("metric", METRICS)
def test_a_missing_prediction_makes_the_metric_nan(metric: str) -> None:
    assert math.isnan(compute_metric(metric, np.array([0, 1, 1]), np.array([0.2, np.nan, 0.7])))


@pytest.mark.parametrize("metric", MULTICLASS)
def test_a_missing_probability_of_one_class_makes_the_metric_nan(metric: str) -> None:
    assert math.isnan(compute_metric(metric, np.array([0, 1]), np.array([[0.2, 0.8], [np.nan, 1.0]])))


@pytest.mark.parametrize("metric", ["log_loss", "brier", "ece", "accuracy", "balanced_accuracy", "f1"])
def test_what_is_no_probability_is_not_taken_for_one(metric: str) -> None:
    assert math.isnan(compute_metric(metric, np.array([0, 1, 1]), np.array([-3.0, 0.4, 2.5])))


@pytest.mark.parametrize("metric", ["roc_auc", "average_precision", "balanced_accuracy"])
@pytest.mark.parametrize("label", [0, 1])
def test_one_class_alone_has_no_value(metric: str, label: int) -> None:
    assert math.isnan(compute_metric(metric, np.full(5, label), np.linspace(0, 1, 5)))


@pytest.mark.parametrize("label", [0.0, 0.1, 1e9 + 0.1])
def test_r2_of_labels_that_are_all_the_same_has_no_value(label: float) -> None:
    assert math.isnan(compute_metric("r2", np.full(7, label), np.arange(7.0)))


@pytest.mark.parametrize("metric", REGRESSION)
def test_an_infinite_prediction_of_a_value_has_no_metric(metric: str) -> None:
    assert math.isnan(compute_metric(metric, np.array([0.0, 1.0]), np.array([0.0, np.inf])))


def test_weights_that_are_all_zero_have_no_value() -> None:
    for metric in BINARY:
        assert math.isnan(compute_metric(metric, np.array([0, 1]), np.array([0.1, 0.9]), weights=np.zeros(2)))


@pytest.mark.parametrize("weight", [-1.0, np.nan, np.inf])
def test_weights_that_are_none_are_refused(weight: float) -> None:
    with pytest.raises(ValueError, match="weights"):
        compute_metric("brier", np.array([0, 1]), np.array([0.1, 0.9]), weights=np.array([1.0, weight]))


@pytest.mark.parametrize("metric", ["brier", "mae"])
def test_a_missing_label_is_refused(metric: str) -> None:
    with pytest.raises(ValueError, match="leave rows without a label out"):
        compute_metric(metric, np.array([0, np.nan]), np.array([0.1, 0.2]))


@pytest.mark.parametrize("label", [2, -2, 0.5])
def test_a_label_that_is_no_class_is_refused(label: float) -> None:
    with pytest.raises(ValueError, match="numbers of 2 classes"):
        compute_metric("accuracy", np.array([0, label]), np.full((2, 2), 0.5))


def test_arrays_of_different_length_are_refused() -> None:
    with pytest.raises(ValueError, match="one length"):
        roc_auc(np.array([0, 1]), np.array([0.1]))


def test_a_metric_of_another_task_is_refused() -> None:
    with pytest.raises(ValueError, match="roc_auc is for binary"):
        compute_metric("roc_auc", np.array([0, 1]), np.full((2, 2), 0.5))
    with pytest.raises(ValueError, match="mae is for regression"):
        compute_metric("mae", np.array([0, 1]), np.full((2, 2), 0.5))
