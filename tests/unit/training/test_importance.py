"""Permutation importance agrees with scikit-learn's; what a model does not look at has none."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.inspection import partial_dependence, permutation_importance
from sklearn.metrics import roc_auc_score

from tradewind.training import importance as important
from tradewind.training.importance import measure_importance, measure_partial_dependence

METRICS = {"binary": "roc_auc", "multiclass": "log_loss", "regression": "rmse"}


@pytest.fixture(scope="module")
def fitted(build, framed):
    """A fitted model of each task."""

    def fit(task: str):
        rows = framed(400, task=task)
        return build(task)({}).fit(rows.inputs().to_pandas(), rows.labels())

    return {task: fit(task) for task in METRICS}


@pytest.mark.parametrize("task", METRICS)
def test_what_says_something_matters_and_what_does_nothing_has_exactly_none(fitted, framed, task) -> None:
    found = measure_importance(fitted[task], framed(500, task=task, seed=1), METRICS[task], seed=1)
    by_name = {one.feature: one for one in found}
    assert found[0].feature == "signal"
    assert found[0].mean > 3 * found[0].std > 0
    assert by_name["carrier"].mean > 0
    assert (by_name["same"].mean, by_name["same"].std, by_name["same"].values) == (0.0, 0.0, (0.0,) * 5)
    assert [one.mean for one in found] == sorted((one.mean for one in found), reverse=True)
    assert all(one.mean == pytest.approx(np.mean(one.values)) for one in found)


def test_it_is_what_scikit_learn_measures(fitted, framed) -> None:
    rows = framed(2000, seed=2)
    mine = {one.feature: one for one in measure_importance(fitted["binary"], rows, "roc_auc", seed=0)}
    theirs = permutation_importance(
        fitted["binary"], rows.inputs().to_pandas(), rows.labels(), scoring="roc_auc", n_repeats=30, random_state=0
    )
    for name, mean, std in zip(rows.columns, theirs.importances_mean, theirs.importances_std, strict=True):
        assert mine[name].mean == pytest.approx(mean, abs=4 * std / 5**0.5 + 1e-12)


def test_the_same_seed_measures_the_same(fitted, framed) -> None:
    rows = framed(200, seed=1)
    assert measure_importance(fitted["binary"], rows, "brier", seed=4) == measure_importance(
        fitted["binary"], rows, "brier", seed=4
    )


def test_its_cost_is_bounded(fitted, framed, monkeypatch) -> None:
    monkeypatch.setattr(important, "PREDICTED", 100)
    monkeypatch.setattr(important, "FEWEST", 120)
    predicted = []
    inner = fitted["binary"]

    class Counting:
        classes_ = inner.classes_

        def predict_proba(self, frame):
            predicted.append(len(frame))
            return inner.predict_proba(frame)

    measure_importance(Counting(), framed(1000), "roc_auc", seed=0)
    assert predicted == [5 * 120] * 5


def test_a_model_that_writes_into_its_rows_is_measured_as_any_other(fitted, framed) -> None:
    inner, rows = fitted["binary"], framed(300, seed=1)

    class Writing:
        classes_ = inner.classes_

        def predict_proba(self, frame):
            frame["signal"] = frame["signal"] - 1.0
            return inner.predict_proba(frame.assign(signal=frame["signal"] + 1.0))

    expected = {one.feature: one.mean for one in measure_importance(inner, rows, "roc_auc", seed=0)}
    found = {one.feature: one.mean for one in measure_importance(Writing(), rows, "roc_auc", seed=0)}
    assert found == pytest.approx(expected, abs=0.01)


def test_without_a_value_of_the_metric_there_is_none(fitted, framed) -> None:
    rows = framed(200)
    ones = type(rows)(
        rows.table.filter(rows.table["label"]), rows.columns, rows.key, rows.timestamp, rows.label, rows.task
    )
    assert measure_importance(fitted["binary"], ones, "roc_auc", seed=0) == []


def test_dependence_follows_the_answer_as_scikit_learn_does(fitted, framed) -> None:
    rows = framed(300, task="regression")
    (found,) = measure_partial_dependence(fitted["regression"], rows, ["signal"], seed=0)
    assert (found["feature"], found["kind"], found["output"]) == ("signal", "number", "prediction")
    theirs = partial_dependence(
        fitted["regression"],
        rows.inputs().to_pandas(),
        ["signal"],
        custom_values={"signal": found["x"]},
        method="brute",
    )
    assert found["y"] == pytest.approx(theirs["average"][0].tolist())


@pytest.mark.parametrize(
    ("task", "outputs"),
    [
        ("binary", ["probability of 1"]),
        ("multiclass", ["probability of high", "probability of low", "probability of middle"]),
        ("regression", ["prediction"]),
    ],
    ids=METRICS,
)
def test_each_output_is_named(fitted, framed, task, outputs) -> None:
    found = measure_partial_dependence(fitted[task], framed(300, task=task), ["carrier", "same"], seed=0)
    assert [(one["feature"], one["output"]) for one in found] == [("carrier", output) for output in outputs]
    assert sorted(found[0]["x"]) == ["AA", "UA", "WN"]


def test_the_loss_is_in_the_metric_of_the_gates(fitted, framed) -> None:
    rows = framed(400, seed=9)
    frame = rows.inputs().to_pandas()
    (first, *_) = measure_importance(fitted["binary"], rows, "roc_auc", seed=0)
    known = roc_auc_score(rows.labels(), fitted["binary"].predict_proba(frame)[:, 1])
    assert 0 < first.mean < known - 0.4
