"""A whole training of each task that is not one of two classes."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tradewind.models.registry import Registry
from tradewind.models.train import Trained, train

MODEL = """
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.tree import DecisionTree{kind}

def build_model(params):
    columns = make_column_transformer((SimpleImputer(), ["hour", "late_share", "{other}"]))
    return make_pipeline(columns, DecisionTree{kind}(max_depth=3))
"""
CASES = {
    "multiclass": ("Classifier", "carrier", "distance", "log_loss"),
    "regression": ("Regressor", "distance", "flown", "rmse"),
}


@pytest.mark.parametrize("task", CASES)
def test_a_training_of_another_task_is_logged_with_all_that_is_known_of_it(house, task) -> None:
    kind, label, other, metric = CASES[task]
    model = house.runtime.project / "include/delays_model/model.py"
    model.write_text(MODEL.format(kind=kind, other=other))
    changed = {
        "task": task,
        "trusted": ("sklearn.tree._tree.Tree", "numpy.dtype"),
        "columns": ("hour", "distance") if task == "multiclass" else ("hour",),
        "label": house.spec.train.label.model_copy(update={"column": label}),
    }
    if task == "multiclass":
        # The entity of the features is the label: they tell it, as the check of the rows says.
        changed["checks"] = house.spec.train.checks.model_copy(update={"on_leakage": "warn"})
    spec = house.with_spec(train=house.spec.train.model_copy(update=changed), gates=()).spec
    trained = train(spec, house.week(5), house.runtime)
    assert isinstance(trained, Trained)
    registry = Registry(house.runtime, "delays")
    version = registry.get(trained.version)
    with registry.evidence(version) as files:
        metrics = json.loads((files / "metrics.json").read_text())
        important = json.loads((files / "importance.json").read_text())
        example = np.array(json.loads((files / "example.json").read_text())["predictions"])
    assert np.isfinite(metrics[metric]["value"])
    assert {one["feature"] for one in important} == {*changed["columns"], "late_share", "flown"}
    assert example.shape == (20, 3 if task == "multiclass" else 1)
    evidence = house.ledger.find("delays", "trained")[0].evidence
    assert "positive_share" not in evidence
    if task == "multiclass":
        assert evidence["majority"]["classes"] == ["AA", "UA", "WN"]
    else:
        assert 100 < evidence["majority"]["mean"] < 3000
