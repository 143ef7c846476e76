"""One candidate, fitted and measured, and nothing of it written: what a training and its reproduction share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from tradewind.errors import MissingInput
from tradewind.lake.cause import Cause
from tradewind.models import early as gate
from tradewind.models import estimator as estimators
from tradewind.models import evaluation, evidence, row_checks, tasks, window
from tradewind.models import search as searching
from tradewind.models.code import ProjectCode, locate
from tradewind.models.early import Chance
from tradewind.models.frame import training_frame
from tradewind.models.inputs import Pinned, definitions_digest, feature_time, pin, scoring, training
from tradewind.models.window import Window
from tradewind.spec.digest import config_hash

if TYPE_CHECKING:
    import numpy.typing as npt

    from tradewind.core.row_checks import Finding
    from tradewind.core.runtime import Runtime
    from tradewind.models.frame import Frame
    from tradewind.models.search import Found
    from tradewind.spec.models import Pipeline

CODE = "train/3"  # raise it when the same inputs give another model or other evidence
_NO_MATTER = {
    "window": 2, "test": 1, "validation": 0, "gap": None, "complete": "all", "refit": False, "refit_change": 0.1,
}  # fmt: skip
"""Fields of `train` that say how a window is found, which then is in the cause; or what is done after a verdict."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a training reads and does, before it does it.

    :param window: complete
    :param pinned: versions of the datasets
    :param config: hash of the configuration that determines the result
    :param parts: hashes of its parts, by name
    :param refit_of: the judged version that is fitted once more, on everything; None for a candidate
    :param commit: of the project's code, where it is not where it was committed
    """

    spec: Pipeline
    partition: str
    window: Window
    code: ProjectCode
    pinned: Pinned
    config: str
    parts: Mapping[str, str] = field(default_factory=dict)
    refit_of: str | None = None
    commit: str | None = None

    @property
    def made_from(self) -> dict[str, str]:
        """Hashes of what the result is made from beside data, by name: which of them has changed can be said later."""
        return {**self.parts, **self.code.files(), "Tradewind": CODE}

    @property
    def learned(self) -> tuple[str, ...]:
        """Partitions that the model is fitted on."""
        return self.window.keys if self.refit_of else self.window.learned

    @property
    def judging(self) -> tuple[str, ...]:
        """Partitions that judge it and that it has not seen: none of a refit."""
        return () if self.refit_of else self.window.test

    @property
    def known_by(self) -> datetime:
        """Labels that are known later than this do not exist yet."""
        return self.spec.partitioning.bounds(self.partition).end

    @property
    def learned_until(self) -> datetime:
        """Time of the last rows that the model is fitted on."""
        if self.refit_of:
            return window.last_moment(self.spec, self.window.keys)
        return window.learned_until(self.spec, self.window.test)

    @property
    def cause(self) -> str:
        """Hash of everything that determines the result."""
        # Where the newest partitions are absent, two windows may be the same and their labels not.
        inputs = {**self.pinned.by_name(), "labels known by": self.known_by.isoformat()}
        return Cause(inputs, self.config, f"{CODE} {self.code.digest()}").hash


@dataclass(frozen=True, slots=True)
class Built:
    """A fitted model and what was found on the way; nothing of it is written yet.

    :param fit: rows that it was fitted on
    :param test: rows that judge it; a refit has seen them too
    :param seen: every metric of the task on the rows that it was fitted on, by name: flattering, and told beside those
        of the test rows because the distance shows how much it learned by heart; None where it has no value
    :param params: what the model function got, those that a search chose among them
    :param output: its answers for the test rows, shape (rows, outputs)
    :param classes: its classes, in the order of the outputs; None for a regressor
    :param metrics: every metric of the task on the test rows with its interval, by name
    :param majority: what somebody who knows only the labels of training would predict
    :param early: what the early gate said, if there is one
    :param search: what a search found, if there was one
    """

    fit: Frame
    test: Frame
    fitted: Any
    params: Mapping[str, Any]
    output: npt.NDArray[Any]
    classes: list[Any] | None
    metrics: Mapping[str, Mapping[str, Any]]
    seen: Mapping[str, float | None]
    majority: Mapping[str, Any]
    findings: tuple[Finding, ...]
    early: Chance | None
    search: Found | None


def plan(spec: Pipeline, partition: str, runtime: Runtime) -> Plan:
    """Find window, code and newest versions of the datasets for a training at ``partition``.

    :raises MissingInput: the window is not complete
    :raises NotReady: a dataset has not been published yet
    :raises ModelError: there is no such code
    """
    found = window.of(spec, partition, runtime)
    if found.missing:
        raise MissingInput(
            f"{spec.pipeline}: the training window that ends with {partition} is not complete: "
            f"{'; '.join(found.missing)}; train at a later partition, or see `train.complete`"
        )
    code = locate(training(spec).model, runtime.project)
    since = feature_time(spec, found.keys[0]) or spec.partitioning.bounds(found.keys[0]).start
    last = spec.partitioning.shift(found.keys[-1], -scoring(spec).ahead)
    pinned = pin(spec, runtime, since=since, last=last, rows={training(spec).label.dataset: found.keys})
    config, parts = configuration(spec, found, runtime), configuration_parts(spec, found, runtime)
    return Plan(spec, partition, found, code, pinned, config, parts)


def configuration(spec: Pipeline, found: Window, runtime: Runtime) -> str:
    """Hash of the configuration that determines a training.

    How the window was found is not in it, what it is is; so patience, or a longer window that has the same partitions,
    is no cause to train again.
    """
    train, population = training(spec), scoring(spec).population
    entity = [scoring(spec).ahead, scoring(spec).predict_at, population.key, population.timestamp]
    parts = [found.fit, found.validation, found.test, window.gap(train).total_seconds()]
    judged = [evaluation.own_metric(spec, train), *sorted(spec.verdict.columns)]
    chosen = train.model_copy(update={**_NO_MATTER, "patience": type(train).model_fields["patience"].default})
    return config_hash(chosen, entity, spec.timezone, parts, judged, definitions_digest(spec, runtime))


def configuration_parts(spec: Pipeline, found: Window, runtime: Runtime) -> dict[str, str]:
    """What :func:`configuration` hashes as a whole, part by part: fields of `train` that are given, and the rest."""
    train, score = training(spec), scoring(spec)
    fields = {
        f"train.{name}": value
        for name in type(train).model_fields
        if name not in (*_NO_MATTER, "patience")
        and (value := getattr(train, name)) != type(train).model_fields[name].default
    }
    others = {
        "window": [found.fit, found.validation, found.test, window.gap(train).total_seconds()],
        "score": [score.ahead, score.predict_at, score.population.key, score.population.timestamp],
        "timezone": spec.timezone,
        "verdict": [evaluation.own_metric(spec, train), *sorted(spec.verdict.columns)],
    }
    hashes = {name: config_hash(value) for name, value in {**fields, **others}.items()}
    return {**hashes, "feature definitions": definitions_digest(spec, runtime)}


def build(
    planned: Plan, runtime: Runtime, build_model: Callable[..., Any], *, params: Mapping[str, Any] | None = None
) -> Built | Chance:
    """Read the rows, check them, and fit; nothing is written. Inside :func:`code.imported`, which gives the function.

    :param params: fit with exactly these, without early gate and search; None: as the YAML says
    :return: what was built, or the chance of a candidate that is not worth it
    :raises ModelError: the rows are not fit for training, or the model cannot be built or fitted
    """
    spec, train = planned.spec, training(planned.spec)
    rows = training_frame(
        spec, planned.window.keys, runtime, known_by=planned.known_by, versions=planned.pinned.versions
    )
    evidence.require_columns(spec, rows)
    fit = window.learnable(rows.where(planned.learned), until=planned.learned_until)
    test = rows.where(planned.window.test)
    # The labels of the last of them were not known when the test began: nothing is chosen by these either.
    validation = window.learnable(rows.where(planned.window.validation), until=planned.learned_until)
    findings = _checked(planned, runtime, fit=fit, validation=validation, test=test)
    early: Chance | None = None
    found: Found | None = None
    if params is None:
        early, found = _tried(planned, runtime, rows, build_model, validation=validation)
        if early is not None and not early.worth:
            return early
        params = found.params if found is not None else train.params
    fitted = estimators.fit(build_model, train, fit, name=train.model, params=params)
    output, classes = estimators.answers(fitted, test, name=train.model)
    metrics = evaluation.evaluate(spec, test, output=output, classes=classes, seed=train.seed)
    seen = evaluation.values(fitted, fit, name=train.model)
    majority = tasks.majority(train.task, fit.labels())
    return Built(fit, test, fitted, params, output, classes, metrics, seen, majority, findings, early, found)


def _checked(planned: Plan, runtime: Runtime, *, fit: Frame, validation: Frame, test: Frame) -> tuple[Finding, ...]:
    spec, split, train = planned.spec, planned.window, training(planned.spec)
    version = planned.pinned.versions.get(train.label.dataset)
    due = row_checks.labels_due(spec, split.keys, runtime, version=version, known_by=planned.known_by)
    judging, parts = {"test rows": test}, {"training rows": planned.learned, "test rows": split.test}
    if planned.refit_of:
        judging = {}
    if train.search is not None or train.early is not None:
        judging["validation rows"], parts["validation rows"] = validation, split.validation
    findings = row_checks.check(spec, fit=fit, judging=judging, parts=parts, due=due)
    row_checks.require(findings, f"{spec.pipeline} at {planned.partition}")
    return findings


def _tried(
    planned: Plan, runtime: Runtime, rows: Frame, build_model: Callable[..., Any], *, validation: Frame
) -> tuple[Chance | None, Found | None]:
    """What the early gate and the search found on the validation rows, which they do not learn from."""
    spec, train, split = planned.spec, training(planned.spec), planned.window
    if train.early is None and train.search is None:
        return None, None
    fit = window.learnable(rows.where(split.fit), until=window.learned_until(spec, split.validation))
    early: Chance | None = None
    if train.early is not None:
        early = gate.chance(train, train.early, build_model=build_model, fit=fit, validation=validation)
        if not early.worth:
            return early, None
    if train.search is None:
        return early, None
    space = searching.space_of(train.search, planned.code, runtime.project)
    found = searching.search(train, train.search, space, build_model=build_model, fit=fit, validation=validation)
    return early, found
