"""The pipeline YAML as frozen models. These models are the truth; the JSON Schema is made from them."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tradewind.spec.partitions import Kind, Partitioning, key_of
from tradewind.spec.values import (
    Duration,
    FunctionPath,
    Integer,
    Key,
    Metric,
    Name,
    Number,
    Quorum,
    Text,
    wrong,
)


class Model(BaseModel):
    """Base of every part of the YAML: frozen, and no field that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Files(Model):
    """Files that somebody delivers."""

    files: Text = Field(
        description="Path of the files, with {landing} for the landing zone and {partition} for the partition key or "
        "{day} for every local day of the partition; all of them are required."
    )
    format: Literal["csv"] = Field(default="csv", description="How the files are written.")
    nulls: tuple[str, ...] = Field(default=(), description="Spellings of a missing value, for example NA.")
    columns: dict[str, str] = Field(
        default={},
        description="DuckDB type of each column, in the order of the file. Without it every column is text: nothing is "
        "guessed.",
    )


class Input(Model):
    """One dataset read by another."""

    lookback: Integer = Field(default=1, ge=1, description="How many partitions are read, the current one included.")


class Dataset(Model):
    """One Delta table, written partition by partition from SQL."""

    source: Files | None = Field(
        default=None, description="Files delivered for each partition; the SQL reads them as the view `source`."
    )
    references: dict[Name, Files] = Field(
        default={}, description="More delivered files; the SQL reads each as a view of the name given here."
    )
    inputs: dict[Name, Input] = Field(
        default={}, description="Other datasets of this pipeline, which the SQL reads by their names."
    )
    sql: Text = Field(
        description="SQL file, from the project root: one SELECT. It may use $partition, $partition_start and "
        "$partition_end."
    )
    keys: tuple[Text, ...] = Field(
        default=(), description="Columns that together name a row; two rows with the same values are an error."
    )
    expectations: Text | None = Field(
        default=None, description="Great Expectations suite as a JSON file, from the project root."
    )

    @model_validator(mode="after")
    def _reads_something(self) -> Self:
        if self.source is None and not self.inputs:
            raise wrong("a dataset reads something: it needs a `source` or `inputs`")
        return self


class Features(Model):
    """Feature definitions for Feast."""

    definitions: Text = Field(
        description="Python file with Feast entities, feature views and services, from the project root."
    )
    lookback: Integer = Field(
        default=1, ge=1, description="How many partitions each materialisation covers, the current one included."
    )


class Population(Files):
    """The entities that one run of `score` must predict."""

    sql: Text = Field(
        description="SQL file, from the project root, that turns the delivered files (view `source`) into one row an "
        "entity."
    )
    references: dict[Name, Files] = Field(
        default={}, description="More delivered files; the SQL reads each as a view of the name given here."
    )
    key: Text = Field(description="Column that names the entity.")
    timestamp: Text = Field(description="Column with the entity's own time (timestamp with time zone).")


class Score(Model):
    """Batch scoring."""

    population: Population = Field(description="The entities that one run of `score` must predict.")
    ahead: Integer = Field(
        default=1, ge=0, description="The run of partition k predicts the population of partition k + ahead."
    )
    predict_at: Literal["start", "event"] = Field(
        default="start",
        description="What may be known: what was known when the population's partition starts (start), or at each "
        "entity's own time (event). Training follows the same rule.",
    )
    fallback: tuple[Literal["previous_champion", "majority"], ...] = Field(
        default=(), description="What serves, in this order, when the champion cannot be loaded."
    )


class Label(Model):
    """What the model learns to predict."""

    dataset: Name = Field(description="Dataset of this pipeline that holds the label.")
    column: Text = Field(description="Column of the label; rows where it is NULL are not used.")
    available_after: Duration = Field(
        default=timedelta(0), description="How long after the entity's time its label is known, for example 1d."
    )


class Train(Model):
    """Training of candidates."""

    window: Integer = Field(ge=2, description="Partitions in the window; the last `test` of them judge.")
    test: Integer = Field(ge=1, description="Partitions at the end of the window that judge and are not learned from.")
    service: Text = Field(description="Feast feature service that names the features.")
    columns: tuple[Text, ...] = Field(
        default=(), description="Columns of the population that the model sees beside the features."
    )
    label: Label = Field(description="What the model learns to predict.")
    model: FunctionPath = Field(
        description="file.py:function, from the project root; the function takes `params` and returns an estimator."
    )
    params: dict[str, Any] = Field(default={}, description="Handed to the model function as it is.")
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
            raise wrong(f"`test` ({self.test}) must be smaller than `window` ({self.window})", field="test")
        return self


class Gate(Model):
    """One check of a candidate: absolute (`at_least`, `at_most`; also for a `slice`), or `versus` the champion."""

    metric: Metric = Field(description="What is measured on the test partitions.")
    at_least: Number | None = Field(default=None, description="The metric must reach this.")
    at_most: Number | None = Field(default=None, description="The metric must not exceed this.")
    versus: Literal["champion"] | None = Field(
        default=None, description="Whom the candidate is compared with, on the same rows."
    )
    lower_bound: Number | None = Field(
        default=None,
        description="With `versus`: the lower confidence bound of candidate minus champion (in the direction in which "
        "more is better) must reach this. A small negative number asks for non-inferiority.",
    )
    confidence: Number = Field(
        default=0.9, gt=0.5, lt=1, description="With `versus`: two-sided confidence of the interval."
    )
    by: Literal["hour", "day", "week"] = Field(
        default="day", description="With `versus`: time block that is resampled as a whole."
    )
    slice: Text | None = Field(
        default=None, description="Column; every value of it that has `min_rows` rows is judged by itself."
    )
    min_rows: Integer = Field(default=100, ge=1, description="Fewer rows than this are insufficient to judge.")

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        absolute = [self.at_least, self.at_most].count(None)
        relative = [self.versus, self.lower_bound].count(None)
        if (absolute, relative) not in ((1, 2), (2, 0)):
            raise wrong("a gate has either `at_least` or `at_most`, or `versus` together with `lower_bound`")
        return self


