"""Features, a population and a model over a person's own files, beside the dataset that `own_files` makes of them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tradewind.engine.database import quote_string
from tradewind.errors import UsageError
from tradewind.scaffold.column_facts import ENOUGH
from tradewind.scaffold.own_files import instant_sql, render_dataset_sql, source_yaml_lines, sql_identifier
from tradewind.spec.partitions import Kind

if TYPE_CHECKING:
    from tradewind.scaffold.column_facts import ColumnFacts
    from tradewind.scaffold.own_files import OwnFile

_UNNAMED = "CHOOSE_A_COLUMN"
_PLAIN = re.compile(r"[a-z][a-z0-9_]*")
_LOOKBACK: Mapping[Kind, int] = {"hour": 24, "day": 7, "week": 4, "month": 3}
_WINDOW: Mapping[Kind, tuple[int, int]] = {"hour": (72, 24), "day": (28, 7), "week": (12, 3), "month": (12, 3)}
_BLOCKS: Mapping[Kind, str] = {"hour": "hour", "day": "day", "week": "day", "month": "day"}
_DAYS: Mapping[Kind, int] = {"hour": 1, "day": 1, "week": 7, "month": 31}
_METRICS = {"binary": "roc_auc", "multiclass": "log_loss", "regression": "mae"}
_FEWEST_BLOCKS = 5  # fewer give no interval
_MARGINS = {"binary": -0.02, "multiclass": -0.02, "regression": 0}  # an error has the unit of the label
_SCORES = {"binary": "roc_auc", "multiclass": "balanced_accuracy", "regression": "r2"}
_ESTIMATORS = {
    "binary": ("LogisticRegression", {"max_iter": 1000}),
    "multiclass": ("LogisticRegression", {"max_iter": 1000}),
    "regression": ("Ridge", {}),
}


@dataclass(frozen=True, slots=True)
class OwnModel:
    """Features and a model over the rows of one kind of file.

    :param label: column that is predicted; None while it is not named
    :param task: of the label; of two classes while there is none
    :param entity: column whose values features are made for
    :param columns: columns of the file that the model sees
    :param partitions: how many partitions there is data for; None if nothing tells
    """

    own: OwnFile
    kind: Kind
    timezone: str
    label: str | None
    task: str
    entity: str
    columns: tuple[str, ...]
    partitions: int | None

    @property
    def features(self) -> str:
        """Name of the dataset and view of the features."""
        return f"{self.own.name}_by_{self.entity}"

    @property
    def lookback(self) -> int:
        """Partitions that a feature is made from."""
        usual = _LOOKBACK[self.kind]
        return usual if self.partitions is None else max(1, min(usual, self.partitions // 2))

    @property
    def key(self) -> str:
        """The column that names a row of the population."""
        return self.own.key[0] if len(self.own.key) == 1 else "row_key"

    @property
    def time(self) -> str:
        """The column with a row's own time."""
        has_zone = self.own.time is not None and self.own.columns[self.own.time].startswith("TIMESTAMP")
        return self.own.time if has_zone and self.own.time is not None else "row_time"

    def derived(self) -> list[str]:
        """Columns that dataset and population need beside those of the file, as SQL."""
        moment = self._moment()
        found = []
        if self.key == "row_key":
            found.append(f"concat_ws('|', {', '.join(map(sql_identifier, self.own.key))}) AS row_key")
        if self.time == "row_time":
            found.append(f"{moment} AS row_time")
        if self.entity == "weekday":
            found.append(f"dayname({moment} AT TIME ZONE {quote_string(self.timezone)}) AS weekday")
        return found

    def _moment(self) -> str:
        time = self.own.time
        return "$partition_start" if time is None else instant_sql(time, self.own.columns[time], self.timezone)

    def averaged(self) -> list[str]:
        """Columns whose mean is a feature: the label where it is a number or true/false, else the numbers."""
        facts = self.own.facts
        if self.label is not None and (facts[self.label].is_number or facts[self.label].kind == "BOOLEAN"):
            return [self.label]
        return [name for name in self.columns if facts[name].is_number]

    def feature_names(self) -> dict[str, str]:
        """Name of the feature by column that is averaged."""
        return {name: f"{self.entity}_mean_{_plain_name(name)}" for name in self.averaged()}


