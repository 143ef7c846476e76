from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from tradewind.errors import Conflict, MalformedInput, ModelError
from tradewind.monitoring import monitoring_datasets
from tradewind.monitoring.performance_rows import due_populations, publish_performance
from tradewind.training.prediction_rows import prediction_columns

if TYPE_CHECKING:
    from conftest import World


def measured(world: World, week: str) -> dict[str, Any]:
    publish_performance(world.deployment, week)
    (row,) = world.rows("performance", week)
    return row


def test_a_population_is_due_when_its_last_label_is(world: World) -> None:
    assert due_populations(world.spec, world.week(5)) == [world.week(4)]


@pytest.mark.parametrize(("available_after", "expected"), [(None, [5]), ("7d", [4]), ("8d", [3]), ("15d", [2])])
def test_a_late_label_makes_a_population_due_later(
    with_spec: Callable[..., World], world: World, available_after: str | None, expected: list[int]
) -> None:
    train = world.spec.train.model_dump(mode="json") | {  # type: ignore[union-attr]
        "label": {"dataset": "flights", "column": "late"}
        | ({"available_after": available_after} if available_after else {})
    }
    changed = with_spec(train=train)
    assert due_populations(changed.spec, changed.week(5)) == [changed.week(number) for number in expected]


def test_every_population_is_due_exactly_once(world: World) -> None:
    found = [population for week in world.weeks(0, 20) for population in due_populations(world.spec, week)]
    assert found == world.weeks(1, 19)


def test_months_of_different_length_are_each_due_once(with_spec: Callable[..., World]) -> None:
    train = {
        "window": 5, "test": 1, "service": "flight_delay_v1", "model": "model.py:build",
        "label": {"dataset": "flights", "column": "late", "available_after": "30d"},
    }  # fmt: skip
    monthly = with_spec(partition="month", start="2013-01-01", train=train)
    slices = monthly.spec.partitioning
    found = [
        population
        for key in slices.between("2013-01-01", "2014-03-01")
        for population in due_populations(monthly.spec, key)
    ]
    assert found == slices.between("2013-02-01", found[-1])


def test_what_could_never_be_scored_is_not_due(world: World) -> None:
    assert due_populations(world.spec, world.week(1)) == []
    assert publish_performance(world.deployment, world.week(1)) is None


def test_the_metric_is_that_of_scored_rows_with_a_label(world: World) -> None:
    late = world.flights(world.week(4), unlabelled=50)
    world.scored(world.week(4), late)
    row = measured(world, world.week(5))
    predictions = {r["flight_id"]: r["probability"] for r in world.rows("predictions", world.week(4))}
    pairs = [
        (r["late"], predictions[r["flight_id"]]) for r in world.rows("flights", world.week(4)) if r["late"] is not None
    ]
    assert row["value"] == pytest.approx(roc_auc_score(*zip(*pairs, strict=True)))
    assert row["low"] < row["value"] < row["high"]
    assert (row["population"], row["outcome"], row["below"], row["model_version"]) == (world.week(4), "ok", False, "1")
    assert (row["rows"], row["without_label"], row["not_scored"]) == (650, 50, 0)


def test_performance_below_the_limit_is_decay(world: World) -> None:
    world.scored(world.week(4), world.flights(world.week(4)), skill=0)
    row = measured(world, world.week(5))
    assert (row["outcome"], row["below"]) == ("worse", True)


def test_of_a_loss_more_is_worse(world: World, with_spec: Callable[..., World]) -> None:
    changed = with_spec(monitor={"performance": {"metric": "log_loss", "at_most": 0.1}})
    late = changed.flights(changed.week(4))
    changed.scored(changed.week(4), late)
    row = measured(changed, changed.week(5))
    assert (row["outcome"], row["below"]) == ("worse", True)
    probabilities = [r["probability"] for r in changed.rows("predictions", changed.week(4))]
    assert row["value"] == pytest.approx(log_loss(late, probabilities))


def test_in_sample_predictions_count_neither_for_nor_against(world: World) -> None:
    world.scored(world.week(4), world.flights(world.week(4)), skill=0, in_sample=True)
    row = measured(world, world.week(5))
    assert (row["outcome"], row["below"], row["in_sample"]) == ("in_sample", None, True)


def test_what_the_majority_fallback_served_says_nothing_about_a_model(world: World) -> None:
    world.scored(world.week(4), world.flights(world.week(4)), skill=0, by="majority")
    row = measured(world, world.week(5))
    assert (row["outcome"], row["below"], row["model_version"]) == ("fallback", None, "majority")


