from __future__ import annotations

import math

import numpy as np
import pyarrow as pa

from tradewind.training.reproduction_comparison import (
    TOLERANCE,
    ComparisonResult,
    compare_metrics,
    compare_predictions,
    compare_test_rows,
)

NAN = math.nan
TWO = (["0", "1"], ["0", "1"])


def told(compared: ComparisonResult) -> list[str]:
    return [f"{one.about}: {one.text}" for one in compared.differences]


def test_the_same_predictions_are_exact_also_where_there_are_none() -> None:
    answers = np.array([[0.25, 0.75], [NAN, NAN]])
    assert compare_predictions(answers, answers.copy(), classes=TWO) == ComparisonResult(True)


def test_the_last_digits_of_predictions_are_no_difference_and_not_exact() -> None:
    answers = np.array([[0.25, 0.75]])
    assert compare_predictions(answers, answers + TOLERANCE / 2, classes=TWO) == ComparisonResult(False)
    big = np.array([[3e9]])
    assert compare_predictions(big, big + 1, classes=(None, None)) == ComparisonResult(False)


def test_other_predictions_are_counted_with_the_largest_difference() -> None:
    before, now = np.array([[0.2, 0.8], [0.5, 0.5], [NAN, 0.1]]), np.array([[0.2, 0.8], [0.4, 0.6], [0.9, 0.1]])
    assert told(compare_predictions(before, now, classes=TWO)) == [
        "predictions: 2 of 3 test rows are predicted otherwise; the largest difference is 0.1"
    ]


def test_predictions_of_other_classes_cannot_be_the_same() -> None:
    answers = np.array([[0.2, 0.8]])
    assert told(compare_predictions(answers, answers, classes=(["a", "b"], ["b", "a"]))) == [
        "predictions: the classes were ['a', 'b'] and are ['b', 'a']"
    ]


def test_metrics_that_differ_are_named_with_both_numbers() -> None:
    before = {"roc_auc": 0.7, "log_loss": 0.5, "ece": NAN, "f1": 0.4}
    now = {"roc_auc": 0.72, "log_loss": 0.5 + 1e-9, "ece": NAN}
    found = compare_metrics(before, now)
    assert told(found) == ["metrics: f1 was 0.4 and is nan", "metrics: roc_auc was 0.7 and is 0.72"]
    assert compare_metrics({"log_loss": 0.5}, {"log_loss": 0.5 + 1e-9}) == ComparisonResult(False)
    assert compare_metrics(before, dict(before)) == ComparisonResult(True)


def test_rows_are_compared_column_by_column() -> None:
    before = pa.table({"id": ["a", "b"], "x": [1.0, None], "at": pa.array([1, 2], pa.timestamp("us", "UTC"))})
    assert compare_test_rows(before, before) == ComparisonResult(True)
    near = before.set_column(1, "x", pa.array([1.0 + 1e-9, None]))
    assert compare_test_rows(before, near) == ComparisonResult(False)
    other = before.set_column(1, "x", pa.array([1.0, 2.0])).set_column(0, "id", pa.array(["a", "c"]))
    assert told(compare_test_rows(before, other)) == [
        "data: column id differs in 1 of 2 test rows",
        "data: column x differs in 1 of 2 test rows",
    ]


def test_a_number_that_is_none_is_the_same_again_and_no_null() -> None:
    before = pa.table({"x": [1.0, NAN, None]})
    assert compare_test_rows(before, pa.table({"x": [1.0, NAN, None]})) == ComparisonResult(True)
    assert compare_test_rows(before, pa.table({"x": [1.0, None, None]})) == ComparisonResult(False)


def test_nothing_is_near_to_infinity_but_itself() -> None:
    before = pa.table({"x": [math.inf, 1.0]})
    assert compare_test_rows(before, pa.table({"x": [math.inf, 1.0 + 1e-9]})) == ComparisonResult(False)
    for other in (-math.inf, 5.0):
        assert told(compare_test_rows(before, pa.table({"x": [other, 1.0]}))) == [
            "data: column x differs in 1 of 2 test rows"
        ]
    assert told(compare_metrics({"rmse": math.inf}, {"rmse": 5.0})) == ["metrics: rmse was inf and is 5"]
    assert told(compare_predictions(np.array([[math.inf]]), np.array([[5.0]]), classes=(None, None))) != []


def test_rows_that_cannot_be_compared_say_why() -> None:
    before = pa.table({"id": ["a", "b"], "x": [1.0, 2.0]})
    assert told(compare_test_rows(before, before.slice(1))) == ["data: test rows: 2 then, 1 now"]
    assert told(compare_test_rows(before, before.rename_columns(["id", "y"]))) == [
        "data: columns of the test rows: x gone, y new"
    ]
