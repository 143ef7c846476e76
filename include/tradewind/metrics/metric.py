"""What a metric is: for which tasks, in which direction, between which values, and how it is computed and resampled."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from tradewind.metrics.arrays import Floats

    Statistic = Callable[[Floats], Floats]
    """From how often each block is drawn, shape (resamples, blocks), to a value of each resample, (resamples,)."""

Task = Literal["binary", "multiclass", "regression"]

CLASSES: frozenset[Task] = frozenset({"binary", "multiclass"})
BINARY: frozenset[Task] = frozenset({"binary"})
NUMBERS: frozenset[Task] = frozenset({"regression"})


@dataclass(frozen=True)
class MetricInfo:
    """What is known of a metric without any data.

    :param name: as the YAML writes it
    :param tasks: for which it is defined
    :param greater_is_better: its direction
    :param lowest: smallest value that there can be
    :param highest: largest, likewise
    """

    name: str
    tasks: frozenset[Task]
    greater_is_better: bool
    lowest: float = -math.inf
    highest: float = math.inf

    @property
    def sign(self) -> float:
        """What a difference is multiplied with, so that more is better."""
        return 1.0 if self.greater_is_better else -1.0


@dataclass(frozen=True)
class ModelMetric(MetricInfo, ABC):
    """A metric of predictions, built in or of the project."""

    def compute(self, y: Floats, score: Floats, *, weights: Floats | None = None) -> float:
        """The value for labels and predictions.

        :param y: shape (rows,); labels 0 or 1; numbers of classes, -1 for an unknown one, which is always wrong and
            was given the probability 0; or values
        :param score: probability of 1 (for ranks any number), shape (rows,); class probabilities, shape (rows,
            classes); or predicted values, shape (rows,)
        :param weights: weight of each row, shape (rows,), finite and not negative; equal weights if None
        :return: NaN without rows, where the metric is not defined on these rows, or where a prediction is missing,
            infinite or not a probability
        :raises ValueError: shapes do not fit, or a label is missing or invalid
        """
        import numpy as np

        y, score = self.check_arguments(y, score)
        if weights is not None:
            weights = np.asarray(weights, dtype=np.float64)
            if weights.shape != y.shape or not (np.isfinite(weights) & (weights >= 0)).all():
                raise ValueError(f"weights {weights.shape} must be finite, not negative, and as many as rows {y.shape}")
        if not len(y) or not self.usable_rows(score).all():
            return math.nan
        return self.value_of_rows(y, score, weights=weights)

    def resample(self, y: Floats, score: Floats, *, block: Floats, blocks: int) -> Statistic:
        """The metric as a function of how often each block is drawn: exactly that of the drawn rows.

        :param y: as for :meth:`compute`
        :param score: likewise; every prediction is usable
        :param block: number of each row's block, 0…blocks-1, shape (rows,)
        """
        return self.value_of_draws(*self.check_arguments(y, score), block=block, blocks=blocks)

    @abstractmethod
    def usable_rows(self, score: Floats) -> Floats:
        """Which rows have a prediction that the metric can be computed with; bool, shape (rows,)."""

    @abstractmethod
    def value_of_rows(self, y: Floats, score: Floats, *, weights: Floats | None) -> float:
        """The value for checked arguments; NaN where it is not defined."""

    @abstractmethod
    def value_of_draws(self, y: Floats, score: Floats, *, block: Floats, blocks: int) -> Statistic:
        """See :meth:`resample`, for checked arguments."""

    def check_arguments(self, y: Floats, score: Floats) -> tuple[Floats, Floats]:
        """Labels and predictions as float64 (class numbers as int64), if they fit the metric and each other.

        The task follows from the metric and from the shape of ``score``.

        :raises ValueError: they do not
        """
        import numpy as np

        score, given = np.asarray(score, dtype=np.float64), np.asarray(y)
        task = self._task_of(score)
        if given.ndim != 1 or score.shape[:1] != given.shape or score.ndim not in (1, 2):
            raise ValueError(f"labels {given.shape} and predictions {score.shape} must be rows of one length")
        if task not in self.tasks or (task == "regression" and score.ndim == 2):
            known = " and ".join(sorted(self.tasks))
            raise ValueError(f"{self.name} is for {known}; predictions have the shape {score.shape}")
        values = np.asarray(given, dtype=np.float64)
        if not np.isfinite(values).all():
            raise ValueError("a label is missing or infinite; leave rows without a label out before")
        if task == "binary" and not np.isin(values, (0.0, 1.0)).all():
            raise ValueError("labels must be 0 or 1; leave rows without a label out before")
        if task != "multiclass":
            return values, score
        codes = values.astype(np.int64)
        if (codes != values).any() or (codes < -1).any() or (codes >= score.shape[1]).any():
            raise ValueError(f"labels must be the numbers of {score.shape[1]} classes, or -1 for one that nobody knows")
        return codes, score

    def _task_of(self, score: Floats) -> Task:
        if self.tasks == NUMBERS:
            return "regression"
        return "multiclass" if score.ndim == 2 else "binary"


_SLACK = 1e-6  # single-precision softmax may reach 1 + 1e-7


def valid_predictions(score: Floats, *, probabilities: bool) -> Floats:
    """Which rows hold finite numbers, or probabilities; bool, shape (rows,).

    :param score: shape (rows,) or (rows, classes)
    """
    import numpy as np

    valid = (score >= -_SLACK) & (score <= 1 + _SLACK) if probabilities else np.isfinite(score)
    return valid if valid.ndim == 1 else np.logical_and.reduce(valid, axis=1)


def difference_statistic(a: Statistic, b: Statistic, *, sign: float) -> Statistic:
    """``sign`` × (a - b), of the same draws."""
    return lambda draws: sign * (a(draws) - b(draws))


def table_statistic(table: Floats, value: Callable[[Floats], Floats]) -> Statistic:
    """A formula of sums, as a function of how often each block is drawn.

    :param table: the sums of each block, shape (blocks, …)
    :param value: the formula, from sums of shape (resamples, …) to shape (resamples,)
    """
    flat, shape = table.reshape(len(table), -1), table.shape[1:]
    return lambda draws: value((draws @ flat).reshape(len(draws), *shape))
