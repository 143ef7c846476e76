"""Each rule of the deep validation: one mistake in a project that is right, and exactly what is said of it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tradewind.spec.problems import Problem

Edit = Callable[[str, str, str], None]
Found = Callable[[], list[Problem]]

BLOCKS = Path(__file__).with_name("mistakes.txt").read_text(encoding="utf-8").strip().split("\n\n")[1:]


def first_lines(problems: list[Problem]) -> list[str]:
    return [problem.text().splitlines()[0] for problem in problems if problem.severity == "error"]


@pytest.mark.parametrize("block", BLOCKS, ids=[block.splitlines()[2][2:] for block in BLOCKS])
def test_a_mistake_is_told_at_its_place(block: str, edit: Edit, found: Found) -> None:
    file, old, new, *told = block.splitlines()
    edit(file, old[2:], new[2:].replace("\\n", "\n"))
    assert first_lines(found()) == told


def test_of_what_is_right_nothing_is_said(found: Found) -> None:
    assert found() == []


def test_all_mistakes_are_told_at_once(edit: Edit, found: Found) -> None:
    edit("dags/shop.yaml", "owner:", "ownr:")
    edit("include/shop/shop_day.sql", "avg(price)", "avg(prize)")
    edit("include/shop/orders.json", '"price", "min', '"prise", "min')
    edit("include/shop/features.py", 'timestamp_field="known_at"', 'timestamp_field="known"')
    edit("include/shop/model.py", "assert params", "assert not params")
    files = [problem.file for problem in found() if problem.severity == "error"]
    assert files == [
        "dags/shop.yaml",
        "include/shop/model.py",
        "include/shop/orders.json",
        "include/shop/shop_day.sql",
    ]


def test_five_mistakes_of_structure_hide_none_of_meaning(edit: Edit, found: Found) -> None:
    edit("dags/shop.yaml", "owner:", "ownr:")
    edit("dags/shop.yaml", "lookback: 7", "lookback: -1")
    edit("dags/shop.yaml", "duplicates: {keep: largest", "duplicates: {kep: largest")
    edit("dags/shop.yaml", "  test: 5", "  tets: 5")
    edit("dags/shop.yaml", "versus: champion, lower_bound: -0.01", "versus: champion, lower_bond: -0.01")
    edit("include/shop/shop_day.sql", "avg(price)", "avrage(price)")
    edit("include/shop/orders.json", '"price", "min', '"prise", "min')
    edit("dags/shop.yaml", "keys: [id]", "keys: [ident]")
    edit("include/shop/model.py", '["price", "orders"', '["prise", "orders"')
    edit("dags/shop.yaml", "metric: roc_auc, slice: shop, at_least", "metric: mae, slice: shop, at_least")
    assert [(problem.file.rpartition("/")[2], problem.field, problem.severity) for problem in found()] == [
        ("shop.yaml", "ownr", "error"),
        ("shop.yaml", "datasets.orders.keys[0]", "error"),
        ("shop.yaml", "datasets.orders.duplicates.kep", "error"),
        ("shop.yaml", "datasets.shop_day.inputs.orders.lookback", "error"),
        ("shop.yaml", "train.tets", "error"),
        ("shop.yaml", "gates[1].lower_bond", "error"),
        ("shop.yaml", "gates[2].metric", "error"),
        ("model.py", "train.model", "error"),
        ("orders.json", "expectations[1].kwargs.column", "error"),
        ("shop_day.sql", "datasets.shop_day.sql", "error"),
    ]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("window: 13", "window: thirteen"),
        ("window: 13", "widow: 13"),
        ("lookback: 7", "lookback: -1"),
        ("label: {dataset: orders,", "label: {dataset: [orders],"),
        ("definitions: include/shop/features.py", "definition: include/shop/features.py"),
        ("key: id", "key: [id]"),
        ("horizons: [1, 7]", "horizons: [one, 7]"),
        ("metric: roc_auc, at_least: 0.6}\n  - ", "metric: roc_acu, at_least: 0.6}\n  - "),
        ("columns: [price, shop]", "columns: price"),
        ("params: {depth: 3}", "params: [depth]"),
        ("cheap: include/shop/model.py:cheap", "cheap: [include/shop/model.py:cheap]"),
        ("partition: day", "partition: daily"),
        ("inputs: {orders: {lookback: 7}}", "inputs: [orders]"),
        ("columns: {shop: VARCHAR, town: VARCHAR}", "columns: [shop, town]"),
    ],
)
def test_a_mistake_of_structure_brings_no_false_one(old: str, new: str, edit: Edit, found: Found) -> None:
    edit("dags/shop.yaml", old, new)
    assert len(first_lines(found())) == 1


def test_a_caret_marks_what_is_wrong_also_behind_other_letters(edit: Edit, found: Found) -> None:
    edit("include/shop/orders.sql", "    town,", "    'Ärger 🙂' || twon AS town,")
    (problem, *_) = [each for each in found() if each.severity == "error"]
    assert problem.text().splitlines()[1:] == [
        "    6 |     'Ärger 🙂' || twon AS town,",
        "      |                  ^^^^",
    ]
    assert (problem.column, problem.end_column, problem.suggestion) == (18, 22, "town")


def test_what_cannot_be_checked_is_noted(edit: Edit, found: Found) -> None:
    columns = "columns: {id: BIGINT NOT NULL, placed: TIMESTAMPTZ, shop: VARCHAR, price: DOUBLE, back: BOOLEAN}"
    edit("dags/shop.yaml", columns, "nulls: [NA]")
    assert [(problem.severity, problem.text().splitlines()[0]) for problem in found()] == [
        (
            "note",
            "dags/shop.yaml:16:10: note: datasets.orders.sql: its columns cannot be checked: "
            "`source` declares no `columns`",
        ),
        (
            "note",
            "dags/shop.yaml:22:10: note: datasets.shop_day.sql: its columns cannot be checked: "
            "those of `orders` are not known",
        ),
    ]


def test_sql_over_unknown_columns_is_still_parsed(edit: Edit, found: Found) -> None:
    columns = "columns: {id: BIGINT NOT NULL, placed: TIMESTAMPTZ, shop: VARCHAR, price: DOUBLE, back: BOOLEAN}"
    edit("dags/shop.yaml", columns, "nulls: [NA]")
    edit("include/shop/orders.sql", "FROM source", "FORM source")
    told = 'include/shop/orders.sql:9:6: datasets.orders.sql: syntax error at or near "source"'
    assert first_lines(found()) == [told]


def test_a_column_that_nobody_declared_may_come_where_new_columns_are_taken(edit: Edit, found: Found) -> None:
    edit("dags/shop.yaml", "back: BOOLEAN}", "back: BOOLEAN}\n      new_columns: take")
    edit("include/shop/orders.sql", "    town,", "    tip,")
    notes = found()
    assert {problem.severity for problem in notes} == {"note"}
    assert notes[-1].message == (
        "its columns cannot be checked: there is no column `tip`, unless it is a new one that `source` takes"
    )


def test_a_refit_whose_next_candidate_cannot_be_compared_on_all_test_rows_is_noted(edit: Edit, found: Found) -> None:
    edit("dags/shop.yaml", "  test: 5\n", "  test: 5\n  refit: true\n")
    (note,) = found()
    assert (note.severity, note.field, note.expected) == ("note", "train.refit", "`retrain.cooldown: 4` or more")
    assert "only so many of 5 test partitions compare the two" in note.message
    edit("dags/shop.yaml", "cooldown: 3", "cooldown: 4")
    assert found() == []


@pytest.mark.parametrize("name", ["orders.sql", "orders.json", "features.py"])
def test_a_file_that_is_no_text_is_told(name: str, edit: Edit, found: Found, tmp_path: Path) -> None:
    (path,) = tmp_path.rglob(name)
    path.write_bytes(path.read_bytes() + "\n-- é".encode("latin-1"))
    assert any(f"{name} cannot be read as text; save it as UTF-8" in line for line in first_lines(found()))


def test_without_optuna_a_search_space_is_noted_and_not_judged(found: Found, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    (note,) = found()
    assert (note.severity, note.field) == ("note", "train.search.space")
    assert "pip install 'airflow-provider-tradewind[search]'" in note.message


def test_a_search_space_lies_beside_the_model_or_it_could_not_be_logged(edit: Edit, found: Found, shop: Path) -> None:
    (shop / "include" / "spaces").mkdir()
    (shop / "include" / "spaces" / "all.py").write_text("def space(trial):\n    return {}\n")
    edit("dags/shop.yaml", "include/shop/model.py:space", "include/spaces/all.py:space")
    assert first_lines(found()) == [
        "include/spaces/all.py:1:5: train.search.space: space cannot be logged: it lies in spaces and the model in "
        "shop; put it beside the model, so that it is logged with it"
    ]


def test_a_correction_over_gates_asks_for_more_blocks(edit: Edit, found: Found) -> None:
    second = "\n  - {metric: roc_auc, lower_bound: 0.5, confidence: 0.95}"
    edit("dags/shop.yaml", "lower_bound: -0.01}", "lower_bound: -0.01, confidence: 0.95}" + second)
    assert found() == []
    edit("dags/shop.yaml", "verdict:\n", "verdict:\n  correction: bonferroni\n")
    assert first_lines(found()) == [
        "dags/shop.yaml:46:6: gates[1]: the test partitions hold at most 6 blocks by day, an interval of 0.975 needs 7"
    ]
