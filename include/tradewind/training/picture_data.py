"""What the pictures of a verdict show, as plain numbers of bounded size: drawn once, kept with the verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, Self

from tradewind.metrics.judged_rows import CANDIDATE, CHAMPION, local_blocks
from tradewind.metrics.metric_list import METRICS, task_metrics
from tradewind.pages.formatting import format_count

if TYPE_CHECKING:
    from tradewind.metrics.arrays import Floats
    from tradewind.metrics.judged_rows import TestRows

METRIC: Mapping[str, str] = {"binary": "roc_auc", "multiclass": "accuracy", "regression": "mae"}
"""What is drawn over time, where no metric is named."""
_POINTS, _BINS, _BLOCKS, _CLASSES, _FEATURES = 200, 10, 60, 12, 100
_DIGITS = 6


@dataclass(frozen=True, slots=True)
class VerdictPictures:
    """What one verdict's pictures show.

    :param metric: what ``blocks`` holds
    :param rows: rows that are shown: those that every model which is shown has not seen in training
    :param notes: what is not shown, and why
    :param board: every metric of the task, by whose it is; None where it has no value
    :param roc: false and true positive rates, by whose they are; for two classes
    :param precision_recall: recall and precision, likewise
    :param positive_share: share of positives, the precision of a guess
    :param reliability: bins of predicted probability (of the predicted class, if there are several) with their rows,
        mean prediction and share observed, by whose they are
    :param by: length of a block: hour, day, week or month of local time
    :param blocks: the metric in every block, at most 60
    :param importance: permutation importance with its spread, largest first
    :param deciles: for regression: tenths of the rows by prediction, with means and the middle 80 % of what was
        observed, by whose they are
    :param confusion: for several classes: ``classes``, and ``counts`` with one row for each class that is
    """

    task: str
    metric: str
    rows: int
    notes: tuple[str, ...] = ()
    board: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)
    roc: Mapping[str, Sequence[Sequence[float]]] = field(default_factory=dict)
    precision_recall: Mapping[str, Sequence[Sequence[float]]] = field(default_factory=dict)
    positive_share: float | None = None
    reliability: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    by: str = "day"
    blocks: Sequence[Mapping[str, Any]] = ()
    importance: Sequence[Mapping[str, Any]] = ()
    deciles: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    confusion: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """What JSON can hold; :meth:`from_json` makes the same of it again."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """The pictures as they were written, by this version or another that drew less or more."""
        known = {one.name: document[one.name] for one in fields(cls) if one.name in document}
        return cls(**{**known, "notes": tuple(known.get("notes", ()))})


def compute_pictures(
    test: TestRows,
    importance: Sequence[Mapping[str, Any]] = (),
    *,
    metric: str | None = None,
    classes: Sequence[str] | None = None,
) -> VerdictPictures:
    """What to draw of a candidate and the champion on the same rows.

    :param test: the rows that judge; only those after the training of both models are shown
    :param importance: ``feature``, ``mean`` and ``std`` for every feature
    :param metric: what is drawn over time; :data:`METRIC` of the task if None
    :param classes: names of the classes in the order of their codes, for several classes
    """
    rows, whose, notes = _select_shown_rows(test)
    drawn = metric if metric in task_metrics(test.task) else METRIC[test.task]
    by, blocks = _metric_over_time(rows, whose, metric=str(drawn))
    features = sorted(importance, key=lambda one: -float(one["mean"]))[:_FEATURES]
    binary, regression = test.task == "binary", test.task == "regression"
    return VerdictPictures(
        task=test.task,
        metric=str(drawn),
        rows=len(rows.y),
        notes=notes,
        board=_metrics_by_model(rows),
        roc={name: _curve_points("roc", rows, name) for name in whose} if binary else {},
        precision_recall={name: _curve_points("precision_recall", rows, name) for name in whose} if binary else {},
        positive_share=_rounded_or_none(rows.y.mean()) if binary and len(rows.y) else None,
        reliability={} if regression else {name: _reliability_bins(rows, name) for name in whose},
        by=by,
        blocks=blocks,
        importance=[{name: one[name] for name in ("feature", "mean", "std")} for one in features],
        deciles={name: _prediction_deciles(rows, name) for name in whose} if regression else {},
        confusion=_confusion_counts(rows, classes) if test.task == "multiclass" and CANDIDATE in whose else {},
    )


def _select_shown_rows(test: TestRows) -> tuple[TestRows, list[str], tuple[str, ...]]:
    """The rows that no model shown has learned from, which models to show, and what is left out."""
    import numpy as np

    whole = [name for name in (CANDIDATE, CHAMPION) if name in test.scores and np.isfinite(test.scores[name]).all()]
    notes = [f"The {name} is not shown: {test.absent[name]}." for name in (CANDIDATE, CHAMPION) if name in test.absent]
    unable = [name for name in (CANDIDATE, CHAMPION) if name in test.scores and name not in whole]
    notes += [f"The {name} is not shown: it cannot predict these rows." for name in unable]
    rows = _unseen_rows(test, CANDIDATE)
    if lost := len(test.y) - len(rows.y):
        notes.append(f"{format_count(lost, 'row')} from before the end of the candidate's training are not shown.")
    if CHAMPION in whole:
        both = _unseen_rows(rows, CHAMPION)
        if not len(both.y):
            notes.append("The champion is not shown: it has learned from all of these rows.")
            whole.remove(CHAMPION)
        elif lost := len(rows.y) - len(both.y):
            notes.append(f"{format_count(lost, 'row')} that the champion has learned from are not shown.")
        rows = both if len(both.y) else rows
    return rows, whole if len(rows.y) else [], tuple(notes)


def _unseen_rows(rows: TestRows, name: str) -> TestRows:
    return rows.since(rows.fit_end[name]) if name in rows.fit_end else rows


def _metrics_by_model(rows: TestRows) -> dict[str, dict[str, float | None]]:
    if not len(rows.y):
        return {}
    return {
        metric: {name: _measure_metric(metric, rows.y, values) for name, values in rows.scores.items()}
        for metric in task_metrics(rows.task)
    }


def _curve_points(kind: str, rows: TestRows, name: str) -> list[list[float]]:
    from tradewind.core import curves

    drawn = {"roc": curves.roc_curve, "precision_recall": curves.precision_recall}[kind]
    found = drawn(rows.y, rows.scores[name], points=_POINTS)
    return [[round(float(x), _DIGITS), round(float(y), _DIGITS)] for x, y in found]


def _reliability_bins(rows: TestRows, name: str) -> list[dict[str, Any]]:
    from tradewind.core import curves

    return [
        {
            "low": _rounded_or_none(one.low),
            "high": _rounded_or_none(one.high),
            "rows": one.rows,
            "predicted": _rounded_or_none(one.predicted),
            "observed": _rounded_or_none(one.observed),
        }
        for one in curves.reliability_curve(rows.y, rows.scores[name], bins=_BINS)
    ]


def _metric_over_time(rows: TestRows, whose: Sequence[str], *, metric: str) -> tuple[str, list[dict[str, Any]]]:
    """The metric in every block of local time: the shortest of which there are at most 60, of a day or more."""
    import numpy as np

    days = local_blocks(rows.timestamp, rows.timezone, by="day")
    weeks = local_blocks(rows.timestamp, rows.timezone, by="week")
    choices = {"day": days, "week": weeks, "month": days.astype("datetime64[M]").astype("datetime64[us]")}
    if len(np.unique(days)) < 3:
        choices = {"hour": local_blocks(rows.timestamp, rows.timezone, by="hour"), **choices}
    by = next((name for name, blocks in choices.items() if len(np.unique(blocks)) <= _BLOCKS), "month")
    starts, place = np.unique(choices[by], return_inverse=True)
    found = []
    for number, start in list(enumerate(starts))[-_BLOCKS:]:
        inside = place == number
        values = {name: _measure_metric(metric, rows.y[inside], rows.scores[name][inside]) for name in whose}
        found.append({"block": str(start)[: 13 if by == "hour" else 10], "rows": int(inside.sum()), **values})
    return by, found


def _prediction_deciles(rows: TestRows, name: str) -> list[dict[str, Any]]:
    import numpy as np

    score, found = rows.scores[name], []
    for part in np.array_split(np.argsort(score, kind="stable"), _BINS):
        if len(part):
            observed, residual = rows.y[part], rows.y[part] - score[part]
            low, high = np.quantile(observed, (0.1, 0.9))
            least, most = np.quantile(residual, (0.1, 0.9))
            facts = {"predicted": score[part].mean(), "observed": observed.mean(), "low": low, "high": high}
            facts |= {"residual": residual.mean(), "residual_low": least, "residual_high": most}
            found.append({"rows": len(part), **{key: _rounded_or_none(value) for key, value in facts.items()}})
    return found


def _confusion_counts(rows: TestRows, classes: Sequence[str] | None) -> dict[str, Any]:
    """Counts of what is and what was predicted; of many classes the rarest are one."""
    import numpy as np

    predicted, known = rows.scores[CANDIDATE].argmax(axis=1), rows.scores[CANDIDATE].shape[1]
    names = list(classes or [str(code) for code in range(known)])
    common = np.argsort(-np.bincount(rows.y[rows.y >= 0].astype("int64"), minlength=known), kind="stable")
    kept = sorted(common[: known if known <= _CLASSES else _CLASSES - 1].tolist())
    shown = [names[code] for code in kept] + (["others"] if len(kept) < known else [])
    position = np.full(known + 1, len(shown) - 1)
    position[kept] = range(len(kept))
    unknown = bool((rows.y < 0).any())
    position[-1] = len(shown)  # a label of -1 is a class that training never saw
    width = len(shown) + int(unknown)
    flat = np.bincount(position[rows.y.astype("int64")] * width + position[predicted], minlength=width * width)
    return {"classes": shown + ["never seen"] * unknown, "counts": flat.reshape(width, width).tolist()}


def _measure_metric(metric: str, y: Floats, score: Floats) -> float | None:
    return _rounded_or_none(METRICS[metric].compute(y, score))


def _rounded_or_none(value: Any) -> float | None:
    return round(float(value), _DIGITS) if math.isfinite(value) else None
