"""A search for parameters: within its budget, repeatable by its seed, and clear about what is wrong with its space."""

from __future__ import annotations

import copy
import logging
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from tradewind.errors import MissingExtra, ModelError
from tradewind.isolation.project_code import ProjectCode, import_project_code
from tradewind.metrics.metric_list import METRICS
from tradewind.training import parameter_search as searching
from tradewind.training.parameter_search import SearchResult, locate_search_space, search_parameters

MODEL = "from sklearn.dummy import DummyClassifier\n\ndef build_model(params):\n    return DummyClassifier()\n"
DEPTHS = 'return {"depth": trial.suggest_int("depth", 1, 6)}'


@pytest.fixture
def searched(asked, build, framed, tmp_path) -> Iterator[Callable[..., SearchResult]]:
    """Searches a space that is written by its body."""

    def searched(
        body: str, *, task: str = "binary", metric: str = "roc_auc", build_model=None, **budget
    ) -> SearchResult:
        folder = tmp_path / "delays_model"
        folder.mkdir(exist_ok=True)
        (folder / "model.py").write_text(MODEL)
        (folder / "space.py").write_text(f"import optuna\n\ndef space(trial):\n    {body}\n")
        train = asked(
            task=task, seed=5, params={"alpha": 0.0}, search={"space": "a.py:space", "metric": metric, **budget}
        )
        space = ProjectCode(folder, "delays_model.space", "space")
        with import_project_code(ProjectCode(folder, "delays_model.model", "build_model")):
            return search_parameters(
                train,
                train.search,
                space,
                metric=METRICS[metric],
                build_model=build_model or build(task),
                fit=framed(300, task=task),
                validation=framed(200, task=task, seed=1),
            )

    return searched


@pytest.mark.parametrize(
    ("task", "metric", "best"),
    [("binary", "roc_auc", max), ("multiclass", "log_loss", min), ("regression", "rmse", min)],
    ids=["binary", "multiclass", "regression"],
)
def test_the_best_of_all_trials_is_found(searched, task, metric, best) -> None:
    found = searched(DEPTHS, task=task, metric=metric, trials=6)
    assert len(found.trials) == 6
    assert {trial.state for trial in found.trials} == {"complete"}
    assert found.value == best(trial.value for trial in found.trials)
    assert found.params == next(trial.params for trial in found.trials if trial.value == found.value)
    assert found.params == {"alpha": 0.0, "depth": found.params["depth"]}


def test_the_same_seed_tries_the_same(searched) -> None:
    one, two = (searched(DEPTHS, trials=4) for _ in range(2))
    assert [(t.params, t.value) for t in one.trials] == [(t.params, t.value) for t in two.trials]


def test_no_trial_begins_after_the_time_and_one_is_always_made(searched, monkeypatch) -> None:
    clock = iter(np.arange(0, 10_000, 30.0))
    monkeypatch.setattr(searching.time, "monotonic", lambda: float(next(clock)))
    assert len(searched(DEPTHS, trials=50, time="1m").trials) == 1
    assert len(searched(DEPTHS, trials=50, time="5m").trials) == 4  # 30 s pass at each look


def test_a_trial_that_fails_is_recorded_and_the_search_goes_on(searched) -> None:
    found = searched('return {"depth": [-1, 3, 4][trial.number]}', trials=3)
    assert [trial.state for trial in found.trials] == ["failed", "complete", "complete"]
    assert "cannot be fitted on 300 rows: InvalidParameterError" in found.trials[0].error
    assert found.trials[0].params["depth"] == -1


def test_a_trial_that_prunes_itself_is_recorded(searched) -> None:
    found = searched('\n    if trial.number == 0:\n        raise optuna.TrialPruned("dull")\n    return {}', trials=2)
    assert [(trial.state, trial.error) for trial in found.trials] == [("pruned", "dull"), ("complete", "")]


def test_when_all_trials_fail_the_first_is_told(searched) -> None:
    with pytest.raises(ModelError, match=r"none of 2 trials came to a value; the first, with .*\"depth\": -1.*failed:"):
        searched('return {"depth": -1}', trials=2)


def test_a_name_that_the_model_does_not_take_ends_the_search_at_once(searched) -> None:
    with pytest.raises(ModelError, match=r"model include/.* does not take .*\"deep\": 3.*unexpected keyword argument"):
        searched('return {"deep": 3}')


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return 3", "returns 3, where a dict of parameters by name is needed"),
        ("return {'depth': object()}", "not JSON serializable; return numbers, text, booleans, and lists of them"),
        ("return {'depth': 1 / 0}", "fails: ZeroDivisionError"),
    ],
    ids=["no-dict", "no-json", "broken"],
)
def test_a_space_that_is_wrong_says_so(searched, body, message) -> None:
    with pytest.raises(ModelError, match=message):
        searched(body)


def test_what_is_fitted_is_what_is_recorded(searched, build) -> None:
    given = []

    def recording(params):
        given.append(copy.deepcopy(params))
        params["sizes"].clear()
        return build("binary")({})

    found = searched("return {'sizes': (3, 4), 'depth': 2, 'weights': {0: 1, 1: 5}}", trials=1, build_model=recording)
    assert found.params == given[-1] == {"alpha": 0.0, "sizes": [3, 4], "depth": 2, "weights": {0: 1, 1: 5}}


def test_without_optuna_the_line_that_installs_it_is_said(searched, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingExtra, match=r"pip install 'airflow-provider-tradewind\[search\]'"):
        searching._import_optuna()


def test_optuna_is_quiet_and_left_as_it_was(searched, capfd) -> None:
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.INFO)
    try:
        searched(DEPTHS, trials=1)
        assert optuna.logging.get_verbosity() == optuna.logging.INFO
    finally:
        optuna.logging.set_verbosity(before)
    assert "study" not in capfd.readouterr().err
    assert logging.getLogger("optuna").level == before


def test_the_space_lies_beside_the_model(asked, tmp_path) -> None:
    for name in ("model", "other"):
        (tmp_path / "include" / name).mkdir(parents=True)
        (tmp_path / "include" / name / "code.py").touch()
    model = ProjectCode(tmp_path / "include" / "model", "model.code", "build_model")
    train = asked(search={"space": "include/other/code.py:space", "metric": "roc_auc"})
    with pytest.raises(ModelError, match="lies in other, the model in model: put it beside the model"):
        locate_search_space(train.search, model, Path(tmp_path))
    beside = asked(search={"space": "include/model/code.py:space", "metric": "roc_auc"})
    assert locate_search_space(beside.search, model, tmp_path).module == "model.code"


def test_a_budget_is_a_time(asked) -> None:
    assert asked(search={"space": "a.py:s", "metric": "roc_auc", "time": "5m"}).search.time == timedelta(minutes=5)
