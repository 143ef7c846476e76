"""A training before it is done, and what was fitted: the values that go from one step to the next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from tradewind.isolation.project_code import ProjectCode
from tradewind.lake.cause import Cause
from tradewind.training import window
from tradewind.training.early_gate import EarlyGateResult
from tradewind.training.model_inputs import (
    PinnedInputs,
)
from tradewind.training.window import TrainingWindow

if TYPE_CHECKING:
    import numpy.typing as npt

    from tradewind.core.row_checks import RowFinding
    from tradewind.deployment import Deployment
    from tradewind.spec.pipeline import Pipeline
    from tradewind.training.model_frame import ModelFrame
    from tradewind.training.parameter_search import SearchResult

CODE = "train/3"  # raise it when the same inputs give another model or other evidence


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """What a training reads and does, before it does it.

    :param window: complete
    :param pinned: versions of the datasets
    :param config: hash of the configuration that determines the result
    :param parts: hashes of its parts, by name
    :param refit_of: the judged version that is fitted once more, on everything; None for a candidate
    :param commit: of the project's code, where it is not where it was committed
    :param metric_code: what the metrics of the project depend on that choose, by name
    """

    deployment: Deployment
    partition: str
    window: TrainingWindow
    code: ProjectCode
    pinned: PinnedInputs
    config: str
    parts: Mapping[str, str] = field(default_factory=dict)
    refit_of: str | None = None
    commit: str | None = None
    metric_code: Mapping[str, Any] = field(default_factory=dict)

    @property
    def spec(self) -> Pipeline:
        """The pipeline; of a version that is made again, as it was then."""
        return self.deployment.spec

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
class FittedCandidate:
    """A fitted model and what was found on the way; nothing of it is written yet.

    :param fit: rows that it was fitted on
    :param test: rows that judge it; a refit has seen them too
    :param seen: every metric of the task on the rows that it was fitted on, by name: flattering, and told beside those
        of the test rows because the distance shows how much it learned by heart; None where it has no value
    :param params: what the model function got, those that a search chose among them
    :param output: its answers for the test rows, shape (rows, outputs)
    :param classes: its classes, in the order of the outputs; None for a regressor
    :param metrics: every metric of the task on the test rows with its interval, by name
    :param majority: what a model that knows only the labels of training would predict
    :param early: what the early gate said, if there is one
    :param search: what a search found, if there was one
    """

    fit: ModelFrame
    test: ModelFrame
    fitted: Any
    params: Mapping[str, Any]
    output: npt.NDArray[Any]
    classes: list[Any] | None
    metrics: Mapping[str, Mapping[str, Any]]
    seen: Mapping[str, float | None]
    majority: Mapping[str, Any]
    findings: tuple[RowFinding, ...]
    early: EarlyGateResult | None
    search: SearchResult | None
