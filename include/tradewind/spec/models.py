"""The pipeline YAML as frozen models. These models are the truth; the JSON Schema is made from them."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from tradewind.core.partitions import Kind, Partitioning, key_of

_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def _duration(value: object) -> object:
    """Read ``90m``, ``2h``, ``1d`` or ``1w``."""
    if isinstance(value, str):
        match = re.fullmatch(r"(\d+)([mhdw])", value.strip())
        if not match:
            raise ValueError("a duration is a whole number and a unit: 90m, 2h, 1d or 1w")
        return timedelta(**{_UNITS[match[2]]: int(match[1])})
    return value


def _name(value: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_]*", value) or "__" in value:
        raise ValueError("a name is lower case letters, digits and single underscores, and starts with a letter")
    return value


Duration = Annotated[timedelta, BeforeValidator(_duration, json_schema_input_type=str)]
Name = Annotated[str, AfterValidator(_name)]
Share = Annotated[float, Field(ge=0, le=1)]
Metric = Literal["roc_auc", "log_loss", "brier", "accuracy"]


class Model(BaseModel):
    """Base of every part of the YAML: frozen, and no field that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Files(Model):
    """Files that somebody delivers."""

    files: str = Field(description="Path with {landing}, {partition} or {day}; with {day} one file for every local day of the partition, all required.")
    format: Literal["csv"] = Field("csv", description="How the files are written.")
    nulls: tuple[str, ...] = Field((), description="Spellings of a missing value, for example NA.")
    columns: dict[str, str] = Field({}, description="DuckDB type of each column, in the order of the file. Without it every column is text: nothing is guessed.")


class Input(Model):
    """One dataset read by another."""

    lookback: int = Field(1, ge=1, description="How many partitions are read, the current one included.")


class Dataset(Model):
    """One Delta table, written partition by partition from SQL."""

    source: Files | None = Field(None, description="Delivered files; the SQL sees them as the view `source`.")
    references: dict[Name, Files] = Field({}, description="More delivered files, each a view of its own name.")
    inputs: dict[Name, Input] = Field({}, description="Other datasets of this pipeline that the SQL reads by name.")
    sql: str = Field(description="SQL file, from the project root: one SELECT. It may use $partition, $partition_start and $partition_end.")
    keys: tuple[str, ...] = Field((), description="Columns that together name a row; a duplicate is an error.")
    expectations: str | None = Field(None, description="Great Expectations suite as JSON, from the project root.")

    @model_validator(mode="after")
    def _reads_something(self) -> Self:
        if self.source is None and not self.inputs:
            raise ValueError("a dataset needs a `source` or `inputs`")
        return self


class Features(Model):
    """Feature definitions for Feast."""

    definitions: str = Field(description="Python file with Feast entities, feature views and services, from the project root.")
    lookback: int = Field(1, ge=1, description="How many partitions each materialisation covers, the current one included.")


class Population(Files):
    """The entities that one run of `score` must predict."""

    sql: str = Field(description="SQL file that turns the delivered files (view `source`) into one row an entity.")
    references: dict[Name, Files] = Field({}, description="More delivered files, each a view of its own name.")
    key: str = Field(description="Column that names the entity.")
    timestamp: str = Field(description="Column with the entity's own time (timestamp with time zone).")


class Score(Model):
    """Batch scoring."""

    population: Population
    ahead: int = Field(1, ge=0, description="The run of partition k predicts the population of k + ahead.")
    predict_at: Literal["start", "event"] = Field("start", description="What is known: when the population's partition starts, or at each entity's own time.")
    fallback: tuple[Literal["previous_champion", "majority"], ...] = Field((), description="What serves, in this order, when the champion cannot be loaded.")


class Label(Model):
    """What the model learns to predict."""

    dataset: Name
    column: str
    available_after: Duration = Field(timedelta(0), description="How long after the entity's time its label is known, for example 1d.")


class Train(Model):
    """Training of candidates."""

    window: int = Field(ge=2, description="Partitions in the window; the last `test` of them judge.")
    test: int = Field(ge=1)
    service: str = Field(description="Feast feature service.")
    columns: tuple[str, ...] = Field((), description="Columns of the population that the model sees beside the features.")
    label: Label
    model: str = Field(pattern=r"^[^:]+\.py:[A-Za-z_]\w*$", description="`file.py:function`; the function takes `params` and returns an estimator.")
    params: dict[str, Any] = Field({}, description="Handed to the model function.")
    seed: int = 0
    serialization: Literal["skops", "pickle"] = "skops"
    trusted: tuple[str, ...] = Field((), description="Types that skops may load, beside its own; full dotted names.")

    @model_validator(mode="after")
    def _split(self) -> Self:
        if self.test >= self.window:
            raise ValueError(f"`test` ({self.test}) must be smaller than `window` ({self.window})")
        return self


