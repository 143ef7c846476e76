"""Is a candidate worth the whole training? A fit on a sample says so before the search and the long fit begin."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tradewind.errors import ModelError
from tradewind.training import estimator as estimators
from tradewind.training import evaluation

if TYPE_CHECKING:
    from tradewind.metrics.metric import ModelMetric
    from tradewind.spec.training import Early, Train
    from tradewind.training.model_frame import ModelFrame

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EarlyGateResult:
    """What a fit on a sample promises.

    :param value: the metric on the validation rows; None if it has none there
    :param bound: what it must reach, or must not exceed
    :param rows: of the sample
    """

    metric: str
    value: float | None
    bound: float
    rows: int
    worth: bool
    reason: str


def evaluate_early_gate(
    train: Train,
    early: Early,
    *,
    metric: ModelMetric,
    build_model: Callable[..., Any],
    fit: ModelFrame,
    validation: ModelFrame,
) -> EarlyGateResult:
    """Fit with the YAML's parameters on a sample of ``fit``, and judge on all of ``validation``.

    :param metric: that of ``early``
    :raises ModelError: the model cannot be fitted, or fails
    """
    some = sample_rows(fit, rows=early.rows, seed=train.seed)
    if fit.task != "regression" and len(set(some.labels().tolist())) == 1:
        raise ModelError(
            f"model {train.model}: all {some.table.num_rows} rows of the early gate's sample have the same class; "
            "ask for more of them (`train.early.rows`)"
        )
    fitted = estimators.fit_estimator(build_model, train, some, name=train.model)
    found = evaluation.evaluate_metric(fitted, validation, metric, name=train.model)
    bound = early.at_least if early.at_least is not None else early.at_most
    assert bound is not None  # the spec has one of them
    worth = found >= bound if early.at_least is not None else found <= bound  # NaN is neither
    about = f"fitted on {some.table.num_rows} of {fit.table.num_rows} rows, {early.metric} on the validation rows"
    if math.isnan(found):
        reason = f"{about} has no value; {bound:g} is asked for"
    else:
        relation = "reaches" if worth else "misses"
        reason = f"{about} is {found:.4f}, which {relation} {bound:g}"
    log.info("early gate: %s", reason)
    return EarlyGateResult(
        early.metric, None if math.isnan(found) else found, bound, some.table.num_rows, worth, reason
    )


def sample_rows(frame: ModelFrame, *, rows: int, seed: int) -> ModelFrame:
    """At most so many rows, one from each of as many equal stretches of the frame, drawn with ``seed``.

    A frame is in the order of time, so its sample has as much of each time as it has itself.
    """
    import numpy as np

    count = frame.table.num_rows
    if count <= rows:
        return frame
    edges = np.linspace(0, count, rows + 1).astype(np.int64)
    picked = np.random.default_rng(seed).integers(edges[:-1], edges[1:])
    return replace(frame, table=frame.table.take(picked))
