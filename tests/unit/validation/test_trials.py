"""What fails only for the values that were made up is a note; what fails for any values is an error."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tradewind.spec.problems import Problem
from tradewind.validation import user_code_process
from tradewind.validation.pipeline import validate_pipelines
from tradewind.validation.user_code_process import UserCodeProcess

Edit = Callable[[str, str, str], None]
Found = Callable[[], list[Problem]]

MODEL = "include/shop/model.py"
BUILT = "    return make_pipeline(inputs(),"


def one(found: list[Problem]) -> tuple[str, str]:
    (problem,) = found
    return problem.severity, problem.message


def test_a_check_of_values_by_the_project_itself_is_a_note(edit: Edit, found: Found) -> None:
    edit(MODEL, "    return (rows", "    if rows['price'].max() > 50: raise ValueError('too dear')\n    return (rows")
    severity, message = one(found())
    assert severity == "note"
    assert message == "cheap fails on 1,000 made-up rows on these, which may not be like yours: ValueError: too dear"


def test_the_values_keep_to_what_the_expectations_say(edit: Edit, found: Found) -> None:
    edit(MODEL, "    return (rows", "    assert rows['price'].max() < 50\n    return (rows")
    assert one(found())[0] == "note"
    edit("include/shop/orders.json", '"min_value": 0', '"min_value": 0, "max_value": 49')
    assert found() == []


def test_a_category_that_nobody_declared_is_a_note_and_one_of_the_declared_is_not(edit: Edit, found: Found) -> None:
    edit(MODEL, "    return (rows", "    return rows['shop'].fillna('x').map(lambda v: SHARES[v])\n    return (rows")
    edit(MODEL, "def cheap", "SHARES = {'x': 0.1, 'north': 0.2}\n\ndef cheap")
    severity, message = one(found())
    assert (severity, "KeyError: 'made-up-" in message) == ("note", True)
    column = '{"column": "id"}},\n    {"type": "expect_column_values_to_be_in_set", "kwargs": '
    edit("include/shop/orders.json", '{"column": "id"}}', column + '{"column": "shop", "value_set": ["north"]}}')
    assert found() == []


def test_what_fails_only_where_values_are_missing_is_a_note(edit: Edit, found: Found) -> None:
    edit(MODEL, "(SimpleImputer(), ", '("passthrough", ')
    severity, message = one([p for p in found() if p.field == "train.model"])
    assert severity == "note"
    assert "fails on 1,000 made-up rows where values are missing, and not without them, which may not be" in message
    assert "Input X contains NaN" in message


def test_all_types_that_are_not_trusted_are_named_at_once(edit: Edit, found: Found) -> None:
    edit(MODEL, "(SimpleImputer(), ", "(Own(), ")
    edit(
        MODEL,
        "def cheap",
        "from sklearn.impute import SimpleImputer\n\nclass Own(SimpleImputer):\n    pass\n\ndef cheap",
    )
    edit("dags/shop.yaml", "  trusted: [numpy.dtype]\n", "")
    (problem,) = found()
    assert (problem.line, problem.severity, problem.expected) == (40, "error", "trusted: [numpy.dtype, shop.model.Own]")
    assert "that nobody has said to trust: numpy.dtype, shop.model.Own" in problem.message
    edit("dags/shop.yaml", "params: {depth: 3}", "params: {depth: 3}\n  trusted: [numpy.dtype, shop.model.Own]")
    assert found() == []


def test_a_pickled_model_needs_no_trusted_types(edit: Edit, found: Found) -> None:
    edit("dags/shop.yaml", "trusted: [numpy.dtype]", "serialization: pickle")
    assert found() == []


def test_a_failure_in_the_projects_own_code_is_at_its_line(edit: Edit, found: Found) -> None:
    edit(MODEL, "(SimpleImputer(), ", "(FunctionTransformer(double), ")
    edit(
        MODEL, "def cheap",
        "from sklearn.preprocessing import FunctionTransformer\n\ndef double(X):\n    return X.dobule()\n\ndef cheap",
    )  # fmt: skip
    (problem,) = [p for p in found() if p.severity == "error"]
    assert (problem.file, problem.source_line) == (MODEL, "    return X.dobule()")
    assert (
        "AttributeError: 'DataFrame' object has no attribute 'dobule'" in problem.text() or "dobule" in problem.message
    )


def test_several_classes_and_numbers_are_made_up_too(edit: Edit, found: Found) -> None:
    edit("dags/shop.yaml", "column: back,", "column: town,")
    edit("dags/shop.yaml", "window: 13", "task: multiclass\n  window: 13")
    edit(MODEL, '(rows["price"] < 10).astype(float)', "rows['shop'].fillna('none')")
    assert [p.message for p in found() if p.field in ("train.model", "verdict.heuristics.cheap")] == []


def test_it_writes_to_nothing_that_is_there_and_ends(
    shop: Path, edit: Edit, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_TRADEWIND_DEFAULT", "secret://")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow.example.com")
    edit(
        MODEL, "    return (rows",
        "    import os\n    open('litter', 'w').close()\n"
        "    assert 'AIRFLOW_CONN_TRADEWIND_DEFAULT' not in os.environ\n"
        "    assert os.environ['MLFLOW_TRACKING_URI'].startswith('sqlite:')\n    return (rows",
    )  # fmt: skip
    assert [p.text() for p in validate_pipelines([Path("dags/shop.yaml")])] == []
    assert not list(shop.rglob("litter"))
    assert os.environ["MLFLOW_TRACKING_URI"] == "http://mlflow.example.com"


def test_code_that_takes_too_long_is_stopped_and_noted(shop: Path, edit: Edit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(user_code_process, "_TRIAL", 0.0)
    edit(MODEL, "    return (rows", "    while True: pass\n    return (rows")
    found = validate_pipelines([Path("dags/shop.yaml")])
    assert {problem.severity for problem in found} == {"note"}
    assert "cheap fails on 1,000 made-up rows, which may not be like yours: the code did not come to an end within" in (
        found[-1].message
    )


def test_a_trial_has_bounded_memory(tmp_path: Path) -> None:
    folder = tmp_path / "include" / "m"
    folder.mkdir(parents=True)
    (folder / "model.py").write_text("def rule(rows):\n    return bytearray(5 * 2**30)\n")
    request = {
        "kind": "rule", "root": str(tmp_path), "reference": "include/m/model.py:rule", "task": "binary", "columns": [],
        "inputs": [],
    }  # fmt: skip
    (answer,) = UserCodeProcess([request]).answers()
    assert answer["error"]["message"].startswith("MemoryError")
    assert answer["certain"] is False
