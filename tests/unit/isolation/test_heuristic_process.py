"""A heuristic answers in a process of its own, and what it answers is checked."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from tradewind.errors import ModelError
from tradewind.isolation.heuristic_process import HeuristicProcess, check_heuristic_answer, heuristic_answer_columns

ROWS = pa.table({"hour": [6.0, 18.0, None], "carrier": ["AA", "UA", None]})
RULES = """
def evening(rows):
    print("not an answer", flush=True)
    rows["hour"] = rows["hour"].fillna(0)   # its own copy
    return rows["hour"] / 24

def looks_for_the_label(rows):
    return rows["late"]

def ends(rows):
    import os
    os._exit(3)

def hangs(rows):
    while True:
        pass
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    (folder / "include" / "delays_model").mkdir(parents=True)
    (folder / "include" / "delays_model" / "rules.py").write_text(RULES)
    return folder


@pytest.fixture(scope="module")
def said(project: Path) -> dict[str, Any]:
    """What every rule answers, or why it does not; all their processes start at once."""
    found: dict[str, Any] = {}
    with ExitStack() as stack:
        rules = {
            name: stack.enter_context(
                HeuristicProcess(
                    f"include/delays_model/rules.py:{name}", project, timeout=0.2 if name == "hangs" else 60
                )
            )
            for name in ("evening", "looks_for_the_label", "ends", "hangs", "nowhere")
        }
        for name, rule in rules.items():
            try:
                found[name] = rule.answer(ROWS, "binary")
            except ModelError as exc:
                found[name] = str(exc)
    return found


def test_a_rule_answers_from_its_own_process_and_what_it_prints_is_no_answer(said: dict[str, Any]) -> None:
    output, classes = said["evening"]
    assert (np.allclose(output[:, 1], [0.25, 0.75, 0.0]), classes) == (True, ["0", "1"])


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ("looks_for_the_label", "KeyError: 'late'"),
        ("ends", "its process died"),
        ("hangs", "gave no answer within 0.2 s and was stopped"),
        ("nowhere", "has no function nowhere"),
    ],
)
def test_a_rule_that_fails_says_why(said: dict[str, Any], rule: str, why: str) -> None:
    assert said[rule].startswith(f"heuristic include/delays_model/rules.py:{rule} ")
    assert why in said[rule]


@pytest.mark.parametrize(
    ("answer", "task", "output", "classes"),
    [
        ([True, False], "binary", [[0, 1], [1, 0]], ["0", "1"]),
        (pd.DataFrame({0: [0.5, 0.2], 1: [0.5, 0.8]}), "binary", [[0.5, 0.5], [0.2, 0.8]], ["0", "1"]),
        (pd.Series(["b", "a"]), "multiclass", [[0, 1], [1, 0]], ["a", "b"]),
        (pd.DataFrame({"b": [0.5, 0.2], "a": [0.5, 0.8]}), "multiclass", [[0.5, 0.5], [0.2, 0.8]], ["b", "a"]),
        (np.array([[3], [4]]), "regression", [[3], [4]], None),
    ],
    ids=["truth", "both classes", "names", "frame", "numbers"],
)
def test_an_answer_becomes_what_a_model_of_the_task_answers(answer, task, output, classes) -> None:
    found, known = check_heuristic_answer(pa.table(heuristic_answer_columns(answer, rows=2)), 2, task)
    assert (found.tolist(), known) == (output, classes)


@pytest.mark.parametrize(
    ("answer", "task", "why"),
    [
        (["AA", "UA"], "binary", "answers with text, and the task is binary"),
        ([0.5], "binary", "answers 1 times for 2 rows"),
        ([50.0, 0.0], "binary", "no probability"),
        ([0.5, None], "binary", "1 values that are no finite numbers"),
        (pd.DataFrame({"a": [0.5, 0.5], "b": [0.5, 0.5]}), "binary", "the columns a, b, which is not a binary answer"),
        (["a", None], "multiclass", "no class for 1 rows"),
        ([0.5, 0.5], "multiclass", "which is not a multiclass answer"),
        ([np.inf, 1.0], "regression", "1 values that are no finite numbers"),
        ([[1.0, 2.0], [1.0, 2.0]], "regression", "the columns 0, 1, which is not a regression answer"),
        (pd.Series([0.5, 0.2], index=[1, 0]), "binary", "another index than that of the rows"),
        (pd.DataFrame([[0.5, 0.5], [0.2, 0.8]], columns=["a", "a"]), "multiclass", "a column twice: a, a"),
    ],
    ids=[
        "text",
        "short",
        "percent",
        "missing",
        "strange classes",
        "no name",
        "one number",
        "endless",
        "two numbers",
        "sorted",
        "twice",
    ],
)
def test_what_is_no_answer_of_the_task_is_said(answer, task, why: str) -> None:
    with pytest.raises(ModelError, match=why):
        check_heuristic_answer(pa.table(heuristic_answer_columns(answer, rows=2)), 2, task)
