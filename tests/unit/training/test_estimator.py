"""Whatever looks like scikit-learn is fitted, seeded, asked and stored; what cannot is told in words."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import yaml
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from tradewind.errors import ModelError
from tradewind.isolation.model_client import ModelHost
from tradewind.isolation.project_code import import_project_code, locate_project_code
from tradewind.spec.training import Label, Train
from tradewind.training.estimator import fit_estimator, make_model_writer, predict_rows
from tradewind.training.model_frame import ModelFrame

ROWS = 40
VALUES = {
    "binary": pa.array([n % 2 for n in range(ROWS)]),
    "multiclass": pa.array(['"a"', "b\n", "ü"] * 13 + ["ü"]),
    "regression": pa.array([float(n) for n in range(ROWS)]),
}


def frame(task: str) -> ModelFrame:
    label = VALUES[task]
    level = np.unique(label.to_numpy(zero_copy_only=False), return_inverse=True)[1]
    noise = np.random.default_rng(0).normal(size=ROWS)
    table = pa.table({"key": range(ROWS), "at": range(ROWS), "x": level + noise / 10, "z": noise, "label": label})
    return ModelFrame(table, ("x", "z"), "key", "at", "label", task)


def settings(task: str, **changes) -> Train:
    given = {
        "task": task, "window": 2, "test": 1, "service": "s", "label": Label(dataset="d", column="label"),
        "model": "include/m/model.py:build", "seed": 5, **changes,
    }  # fmt: skip
    return Train.model_validate(given)


def fitted(build, task: str = "binary"):
    return fit_estimator(build, settings(task), frame(task), name="build")


class NoBase:
    """Nothing of scikit-learn's; its `fit` returns nothing, its parameters know no `deep`."""

    def __init__(self) -> None:
        self.random_state = None

    def get_params(self):
        return {"random_state": self.random_state}

    def set_params(self, random_state) -> None:
        self.random_state = random_state

    def fit(self, X, y) -> None:
        self.classes_ = np.unique(y)

    def predict_proba(self, X):
        return np.full((len(X), len(self.classes_)), 1 / len(self.classes_))


class Bare:
    """A regressor that is no more than its two methods."""

    def fit(self, X, y):
        self.mean_ = y.mean()
        return self

    def predict(self, X):
        return [self.mean_] * len(X)


class Results:
    """What `fit` returns is the model, as statsmodels does it."""

    def fit(self, X, y):
        return Bare().fit(X, y)


@pytest.mark.parametrize(
    ("build", "task"),
    [
        (lambda _: make_pipeline(StandardScaler(), LogisticRegression()), "binary"),
        (lambda _: make_pipeline(StandardScaler(), LogisticRegression()), "multiclass"),
        (lambda _: GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, cv=2), "multiclass"),
        (lambda _: GridSearchCV(make_pipeline(LinearRegression()), {}, cv=2), "regression"),
        (lambda _: NoBase(), "multiclass"),
        (lambda _: Bare(), "regression"),
        (lambda _: Results(), "regression"),
    ],
    ids=["pipeline", "pipeline-3", "grid", "grid-of-numbers", "nothing-of-sklearn", "bare", "results"],
)
def test_what_looks_like_scikit_learn_is_fitted_and_asked(build, task) -> None:
    output, classes = predict_rows(fitted(build, task), frame(task))
    known = None if task == "regression" else sorted(set(VALUES[task].to_pylist()))
    assert (classes, output.shape) == (known, (ROWS, len(known or [0])))


def test_every_random_state_that_was_left_open_is_seeded_also_of_nested_estimators() -> None:
    model = fitted(lambda _: make_pipeline(RandomForestClassifier(2)))
    assert model[0].random_state == 5
    chosen = fitted(lambda _: make_pipeline(RandomForestClassifier(2, random_state=9)))
    assert chosen[0].random_state == 9
    assert fitted(lambda _: NoBase()).random_state == 5


def test_what_draws_from_the_global_generators_is_the_same_again(monkeypatch) -> None:
    import random

    seeds: list[int] = []
    monkeypatch.setitem(sys.modules, "torch", type("torch", (), {"manual_seed": seeds.append}))
    drawn = []

    def build(_):
        drawn.append((random.random(), np.random.random()))
        return DummyClassifier()

    fitted(build)
    fitted(build)
    assert drawn[0] == drawn[1]
    assert seeds == [5, 5]