def propose_model(
    own: OwnFile, *, kind: Kind, timezone: str, label: str | None, partitions: int | None
) -> OwnModel | None:  # fmt: skip
    """Features and a model for a file, where its rows say enough.

    :return: None without a label if there are too few rows, no key, or nothing that features could be made for
    :raises UsageError: a label is named and cannot be one, or something that a model needs is missing
    """
    facts = own.facts
    if label is not None and label not in facts:
        raise UsageError(f"{own.path} has no column `{label}`; it has {', '.join(facts)}")
    task = "binary" if label is None else _task(own, facts[label])
    entity = _entity(own, label)
    columns = tuple(name for name, fact in facts.items() if _is_input(fact, key=own.key) and name != label)
    missing = _missing(own, entity, columns)
    if missing:
        if label is not None:
            raise UsageError(f"{own.path}: no model can be written: {missing}")
        return None
    assert entity is not None
    return OwnModel(own, kind, timezone, label, task, entity, columns, partitions)


def _missing(own: OwnFile, entity: str | None, columns: Sequence[str]) -> str | None:
    if next(iter(own.facts.values())).rows < ENOUGH:
        return f"it has fewer than {ENOUGH} rows"
    if not own.key:
        return "no column, and no three columns together, name a row"
    if not columns:
        return "beside key, label and times it has no column of numbers or categories"
    return None if entity else "it has neither a column of categories nor one of times, so features are about nothing"


def _task(own: OwnFile, fact: ColumnFacts) -> str:
    if fact.kind == "BOOLEAN" or (fact.is_number and (fact.low, fact.high, fact.distinct) == (0.0, 1.0, 2)):
        return "binary"
    if fact.is_number:
        return "regression"
    if fact.is_category:
        return "multiclass"
    raise UsageError(
        f"{own.path}: `{fact.name}` is {fact.kind} with {fact.distinct:,} values; a label is true or false, a number, "
        "or text with few values"
    )


def _is_input(fact: ColumnFacts, *, key: Sequence[str]) -> bool:
    """Whether a model can learn from it: of a key only a category, which says what kind of row it is (a region)."""
    if fact.name in key:
        return fact.distinct > 1 and fact.is_category and fact.kind == "VARCHAR"
    return fact.distinct > 1 and (fact.is_number or fact.kind == "BOOLEAN" or fact.is_category)


def _entity(own: OwnFile, label: str | None) -> str | None:
    """The first column of categories with a plain name; the weekday where there is none."""
    for name, fact in own.facts.items():
        if fact.kind == "VARCHAR" and fact.is_category and not fact.nulls and name != label and _PLAIN.fullmatch(name):
            return name
    return "weekday" if own.time is not None else None


