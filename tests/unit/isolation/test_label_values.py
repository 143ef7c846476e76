"""Labels and answers of each task are right, or an error names what is not."""

from __future__ import annotations

import math
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from tradewind.errors import ModelError
from tradewind.isolation import task_outputs

ODD = ['with "quotes"', "two\nlines", "ärger 🛫", "{'a': 1}", " ", ""]


def column(values, kind=None) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(values, kind)])


@pytest.mark.parametrize("values", [[True, False], [1, 0], pa.array([1, 0], pa.uint8())], ids=["bool", "int", "uint8"])
def test_two_classes_are_zero_and_one(values) -> None:
    found = task_outputs.task_labels(column(values), "binary", "late")
    assert (found.tolist(), found.dtype) == ([1, 0], np.int64)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["b", "a"], ["b", "a"]),
        ([True, False], ["true", "false"]),
        ([2, 10], ["2", "10"]),
        (ODD, ODD),
        (pa.array(["b", "a"]).dictionary_encode(), ["b", "a"]),
    ],
    ids=["text", "bool", "int", "odd", "dictionary"],
)
def test_several_classes_are_text(values, expected) -> None:
    assert task_outputs.task_labels(column(values), "multiclass", "cause").tolist() == expected


def test_one_and_the_text_1_are_the_same_class() -> None:
    one = [task_outputs.task_labels(column(values), "multiclass", "gate").tolist() for values in ([1, 2], ["1", "2"])]
    assert one[0] == one[1]


@pytest.mark.parametrize("values", [[1, 2], [1.5, -2.0], [Decimal("1.50"), Decimal(-2)]], ids=["int", "float", "dec"])
def test_numbers_are_floats(values) -> None:
    found = task_outputs.task_labels(column(values), "regression", "delay")
    assert (found.tolist(), found.dtype) == ([float(value) for value in values], np.float64)


@pytest.mark.parametrize(
    ("values", "task", "words"),
    [
        ([0, 1, 7], "binary", "label late has values beside 0 and 1, for example 7; .*`train.task: multiclass`"),
        ([0.0, 1.0], "binary", "label late is double; where `train.task` is binary"),
        (["yes"], "binary", "label late is string"),
        ([1.5], "multiclass", "label late is double, for example 1.5; .*turn it into text"),
        ([1.0, math.inf], "regression", "label late is not finite in 1 rows, for example inf"),
        ([math.nan], "regression", "label late is not finite in 1 rows, for example nan"),
        (["12"], "regression", "label late is string, for example '12'; where `train.task` is regression"),
        ([True], "regression", "label late is bool, for example True"),
        ([1, None], "binary", "label late is NULL in 1 rows"),
        (["a", None], "multiclass", "label late is NULL in 1 rows"),
    ],
    ids=["third", "float", "text", "number", "inf", "nan", "digits", "flag", "null", "nothing"],
)
def test_a_wrong_label_is_named_with_an_example(values, task, words) -> None:
    with pytest.raises(ModelError, match=words):
        task_outputs.task_labels(column(values), task, "late")


class Model:
    """Answers with what it is told."""

    def __init__(self, answer) -> None:
        self.answer = answer

    def predict(self, frame):
        return self.answer

    predict_proba = predict


FRAME = pd.DataFrame({"a": [1.0, 2.0]})


@pytest.mark.parametrize(
    "answer",
    [[[0.25, 0.75], [1, 0]], pd.DataFrame([[0.25, 0.75], [1, 0]]), np.array([[0.25, 0.75], [1, 0]], np.float32)],
    ids=["list", "frame", "float32"],
)
def test_probabilities_may_come_as_any_table(answer) -> None:
    assert task_outputs.predict_output(Model(answer), FRAME, [0, 1]).tolist() == [[0.25, 0.75], [1.0, 0.0]]


@pytest.mark.parametrize("answer", [[3, -4], pd.Series([3, -4]), np.array([[3], [-4]])], ids=["list", "series", "flat"])
def test_numbers_may_come_in_a_row_or_a_column(answer) -> None:
    assert task_outputs.predict_output(Model(answer), FRAME, None).tolist() == [[3.0], [-4.0]]


