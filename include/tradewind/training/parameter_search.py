"""A search for hyper-parameters: Optuna suggests, the validation rows judge, within trials and time.

The study is in memory and nothing of Optuna is set for the process. The budget of time makes a search that is made
again end elsewhere; so the parameters that were chosen are recorded, and a repeated training fits with these.
"""

from __future__ import annotations

import copy
import importlib
import json
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tradewind.errors import MissingExtra, ModelError
from tradewind.isolation.project_code import ProjectCode, locate_project_code
from tradewind.training import estimator as estimators
from tradewind.training import evaluation

if TYPE_CHECKING:
    from tradewind.metrics.metric import ModelMetric
    from tradewind.spec.training import Search, Train
    from tradewind.training.model_frame import ModelFrame

log = logging.getLogger(__name__)

_SpaceFunction = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class SearchTrial:
    """One set of parameters that was tried.

    :param params: all that the model function got; what was suggested is in it
    :param value: the metric on the validation rows; None if there is none
    :param begun: time of day, seconds since 1970
    :param error: why there is no value
    """

    number: int
    params: Mapping[str, Any]
    state: Literal["complete", "failed", "pruned"]
    value: float | None
    begun: float
    seconds: float
    error: str = ""


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What a search found.

    :param params: the best ones, as the model function gets them
    :param value: their metric on the validation rows
    """

    metric: str
    params: Mapping[str, Any]
    value: float
    trials: tuple[SearchTrial, ...]
    seconds: float


def locate_search_space(search: Search, model: ProjectCode, project: Path) -> ProjectCode:
    """The function that suggests parameters; it belongs to the code of the model, so that one digest says all.

    :raises ModelError: there is no such file, or it lies in another folder
    """
    space = locate_project_code(search.space, project)
    if space.folder != model.folder:
        raise ModelError(
            f"the search space {search.space} lies in {space.folder.name}, the model in {model.folder.name}: put it "
            "beside the model, so that it is logged with it"
        )
    return space


def search_parameters(
    train: Train,
    asked: Search,
    space: ProjectCode,
    *,
    metric: ModelMetric,
    build_model: Callable[..., Any],
    fit: ModelFrame,
    validation: ModelFrame,
) -> SearchResult:
    """Try sets of parameters until trials or time are used up; at least one is made. Inside :func:`code.imported`.

    A trial that fails is recorded and the search goes on.

    :param metric: that of ``asked``
    :raises MissingExtra: Optuna is not installed
    :raises ModelError: the space or the model function is wrong, or no trial came to a value
    """
    optuna, suggest = _import_optuna(), _import_space_function(space)
    trials: list[SearchTrial] = []
    begun = time.monotonic()
    with _silence_optuna(optuna):
        study = optuna.create_study(
            sampler=optuna.samplers.TPESampler(seed=train.seed),
            direction="maximize" if metric.greater_is_better else "minimize",
        )
        while len(trials) < asked.trials and (not trials or time.monotonic() - begun < asked.time.total_seconds()):
            one = _run_trial(
                train,
                asked,
                suggest,
                study.ask(),
                metric=metric,
                build_model=build_model,
                fit=fit,
                validation=validation,
            )
            states = optuna.trial.TrialState
            state = {"complete": states.COMPLETE, "failed": states.FAIL, "pruned": states.PRUNED}[one.state]
            study.tell(one.number, one.value, state=state)
            log.info("trial %s: %s %s %s", one.number, one.state, one.value, one.error or dict(one.params))
            trials.append(one)
    done = [one for one in trials if one.value is not None]
    if not done:
        first = trials[0]
        raise ModelError(
            f"search space {asked.space}: none of {len(trials)} trials came to a value; the first, with "
            f"{json.dumps(first.params)}, {first.state}: {first.error}"
        )
    best = (max if metric.greater_is_better else min)(done, key=lambda one: one.value or 0.0)
    return SearchResult(asked.metric, best.params, best.value or 0.0, tuple(trials), time.monotonic() - begun)


def _run_trial(
    train: Train, asked: Search, suggest: _SpaceFunction, trial: Any, *, metric: ModelMetric,
    build_model: Callable[..., Any], fit: ModelFrame, validation: ModelFrame,
) -> SearchTrial:  # fmt: skip
    import optuna

    clock, begun = time.time(), time.monotonic()
    params: Mapping[str, Any] = {}
    value, error = None, ""
    state: Literal["complete", "failed", "pruned"] = "complete"
    try:
        params = {**train.params, **_suggest_params(asked, suggest, trial)}
        _require_known_params(train, asked, build_model, params)
        fitted = estimators.fit_estimator(build_model, train, fit, name=train.model, params=params)
        value = evaluation.evaluate_metric(fitted, validation, metric, name=train.model)
        if math.isnan(value):
            value, state, error = None, "failed", f"{asked.metric} has no value on the validation rows"
    except optuna.TrialPruned as exc:
        state, error = "pruned", str(exc)
    except _InvalidSpaceError:
        raise
    except ModelError as exc:
        state, error = "failed", str(exc)
    return SearchTrial(trial.number, params, state, value, clock, time.monotonic() - begun, error)


class _InvalidSpaceError(ModelError):
    """The space is wrong, and so would every other trial be."""


def _suggest_params(asked: Search, suggest: _SpaceFunction, trial: Any) -> Mapping[str, Any]:
    import optuna

    try:
        given = suggest(trial)
    except optuna.TrialPruned:
        raise
    except Exception as exc:
        raise _InvalidSpaceError(f"search space {asked.space} fails: {type(exc).__name__}: {exc}") from exc
    if not isinstance(given, dict) or not all(isinstance(name, str) for name in given):
        raise _InvalidSpaceError(
            f"search space {asked.space} returns {given!r}, where a dict of parameters by name is needed"
        )
    try:
        json.dumps(given)
    except (TypeError, ValueError) as exc:
        raise _InvalidSpaceError(
            f"search space {asked.space}: {exc}; return numbers, text, booleans, and lists of them"
        ) from exc
    # As they will be recorded: a repeated training gets the very same.
    return {name: _plain_value(value) for name, value in given.items()}


def _plain_value(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain_value(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain_value(item) for item in value]
    return float(value) if isinstance(value, float) else value  # NumPy's are floats of a kind


def _require_known_params(
    train: Train, asked: Search, build_model: Callable[..., Any], params: Mapping[str, Any]
) -> None:
    """A name that the model function does not know is no matter of luck: the search ends."""
    try:
        build_model(copy.deepcopy(dict(params)))
    except TypeError as exc:
        raise _InvalidSpaceError(
            f"search space {asked.space}: model {train.model} does not take {json.dumps(params)}: {exc}"
        ) from exc
    except Exception as exc:
        raise ModelError(f"model {train.model} cannot be built: {type(exc).__name__}: {exc}") from exc


def _import_space_function(space: ProjectCode) -> _SpaceFunction:
    try:
        found = getattr(importlib.import_module(space.module), space.function, None)
    except Exception as exc:
        raise ModelError(f"search space {space.module} cannot be imported: {type(exc).__name__}: {exc}") from exc
    if not callable(found):
        raise ModelError(f"search space {space.module} has no function {space.function}; correct `train.search.space`")
    function: _SpaceFunction = found
    return function


def _import_optuna() -> Any:
    try:
        import optuna
    except ImportError as exc:
        raise MissingExtra("`train.search` needs Optuna: pip install 'airflow-provider-tradewind[search]'") from exc
    return optuna


@contextmanager
def _silence_optuna(optuna: Any) -> Iterator[None]:
    """Without the line that Optuna writes of every study; what was set before is set again."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)