class Promotion(Model):
    """How a candidate that passed becomes champion."""

    mode: Literal["automatic", "approval"] = Field(
        default="automatic", description="At once, or after one of the `approvers` agreed."
    )
    approvers: tuple[Text, ...] = Field(default=(), description="Airflow users who may approve.")
    timeout: Duration = Field(
        default=timedelta(hours=24), description="How long an approval is waited for; silence rejects."
    )


class Performance(Model):
    """Realised performance of scored partitions."""

    metric: Metric = Field(description="What is measured when the labels have fallen due.")
    at_least: Number = Field(description="A scored partition below this has decayed.")
    min_rows: Integer = Field(default=100, ge=1, description="Fewer labelled rows than this are insufficient to judge.")


class Drift(Model):
    """When a feature or the predictions have drifted."""

    floor: Number = Field(default=0.1, gt=0, description="Smallest PSI that is worth an alarm.")
    fdr: Number = Field(
        default=0.05, gt=0, lt=1, description="False discovery rate over all features of one judgement."
    )
    min_rows: Integer = Field(default=500, ge=1, description="Fewer rows than this are insufficient to judge.")


class Monitor(Model):
    """What is watched."""

    horizons: tuple[Annotated[Integer, Field(ge=1)], ...] = Field(
        default=(1,),
        min_length=1,
        description="Drift is judged over the last so many partitions, once for each number given.",
    )
    performance: Performance = Field(description="Realised performance of scored partitions.")
    drift: Drift = Field(default=Drift(), description="When a feature or the predictions have drifted.")


class When(Model):
    """Reasons to train again."""

    decay: Quorum | None = Field(
        default=None, description='Decayed partitions, as "m of n": m of the last n, the newest included.'
    )
    drift: Quorum | None = Field(
        default=None, description='Drifted partitions, as "m of n": m of the last n, the newest included.'
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
    budget: Budget | None = Field(default=None, description="At most so many trainings in so many partitions.")


class Alerts(Model):
    """Who is told."""

    channels: tuple[Text, ...] = Field(default=(), description="Names of channels that hear of incidents.")
    deadline: Duration | None = Field(
        default=None, description="A scheduled run that takes longer than this is an incident."
    )


class Pipeline(Model):
    """One use case: one YAML file."""

    pipeline: Name = Field(description="Name of the pipeline; its DAGs are called NAME__etl and so on.")
    owner: Text = Field(description="Who answers for it: a person or a team, best an address.")
    description: Text = Field(description="What it predicts, in a sentence.")
    runbook: Text | None = Field(default=None, description="Link for whoever is on call.")
    partition: Kind = Field(description="Length of a partition.")
    timezone: Text = Field(description="IANA time zone whose clock cuts the partitions, for example America/New_York.")
    start: Key = Field(
        description="Key of the first partition: 2013-02-01, for hours 2013-02-01T05; for weeks a Monday, for months a "
        "first."
    )
    end: Key | None = Field(default=None, description="Key of the first partition that is not run any more.")
    schedule: Text = Field(
        description="Cron expression of five fields, or @hourly, @daily, @weekly, @monthly, in the pipeline's time "
        "zone. A run gets the key of the partition that has ended."
    )
    datasets: dict[Name, Dataset] = Field(min_length=1, description="The tables that `etl` writes, by their names.")
    features: Features | None = Field(default=None, description="Feature definitions for Feast.")
    score: Score | None = Field(default=None, description="Batch scoring.")
    train: Train | None = Field(default=None, description="Training of candidates.")
    gates: tuple[Gate, ...] = Field(
        default=(), description="What a candidate must pass before it may become champion; all of them."
    )
    promotion: Promotion = Field(default=Promotion(), description="How a candidate that passed becomes champion.")
    monitor: Monitor | None = Field(default=None, description="What is watched.")
    retrain: Retrain = Field(default=Retrain(), description="When to train again.")
    alerts: Alerts = Field(default=Alerts(), description="Who is told when something is wrong.")

    @model_validator(mode="before")
    @classmethod
    def _keys_from_dates(cls, data: Any) -> Any:
        """YAML reads ``start: 2013-01-28`` as a date; spell it as a key again."""
        if not isinstance(data, dict):
            return data
        # A wrong `partition` is reported by itself; the dates should not be reported with it.
        kind: Kind = data["partition"] if data.get("partition") in ("hour", "day", "week", "month") else "day"
        dated = {k: key_of(kind, data[k]) for k in ("start", "end") if isinstance(data.get(k), date | datetime)}
        return {**data, **dated}

    @property
    def partitioning(self) -> Partitioning:
        """How this pipeline slices time."""
        return Partitioning(self.partition, self.timezone, self.start, self.end)

    @property
    def model_name(self) -> str:
        """Name of the registered model."""
        return self.pipeline