def test_what_the_previous_champion_served_counts_as_its_performance(world: World) -> None:
    world.scored(world.week(4), world.flights(world.week(4)), skill=0, by="previous_champion", version="3")
    row = measured(world, world.week(5))
    assert (row["outcome"], row["below"], row["model_version"]) == ("worse", True, "3")


def task_metrics(with_spec: Callable[..., World], task: str, performance: dict[str, Any]) -> World:
    train = {
        "window": 5, "test": 1, "service": "flight_delay_v1", "model": "model.py:build", "task": task,
        "label": {"dataset": "flights", "column": "what", "available_after": "1d"},
    }  # fmt: skip
    return with_spec(train=train, monitor={"performance": performance})


def published(world: World, *, labels: Sequence[Any], output: Any, classes: list[Any] | None) -> None:
    """Labels and predictions of week 4, as etl and score would write them."""
    import pyarrow as pa

    rows, task = len(labels), world.spec.train.task  # type: ignore[union-attr]
    entities = world._entities(world.week(4), rows)
    world.publish("flights", world.week(4), {**entities, "what": labels})
    predicted = prediction_columns(task, np.asarray(output), classes)
    said = {"model_version": ["1"] * rows, "served_by": ["champion"] * rows, "in_sample": pa.array([False] * rows)}
    world.publish("predictions", world.week(4), {**entities, **predicted, **said})


def test_a_class_that_the_model_has_never_seen_is_always_wrong(with_spec: Callable[..., World]) -> None:
    world = task_metrics(with_spec, "multiclass", {"metric": "accuracy", "at_least": 0.7})
    labels = ["a", "it's\n", "b", "new"] * 50
    output = [[0.8, 0.1, 0.1], [0.1, 0.1, 0.8], [0.4, 0.5, 0.1], [0.8, 0.1, 0.1]] * 50
    published(world, labels=labels, output=output, classes=["a", "b", "it's\n"])
    row = measured(world, world.week(5))
    assert (row["value"], row["outcome"], row["rows"]) == (0.75, "ok", 200)


def test_the_loss_of_several_classes_is_that_of_all_their_probabilities(with_spec: Callable[..., World]) -> None:
    world = task_metrics(with_spec, "multiclass", {"metric": "log_loss", "at_most": 0.1})
    rng = np.random.default_rng(0)
    output, labels = rng.dirichlet([1, 2, 3], 300), rng.choice(["x", "y", "z"], 300).tolist()
    published(world, labels=labels, output=output, classes=["x", "y", "z"])
    row = measured(world, world.week(5))
    assert row["value"] == pytest.approx(log_loss(labels, output))
    assert (row["outcome"], row["below"]) == ("worse", True)


def test_of_several_classes_a_population_without_a_label_is_insufficient(with_spec: Callable[..., World]) -> None:
    import pyarrow as pa

    world = task_metrics(with_spec, "multiclass", {"metric": "accuracy", "at_least": 0.7})
    published(world, labels=pa.nulls(200, pa.string()), output=[[0.6, 0.4]] * 200, classes=["a", "b"])
    row = measured(world, world.week(5))
    assert (row["outcome"], row["rows"], row["without_label"]) == ("insufficient", 0, 200)


@pytest.mark.parametrize(("limit", "outcome"), [(0.5, "worse"), (1.5, "ok")])
def test_an_error_that_is_larger_than_it_may_be_is_decay(
    with_spec: Callable[..., World], limit: float, outcome: str
) -> None:
    world = task_metrics(with_spec, "regression", {"metric": "mae", "at_most": limit})
    published(world, labels=[float(n) for n in range(200)], output=[[n + 1.0] for n in range(200)], classes=None)
    row = measured(world, world.week(5))
    assert (row["value"], row["limit"], row["outcome"], row["below"]) == (1.0, limit, outcome, outcome == "worse")


def test_a_label_that_is_no_number_is_named(with_spec: Callable[..., World]) -> None:
    world = task_metrics(with_spec, "regression", {"metric": "mae", "at_most": 1})
    published(world, labels=[float("inf")] * 200, output=[[1.0]] * 200, classes=None)
    with pytest.raises(ModelError, match="label what is not finite in 200 rows, for example inf"):
        measured(world, world.week(5))


def test_predictions_for_another_task_are_no_data_and_no_decay(with_spec: Callable[..., World]) -> None:
    world = task_metrics(with_spec, "binary", {"metric": "accuracy", "at_least": 0.7})
    published(world, labels=[0, 1] * 100, output=[[0.5, 0.5]] * 200, classes=[0, 1])
    now = task_metrics(with_spec, "multiclass", {"metric": "accuracy", "at_least": 0.7})
    row = measured(now, now.week(5))
    assert (row["outcome"], row["below"]) == ("no data", None)
    assert row["reason"] == "the predictions are binary, and `train.task` is another"