class Gate(Model):
    """One check of a candidate: absolute (`at_least`/`at_most`, also for a `slice`), or against the champion (`versus`)."""

    metric: Metric
    at_least: float | None = None
    at_most: float | None = None
    versus: Literal["champion"] | None = None
    lower_bound: float | None = Field(None, description="With `versus`: the lower confidence bound of candidate minus champion (in the direction in which more is better) must reach this.")
    confidence: float = Field(0.9, gt=0.5, lt=1, description="Two-sided confidence of the interval.")
    by: Literal["hour", "day", "week"] = Field("day", description="Time block that is resampled as a whole.")
    slice: str | None = Field(None, description="Column; every value of it with `min_rows` rows is judged by itself.")
    min_rows: int = Field(100, ge=1, description="Fewer rows than this are insufficient.")

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        absolute = [self.at_least, self.at_most].count(None) == 1
        relative = self.versus is not None and self.lower_bound is not None
        if absolute == relative or (self.versus is None) != (self.lower_bound is None):
            raise ValueError("a gate has either `at_least` or `at_most`, or `versus` together with `lower_bound`")
        return self


class Promotion(Model):
    """How a candidate that passed becomes champion."""

    mode: Literal["automatic", "approval"] = "automatic"
    approvers: tuple[str, ...] = ()
    timeout: Duration = timedelta(hours=24)


class Performance(Model):
    """Realised performance of scored partitions."""

    metric: Metric
    at_least: float = Field(description="A scored partition below this has decayed.")
    min_rows: int = Field(100, ge=1)


class Drift(Model):
    """When a feature or the predictions have drifted."""

    floor: float = Field(0.1, gt=0, description="Smallest PSI that is worth an alarm.")
    fdr: float = Field(0.05, gt=0, lt=1, description="False discovery rate over all features of one judgement.")
    min_rows: int = Field(500, ge=1)


class Monitor(Model):
    """What is watched."""

    horizons: tuple[Annotated[int, Field(ge=1)], ...] = Field((1,), description="Drift is judged over the last so many partitions, for each number given.")
    performance: Performance
    drift: Drift = Drift()


def _share_of(value: str) -> str:
    match = re.fullmatch(r"(\d+) of (\d+)", value)
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        raise ValueError('expected "m of n", for example "2 of 4"')
    return value


Quorum = Annotated[str, AfterValidator(_share_of), Field(description='"m of n": m of the last n partitions, the newest included.')]


class When(Model):
    """Reasons to train again."""

    decay: Quorum | None = None
    drift: Quorum | None = None
    every: int | None = Field(None, ge=1, description="Partitions since the last training.")


class Budget(Model):
    """At most `max` trainings in any `per` partitions."""

    max: int = Field(ge=1)
    per: int = Field(ge=1)


class Retrain(Model):
    """The retraining policy."""

    when: When = When()
    cooldown: int = Field(0, ge=0, description="Partitions after a training in which there is no other.")
    budget: Budget | None = None


class Alerts(Model):
    """Who is told."""

    channels: tuple[str, ...] = ()
    deadline: Duration | None = Field(None, description="A scheduled run that takes longer than this is an incident.")


class Pipeline(Model):
    """One use case: one YAML file."""

    pipeline: Name
    owner: str
    description: str
    runbook: str | None = Field(None, description="Link for whoever is on call.")
    partition: Kind
    timezone: str
    start: str = Field(description="Key of the first partition.")
    end: str | None = Field(None, description="Key of the first partition that is not run any more.")
    schedule: str = Field(description="Cron expression in the pipeline's time zone.")
    datasets: dict[Name, Dataset] = Field(min_length=1)
    features: Features | None = None
    score: Score | None = None
    train: Train | None = None
    gates: tuple[Gate, ...] = ()
    promotion: Promotion = Promotion()
    monitor: Monitor | None = None
    retrain: Retrain = Retrain()
    alerts: Alerts = Alerts()

    @model_validator(mode="before")
    @classmethod
    def _keys_from_dates(cls, data: Any) -> Any:
        """YAML reads ``start: 2013-01-28`` as a date; spell it as a key again."""
        if isinstance(data, dict) and data.get("partition") in ("hour", "day", "week", "month"):
            dated = {k: key_of(data["partition"], v) for k, v in data.items() if k in ("start", "end") and isinstance(v, date | datetime)}
            return {**data, **dated}
        return data

    @property
    def partitioning(self) -> Partitioning:
        """How this pipeline slices time."""
        return Partitioning(self.partition, self.timezone, self.start, self.end)

    @property
    def model_name(self) -> str:
        """Name of the registered model."""
        return self.pipeline
