"""Training in the YAML: the window, the label, the model and its search, and what is checked before a fit."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from tradewind.metrics.metric import Task
from tradewind.spec.base import Model
from tradewind.spec.metrics import MetricName
from tradewind.spec.scalars import Boolean, Duration, FunctionPath, Integer, Name, Number, Text, WholeOrAll, value_error


class Label(Model):
    """What the model learns to predict."""

    dataset: Name = Field(description="Dataset of this pipeline that holds the label.")
    column: Text = Field(description="Column of the label; rows where it is NULL are not used.")
    available_after: Duration = Field(
        default=timedelta(0), description="How long after the entity's time its label is known, for example 1d."
    )


class Search(Model):
    """A search for hyper-parameters, judged on the validation partitions; needs the extra `search` (Optuna)."""

    space: FunctionPath = Field(
        description="file.py:function, from the project root; the function takes an Optuna trial and returns the "
        "parameters that it suggests, which replace those of `params`."
    )
    metric: MetricName = Field(description="What is best on the validation partitions.")
    trials: Integer = Field(default=20, ge=1, description="At most so many sets of parameters are tried.")
    time: Duration = Field(
        default=timedelta(minutes=10), description="No trial begins after this time; at least one is made."
    )


class Early(Model):
    """Whether a candidate is worth the whole training: a fit on a sample, judged on the validation partitions."""

    metric: MetricName = Field(description="What is measured.")
    at_least: Number | None = Field(default=None, description="Below this nothing more is fitted.")
    at_most: Number | None = Field(default=None, description="Above this, for metrics that are better when smaller.")
    rows: Integer = Field(default=10_000, ge=100, description="Rows of the sample, spread over the window.")

    @model_validator(mode="after")
    def _one_bound(self) -> Self:
        if (self.at_least is None) == (self.at_most is None):
            raise value_error("`early` has either `at_least` or `at_most`")
        return self


class RowChecks(Model):
    """What is checked of the rows before a model is fitted on them."""

    min_rows: Integer = Field(default=100, ge=1, description="Fewer rows to learn from than this are an error.")
    missing_labels_at_most: Number = Field(
        default=0.5, ge=0, le=1, description="Largest share of rows whose label should be known by now and is not."
    )
    leakage_at_least: Number = Field(
        default=0.995,
        gt=0.5,
        le=1,
        description="A single feature that tells the label this well by itself (ROC AUC in either direction, share of "
        "rows that it tells right, or squared correlation) is suspected to be the label.",
    )
    on_leakage: Literal["error", "warn"] = Field(default="error", description="What a suspected leak means.")
    constant: Literal["error", "warn"] = Field(
        default="warn", description="What a feature means that has one value, or none, in all rows."
    )


class Train(Model):
    """Training of candidates."""

    task: Task = Field(
        default="binary", description="What is predicted: one of two classes, one of several, or a number."
    )
    window: Integer = Field(ge=2, description="Partitions in the window; the last `test` of them judge.")
    validation: Integer = Field(
        default=0,
        ge=0,
        description="Partitions before the test that `search` and `early` are judged on. With the parameters chosen, "
        "the model is fitted on them too.",
    )
    test: Integer = Field(ge=1, description="Partitions at the end of the window that judge and are not learned from.")
    gap: Duration | None = Field(
        default=None,
        description="Rows of this long before the partitions that judge are not learned from: their labels were not "
        "known then. `label.available_after` where this is left out.",
    )
    complete: WholeOrAll = Field(
        default="all", description="How many partitions of the window must be there: all, or at least so many."
    )
    patience: Duration = Field(
        default=timedelta(days=2),
        description="A training that has a reason and waits for its window longer than this is an incident that names "
        "what is missing.",
    )
    service: Text = Field(description="Feast feature service that names the features.")
    columns: tuple[Text, ...] = Field(
        default=(),
        description="Columns that the model sees beside the features: read from the label's dataset in training and "
        "from the population in scoring.",
    )
    label: Label = Field(description="What the model learns to predict.")
    model: FunctionPath = Field(
        description="file.py:function, from the project root; the function takes `params` and returns an estimator."
    )
    params: dict[str, Any] = Field(default={}, description="Handed to the model function as it is.")
    search: Search | None = Field(default=None, description="A search for better parameters.")
    early: Early | None = Field(default=None, description="Whether a candidate is worth the whole training.")
    checks: RowChecks = Field(
        default=RowChecks(), description="What is checked of the rows before a model is fitted on them."
    )
    refit: Boolean = Field(
        default=False,
        description="A candidate that passed its verdict is fitted once more, on the whole window with the partitions "
        "that judged it, with the same parameters, seed and code: a version of its own, which serves in its place.",
    )
    refit_change: Number = Field(
        default=0.1,
        gt=0,
        description="How far the answers of the refitted version may lie from those that were judged, as a mean over "
        "the test rows: of the probability, or in standard deviations of the label. Beyond, it serves only if it is no "
        "further from the labels than the judged one; else the judged version serves.",
    )
    seed: Integer = Field(default=0, ge=0, lt=2**32, description="Seed of every random generator of a training.")
    serialization: Literal["skops", "pickle"] = Field(
        default="skops", description="How the model is stored. pickle runs code when it is loaded; skops does not."
    )
    trusted: tuple[Text, ...] = Field(
        default=(), description="Types that skops may load beside its own, as full dotted names."
    )

    @model_validator(mode="after")
    def _split(self) -> Self:
        if self.test >= self.window:
            raise value_error(f"`test` ({self.test}) must be smaller than `window` ({self.window})", field="test")
        if self.validation + self.test >= self.window:
            held = f"`validation` ({self.validation}) and `test` ({self.test})"
            raise value_error(
                f"{held} together must be smaller than `window` ({self.window}): nothing is left to learn from",
                field="validation",
            )
        for name in ("search", "early"):
            if getattr(self, name) is not None and not self.validation:
                raise value_error(
                    f"`{name}` is judged on validation partitions: set `validation` to 1 or more", field=name
                )
        if self.complete != "all" and not self.validation + self.test < self.complete <= self.window:
            raise value_error(
                f"`complete` lies between {self.validation + self.test + 1} (what judges, and one to learn from) and "
                f"`window` ({self.window}), found {self.complete}",
                field="complete",
            )
        return self
