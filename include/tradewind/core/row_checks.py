"""What is wrong with rows before a model is fitted on them. Plain arrays in, findings with their numbers out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from tradewind.core.leakage import leakage_score

if TYPE_CHECKING:
    from tradewind.metrics.arrays import Floats
    from tradewind.metrics.metric import Task
    from tradewind.spec.training import RowChecks

Severity = Literal["error", "warning"]
_SOME = 5


@dataclass(frozen=True, slots=True)
class FeatureColumn:
    """One input of the model.

    :param values: numbers, float64, NaN where there is none; or numbers of categories, int64, -1 where there is none
    :param categorical: which of the two
    """

    name: str
    values: Floats
    categorical: bool


@dataclass(frozen=True, slots=True)
class RowsPart:
    """Rows that are learned from, or that judge.

    :param name: in words, with where they lie: ``training rows (2013-02-11 … 2013-02-25)``
    :param y: known labels, shape (rows,): 0 or 1; the number of the class; or the value itself
    :param due: rows of these partitions whose label should be known, whether it is or not
    :param unknown: how many of them have none
    """

    name: str
    y: Floats
    due: int
    unknown: int


@dataclass(frozen=True, slots=True)
class RowFinding:
    """One thing that is wrong.

    :param check: ``no_labels``, ``few_rows``, ``missing_labels``, ``single_class``, ``unseen_class``, ``all_missing``,
        ``constant``, ``leakage`` or ``not_finite``
    :param severity: an error stops the training; a warning goes with the model into its verdict
    :param feature: what it is about; None for the label or for all rows
    :param value: what was found
    :param limit: what the rule allows
    :param sentence: for people
    """

    check: str
    severity: Severity
    feature: str | None
    value: float
    limit: float
    sentence: str


def find_row_problems(
    rules: RowChecks,
    task: Task,
    *,
    fit: RowsPart,
    judging: Sequence[RowsPart],
    features: Sequence[FeatureColumn],
    classes: Sequence[str] = (),
) -> tuple[RowFinding, ...]:
    """Check rows and labels by the rules of the YAML; errors first.

    ==============  ==================================================================================================
    no_labels       error: a part has no row with a known label
    few_rows        error: fewer rows to learn from than `min_rows`
    missing_labels  error: of a part's rows whose label should be known, more than `missing_labels_at_most` have none
    single_class    error: a part has one class only; for numbers: the rows to learn from have one value only
    unseen_class    warning: rows that judge have a class that there is nothing to learn of
    all_missing     as `constant` says: a feature is missing in all rows
    constant        as `constant` says: a feature has the same value in all rows
    not_finite      warning: a feature is infinite in some rows, which most estimators refuse
    leakage         as `on_leakage` says: a feature tells the label as well as `leakage_at_least`, see :mod:`leakage`
    ==============  ==================================================================================================

    :param fit: what is learned from
    :param judging: parts that judge
    :param features: the model's inputs in the rows that are learned from
    :param classes: names of the classes, by number
    """
    found = [*_label_findings(rules, task, fit, judging, classes)]
    if len(fit.y):
        for feature in features:
            found.extend(_feature_findings(rules, task, fit, feature, len(classes)))
    return tuple(sorted(found, key=lambda finding: finding.severity != "error"))


def _label_findings(
    rules: RowChecks, task: Task, fit: RowsPart, judging: Sequence[RowsPart], classes: Sequence[str]
) -> Iterator[RowFinding]:
    import numpy as np

    for part in (fit, *judging):
        yield from _known(rules, part)
        if len(part.y) and (task != "regression" or part is fit):
            yield from _single(task, part, classes)
    if len(fit.y) and len(fit.y) < rules.min_rows:
        sentence = f"there are {len(fit.y)} {fit.name}, fewer than `min_rows` ({rules.min_rows})"
        yield RowFinding("few_rows", "error", None, len(fit.y), rules.min_rows, sentence)
    if task != "multiclass" or not len(fit.y):
        return
    seen = np.unique(fit.y)
    for part in judging:
        rows = ~np.isin(part.y, seen)
        if rows.any():
            names = ", ".join(classes[int(code)] for code in np.unique(part.y[rows])[:_SOME])
            sentence = f"{int(rows.sum())} of the {part.name} have a class that no row to learn from has: {names}"
            yield RowFinding("unseen_class", "warning", None, float(rows.mean()), 0.0, sentence)


def _known(rules: RowChecks, part: RowsPart) -> Iterator[RowFinding]:
    if not len(part.y):
        sentence = f"the {part.name} have no known label; check the label column, `available_after` and `gap`"
        yield RowFinding("no_labels", "error", None, 0, 1, sentence)
    share = part.unknown / part.due if part.due else 0.0
    if len(part.y) and share > rules.missing_labels_at_most:
        limit = rules.missing_labels_at_most
        sentence = (
            f"{part.unknown} of the {part.due} {part.name} whose label should be known have none ({share:.1%}, "
            f"allowed are {limit:.1%})"
        )
        yield RowFinding("missing_labels", "error", None, share, limit, sentence)


def _single(task: Task, part: RowsPart, classes: Sequence[str]) -> Iterator[RowFinding]:
    first = part.y[0]
    if (part.y != first).any():
        return
    if task == "regression":
        sentence = f"the {part.name} have one label only ({first:g}); there is nothing to learn"
    else:
        name = classes[int(first)] if classes else f"{int(first)}"
        sentence = f"the {part.name} have one class only ({name}); a classifier needs two"
    yield RowFinding("single_class", "error", None, 1, 2, sentence)


def _feature_findings(
    rules: RowChecks, task: Task, fit: RowsPart, feature: FeatureColumn, classes: int
) -> Iterator[RowFinding]:
    import numpy as np

    severity: Severity = "error" if rules.constant == "error" else "warning"
    missing = feature.values < 0 if feature.categorical else np.isnan(feature.values)
    if missing.all():
        yield RowFinding(
            "all_missing", severity, feature.name, 1.0, 1.0, f"{feature.name} is missing in all {fit.name}"
        )  # fmt: skip
        return
    if (feature.values == feature.values[0]).all():
        yield RowFinding(
            "constant", severity, feature.name, 1, 2, f"{feature.name} has the same value in all {fit.name}"
        )  # fmt: skip
        return
    if not feature.categorical and (infinite := int(np.isinf(feature.values).sum())):
        sentence = f"{feature.name} is infinite in {infinite} of the {fit.name}; most estimators refuse that"
        yield RowFinding("not_finite", "warning", feature.name, infinite, 0, sentence)
    value = leakage_score(feature.values, fit.y, task, categorical=feature.categorical, classes=classes)
    if value >= rules.leakage_at_least:
        yield _leak(rules, task, feature, value)


def _leak(rules: RowChecks, task: Task, feature: FeatureColumn, value: float) -> RowFinding:
    measured = {
        "binary": f"ROC AUC {value:.4f}",
        "multiclass": f"{value:.2%} of the rows right",
        "regression": f"squared correlation {value:.4f}",
    }[task]
    sentence = (
        f"{feature.name} by itself tells the label ({measured}): it may be the label, or be known only after it. "
        "Take it out, or set `train.checks.on_leakage: warn`"
    )
    severity: Severity = "error" if rules.on_leakage == "error" else "warning"
    return RowFinding("leakage", severity, feature.name, value, rules.leakage_at_least, sentence)