@pytest.mark.parametrize(
    ("answer", "classes", "words"),
    [
        ([[0.5, 0.5]], [0, 1], r"shape \(1, 2\), where \(2, 2\)"),
        ([[0.5, 0.5], [0.5, 0.5]], ["a", "b", "c"], r"shape \(2, 2\), where \(2, 3\)"),
        ([0.5, 0.5], [0, 1], r"shape \(2,\), where \(2, 2\)"),
        ([[1.0, 2.0], [1.0, 2.0]], None, r"`predict` answers with the shape \(2, 2\)"),
        ([[math.nan, 1], [0, 1]], [0, 1], r"answers with \[nan, 1.0\] in 1 of 2 rows"),
        ([1.0, math.inf], None, r"`predict` answers with \[inf\] in 1 of 2 rows"),
        ([[1.2, -0.2], [0, 1]], [0, 1], r"\[1.2, -0.2\] in 1 of 2 rows: probabilities lie between"),
        ([[0.2, 0.2], [0, 1]], [0, 1], r"\[0.2, 0.2\] in 1 of 2 rows: .* are 1 together"),
        (["late", "early"], None, "`predict` answers with list, which is not an array of numbers"),
        (None, None, r"shape \(\)|NoneType"),
    ],
    ids=["rows", "classes", "flat", "two", "nan", "inf", "outside", "sum", "text", "nothing"],
)
def test_an_answer_that_the_task_cannot_use_says_what_is_wrong(answer, classes, words) -> None:
    with pytest.raises(ModelError, match=words):
        task_outputs.predict_output(Model(answer), FRAME, classes)


def test_what_float32_makes_of_one_is_one() -> None:
    assert task_outputs.predict_output(Model([[-1e-7, 1 + 1e-7]] * 2), FRAME, [0, 1]).tolist() == [[0.0, 1.0]] * 2


def test_scores_stand_in_the_order_that_is_asked_for() -> None:
    order = task_outputs.class_order(["b", "a"], ["c"], None, [0, 1])
    scores = task_outputs.metric_scores("multiclass", np.array([[0.25, 0.75]]), ["b", "a"], order=order)
    assert (order, scores.tolist()) == (["a", "b", "c"], [[0.75, 0.25, 0.0]])


@pytest.mark.parametrize("classes", [[0, 1], [False, True], [0.0, 1.0], ["0", "1"]], ids=["int", "bool", "f", "text"])
def test_of_two_classes_the_score_is_the_probability_of_one(classes) -> None:
    assert task_outputs.metric_scores("binary", np.array([[0.25, 0.75]]), classes).tolist() == [0.75]
    assert task_outputs.metric_scores("binary", np.array([[0.75, 0.25]]), classes[::-1]).tolist() == [0.75]


@pytest.mark.parametrize(
    ("task", "classes"),
    [("binary", None), ("binary", [0, 1, 2]), ("binary", ["a", "b"]), ("multiclass", None), ("multiclass", [0, 1]),
     ("regression", [0, 1])],
    ids=["b-none", "b-three", "b-text", "m-none", "m-int", "r-two"],
)  # fmt: skip
def test_a_model_of_another_task_is_never_read_as_one_of_this(task, classes) -> None:
    output = np.full((1, len(classes or [0])), 1 / len(classes or [0]))
    with pytest.raises(ModelError, match=f"that is no model for `train.task: {task}`"):
        task_outputs.metric_scores(task, output, classes, order=["0", "1"])


def test_a_class_that_nobody_is_asked_for_is_not_dropped_silently() -> None:
    with pytest.raises(ModelError, match=r"knows the classes \['a', 'b'\], and asked for are \['a'\]"):
        task_outputs.metric_scores("multiclass", np.array([[0.5, 0.5]]), ["a", "b"], order=["a"])


def test_labels_become_codes_and_an_unknown_class_is_minus_one() -> None:
    names = np.array(["b", "z", "a"], object)
    assert task_outputs.metric_targets("multiclass", names, ["a", "b"]).tolist() == [1, -1, 0]
    assert task_outputs.metric_targets("regression", np.array([1.5]), []).tolist() == [1.5]


def test_the_majority_of_training_predicts_its_shares_or_its_mean() -> None:
    two = task_outputs.majority_answer("binary", np.array([1, 0, 0, 0]))
    several = task_outputs.majority_answer("multiclass", np.array(["b", "a", "b", "b"], object))
    number = task_outputs.majority_answer("regression", np.array([1.0, 2.0]))
    assert task_outputs.majority_scores(two, 2).tolist() == [0.25, 0.25]
    assert task_outputs.majority_scores(several, 1, ["a", "b", "c"]).tolist() == [[0.25, 0.75, 0.0]]
    assert task_outputs.majority_scores(number, 2).tolist() == [1.5, 1.5]
