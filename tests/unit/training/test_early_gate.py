"""The early gate: a fit on a sample says whether the rest is worth it."""

from __future__ import annotations

import numpy as np
import pytest

from tradewind.errors import ModelError
from tradewind.metrics.metric_list import METRICS
from tradewind.training.early_gate import evaluate_early_gate, sample_rows


@pytest.fixture
def judged(asked, build, framed):
    """The chance of a model of 300 rows by an early gate."""

    def judged(**bound: float):
        train = asked(early={"metric": "roc_auc" if "at_least" in bound else "brier", "rows": 100, **bound}, seed=3)
        fit, validation = framed(300), framed(200, seed=1)
        return evaluate_early_gate(
            train,
            train.early,
            metric=METRICS[train.early.metric],
            build_model=build("binary"),
            fit=fit,
            validation=validation,
        )

    return judged


@pytest.mark.parametrize(
    ("bound", "worth"),
    [({"at_least": 0.6}, True), ({"at_least": 0.99}, False), ({"at_most": 0.3}, True), ({"at_most": 0.01}, False)],
    ids=["reached", "missed", "below", "above"],
)
def test_a_sample_says_whether_it_is_worth_it(judged, bound, worth) -> None:
    found = judged(**bound)
    assert (found.worth, found.rows, found.bound) == (worth, 100, *bound.values())
    assert 0 < found.value < 1
    relation = "reaches" if worth else "misses"
    assert found.reason.startswith("fitted on 100 of 300 rows")
    assert f"which {relation} {found.bound:g}" in found.reason


def test_it_says_the_same_each_time(judged) -> None:
    assert judged(at_least=0.6) == judged(at_least=0.6)


def test_a_metric_without_a_value_is_not_worth_it(asked, build, framed) -> None:
    train = asked(early={"metric": "roc_auc", "at_least": 0.1, "rows": 100})
    rows = framed(200)
    one_class = rows.table.filter(rows.table["label"])
    validation = type(rows)(one_class, rows.columns, rows.key, rows.timestamp, rows.label, rows.task)
    found = evaluate_early_gate(
        train,
        train.early,
        metric=METRICS[train.early.metric],
        build_model=build("binary"),
        fit=rows,
        validation=validation,
    )
    assert (found.worth, found.value) == (False, None)
    assert "has no value; 0.1 is asked for" in found.reason


def test_a_sample_of_one_class_says_what_to_do(asked, build, framed) -> None:
    train = asked(early={"metric": "roc_auc", "at_least": 0.1, "rows": 100})
    rows = framed(200)
    rare = type(rows)(rows.table.filter(rows.table["label"]), rows.columns, rows.key, rows.timestamp, "label", "binary")
    with pytest.raises(ModelError, match=r"rows of the early gate's sample have the same class; .*`train.early.rows`"):
        evaluate_early_gate(
            train,
            train.early,
            metric=METRICS[train.early.metric],
            build_model=build("binary"),
            fit=rare,
            validation=rows,
        )


def test_a_sample_has_as_much_of_each_time_as_the_rows(framed) -> None:
    rows = framed(1003)
    picked = [int(key[1:]) for key in sample_rows(rows, rows=100, seed=5).table["key"].to_pylist()]
    assert len(set(picked)) == 100
    edges = np.linspace(0, 1003, 101).astype(int)
    assert all(low <= one < high for low, one, high in zip(edges[:-1], picked, edges[1:], strict=True))
    other = sample_rows(rows, rows=100, seed=6).table["key"].to_pylist()
    assert other != [f"k{n}" for n in picked]


def test_fewer_rows_than_the_sample_are_all_taken(framed) -> None:
    rows = framed(50)
    assert sample_rows(rows, rows=100, seed=0) is rows
