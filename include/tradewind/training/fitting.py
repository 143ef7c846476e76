"""One candidate, fitted and measured, and nothing of it written: what a training and its reproduction share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from tradewind.deployment import Deployment
from tradewind.errors import MissingInput
from tradewind.isolation import task_outputs
from tradewind.isolation.project_code import locate_project_code
from tradewind.isolation.project_metric import open_metric, project_metric_causes
from tradewind.spec.digest import config_hash
from tradewind.training import early_gate as gate
from tradewind.training import estimator as estimators
from tradewind.training import evaluation, evidence, training_rows, window
from tradewind.training import parameter_search as searching
from tradewind.training.early_gate import EarlyGateResult
from tradewind.training.model_frame import training_frame
from tradewind.training.model_inputs import (
    definitions_digest,
    feature_time,
    pin_inputs,
    score_config,
    train_config,
)
from tradewind.training.training_plan import FittedCandidate, TrainingPlan
from tradewind.training.window import TrainingWindow

if TYPE_CHECKING:
    from tradewind.core.row_checks import RowFinding
    from tradewind.metrics.metric import ModelMetric
    from tradewind.training.model_frame import ModelFrame
    from tradewind.training.parameter_search import SearchResult

_NOT_HASHED = {
    "window": 2, "test": 1, "validation": 0, "gap": None, "complete": "all", "refit": False, "refit_change": 0.1,
}  # fmt: skip
"""Fields of `train` that say how a window is found, which then is in the cause; or what is done after a verdict."""


def plan_training(deployment: Deployment, partition: str) -> TrainingPlan:
    """Find window, code and newest versions of the datasets for a training at ``partition``.

    :raises MissingInput: the window is not complete
    :raises NotReady: a dataset has not been published yet
    :raises ModelError: there is no such code
    """
    spec = deployment.spec
    found = window.find_training_window(deployment, partition)
    if found.missing:
        raise MissingInput(
            f"{spec.pipeline}: the training window that ends with {partition} is not complete: "
            f"{'; '.join(found.missing)}; train at a later partition, or see `train.complete`"
        )
    code = locate_project_code(train_config(spec).model, deployment.runtime.project)
    since = feature_time(spec, found.keys[0]) or spec.partitioning.bounds(found.keys[0]).start
    last = spec.partitioning.shift(found.keys[-1], -score_config(spec).ahead)
    pinned = pin_inputs(deployment, since=since, last=last, rows={train_config(spec).label.dataset: found.keys})
    config, parts = training_config_hash(deployment, found), training_config_parts(deployment, found)
    metrics = training_metric_code(deployment)
    return TrainingPlan(deployment, partition, found, code, pinned, config, parts, metric_code=metrics)


def training_config_hash(
    deployment: Deployment, found: TrainingWindow, *, metric_code: Mapping[str, Any] | None = None
) -> str:
    """Hash of the configuration that determines a training.

    How the window was found is not in it, what it is is; so patience, or a longer window that has the same partitions,
    is no cause to train again.

    :param metric_code: :func:`training_metric_code` as it was recorded; as it is in the project now if None
    """
    spec = deployment.spec
    train, population = train_config(spec), score_config(spec).population
    entity = [score_config(spec).ahead, score_config(spec).predict_at, population.key, population.timestamp]
    parts = [found.fit, found.validation, found.test, window.training_gap(train).total_seconds()]
    judged = [evaluation.primary_metric(spec, train), *sorted(spec.verdict.columns)]
    chosen = train.model_copy(update={**_NOT_HASHED, "patience": type(train).model_fields["patience"].default})
    code = training_metric_code(deployment) if metric_code is None else metric_code
    metrics = [dict(code)] if code else []  # without one, the hash is what it was before there were any
    return config_hash(chosen, entity, spec.timezone, parts, judged, definitions_digest(deployment), *metrics)


def training_metric_code(deployment: Deployment) -> dict[str, Any]:
    """What the metrics of the project depend on that choose in a training, by their names."""
    train = train_config(deployment.spec)
    named = [part.metric for part in (train.search, train.early) if part is not None]
    return project_metric_causes(named, deployment.spec.metrics, deployment.runtime.project)


def open_training_metric(deployment: Deployment, name: str) -> ModelMetric:
    """A metric of the pipeline, built in or of the project.

    :raises ModelError: there is no such file in the project
    """
    spec = deployment.spec
    return open_metric(name, spec.metrics, task=train_config(spec).task, project=deployment.runtime.project)


def training_config_parts(deployment: Deployment, found: TrainingWindow) -> dict[str, str]:
    """What :func:`training_config_hash` hashes, part by part: fields of `train` that are given, and the rest."""
    spec = deployment.spec
    train, score = train_config(spec), score_config(spec)
    fields = {
        f"train.{name}": value
        for name in type(train).model_fields
        if name not in (*_NOT_HASHED, "patience")
        and (value := getattr(train, name)) != type(train).model_fields[name].default
    }
    others = {
        "window": [found.fit, found.validation, found.test, window.training_gap(train).total_seconds()],
        "score": [score.ahead, score.predict_at, score.population.key, score.population.timestamp],
        "timezone": spec.timezone,
        "verdict": [evaluation.primary_metric(spec, train), *sorted(spec.verdict.columns)],
    }
    hashes = {name: config_hash(value) for name, value in {**fields, **others}.items()}
    code = {f"code of {name}": config_hash(cause) for name, cause in training_metric_code(deployment).items()}
    return {**hashes, **code, "feature definitions": definitions_digest(deployment)}


def fit_candidate(
    planned: TrainingPlan, build_model: Callable[..., Any], *, params: Mapping[str, Any] | None = None
) -> FittedCandidate | EarlyGateResult:
    """Read the rows, check them, and fit; nothing is written. Inside :func:`code.imported`, which gives the function.

    :param params: fit with exactly these, without early gate and search; None: as the YAML says
    :return: what was built, or the chance of a candidate that is not worth it
    :raises ModelError: the rows are not fit for training, or the model cannot be built or fitted
    """
    spec, train = planned.spec, train_config(planned.spec)
    rows = training_frame(
        planned.deployment, planned.window.keys, known_by=planned.known_by, versions=planned.pinned.versions
    )
    evidence.require_verdict_columns(spec, rows)
    fit = window.learnable_rows(rows.where(planned.learned), until=planned.learned_until)
    test = rows.where(planned.window.test)
    # The labels of the last of them were not known when the test began: nothing is chosen by these either.
    validation = window.learnable_rows(rows.where(planned.window.validation), until=planned.learned_until)
    findings = _check_rows(planned, fit=fit, validation=validation, test=test)
    early: EarlyGateResult | None = None
    found: SearchResult | None = None
    if params is None:
        early, found = _run_gate_and_search(planned, rows, build_model, validation=validation)
        if early is not None and not early.worth:
            return early
        params = found.params if found is not None else train.params
    fitted = estimators.fit_estimator(build_model, train, fit, name=train.model, params=params)
    output, classes = estimators.predict_rows(fitted, test, name=train.model)
    metrics = evaluation.evaluate_with_intervals(spec, test, output=output, classes=classes, seed=train.seed)
    seen = evaluation.evaluate_metrics(fitted, fit, name=train.model)
    majority = task_outputs.majority_answer(train.task, fit.labels())
    return FittedCandidate(fit, test, fitted, params, output, classes, metrics, seen, majority, findings, early, found)


def _check_rows(
    planned: TrainingPlan, *, fit: ModelFrame, validation: ModelFrame, test: ModelFrame
) -> tuple[RowFinding, ...]:
    spec, split, train = planned.spec, planned.window, train_config(planned.spec)
    version = planned.pinned.versions.get(train.label.dataset)
    due = training_rows.count_due_labels(planned.deployment, split.keys, version=version, known_by=planned.known_by)
    judging, parts = {"test rows": test}, {"training rows": planned.learned, "test rows": split.test}
    if planned.refit_of:
        judging = {}
    if train.search is not None or train.early is not None:
        judging["validation rows"], parts["validation rows"] = validation, split.validation
    findings = training_rows.check_training_rows(spec, fit=fit, judging=judging, parts=parts, due=due)
    training_rows.require_no_errors(findings, f"{spec.pipeline} at {planned.partition}")
    return findings


def _run_gate_and_search(
    planned: TrainingPlan,
    rows: ModelFrame,
    build_model: Callable[..., Any],
    *,
    validation: ModelFrame,
) -> tuple[EarlyGateResult | None, SearchResult | None]:
    """What the early gate and the search found on the validation rows, which they do not learn from."""
    spec, train, split = planned.spec, train_config(planned.spec), planned.window
    if train.early is None and train.search is None:
        return None, None
    fit = window.learnable_rows(rows.where(split.fit), until=window.learned_until(spec, split.validation))
    early: EarlyGateResult | None = None
    if train.early is not None:
        metric = open_training_metric(planned.deployment, train.early.metric)
        early = gate.evaluate_early_gate(
            train, train.early, metric=metric, build_model=build_model, fit=fit, validation=validation
        )
        if not early.worth:
            return early, None
    if train.search is None:
        return early, None
    space = searching.locate_search_space(train.search, planned.code, planned.deployment.runtime.project)
    found = searching.search_parameters(
        train, train.search, space, metric=open_training_metric(planned.deployment, train.search.metric),
        build_model=build_model, fit=fit, validation=validation,
    )  # fmt: skip
    return early, found
