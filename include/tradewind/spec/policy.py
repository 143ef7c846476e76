"""The part of the YAML that decides: promotion, monitoring, retraining, alerts, retention."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from tradewind.spec.base import Model
from tradewind.spec.metrics import MetricName
from tradewind.spec.scalars import Duration, Integer, Number, Quorum, Text, value_error


class Promotion(Model):
    """How a candidate that passed becomes champion."""

    mode: Literal["automatic", "approval"] = Field(
        default="automatic", description="At once, or after one of the `approvers` agreed."
    )
    approvers: tuple[Text, ...] = Field(
        default=(),
        description="Airflow users who may approve, by the ids that the auth manager gives them: names with the simple "
        "one.",
    )
    timeout: Duration = Field(
        default=timedelta(hours=24), description="How long an approval is waited for; silence rejects."
    )
    shadow: Integer = Field(
        default=0,
        ge=0,
        description="Populations that a candidate which passed scores beside the champion, without serving, before it "
        "is judged once more, on these. Without a champion there is nobody to stand beside: it is promoted at once.",
    )


class Performance(Model):
    """Realised performance of scored partitions."""

    metric: MetricName = Field(description="What is measured when the labels have fallen due.")
    at_least: Number | None = Field(default=None, description="A scored partition below this has decayed.")
    at_most: Number | None = Field(
        default=None, description="A scored partition above this has decayed, for metrics that are better when smaller."
    )
    min_rows: Integer = Field(default=100, ge=1, description="Fewer labelled rows than this are insufficient to judge.")

    @model_validator(mode="after")
    def _one_bound(self) -> Self:
        if (self.at_least is None) == (self.at_most is None):
            raise value_error("`performance` has either `at_least` or `at_most`")
        return self

    @property
    def bound(self) -> float:
        """The bound that is given."""
        bound = self.at_least if self.at_most is None else self.at_most
        assert bound is not None
        return bound

    def missed_by(self, value: float) -> bool:
        """Whether a value lies on the wrong side of the bound."""
        return value < self.bound if self.at_most is None else value > self.bound


class Drift(Model):
    """When a feature or the predictions have drifted."""

    tests: tuple[Text, ...] = Field(
        default=("psi",),
        min_length=1,
        description="Drift tests, by name. Each is applied to every feature that it can judge; an alarm of any counts. "
        "`psi` is the population stability index.",
    )
    floor: Number = Field(default=0.1, gt=0, description="Smallest PSI that is worth an alarm.")
    fdr: Number = Field(
        default=0.05, gt=0, lt=1, description="False discovery rate over all features of one judgement."
    )
    min_rows: Integer = Field(
        default=500,
        ge=1,
        description="Fewer rows than this are insufficient to judge. What counts are the rows of all partitions of the "
        "horizon together, now and in each stretch of as many baseline partitions.",
    )


class Monitor(Model):
    """What is watched."""

    horizons: tuple[Annotated[Integer, Field(ge=1)], ...] = Field(
        default=(1,),
        min_length=1,
        description="Drift is judged over the last so many partitions, once for each number given. The smallest "
        "decides about training; the others inform.",
    )
    performance: Performance = Field(description="Realised performance of scored partitions.")
    drift: Drift = Field(default=Drift(), description="When a feature or the predictions have drifted.")


class When(Model):
    """Reasons to train again."""

    decay: Quorum | None = Field(
        default=None,
        description='Decayed partitions, as "m of n": m of the last n that the present champion served, the newest '
        "included.",
    )
    drift: Quorum | None = Field(
        default=None,
        description='Drifted partitions, as "m of n": m of the last n, the newest included; drift over the smallest of '
        "`monitor.horizons` counts.",
    )
    every: Integer | None = Field(default=None, ge=1, description="Partitions since the last training.")


class Budget(Model):
    """At most `max` trainings in any `per` partitions."""

    max: Integer = Field(ge=1, description="Largest number of trainings.")
    per: Integer = Field(ge=1, description="Number of partitions in which they are counted.")


class Retrain(Model):
    """The retraining policy."""

    when: When = Field(default=When(), description="Reasons to train again; any one is enough.")
    cooldown: Integer = Field(default=0, ge=0, description="Partitions after a training in which there is no other.")
    wait_for_drifted: Integer = Field(
        default=0,
        ge=0,
        description="A training for drift, or for decay beside drift, waits until so many partitions, from the first "
        "alarm on, would be learned from: until then a candidate has not seen what drifted, and is only judged on it.",
    )
    budget: Budget | None = Field(default=None, description="At most so many trainings in so many partitions.")


class Alerts(Model):
    """Who is told."""

    channels: tuple[Text, ...] = Field(
        default=(),
        description="Channels that incidents are sent to, by name, beside `log`, which gets every incident.",
    )
    deadline: Duration | None = Field(
        default=None, description="A scheduled run that takes longer than this is an incident."
    )
    decay: Quorum | None = Field(
        default=None,
        description='Decayed populations that are an incident, as "m of n"; without it as in `retrain.when.decay`, '
        'without that "2 of 4".',
    )
    drift: Quorum | None = Field(
        default=None,
        description='Drifted partitions that are an incident, as "m of n"; without it as in `retrain.when.drift`, '
        'without that "2 of 4". Nothing judged in all n is one too.',
    )
    rejected: Integer | None = Field(
        default=3, ge=1, description="So many rejected candidates in a row are an incident; null for never."
    )
    no_champion: Integer | None = Field(
        default=4,
        ge=1,
        description="No champion for more than so many partitions after the training window was complete is an "
        "incident; null for never.",
    )


class Retention(Model):
    """How long the lake keeps what no model and no prediction refers to. Upkeep removes the rest every day."""

    history: Duration = Field(
        default=timedelta(days=30), description="Every version of a dataset can be read for this long; at least a day."
    )
    quarantine: Duration = Field(
        default=timedelta(days=90), description="How long rows in quarantine are kept, after they were put there."
    )
    models: Duration = Field(
        default=timedelta(days=365),
        description="A model version is archived this long after it was trained, if it is neither champion nor the one "
        "before and no prediction that is kept came from it. Its evidence always stays.",
    )

    @model_validator(mode="after")
    def _outlasts_runs(self) -> Self:
        if self.history < timedelta(days=1):
            raise value_error("a run reads a version for as long as it lasts: keep at least 1d", field="history")
        if self.models < timedelta(days=1):
            raise value_error(
                "a candidate is judged and promoted after it was trained: keep at least 1d", field="models"
            )
        return self