def test_the_parameters_of_a_search_replace_those_of_the_yaml() -> None:
    given: list[dict] = []

    def build(params):
        given.append(params)
        return DummyClassifier()

    fit_estimator(build, settings("binary", params={"a": 1}), frame("binary"), name="build")
    fit_estimator(build, settings("binary", params={"a": 1}), frame("binary"), name="build", params={"b": 2})
    assert given == [{"a": 1}, {"b": 2}]


class Numbers(ClassifierMixin, BaseEstimator):
    """Numbers classes by itself and does not give their names back."""

    def fit(self, X, y):
        self.classes_ = np.arange(len(np.unique(y)))
        return self

    def predict_proba(self, X):
        return np.full((len(X), len(self.classes_)), 1 / len(self.classes_))


class Nameless(NoBase):
    def fit(self, X, y) -> None:
        pass


@pytest.mark.parametrize(
    ("build", "task", "words"),
    [
        (lambda _: LinearSVC(), "binary", "model build: LinearSVC has no `predict_proba`.*CalibratedClassifierCV"),
        (lambda _: LinearRegression(), "binary", "model build: LinearRegression has no `predict_proba`"),
        (lambda _: NoBase(), "regression", "model build: NoBase has no `predict`"),
        (lambda _: Nameless(), "binary", "model build: Nameless has no `classes_`"),
        (lambda _: Numbers(), "multiclass", "model build: its `classes_` have 0, which is not a class of the label"),
        (lambda _: None, "binary", "model build returns NoneType, where an estimator with `fit` is needed"),
        (lambda _: DummyClassifier, "binary", "model build returns the class DummyClassifier"),
        (lambda _: 1 / 0, "binary", "model build cannot be fitted on 40 rows: ZeroDivisionError"),
    ],
    ids=["svc", "regressor", "classifier", "nameless", "numbers", "none", "class", "fails"],
)
def test_what_is_no_model_of_the_task_is_told_by_name(build, task, words) -> None:
    with pytest.raises(ModelError, match=words):
        fitted(build, task)


class Broken(LinearRegression):
    def predict(self, X):
        raise KeyError("x")


class Blind(LinearRegression):
    def predict(self, X):
        return np.full(len(X), np.nan)


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda _: Broken(), "model m cannot predict 40 rows: KeyError"),
        (lambda _: Blind(), r"model m: `predict` answers with \[nan\] in 40 of 40 rows"),
    ],
    ids=["fails", "nan"],
)
def test_an_answer_that_fails_names_the_model(build, words) -> None:
    with pytest.raises(ModelError, match=words):
        predict_rows(fitted(build, "regression"), frame("regression"), name="m")


OWN = """
import yaml
from sklearn.base import BaseEstimator
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline

class Double(BaseEstimator):
    def fit(self, X, y=None):
        self.done_ = True
        return self
    def transform(self, X):
        return X.to_numpy() * 2

def classify(params):
    return make_pipeline(Double(), LogisticRegression())

def regress(params):
    return make_pipeline(Double(), LinearRegression())
"""
TRUSTED = ("own.model.Double", "numpy.dtype")


@dataclass(frozen=True)
class Saved:
    """A model with code of its own, as it was stored, and what it said before."""

    folder: Path
    rows: ModelFrame
    output: np.ndarray
    classes: list | None


def save(folder: Path, task: str, function: str, **changes) -> Saved:
    from mlflow.models import Model

    path = folder / "include" / "own" / "model.py"
    path.parent.mkdir(parents=True)
    path.write_text(OWN)
    train, rows = settings(task, trusted=TRUSTED, **changes), frame(task)
    code = locate_project_code(f"include/own/model.py:{function}", folder)
    with import_project_code(code) as build:
        model = fit_estimator(build, train, rows, name="own")
        output, classes = predict_rows(model, rows)
        make_model_writer(model, train, code, rows.inputs().slice(0, 3))(folder / "model", Model())
    return Saved(folder / "model", rows, output, classes)


@pytest.fixture(scope="module", params=[("binary", "skops"), ("multiclass", "skops"), ("regression", "skops"),
                                        ("multiclass", "pickle")], ids="-".join)  # fmt: skip
def saved(request, tmp_path_factory) -> Saved:
    task, form = request.param
    function = "regress" if task == "regression" else "classify"
    return save(tmp_path_factory.mktemp("saved"), task, function, serialization=form)