def _plain_name(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_") or "value"


def render_model_files(model: OwnModel, pipeline: str) -> dict[str, str]:
    """SQL of dataset, features and population, by path."""
    own, entity, folder = model.own, sql_identifier(model.entity), f"include/{pipeline}/sql"
    means = [f"avg({sql_identifier(name)}::DOUBLE) AS {feature}" for name, feature in model.feature_names().items()]
    seen = ",\n    ".join([entity, "$partition_end AS known_at", f"count(*) AS {model.entity}_rows", *means])
    about = f"-- What was seen of each {model.entity} in the last {model.kind}s, as known when the {model.kind} ends.\n"
    features = f"SELECT\n    {seen}\nFROM {own.name}\nWHERE {entity} IS NOT NULL\nGROUP BY {entity}\n"
    population = render_dataset_sql(own, model.timezone, more=model.derived(), leave_out=model.label)
    label = "-- The rows to predict: those of the dataset without the label."
    return {
        f"{folder}/{own.name}.sql": render_dataset_sql(own, model.timezone, more=model.derived()),
        f"{folder}/{model.features}.sql": about + features,
        f"{folder}/population.sql": population.replace("-- One row a line of the file.", label),
    }


def template_words(model: OwnModel) -> dict[str, str]:
    """What stands in `features.py` and `model.py` in place of the template's words."""
    facts, features = model.own.facts, model.feature_names().values()
    fields = [
        f'Field(name="{model.entity}_rows", dtype=Int64),',
        *(f'Field(name="{f}", dtype=Float64),' for f in features),
    ]
    categories = [name for name in model.columns if facts[name].kind == "VARCHAR"]
    numbers = [name for name in model.columns if name not in categories]
    estimator, settings = _ESTIMATORS[model.task]
    return {
        "my_entity": model.entity,
        "my_features": model.features,
        "my_ttl": str(model.lookback * _DAYS[model.kind]),
        "my_fields": "\n        ".join(fields),
        "my_estimator": estimator,
        "my_settings": _python_literal(settings),
        "my_categories": _python_literal(categories),
        "my_numbers": _python_literal([*numbers, f"{model.entity}_rows", *features]),
    }


def _python_literal(value: object) -> str:
    return repr(value).replace("'", '"')


def render_stages_yaml(model: OwnModel, pipeline: str) -> str:
    """The dataset of the features, and everything behind the datasets: active once there is a label."""
    dataset = [
        f"  {model.features}:",
        f"    inputs: {{{model.own.name}: {{lookback: {model.lookback}}}}}",
        f"    sql: include/{pipeline}/sql/{model.features}.sql",
        f"    keys: [{model.entity}]",
        "",
        "features:",
        f"  definitions: include/{pipeline}/features.py",
        "",
    ]
    stages = _stage_lines(model, pipeline)
    if model.label is None:
        note = f"# Name a label in place of {_UNNAMED} and take the `# ` away, or: tradewind new … --label COLUMN"
        stages = [note, *(f"# {line}".rstrip() for line in stages)]
    return "\n".join([*dataset, *stages])


def _stage_lines(model: OwnModel, pipeline: str) -> list[str]:
    window, test = _window(model)
    metric, label = _METRICS[model.task], model.label or _UNNAMED
    blocks = "hour" if model.kind == "day" and test < _FEWEST_BLOCKS else _BLOCKS[model.kind]
    return [
        "score:",
        "  population: # who is predicted; here each partition's own rows, before their label is known",
        *source_yaml_lines(model.own, model.kind, indent=4),
        f"    sql: include/{pipeline}/sql/population.sql",
        f"    key: {model.key}",
        f"    timestamp: {model.time}",
        "  ahead: 0 # 1: the run of a partition predicts the next one",
        "",
        "train:",
        f"  task: {model.task}",
        f"  window: {window} # partitions; the last {test} of them judge",
        f"  test: {test}",
        f"  service: {pipeline}_v1",
        f"  columns: {_python_literal(list(model.columns))}",
        f'  label: {{dataset: {model.own.name}, column: "{label}", available_after: 1m}} # behind a row',
        f"  model: include/{pipeline}/model.py:build_model",
        "  seed: 7",
        "  trusted: [numpy.dtype] # types that the stored model may hold beside scikit-learn's own",
        "",
        "gates:",
        f"  - {{metric: {metric}, versus: majority, at_least: 0}}",
        f"  - {{metric: {metric}, versus: champion, lower_bound: {_MARGINS[model.task]}, by: {blocks}}}",
        "monitor:",
        f"  performance: {{metric: {_SCORES[model.task]}, at_least: {_chance_metric(model)}}} # no better than chance",
        "retrain:",
        f"  when: {{drift: 2 of 4, every: {max(window // 2, 2)}}}",
        f"  cooldown: {test}",
    ]


def _chance_metric(model: OwnModel) -> float:
    """The metric of monitoring for a model that knows nothing."""
    classes = model.own.facts[model.label].distinct if model.label else 2
    return {"binary": 0.5, "multiclass": round(1 / classes, 2), "regression": 0.0}[model.task]


def _window(model: OwnModel) -> tuple[int, int]:
    """Partitions of the window, and those that judge: as usual for their length, or what there is data for."""
    window, test = _WINDOW[model.kind]
    if model.partitions is not None and model.partitions < window:
        window = max(model.partitions - 1, 2)
        test = max(window // 3, 1)
    return window, test