def test_a_population_that_nobody_scored_has_no_data(world: World) -> None:
    world.flights(world.week(4))
    row = measured(world, world.week(5))
    assert (row["outcome"], row["below"], row["value"], row["rows"]) == ("no data", None, None, 0)


def test_a_population_whose_labels_are_missing_has_no_data(world: World) -> None:
    world.scored(world.week(4), world.flights(world.week(3)))
    row = measured(world, world.week(5))
    assert (row["outcome"], row["reason"]) == ("no data", "dataset flights has no partition 2013-02-04")


def test_too_few_labels_are_insufficient(world: World) -> None:
    world.scored(world.week(4), world.flights(world.week(4), unlabelled=640))
    row = measured(world, world.week(5))
    assert (row["outcome"], row["below"]) == ("insufficient", None)
    assert row["reason"] == "60 rows with a label, fewer than 100"


def test_entities_on_one_side_only_are_counted(world: World) -> None:
    late = world.flights(world.week(4))
    world.scored(world.week(4), late[:600])
    row = measured(world, world.week(5))
    assert (row["rows"], row["without_label"], row["not_scored"]) == (600, 0, 100)


def test_an_entity_with_two_labels_is_refused(world: World) -> None:
    late = world.flights(world.week(4))
    world.scored(world.week(4), late)
    labels = world.rows("flights", world.week(4))
    twice = [*labels, labels[0]]
    world.publish(
        "flights",
        world.week(4),
        {name: [row[name] for row in twice] for name in ("flight_id", "late", "distance", "carrier", "scheduled_at")},
    )
    with pytest.raises(MalformedInput, match="flight_id names some entities more than once"):
        measured(world, world.week(5))


def test_measuring_again_changes_nothing(world: World) -> None:
    world.scored(world.week(4), world.flights(world.week(4)))
    first = publish_performance(world.deployment, world.week(5))
    again = publish_performance(world.deployment, world.week(5))
    assert first is not None
    assert again is not None
    assert (first.changed, again.changed, again.version) == (True, False, first.version)


def test_old_labels_do_not_replace_what_corrected_ones_gave(world: World, meanwhile: Callable[..., None]) -> None:
    world.scored(world.week(4), world.flights(world.week(4)))

    def corrected() -> None:
        world.flights(world.week(4), rows=650)
        measured(world, world.week(5))

    # By then it has looked up what it reads.
    meanwhile(monitoring_datasets, "partition_states", corrected)
    with pytest.raises(Conflict, match="dataset performance, partition 2013-02-11"):
        measured(world, world.week(5))
    (row,) = world.rows("performance", world.week(5))
    assert row["rows"] == 650


def test_corrected_labels_are_measured_again(world: World) -> None:
    world.scored(world.week(4), world.flights(world.week(4)))
    measured(world, world.week(5))
    world.flights(world.week(4), seed=1)
    published = publish_performance(world.deployment, world.week(5))
    assert published is not None
    assert published.changed


def regressing(with_spec: Callable[..., World], **changes: Any) -> World:
    """A pipeline that predicts a delay in minutes, with a limit of its mean absolute error."""
    train = {
        "window": 5, "test": 1, "service": "flight_delay_v1", "model": "model.py:build", "task": "regression",
        "label": {"dataset": "flights", "column": "delay"},
    }  # fmt: skip
    return with_spec(train=train, monitor={"performance": {"metric": "mae", "at_most": 3.0}}, **changes)


def delayed(world: World, population: str, *, seconds: int, error: float, rows: int = 700) -> dict[str, Any]:
    """Publish values and labels spread over so many seconds of a population, and judge it."""
    rng = np.random.default_rng(7)
    start = world.spec.partitioning.bounds(population).start
    at = [start + timedelta(seconds=int(offset)) for offset in np.sort(rng.integers(0, seconds, rows))]
    ids, delay = [f"{population}-{number}" for number in range(rows)], rng.normal(10, 5, rows)
    world.publish("flights", population, {"flight_id": ids, "delay": delay})
    values = {
        "flight_id": ids, "scheduled_at": at, "prediction": delay + rng.normal(0, error, rows),
        "in_sample": [False] * rows, "model_version": ["1"] * rows, "served_by": ["champion"] * rows,
    }  # fmt: skip
    world.publish("predictions", population, values)
    due_at = world.spec.partitioning.shift(population, 1)
    for partition in (population, due_at):
        if population in due_populations(world.spec, partition):
            publish_performance(world.deployment, partition)
            return next(row for row in world.rows("performance", partition) if row["population"] == population)
    raise AssertionError("never due")


