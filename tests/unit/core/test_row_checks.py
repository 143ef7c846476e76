"""Rows are looked at before a model is fitted on them: what is wrong is named, with its numbers and its rule."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tradewind.core.leakage import ROWS, leakage_score
from tradewind.core.row_checks import FeatureColumn, RowFinding, RowsPart, find_row_problems
from tradewind.spec.training import RowChecks

N = 1000
random = np.random.default_rng(7)
Y = {
    "binary": random.integers(0, 2, N),
    "multiclass": random.integers(0, 3, N),
    "regression": random.normal(size=N),
}
NOISE = random.normal(size=N)


def part(y, *, name: str = "training rows (a … b)", unknown: int = 0) -> RowsPart:
    return RowsPart(name, np.asarray(y), len(y) + unknown, unknown)


def checked(y, task="binary", *, features=(), judging=None, rules=None, unknown: int = 0) -> list[RowFinding]:
    judging = [part(Y[task], name="test rows (c … c)")] if judging is None else judging
    rules = RowChecks(**(rules or {}))
    fit = part(y, unknown=unknown)
    return list(
        find_row_problems(rules, task, fit=fit, judging=judging, features=features, classes=("a", "b", "c", "d"))
    )


def numbers(values, name: str = "x") -> FeatureColumn:
    return FeatureColumn(name, np.asarray(values, dtype=float), categorical=False)


def categories(values, name: str = "x") -> FeatureColumn:
    return FeatureColumn(name, np.unique(values, return_inverse=True)[1].astype(np.int64), categorical=True)


def names(found: list[RowFinding]) -> list[tuple[str, str, str | None]]:
    return [(one.check, one.severity, one.feature) for one in found]


def test_good_rows_have_nothing_to_be_said_of() -> None:
    assert checked(Y["binary"], features=[numbers(NOISE), categories(np.arange(N) % 7)]) == []


def test_too_few_rows_are_an_error_with_their_numbers() -> None:
    (found,) = checked(Y["binary"][:50])
    assert (found.check, found.severity, found.value, found.limit) == ("few_rows", "error", 50, 100)
    assert found.sentence == "there are 50 training rows (a … b), fewer than `min_rows` (100)"


def test_no_label_at_all_is_an_error_in_every_part() -> None:
    found = checked([], judging=[part([], name="test rows (c … c)")], unknown=9)
    assert names(found) == [("no_labels", "error", None)] * 2
    assert "the test rows (c … c) have no known label" in found[1].sentence


def test_too_many_labels_that_should_be_known_and_are_not_are_an_error() -> None:
    assert checked(Y["binary"], unknown=N) == []
    (found,) = checked(Y["binary"], unknown=N + 1)
    assert (found.check, found.severity, found.limit) == ("missing_labels", "error", 0.5)
    assert found.value == pytest.approx(1001 / 2001)
    assert "1001 of the 2001 training rows (a … b)" in found.sentence


@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test_one_class_is_an_error_where_it_is_learned_from_and_where_it_judges(task) -> None:
    ones = np.ones(N, dtype=int)
    found = checked(ones, task, judging=[part(ones, name="test rows (c … c)")])
    assert names(found) == [("single_class", "error", None)] * 2
    assert found[1].sentence == "the test rows (c … c) have one class only (b); a classifier needs two"


def test_one_number_is_nothing_to_learn_from_and_may_judge() -> None:
    same = np.ones(N)
    assert checked(Y["regression"], "regression", judging=[part(same)]) == []
    assert names(checked(same, "regression")) == [("single_class", "error", None)]


def test_a_class_that_nobody_can_have_learned_is_a_warning() -> None:
    (found,) = checked(Y["multiclass"], "multiclass", judging=[part([0, 1, 2, 3], name="test rows")])
    assert (found.check, found.severity, found.value) == ("unseen_class", "warning", 0.25)
    assert found.sentence.endswith(": d")


@pytest.mark.parametrize(("rule", "severity"), [("warn", "warning"), ("error", "error")])
def test_a_feature_without_a_value_or_with_one_is_what_the_yaml_says(rule, severity) -> None:
    features = [
        numbers(np.full(N, np.nan), "none"),
        numbers(np.full(N, 3.0), "same"),
        FeatureColumn("no_text", np.full(N, -1), categorical=True),
        categories(np.zeros(N), "one_text"),
        numbers(np.where(np.arange(N) % 2, np.nan, 3.0), "known_or_not"),
    ]
    assert names(checked(Y["binary"], features=features, rules={"constant": rule})) == [
        ("all_missing", severity, "none"),
        ("constant", severity, "same"),
        ("all_missing", severity, "no_text"),
        ("constant", severity, "one_text"),
    ]


def test_infinite_values_are_a_warning_with_their_count() -> None:
    (found,) = checked(Y["binary"], features=[numbers(np.where(np.arange(N) < 3, np.inf, NOISE))])
    assert (found.check, found.severity, found.value) == ("not_finite", "warning", 3)


def test_errors_come_before_warnings() -> None:
    found = checked(np.ones(N), features=[numbers(np.ones(N))])
    assert [one.severity for one in found] == ["error", "warning"]


LEAKS = {
    "binary-number": ("binary", numbers(Y["binary"] + NOISE * 0.01)),
    "binary-turned": ("binary", numbers(-3.0 * Y["binary"])),
    "binary-text": ("binary", categories(Y["binary"])),
    "binary-code": ("binary", numbers(np.where(Y["binary"], 5, np.where(NOISE > 0, 1, 9)))),
    "binary-missing": ("binary", numbers(np.where(Y["binary"] == 1, np.nan, NOISE))),
    "multiclass-number": ("multiclass", numbers((Y["multiclass"] * 7) % 5)),
    "multiclass-real": ("multiclass", numbers(Y["multiclass"] * 10 + np.tanh(NOISE))),
    "multiclass-text": ("multiclass", categories(Y["multiclass"] * 10 + (NOISE > 0))),
    "regression-number": ("regression", numbers(3 - 2 * Y["regression"])),
    "regression-monotone": ("regression", numbers(np.exp(3 * Y["regression"]))),
}


@pytest.mark.parametrize("case", LEAKS)
def test_a_feature_that_tells_the_label_is_suspected(case) -> None:
    task, feature = LEAKS[case]
    (found,) = checked(Y[task], task, features=[feature])
    assert (found.check, found.severity, found.feature, found.limit) == ("leakage", "error", "x", 0.995)
    assert found.value >= 0.995
    assert "x by itself tells the label" in found.sentence


def test_a_text_that_gives_a_number_away_is_suspected() -> None:
    y = random.integers(0, 20, N).astype(float)
    assert names(checked(y, "regression", features=[categories(y)])) == [("leakage", "error", "x")]


def test_a_suspicion_can_be_a_warning() -> None:
    found = checked(Y["binary"], features=[numbers(Y["binary"])], rules={"on_leakage": "warn"})
    assert names(found) == [("leakage", "warning", "x")]


@pytest.mark.parametrize("task", list(Y))
@pytest.mark.parametrize(
    "feature",
    [categories(np.arange(N)), categories(np.arange(N) // 2), categories(np.arange(N) // 10), numbers(NOISE)],
    ids=["key", "pairs", "tens", "noise"],
)
def test_a_key_that_tells_every_row_in_sample_is_not_suspected(task, feature) -> None:
    assert leakage_score(feature.values, Y[task], task, categorical=feature.categorical, classes=3) < 0.7


def test_a_frequent_class_is_not_told_by_a_feature_that_says_nothing() -> None:
    y = (np.arange(N) % 250 == 0).astype(int)
    assert leakage_score(NOISE, y, "multiclass", categorical=False, classes=2) == 0.0
    assert leakage_score(y.astype(float), y, "multiclass", categorical=False, classes=2) == 1.0


def test_of_many_rows_a_spread_sample_is_looked_at() -> None:
    y = np.arange(3 * ROWS) % 2
    assert leakage_score(y.astype(float), y, "binary", categorical=False) == 1.0


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_a_number_is_measured_as_scipy_measures_it(seed) -> None:
    random = np.random.default_rng(seed)
    x, y = np.round(random.normal(size=300), 2), np.round(random.normal(size=300), 1)
    expected = max(stats.pearsonr(x, y)[0] ** 2, stats.spearmanr(x, y)[0] ** 2)
    assert leakage_score(x, y, "regression", categorical=False) == pytest.approx(expected)
    positive = (y > 0).astype(int)
    area = stats.mannwhitneyu(x[positive == 1], x[positive == 0]).statistic / positive.sum() / (1 - positive).sum()
    assert leakage_score(x, positive, "binary", categorical=False) == pytest.approx(max(area, 1 - area))