def test_a_stored_model_says_in_its_host_and_in_mlflow_what_it_said_in_training(saved: Saved, monkeypatch) -> None:
    import mlflow.pyfunc

    monkeypatch.setattr(sys, "path", list(sys.path))
    with ModelHost(saved.folder, name="own", warm=False) as host:
        found = host.predict(saved.rows.inputs())
        assert (host.classes, host.columns) == (saved.classes, ["x", "z"])
    try:
        plain = np.asarray(mlflow.pyfunc.load_model(str(saved.folder)).predict(saved.rows.inputs().to_pandas()))
    finally:
        for name in [name for name in sys.modules if name == "own" or name.startswith("own.")]:
            del sys.modules[name]
    assert np.array_equal(found, saved.output)
    assert np.array_equal(plain.reshape(found.shape), saved.output)


def test_signature_example_and_requirements_are_stored(saved: Saved) -> None:
    described = yaml.safe_load((saved.folder / "MLmodel").read_text())
    inputs, outputs = (json.loads(described["signature"][name]) for name in ("inputs", "outputs"))
    assert [(column["name"], column["type"]) for column in inputs] == [("x", "double"), ("z", "double")]
    assert outputs[0]["tensor-spec"]["shape"] == ([-1] if saved.classes is None else [-1, len(saved.classes)])
    assert (saved.folder / "input_example.json").is_file()
    required = (saved.folder / "requirements.txt").read_text().splitlines()
    assert all("==" in line for line in required)
    assert any(line.startswith("PyYAML==") for line in required), "the model's code imports it"


def test_a_signature_that_mlflow_loses_is_an_error(tmp_path: Path, monkeypatch) -> None:
    import mlflow.sklearn

    original = mlflow.sklearn.save_model
    monkeypatch.setattr(mlflow.sklearn, "save_model", lambda *a, **k: original(*a, **{**k, "signature": False}))
    with pytest.raises(ModelError, match=r"stored without its signature: .* says the columns nothing, and .* x, z"):
        save(tmp_path, "binary", "classify")


def test_what_cannot_be_pickled_is_told(tmp_path: Path) -> None:
    from mlflow.models import Model

    (tmp_path / "include/own").mkdir(parents=True)
    (tmp_path / "include/own/model.py").write_text("def build(params): ...")
    code, rows = locate_project_code("include/own/model.py:build", tmp_path), frame("regression")

    class Local(Bare):
        """pickle cannot name it."""

    train = settings("regression", serialization="pickle")
    with pytest.raises(ModelError, match=r"build cannot be stored as pickle: .*Local"):
        make_model_writer(Local().fit(None, np.ones(3)), train, code, rows.inputs())(tmp_path / "model", Model())
    odd = Bare().fit(None, np.ones(3))
    odd.mean_ = lambda: 0
    with pytest.raises(ModelError, match=r"holds types that nobody|cannot be stored with skops"):
        make_model_writer(odd, settings("regression"), code, rows.inputs())


def test_a_type_that_skops_would_not_load_must_be_trusted_by_name(tmp_path: Path) -> None:
    (tmp_path / "include/own").mkdir(parents=True)
    (tmp_path / "include/own/model.py").write_text("def build(params): ...")
    code, rows = locate_project_code("include/own/model.py:build", tmp_path), frame("binary")
    model = HistGradientBoostingClassifier(max_iter=1).fit(rows.inputs().to_pandas(), rows.labels())
    with pytest.raises(ModelError, match=r"nobody has said to trust: .*TreePredictor.*train\.trusted"):
        make_model_writer(model, settings("binary"), code, rows.inputs())


def test_storing_a_model_beside_airflow_does_not_fill_the_log_with_warnings(tmp_path: Path) -> None:
    code = """
import airflow.models
from sklearn.linear_model import LinearRegression
from tradewind.training.estimator import untrusted_types
from tradewind.spec.training import Label, Train

label = Label(dataset="d", column="label")
print(untrusted_types(LinearRegression(), Train(
    task="regression", window=2, test=1, service="s", label=label, model="include/m/model.py:build")))
"""
    environment = {**os.environ, "AIRFLOW_HOME": str(tmp_path)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, text=True, capture_output=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert "skops" not in done.stdout + done.stderr