def test_a_regression_has_an_interval_over_its_days(with_spec: Callable[..., World], world: World) -> None:
    weekly = regressing(with_spec)
    row = delayed(weekly, weekly.week(4), seconds=7 * 86_400, error=2.0)
    assert row["low"] < row["value"] < row["high"]
    assert row["value"] == pytest.approx(2.0 * (2 / np.pi) ** 0.5, rel=0.1)
    assert "7 blocks by day), limit 3" in row["reason"]


def test_one_day_has_an_interval_over_its_hours_and_one_hour_says_why_it_has_none(
    with_spec: Callable[..., World],
) -> None:
    daily = regressing(with_spec, partition="day")
    row = delayed(daily, "2013-02-04", seconds=86_400, error=2.0)
    assert row["low"] < row["value"] < row["high"]
    assert "24 blocks by hour)" in row["reason"]
    hourly = regressing(with_spec, partition="hour", start="2013-01-07T00")
    row = delayed(hourly, "2013-03-04T05", seconds=3600, error=2.0)
    assert row["low"] is None
    assert "no interval: 1 blocks, and an interval of 90 % needs 5, by hour" in row["reason"]


def test_an_error_above_its_limit_is_worse_and_not_below(with_spec: Callable[..., World]) -> None:
    weekly = regressing(with_spec)
    row = delayed(weekly, weekly.week(4), seconds=7 * 86_400, error=20.0)
    assert (row["outcome"], row["below"]) == ("worse", True)
    assert row["reason"].endswith("is worse than the limit 3")


METRIC = "include/shop/metrics.py:far_off"


def with_project_metric(with_spec: Callable[..., World], code: str, **limit: Any) -> World:
    world = with_spec(
        train={
            "window": 5, "test": 1, "service": "flight_delay_v1", "model": "model.py:build", "task": "regression",
            "label": {"dataset": "flights", "column": "what", "available_after": "1d"},
        },
        metrics={METRIC: {"greater_is_better": False}},
        monitor={"performance": {"metric": METRIC, **limit}},
    )  # fmt: skip
    path = world.runtime.project / "include" / "shop" / "metrics.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"import numpy as np\n\ndef far_off(y_true, y_pred):\n    {code}\n")
    return world


@pytest.mark.parametrize(("limit", "outcome"), [(1.5, "worse"), (2.5, "ok")])
def test_a_metric_of_the_project_is_measured_with_its_interval(
    with_spec: Callable[..., World], limit: float, outcome: str
) -> None:
    world = with_project_metric(with_spec, "return np.abs(y_pred - y_true).max()", at_most=limit)
    published(world, labels=[float(n) for n in range(200)], output=[[n + 2.0] for n in range(200)], classes=None)
    row = measured(world, world.week(5))
    assert (row["metric"], row["value"], row["outcome"]) == (METRIC, 2.0, outcome)
    assert row["low"] == row["high"] == 2.0


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("raise ValueError('no price')", "metric include/shop/metrics.py:far_off raises ValueError: no price (line 4)"),
        ("return 'much'", "metric include/shop/metrics.py:far_off returns the text 'much', where a number is needed"),
        ("return np.nan", "include/shop/metrics.py:far_off has no value on 200 rows"),
    ],
    ids=["raises", "text", "nan"],
)
def test_a_metric_of_the_project_that_fails_is_insufficient_and_no_decay(
    with_spec: Callable[..., World], code: str, reason: str
) -> None:
    world = with_project_metric(with_spec, code, at_most=1.0)
    published(world, labels=[float(n) for n in range(200)], output=[[n + 2.0] for n in range(200)], classes=None)
    row = measured(world, world.week(5))
    assert (row["outcome"], row["below"], row["value"], row["reason"]) == ("insufficient", None, None, reason)


def test_other_code_of_a_metric_measures_again(with_spec: Callable[..., World]) -> None:
    world = with_project_metric(with_spec, "return 1.0", at_most=5.0)
    published(world, labels=[float(n) for n in range(200)], output=[[n + 2.0] for n in range(200)], classes=None)
    assert measured(world, world.week(5))["value"] == 1.0
    with_project_metric(with_spec, "return 3.0", at_most=5.0)
    assert measured(world, world.week(5))["value"] == 3.0
