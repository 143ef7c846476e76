"""What a model looks at: permutation importance with its spread, and how its answer follows its first features.

Both are measured on rows that judge. What they cost is bounded by how many rows are predicted for them, never by time:
the same training explains itself in the same way.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tradewind.isolation import task_outputs
from tradewind.metrics.metric_list import METRICS
from tradewind.training.evaluation import metric_arguments

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd

    from tradewind.metrics.metric import Task
    from tradewind.training.model_frame import ModelFrame

log = logging.getLogger(__name__)

ROWS = 20_000
"""At most so many rows are shuffled."""
PREDICTED = 500_000
"""At most so many rows are predicted for the importance of all features together, but :data:`FEWEST` at a time."""
FEWEST = 1_000
REPEATS = 5
FEATURES = 4
"""So many of the most important features are followed."""
_FOLLOWED = 500
_POINTS = 11


@dataclass(frozen=True, slots=True)
class FeatureImportance:
    """How much worse a metric gets when one feature is shuffled.

    :param mean: over the repeats, in the direction in which more is better; about 0 for a feature that does nothing
    :param std: over the repeats
    :param values: of each repeat
    """

    feature: str
    mean: float
    std: float
    values: tuple[float, ...]


def measure_importance(fitted: Any, rows: ModelFrame, metric: str, *, seed: int) -> list[FeatureImportance]:
    """Permutation importance (Breiman 2001; Fisher, Rudin and Dominici 2019) of the model's inputs, largest first.

    For each feature and repeat: the metric on the rows as they are, less the metric with the feature's column shuffled.
    A feature that the model does not look at has exactly 0. Empty if the metric has no value on these rows.

    :param rows: with labels; a sample of them, drawn with ``seed``, is shuffled
    :raises ModelError: the model fails
    """
    import numpy as np
    import pandas as pd

    most = PREDICTED // (REPEATS * (len(rows.columns) + 1))
    some = _sample_frame(rows, min(ROWS, max(most, FEWEST)), seed)
    frame = some.inputs().to_pandas()
    # All repeats are predicted at once, and the rows as they are likewise: then rounding is the same everywhere.
    stacked = pd.concat([frame] * REPEATS, ignore_index=True)
    as_is = _metric_by_repeat(fitted, some, stacked, metric)
    if not np.isfinite(as_is).all():
        log.warning("%s has no value on %s test rows; importance is not measured", metric, len(frame))
        return []
    found = []
    for number, feature in enumerate(frame.columns):
        random, column = np.random.default_rng([seed, number]), stacked[feature]
        order = np.concatenate([random.permutation(len(frame)) for _ in range(REPEATS)])
        stacked[feature] = frame[feature].take(order).set_axis(stacked.index)
        drops = as_is - _metric_by_repeat(fitted, some, stacked, metric)
        stacked[feature] = column
        found.append(FeatureImportance(str(feature), float(drops.mean()), float(drops.std()), tuple(drops.tolist())))
    return sorted(found, key=lambda one: (-one.mean, one.feature))


def measure_partial_dependence(
    fitted: Any, rows: ModelFrame, features: Sequence[str], *, seed: int
) -> list[dict[str, Any]]:
    """Partial dependence (Friedman 2001) on some features: the mean answer when all rows have the same value.

    :param features: numbers are followed over their quantiles, text over its most frequent values
    :return: one entry a feature and output: feature, kind (``number`` or ``category``), x, y, output in words
    """
    frame = _sample_frame(rows, _FOLLOWED, seed).inputs().to_pandas()
    found: list[dict[str, Any]] = []
    classes = task_outputs.model_classes(fitted, rows.task)
    for feature in features:
        kind, points = _dependence_points(rows, feature)
        if len(points) < 2:
            continue
        means = _mean_answers(fitted, frame, feature, points, classes)
        for number, output in _shown_outputs(rows.task, classes):
            y = [float(value) for value in means[:, number]]
            found.append({"feature": feature, "kind": kind, "x": points, "y": y, "output": output})
    return found


def _metric_by_repeat(fitted: Any, rows: ModelFrame, stacked: pd.DataFrame, metric: str) -> npt.NDArray[Any]:
    """The metric on each repeat of the rows, in the direction in which more is better; shape (repeats,)."""
    import numpy as np

    classes = task_outputs.model_classes(fitted, rows.task)
    # A copy of its own: some models write into what they are given.
    parts = np.split(task_outputs.predict_output(fitted, stacked.copy(), classes), REPEATS)
    known = METRICS[metric]
    return np.array([known.sign * known.compute(*metric_arguments(rows, part, classes)) for part in parts])


def _sample_frame(rows: ModelFrame, most: int, seed: int) -> ModelFrame:
    import numpy as np

    count = rows.table.num_rows
    if count <= most:
        return rows
    picked = np.sort(np.random.default_rng(seed).choice(count, most, replace=False))
    return replace(rows, table=rows.table.take(picked))


def _dependence_points(rows: ModelFrame, feature: str) -> tuple[str, list[Any]]:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    column = rows.inputs()[feature]
    if pa.types.is_string(column.type):
        counts = [(-c["counts"], c["values"]) for c in column.drop_null().value_counts().to_pylist()]
        return "category", [value for _, value in sorted(counts)[:_POINTS]]
    if not pa.types.is_floating(column.type):
        return "number", []  # a time: it makes no sense that all rows to happen at once
    known = pc.drop_null(column).to_numpy()
    known = known[np.isfinite(known)]
    return "number", np.unique(np.quantile(known, np.linspace(0.02, 0.98, _POINTS))).tolist() if len(known) else []


def _mean_answers(
    fitted: Any, frame: pd.DataFrame, feature: str, points: Sequence[Any], classes: list[Any] | None
) -> npt.NDArray[Any]:
    """Mean answer at each point, shape (points, outputs); one prediction for all of them."""
    import numpy as np
    import pandas as pd

    at_all = pd.concat([frame] * len(points), ignore_index=True)
    at_all[feature] = np.repeat(np.asarray(points, dtype=at_all[feature].dtype), len(frame))
    output = task_outputs.predict_output(fitted, at_all, classes)
    means: npt.NDArray[Any] = output.reshape(len(points), len(frame), -1).mean(axis=1)
    return means


def _shown_outputs(task: Task, classes: list[Any] | None) -> list[tuple[int, str]]:
    """Columns of the answer that are shown, with what they are in words; of two classes one says it all."""
    if classes is None:
        return [(0, "prediction")]
    if task == "binary":
        return [(classes.index(1), "probability of 1")]  # True and 1.0 are 1 as well
    return [(number, f"probability of {value}") for number, value in enumerate(classes)]
