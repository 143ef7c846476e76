"""How the YAML names a metric: a built-in one, or a function of the project whose direction it declares."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticKnownError

from tradewind.metrics.metric import CLASSES, NUMBERS, MetricInfo
from tradewind.metrics.metric_list import METRICS, task_metrics
from tradewind.spec.base import Model
from tradewind.spec.problems import Finding, Path, join_words
from tradewind.spec.scalars import FUNCTION, Boolean, value_error


def _metric_name(value: object) -> object:
    if not isinstance(value, str) or value in METRICS or re.fullmatch(FUNCTION, value):
        return value
    if re.search(r"[/:]|\.py", value):
        raise value_error(
            "expected file.py:function, for example include/shop/metrics.py:profit, or the name of a metric"
        )
    *most, last = map(repr, METRICS)
    raise PydanticKnownError("literal_error", {"expected": f"{', '.join(most)} or {last}"})


def _schema(schema: dict[str, Any]) -> None:
    schema["anyOf"] = [{"enum": list(METRICS)}, {"pattern": FUNCTION}]


MetricName = Annotated[str, BeforeValidator(_metric_name), Field(json_schema_extra=_schema)]
"""A built-in metric, or ``file.py:function`` of the project."""


class MetricDeclaration(Model):
    """A metric of the project: a function of `y_true` and `y_pred` that returns a number."""

    greater_is_better: Boolean = Field(description="Whether a larger value is better; false for a loss or a cost.")


def is_project_metric(name: str) -> bool:
    """Whether a metric is a function of the project."""
    return name not in METRICS


def metric_info(name: str, declared: Mapping[str, MetricDeclaration]) -> MetricInfo | None:
    """What is known of a metric; None for one of the project that is not declared.

    :param declared: `metrics` of the pipeline
    """
    if not is_project_metric(name):
        return METRICS[name]
    declaration = declared.get(name)
    return MetricInfo(name, CLASSES | NUMBERS, declaration.greater_is_better) if declaration else None


def find_metric_flaw(name: str, task: str, path: Path, *, declared: Mapping[str, MetricDeclaration]) -> Finding | None:
    """A finding if the metric is not declared, or not defined for the task."""
    known = metric_info(name, declared)
    if known is None:
        message = f"whether a larger value of {name} is better is not declared"
        expected = f"`metrics: {{{name}: {{greater_is_better: true}}}}`, or false, at the top level"
        return Finding(path, message, expected=expected)
    if task in known.tasks:
        return None
    expected = join_words(task_metrics(task))
    return Finding(path, f"{name} means nothing where `train.task` is {task}", expected=expected)


def find_impossible_value(known: MetricInfo, value: float | None, path: Path) -> Iterator[Finding]:
    """A finding if a metric can never have this value."""
    if value is not None and not known.lowest <= value <= known.highest:
        if known.highest < float("inf"):
            message = f"{known.name} lies between {known.lowest:g} and {known.highest:g}, found {value:g}"
        else:
            message = f"{known.name} is never below {known.lowest:g}, found {value:g}"
        yield Finding(path, message)
