"""May the refit of a judged version serve? Its answers beside those that were judged, and the checks of serving."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tradewind.metrics.metric_list import compute_metric

if TYPE_CHECKING:
    from tradewind.core.gate_results import GateResult
    from tradewind.metrics.arrays import Floats
    from tradewind.metrics.metric import Task

_ERRORS = {"binary": "brier", "multiclass": "brier", "regression": "mae"}


@dataclass(frozen=True, slots=True)
class RefitDistance:
    """How far a refit's answers lie from those that were judged, on the rows that judged.

    :param change: mean over the rows: of the change of probability (with several classes half the sum of the absolute
        changes, the total variation distance), or of the absolute change in standard deviations of the label
    :param bound: the largest change that needs no other reason
    :param error: what the errors are: ``brier`` or ``mae``
    :param judged_error: of the judged version on these rows
    :param refit_error: of the refit, which has learned from them
    """

    change: float
    bound: float
    error: str
    judged_error: float
    refit_error: float
    rows: int

    @property
    def near_enough(self) -> bool:
        """Whether the change needs no other reason."""
        return self.change <= self.bound

    @property
    def met(self) -> bool:
        """Near enough; or further away, but no further from the labels: it learned from rows of another regime."""
        return self.near_enough or self.refit_error <= self.judged_error


def refit_distance(task: Task, y: Floats, judged: Floats, refit: Floats, *, bound: float) -> RefitDistance:
    """Compare both answers to the same rows.

    :param y: labels as in :meth:`ModelMetric.compute`, shape (rows,)
    :param judged: answers of the judged version, shape (rows,) or (rows, classes), likewise ``refit``
    """
    import numpy as np

    moved = np.abs(refit - judged)
    if task == "regression":
        spread = float(y.std())
        # Where every label is the same there is nothing to measure in: then only the same answers are near.
        without_spread = np.inf if moved.any() else 0.0
        change = float(moved.mean()) / spread if spread else without_spread
    else:
        change = float(moved.mean() if moved.ndim == 1 else moved.sum(axis=1).mean() / 2)
    error = _ERRORS[task]
    before, after = (float(compute_metric(error, y, answers)) for answers in (judged, refit))
    return RefitDistance(change, bound, error, before, after, len(y))


def decide_refit(near: RefitDistance | None, checks: Sequence[GateResult]) -> tuple[bool, str]:
    """Whether the refit serves in place of the judged version, and why.

    :param near: None where it gave no answers
    :param checks: the checks of serving, made of the refit
    """
    failed = [f"{one.gate}: {one.reason}" for one in checks if one.outcome != "pass"]
    if near is None:
        return False, "; ".join(failed) or "it gave no answers"
    unit = "of probability" if near.error == "brier" else "standard deviations of the label"
    moved = f"its answers to the {near.rows} test rows lie {near.change:.3g} {unit} from those judged, as a mean"
    errors = f"{near.error} there {near.judged_error:.4g}, refitted {near.refit_error:.4g}"
    if near.near_enough:
        words = f"{moved} (at most {near.bound:g}; {errors})"
    elif near.met:
        words = f"{moved}, more than {near.bound:g}, but no further from the labels ({errors})"
    else:
        words = f"{moved}, more than {near.bound:g}, and further from the labels ({errors})"
    return near.met and not failed, "; ".join([*failed, words])
