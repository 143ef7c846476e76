"""A metric of the project is tried on made-up rows, and what is wrong with it is reported at its place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tradewind.spec.problems import Problem

Edit = Callable[[str, str, str], None]
Found = Callable[[], list[Problem]]

METRICS = """\
import numpy as np


def profit(y_true, y_pred):
    return float(np.mean(10 * (y_pred > 0.5) * y_true - 3 * (y_pred > 0.5) * (1 - y_true)))
"""
GATE = "  - {metric: include/shop/metrics.py:profit, at_least: 0.5}\n"
DECLARED = "metrics:\n  include/shop/metrics.py:profit: {greater_is_better: true}\n"


@pytest.fixture(autouse=True)
def with_metric(shop: Path, edit: Edit) -> None:
    (shop / "include" / "shop" / "metrics.py").write_text(METRICS)
    edit("dags/shop.yaml", "gates:\n", f"{DECLARED}gates:\n{GATE}")


def told(found: Found) -> list[str]:
    return [problem.text().splitlines()[0] for problem in found() if problem.severity == "error"]


def test_of_a_right_metric_nothing_is_said(found: Found) -> None:
    assert found() == []


def test_a_file_that_is_not_there_is_reported_where_the_yaml_names_it(edit: Edit, found: Found) -> None:
    edit("dags/shop.yaml", "metrics.py", "metric.py")
    (problem,) = [one for one in found() if one.severity == "error"]
    assert (problem.line, problem.column) == (45, 3)
    assert problem.field == "metrics.include/shop/metric.py:profit"
    assert problem.suggestion == "include/shop/metrics.py"


def test_a_function_that_is_not_there_is_reported_with_the_nearest(edit: Edit, found: Found) -> None:
    edit("dags/shop.yaml", "metrics.py:profit", "metrics.py:profits")
    assert told(found) == [
        "dags/shop.yaml:45:3: metrics.include/shop/metrics.py:profits: include/shop/metrics.py has no function "
        "`profits`; did you mean `include/shop/metrics.py:profit`?"
    ]


@pytest.mark.parametrize(
    ("old", "new", "place", "message"),
    [
        ("(y_true, y_pred)", "(y_true)", "4:5", "profit takes other arguments than y_true and y_pred: too many"),
        ("return float(", "return str(", "4:5", "profit returns the text '"),
        ("return float(", "float(", "4:5", "profit returns None, where a number is needed"),
        ("return float(", "return float('nan') * float(", "4:5", "profit returns NaN for 200 made-up labels of 2"),
        ("return float(", "return y_true.nothing(", "5:5", "AttributeError: 'numpy.ndarray' object has"),
        ("def profit", "def profit(", "4:", "SyntaxError:"),
    ],
    ids=["arguments", "text", "nothing", "nan", "raises", "syntax"],
)  # fmt: skip
def test_what_is_wrong_with_the_function_is_reported_in_its_file(
    edit: Edit, found: Found, old: str, new: str, place: str, message: str
) -> None:
    edit("include/shop/metrics.py", old, new)
    (line,) = told(found)
    assert line.startswith(f"include/shop/metrics.py:{place}"), line
    assert message in line


def test_a_direction_that_is_not_declared_is_reported_where_the_metric_is_named(edit: Edit, found: Found) -> None:
    edit("dags/shop.yaml", DECLARED, "")
    (line,) = told(found)
    assert line.startswith(
        "dags/shop.yaml:45:14: gates[0].metric: whether a larger value of include/shop/metrics.py:profit"
    )


def test_a_bound_on_the_wrong_side_is_reported(edit: Edit, found: Found) -> None:
    edit("dags/shop.yaml", "greater_is_better: true", "greater_is_better: false")
    (line,) = told(found)
    assert "is better when smaller: this would let only bad candidates pass; did you mean `at_most`?" in line


def test_search_and_monitoring_take_it_too(edit: Edit, found: Found) -> None:
    edit("dags/shop.yaml", "space, metric: roc_auc", "space, metric: include/shop/metrics.py:profit")
    edit("dags/shop.yaml", "performance: {metric: roc_auc", "performance: {metric: include/shop/metrics.py:profit")
    assert found() == []


def test_a_path_without_a_function_says_what_is_expected(edit: Edit, found: Found) -> None:
    edit("dags/shop.yaml", "performance: {metric: roc_auc", "performance: {metric: include/shop/metrics.py")
    (line,) = told(found)
    assert "monitor.performance.metric: expected file.py:function" in line
