"""A metric of the project is computed in a process of its own, and what it returns is checked."""

from __future__ import annotations

import gc
import math
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from tradewind.core import bootstrap
from tradewind.errors import MetricError
from tradewind.isolation.project_metric import MetricProcess, ProjectMetric, open_metric, project_metric_causes
from tradewind.metrics.metric_list import METRICS
from tradewind.spec.metrics import MetricDeclaration

FILE = "include/shop/metrics.py"
CODE = """
import numpy as np

def profit(y_true, y_pred):
    print("not an answer", flush=True)
    sent = y_pred > 0.5
    return 10.0 * (sent & (y_true == 1)).sum() - 3.0 * (sent & (y_true == 0)).sum()

def area(y_true, y_pred):
    from sklearn.metrics import roc_auc_score
    return roc_auc_score(y_true, y_pred)

def right(y_true, y_pred):
    return float((y_pred.argmax(axis=1) == y_true).mean())

def fails(y_true, y_pred):
    raise ValueError("no such column")

def hangs(y_true, y_pred):
    while True:
        pass

def ends(y_true, y_pred):
    import os
    os._exit(3)

def text(y_true, y_pred):
    return "12.5"

def nothing(y_true, y_pred):
    pass

def undefined(y_true, y_pred):
    return np.nan

def infinite(y_true, y_pred):
    return np.inf

def one_argument(y_true):
    return 1.0

not_a_function = 3
"""
Y, P = np.array([1, 0, 1, 0]), np.array([0.9, 0.8, 0.7, 0.1])


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    (folder / "include" / "shop").mkdir(parents=True)
    (folder / FILE).write_text(CODE)
    (folder / "include" / "shop" / "broken.py").write_text("def profit(:\n")
    return folder


def opened(project: Path, function: str, *, file: str = FILE, task: str = "binary", timeout: float = 60):
    name = f"{file}:{function}"
    declared = {name: MetricDeclaration(greater_is_better=True)}
    return open_metric(name, declared, task=task, project=project, timeout=timeout)  # type: ignore[arg-type]


def test_the_value_is_what_the_function_returns(project: Path) -> None:
    assert opened(project, "profit").compute(Y, P) == 17.0


def test_a_built_in_metric_needs_no_process(project: Path) -> None:
    assert open_metric("roc_auc", {}, task="binary", project=project) is METRICS["roc_auc"]


def test_the_direction_is_the_declared_one(project: Path) -> None:
    name = f"{FILE}:profit"
    cost = open_metric(name, {name: MetricDeclaration(greater_is_better=False)}, task="binary", project=project)
    assert (cost.greater_is_better, cost.sign) == (False, -1.0)


def test_class_probabilities_come_as_one_column_a_class(project: Path) -> None:
    score = np.array([[0.7, 0.2, 0.1], [0.1, 0.2, 0.7]])
    assert opened(project, "right", task="multiclass").compute(np.array([0, 1]), score) == 0.5


def test_the_interval_is_that_of_the_same_metric_built_in(project: Path) -> None:
    rng = np.random.default_rng(1)
    y = rng.integers(0, 2, 600)
    p = np.clip(0.3 * y + 0.6 * rng.random(600), 0, 1)
    ours, theirs = (
        bootstrap.metric_interval(y, p, np.arange(600) % 20, metric=metric, confidence=0.9, seed=1, resamples=200)
        for metric in (opened(project, "area"), METRICS["roc_auc"])
    )
    assert ours.value == pytest.approx(roc_auc_score(y, p))
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_a_draw_for_which_the_function_raises_has_no_value(project: Path) -> None:
    drawn = opened(project, "area").resample(np.array([0, 1]), np.array([0.2, 0.7]), block=np.array([0, 1]), blocks=2)
    found = drawn(np.array([[1.0, 1.0], [2.0, 0.0]]))
    assert found[0] == 1.0
    assert math.isnan(found[1])


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("fails", "raises ValueError: no such column (line 17)"),
        ("text", "returns the text '12.5', where a number is needed"),
        ("nothing", "returns None, where a number is needed"),
        ("infinite", "returns inf, where a finite number is needed"),
        ("one_argument", "raises TypeError: one_argument() takes 1 positional argument but 2 were given"),
        ("nowhere", "is not there: the file has no function nowhere"),
        ("not_a_function", "is not there: the file has no function not_a_function"),
        ("ends", "failed: its process died"),
    ],
)
def test_what_is_wrong_is_said_with_file_and_function(project: Path, function: str, message: str) -> None:
    with pytest.raises(MetricError) as caught:
        opened(project, function).compute(Y, P)
    assert str(caught.value) == f"metric {FILE}:{function} {message}"


def test_code_that_cannot_be_imported_is_said_with_its_line(project: Path) -> None:
    with pytest.raises(MetricError, match=r"broken.py:profit cannot be imported: SyntaxError: .*\(line 1\)$"):
        opened(project, "profit", file="include/shop/broken.py").compute(Y, P)


def test_a_file_that_is_not_there_is_refused_at_once(project: Path) -> None:
    with pytest.raises(MetricError, match=r"there is no file include/shop/nothing\.py in the project"):
        opened(project, "profit", file="include/shop/nothing.py")


def test_a_function_that_hangs_is_stopped(project: Path) -> None:
    with pytest.raises(MetricError, match=r"hangs gave no answer within 0\.5 s and was stopped"):
        opened(project, "hangs", timeout=0.5).compute(Y, P)


def test_nan_means_that_there_is_no_value(project: Path) -> None:
    assert math.isnan(opened(project, "undefined").compute(Y, P))


def test_a_missing_prediction_is_never_shown_to_the_function(project: Path) -> None:
    assert math.isnan(opened(project, "fails").compute(Y, np.array([0.9, np.nan, 0.7, 0.1])))


def test_one_process_serves_all_calls_and_ends_with_its_object(project: Path) -> None:
    process = MetricProcess(f"{FILE}:profit", project)
    assert [process.values(y=Y, score=P) for _ in range(2)] == [[17.0], [17.0]]
    running = process._running
    del process
    gc.collect()
    assert running is not None
    assert running._process.returncode is not None


def test_after_a_failure_the_next_call_starts_a_process_anew(project: Path) -> None:
    metric = opened(project, "ends")
    for _ in range(2):
        with pytest.raises(MetricError, match="its process died"):
            metric.compute(Y, P)


def test_weights_are_refused(project: Path) -> None:
    with pytest.raises(ValueError, match="takes no weights"):
        opened(project, "profit").compute(Y, P, weights=np.ones(4))


def test_the_cause_changes_with_the_code_and_names_project_metrics_only(tmp_path: Path) -> None:
    (tmp_path / "include" / "shop").mkdir(parents=True)
    (tmp_path / FILE).write_text(CODE)
    names = ["roc_auc", f"{FILE}:profit"]
    declared = {f"{FILE}:profit": MetricDeclaration(greater_is_better=True)}
    before = project_metric_causes(names, declared, tmp_path)
    (tmp_path / FILE).write_text(CODE.replace("10.0", "11.0"))
    after = project_metric_causes(names, declared, tmp_path)
    assert list(before) == list(after) == [f"{FILE}:profit"]
    assert before != after


def test_a_metric_is_one_of_its_task(project: Path) -> None:
    metric = opened(project, "profit", task="regression")
    assert isinstance(metric, ProjectMetric)
    assert metric.tasks == {"regression"}
