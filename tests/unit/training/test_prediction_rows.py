"""Predictions are written so that every reader finds them and nothing of them is lost."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from tradewind.training.prediction_rows import COLUMNS, answers_from_columns, prediction_columns

NAMES = ['"quoted"', "two\nlines", "it's", "ärger 🛫"]


def probabilities(rows: int, classes: int) -> np.ndarray:
    raw = np.random.default_rng(3).random((rows, classes))
    return raw / raw.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(
    ("task", "output", "classes"),
    [
        ("binary", probabilities(50, 2), [0, 1]),
        ("multiclass", probabilities(50, 4), sorted(NAMES)),
        ("multiclass", np.eye(3), ["a", "b", "c"]),
        ("multiclass", np.array([[1e-300, 1.0]]), ["a", "b"]),
        ("regression", np.array([[-1e300], [0.1]]), None),
    ],
    ids=["binary", "odd-names", "certain", "tiny", "regression"],
)
def test_what_was_written_reads_back_as_it_was(task, output, classes) -> None:
    table = pa.table(prediction_columns(task, output, classes))
    found, known = answers_from_columns(task, table)
    assert tuple(table.column_names) == COLUMNS[task]
    assert known == classes
    if task == "binary":
        assert np.array_equal(found[:, 1], output[:, 1])
    else:
        assert np.array_equal(found, output)


def test_the_most_probable_class_is_predicted_and_of_equal_ones_the_first() -> None:
    table = pa.table(prediction_columns("multiclass", np.array([[0.2, 0.5, 0.3], [0.4, 0.2, 0.4]]), ["c", "a", "b"]))
    assert table["prediction"].to_pylist() == ["a", "b"]
    assert table["probability"].to_pylist() == [0.5, 0.4]
    assert json.loads(table["probabilities"][0].as_py()) == {"a": 0.5, "b": 0.3, "c": 0.2}


def test_rows_of_several_models_know_the_classes_of_all() -> None:
    one = pa.table(prediction_columns("multiclass", np.array([[0.5, 0.5]]), ["a", "b"]))
    other = pa.table(prediction_columns("multiclass", np.array([[0.25, 0.75]]), ["b", "c"]))
    found, known = answers_from_columns("multiclass", pa.concat_tables([one, other]))
    assert (known, found.tolist()) == (["a", "b", "c"], [[0.5, 0.5, 0.0], [0.0, 0.25, 0.75]])


def test_no_rows_are_no_answers() -> None:
    empty = pa.table(prediction_columns("multiclass", np.empty((0, 2)), ["a", "b"]))
    assert answers_from_columns("multiclass", empty)[0].shape == (0, 0)


def test_a_class_is_found_by_its_name_in_duckdb_and_pandas(tmp_path: Path) -> None:
    output = probabilities(5, len(NAMES))
    table = pa.table(prediction_columns("multiclass", output, sorted(NAMES)))
    with duckdb.connect() as connection:
        connection.register("predicted", table)
        asked = "SELECT from_json(probabilities, '\"MAP(VARCHAR, DOUBLE)\"')[$name] FROM predicted"
        by_duckdb = [row[0] for row in connection.execute(asked, {"name": "it's"}).fetchall()]
    by_pandas = table.to_pandas()["probabilities"].map(json.loads).map(lambda row: row["it's"]).tolist()
    assert by_pandas == output[:, sorted(NAMES).index("it's")].tolist()
    assert by_duckdb == by_pandas
