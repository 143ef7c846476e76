"""The pipeline YAML as frozen models: the pipeline, its data, and what it learns. The JSON Schema is made from them."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from tradewind.spec.base import Model
from tradewind.spec.gates import AnyGate, VerdictSpec
from tradewind.spec.metrics import MetricDeclaration
from tradewind.spec.partitions import Kind, Partitioning, normalise_partition_key
from tradewind.spec.policy import Alerts, Monitor, Promotion, Retention, Retrain
from tradewind.spec.scalars import Boolean, FunctionPath, Integer, Key, Name, Number, Text, value_error
from tradewind.spec.source_files import Files
from tradewind.spec.source_kinds import AnySource
from tradewind.spec.training import Train

_DETERMINISTIC = (
    "Whether the same inputs must give the same rows. False: the SQL may use random() and the clock, and all threads "
    "add up DOUBLEs in the order in which rows come; another run of it may give other rows."
)


class Input(Model):
    """One dataset read by another."""

    lookback: Integer = Field(default=1, ge=1, description="How many partitions are read, the current one included.")


class Keep(Model):
    """Of the rows with the same `keys`, one is kept."""

    keep: Literal["largest", "smallest"] = Field(description="Which of them.")
    by: Text = Field(description="Column that is compared, like `updated_at`; where it is equal too is an error.")


class AuditRules(Model):
    """Checks that are made for every partition, beside the suite."""

    window: Integer = Field(
        default=8, ge=1, description="Earlier partitions that row counts and NULLs are compared with."
    )
    min_partitions: Integer = Field(
        default=4, ge=1, description="With fewer earlier partitions than this, nothing is compared."
    )
    rows_at_least: Number = Field(
        default=0.5, ge=0, description="Fewest rows, as a share of the median of the earlier partitions."
    )
    rows_at_most: Number = Field(default=2.0, ge=1, description="Most rows, as a share of that median.")
    nulls_at_most: Number = Field(
        default=0.1,
        ge=0,
        le=1,
        description="How much the share of NULLs in any column may exceed the largest of the earlier partitions; "
        "where these differ by more among themselves, as much as that.",
    )
    frame_rows: Integer = Field(
        default=1_000_000,
        ge=1,
        description="Expectations that cannot run in the database need all rows in memory; with more rows than this "
        "they are an error.",
    )


class DatasetSpec(Model):
    """One Delta table, written partition by partition from SQL."""

    source: AnySource | None = Field(
        default=None, description="What comes from outside for each partition; the SQL reads it as the view `source`."
    )
    references: dict[Name, AnySource] = Field(
        default={}, description="More sources; the SQL reads each as a view of the name given here."
    )
    inputs: dict[Name, Input] = Field(
        default={}, description="Other datasets of this pipeline, which the SQL reads by their names."
    )
    sql: Text = Field(
        description="SQL file, from the project root: one SELECT. It may use $partition, $partition_start and "
        "$partition_end."
    )
    keys: tuple[Text, ...] = Field(default=(), description="Columns that together name a row.")
    duplicates: Keep | None = Field(
        default=None, description="Which of the rows with the same `keys` is kept; without it they are an error."
    )
    new_columns: Literal["refuse", "take"] = Field(
        default="refuse",
        description="What it means that the SQL returns a column which the table does not have: an error, or the table "
        "gets it, NULL in older partitions.",
    )
    expectations: Text | None = Field(
        default=None, description="Great Expectations suite as a JSON file, from the project root."
    )
    audit: AuditRules = Field(
        default=AuditRules(), description="Checks that are made for every partition, beside the suite."
    )
    deterministic: Boolean = Field(default=True, description=_DETERMINISTIC)

    @model_validator(mode="after")
    def _reads_something(self) -> Self:
        if self.source is None and not self.inputs:
            raise value_error("a dataset reads something: it needs a `source` or `inputs`")
        return self


Lookback = Annotated[Integer, Field(ge=1)]


class Skew(Model):
    """How closely the online store is watched."""

    sample: Integer = Field(
        default=200,
        ge=1,
        description="Entities of each view whose online values are compared with what training would get.",
    )
    at_most: Number = Field(
        default=0.01, ge=0, le=1, description="Share of them that may differ in a feature before it is an incident."
    )


class Features(Model):
    """Feature definitions for Feast."""

    definitions: Text = Field(
        description="Python file with Feast entities, feature views and services, from the project root."
    )
    lookback: Integer = Field(
        default=1, ge=1, description="How many partitions each materialisation covers, the current one included."
    )
    views: dict[Text, Lookback] = Field(
        default={}, description="`lookback` of single feature views, by their names in `definitions`."
    )
    corrections: Literal["as_known", "newest"] = Field(
        default="as_known",
        description="What a training row sees of a partition that was corrected later: what was known at the row's "
        "time, or the newest content.",
    )
    skew: Skew = Field(
        default=Skew(), description="How the online store is compared with the rows that training would get."
    )

    def lookback_of(self, view: str) -> int:
        """How many partitions each materialisation of a view covers."""
        return self.views.get(view, self.lookback)


class Population(Files):
    """The entities that one run of `score` must predict."""

    sql: Text = Field(
        description="SQL file, from the project root, that turns the delivered files (view `source`) into one row an "
        "entity."
    )
    references: dict[Name, AnySource] = Field(
        default={}, description="More sources; the SQL reads each as a view of the name given here."
    )
    key: Text = Field(description="Column that names the entity.")
    timestamp: Text = Field(description="Column with the entity's own time (timestamp with time zone).")
    deterministic: Boolean = Field(default=True, description=_DETERMINISTIC)


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
        default=(),
        description="What serves a whole population, in this order, when the champion cannot be loaded or fails.",
    )


class Pipeline(Model):
    """One use case: one YAML file."""

    pipeline: Name = Field(description="Name of the pipeline; its DAGs are called NAME__etl and so on.")
    owner: Text = Field(description="Who answers for it: a person or a team, best an address.")
    description: Text = Field(description="What it predicts, in a sentence.")
    runbook: Text | None = Field(default=None, description="Link for the person on call.")
    partition: Kind = Field(description="Length of a partition.")
    timezone: Text = Field(description="IANA time zone whose clock cuts the partitions, for example America/New_York.")
    start: Key = Field(
        description="Key of the first partition: 2013-02-01, for hours 2013-02-01T05; for weeks a Monday, for months a "
        "first."
    )
    end: Key | None = Field(default=None, description="Key of the first partition that is not run any more.")
    schedule: Text = Field(
        description="Cron expression of five fields, or @hourly, @daily, @weekly, @monthly, in the pipeline's time "
        "zone. A run gets the key of the partition that has ended, so each partition needs a tick before the next ends."
    )
    datasets: dict[Name, DatasetSpec] = Field(min_length=1, description="The tables that `etl` writes, by their names.")
    features: Features | None = Field(default=None, description="Feature definitions for Feast.")
    score: Score | None = Field(default=None, description="Batch scoring.")
    train: Train | None = Field(default=None, description="Training of candidates.")
    gates: tuple[AnyGate, ...] = Field(
        default=(), description="What a candidate must pass before it may become champion; all of them."
    )
    metrics: dict[FunctionPath, MetricDeclaration] = Field(
        default={},
        description="Metrics of the project, by file.py:function from the project root: a function of `y_true` and "
        "`y_pred` that returns a number. Wherever a metric is named, it may be one of these.",
    )
    verdict: VerdictSpec = Field(default=VerdictSpec(), description="How candidates are judged.")
    promotion: Promotion = Field(default=Promotion(), description="How a candidate that passed becomes champion.")
    monitor: Monitor | None = Field(default=None, description="What is watched.")
    retrain: Retrain = Field(default=Retrain(), description="When to train again.")
    alerts: Alerts = Field(default=Alerts(), description="Who is told when something is wrong.")
    retention: Retention = Field(
        default=Retention(), description="How long the lake keeps what no model and no prediction refers to."
    )

    @model_validator(mode="before")
    @classmethod
    def _keys_from_dates(cls, data: Any) -> Any:
        """YAML reads ``start: 2013-01-28`` as a date; spell it as a key again."""
        if not isinstance(data, dict):
            return data
        # A wrong `partition` is reported by itself; the dates should not be reported with it.
        kind: Kind = data["partition"] if data.get("partition") in ("hour", "day", "week", "month") else "day"
        dated = {
            k: normalise_partition_key(kind, data[k])
            for k in ("start", "end")
            if isinstance(data.get(k), date | datetime)
        }
        return {**data, **dated}

    @property
    def partitioning(self) -> Partitioning:
        """How this pipeline slices time."""
        return Partitioning(self.partition, self.timezone, self.start, self.end)

    @property
    def stages(self) -> list[str]:
        """The stages that the YAML asks for and events start, in the order of a partition's life."""
        return ["etl", *(stage for stage in ("features", "monitor", "train", "score") if getattr(self, stage))]

    @property
    def model_name(self) -> str:
        """Name of the registered model."""
        return self.pipeline
