from __future__ import annotations

import math

import fairlearn.metrics as fl
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.metrics import fairness
from tradewind.metrics.fairness import Fairness
from tradewind.metrics.metric import table_statistic

MEASURES: dict[Fairness, str] = {
    "demographic_parity_difference": "demographic_parity_difference",
    "equal_opportunity_difference": "equal_opportunity_difference",
    "disparate_impact_ratio": "demographic_parity_ratio",
}
Rows = tuple[np.ndarray, np.ndarray, np.ndarray]


@st.composite
def rows(draw: st.DrawFn) -> Rows:
    """Labels, probabilities with ties at the threshold, and 2 to 4 groups, each with a positive."""
    groups, n = draw(st.integers(2, 4)), draw(st.integers(8, 60))
    y = np.array([1] * groups + draw(st.lists(st.integers(0, 1), min_size=n, max_size=n)))
    group = np.array([*range(groups), *draw(st.lists(st.integers(0, groups - 1), min_size=n, max_size=n))])
    p = np.array(draw(st.lists(st.sampled_from([0.1, 0.3, 0.5, 0.51, 0.8]), min_size=len(y), max_size=len(y))))
    return y, p, group


@pytest.mark.parametrize("measure", MEASURES)
@settings(max_examples=15)  # fairlearn takes 50 ms for each
@given(rows(), st.sampled_from([0.3, 0.5, 0.7]))
def test_fairness_agrees_with_fairlearn(measure: Fairness, given_rows: Rows, threshold: float) -> None:
    y, p, group = given_rows
    expected = getattr(fl, MEASURES[measure])(y, p > threshold, sensitive_features=group)
    found = fairness.fairness_gap(measure, y, p, group, threshold=threshold)
    assert found == pytest.approx(expected, nan_ok=True)


@settings(max_examples=40)
@given(rows(), st.integers(0, 1000))
def test_resampled_by_block_it_is_that_of_the_drawn_rows(given_rows: Rows, seed: int) -> None:
    y, p, group = given_rows
    rng = np.random.default_rng(seed)
    block = np.concatenate([np.arange(3), rng.integers(0, 3, len(y) - 3)])
    draws = rng.multinomial(3, np.full(3, 1 / 3), size=4)
    groups = int(group.max()) + 1
    table = fairness.fairness_sums_by_block(y, p, group, threshold=0.5, groups=groups, block=block, blocks=3)
    for measure in MEASURES:
        found = table_statistic(table, lambda sums, measure=measure: fairness.fairness_from_sums(measure, sums))(draws)
        for times, one in zip(draws, found, strict=True):
            taken = np.repeat(np.arange(len(y)), times[block])
            whole = fairness.fairness_sums_by_block(y[taken], p[taken], group[taken], threshold=0.5, groups=groups)
            assert one == pytest.approx(fairness.fairness_from_sums(measure, whole)[0], nan_ok=True)


def test_a_group_without_positives_has_no_true_positive_rate() -> None:
    y, p, group = np.array([0, 0, 1, 1]), np.array([0.9, 0.1, 0.9, 0.1]), np.array([0, 0, 1, 1])
    assert math.isnan(fairness.fairness_gap("equal_opportunity_difference", y, p, group))
    assert fairness.fairness_gap("demographic_parity_difference", y, p, group) == 0


def test_where_nobody_is_selected_there_is_no_ratio() -> None:
    y, p, group = np.array([0, 1]), np.array([0.1, 0.2]), np.array([0, 1])
    assert math.isnan(fairness.fairness_gap("disparate_impact_ratio", y, p, group))
    assert fairness.fairness_gap("demographic_parity_difference", y, p, group) == 0


@pytest.mark.parametrize("measure", MEASURES)
def test_a_missing_prediction_or_no_rows_has_no_value(measure: Fairness) -> None:
    y, p, group = np.array([1, 1]), np.array([0.9, np.nan]), np.array([0, 1])
    assert math.isnan(fairness.fairness_gap(measure, y, p, group))
    assert math.isnan(fairness.fairness_gap(measure, y[:0], p[:0], group[:0]))


def test_labels_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match="leave rows without a label out"):
        fairness.fairness_gap("demographic_parity_difference", np.array([0.0, np.nan]), np.ones(2), np.array([0, 1]))
    with pytest.raises(ValueError, match="one length"):
        fairness.fairness_gap("demographic_parity_difference", np.array([0, 1]), np.ones(2), np.array([0]))
