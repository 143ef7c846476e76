from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest

from tradewind.core import profiles
from tradewind.deployment import Deployment
from tradewind.errors import Conflict, NotReady, UsageError
from tradewind.ledger import skipped_partitions
from tradewind.monitoring import profile_rows as stage
from tradewind.monitoring.profile_rows import profile_column, profile_partition
from tradewind.training.prediction_rows import prediction_columns

if TYPE_CHECKING:
    from conftest import World
    from tradewind.metrics.metric import Task


@pytest.fixture
def week(world: World) -> str:
    """Week 2, with all that its profile needs; its features are those of week 1."""
    for number in (0, 1):
        end = world.spec.partitioning.bounds(world.week(number)).end
        world.publish(
            "carrier_week",
            world.week(number),
            {
                "carrier": ["AA", "UA"],
                "carrier_late": [0.1 + number, 0.2 + number],
                "known_at": pa.array([end] * 2, pa.timestamp("us", "UTC")),
            },
        )
    world.flights(world.week(2), unlabelled=30)
    world.complete("features", world.week(2))
    world.complete("score", world.week(1))
    world.complete("monitor", world.week(1))
    return world.week(2)


def by_feature(world: World, week: str) -> dict[str, profiles.ColumnProfile]:
    return {row["feature"]: profiles.from_json(row["profile"]) for row in world.rows("profiles", week)}


def test_every_input_of_the_model_is_profiled_also_for_entities_without_label(world: World, week: str) -> None:
    published = profile_partition(world.deployment, week)
    found = by_feature(world, week)
    assert published.changed
    assert list(found) == ["carrier", "distance", "carrier_late"]
    assert {p.rows for p in found.values()} == {700}
    assert set(found["carrier"].counts) == {"AA", "UA", "B6"}


def test_features_are_those_that_were_known_when_the_partition_was_scored(world: World, week: str) -> None:
    profile_partition(world.deployment, week)
    late = by_feature(world, week)["carrier_late"]
    assert set(late.counts) == set(profiles.profile_bin(pa.array([1.1, 1.2]).to_numpy()).tolist())
    assert late.null > 0  # B6 has no row in carrier_week


def test_predictions_are_profiled_with_the_version_that_made_them(world: World, week: str) -> None:
    world.scored(week, world.flights(world.week(9)), version="7")
    profile_partition(world.deployment, week)
    (row,) = [row for row in world.rows("profiles", week) if row["feature"] == "prediction"]
    assert (row["model_version"], row["rows"]) == ("7", 700)


@pytest.mark.parametrize(
    ("task", "classes", "kind"),
    [("multiclass", ["a", "b"], "categorical"), ("regression", None, "numeric")],
    ids=["classes", "numbers"],
)
def test_what_a_task_predicts_is_profiled_as_what_it_is(
    world: World, week: str, task: Task, classes: list[str] | None, kind: str
) -> None:
    predicted = prediction_columns(task, np.full((700, len(classes or [0])), 0.5), classes)
    said = {"model_version": ["7"] * 700, "served_by": ["champion"] * 700, **predicted}
    world.publish("predictions", week, {**world._entities(week, 700), **said})
    train = world.spec.train.model_copy(update={"task": task})  # type: ignore[union-attr]
    profile_partition(Deployment(world.spec.model_copy(update={"train": train}), world.runtime), week)
    (row,) = [row for row in world.rows("profiles", week) if row["feature"] == "prediction"]
    assert (row["kind"], row["rows"], row["model_version"]) == (kind, 700, "7")


def test_predictions_that_were_made_for_another_task_are_not_profiled(world: World, week: str) -> None:
    world.scored(week, world.flights(world.week(9)), version="7")
    train = world.spec.train.model_copy(update={"task": "regression"})  # type: ignore[union-attr]
    profile_partition(Deployment(world.spec.model_copy(update={"train": train}), world.runtime), week)
    assert "prediction" not in by_feature(world, week)


def test_doing_it_again_changes_nothing(world: World, week: str) -> None:
    first = profile_partition(world.deployment, week)
    again = profile_partition(world.deployment, week)
    assert (again.version, again.digest, again.changed) == (first.version, first.digest, False)


def test_a_later_partition_is_no_cause_to_profile_again(world: World, week: str) -> None:
    profile_partition(world.deployment, week)
    end = world.spec.partitioning.bounds(week).end
    columns = {"carrier": ["AA"], "carrier_late": [9.0], "known_at": pa.array([end], pa.timestamp("us", "UTC"))}
    world.publish("carrier_week", week, columns)
    assert not profile_partition(world.deployment, week).changed


def test_corrected_rows_are_profiled_again(world: World, week: str) -> None:
    profile_partition(world.deployment, week)
    world.flights(week, seed=1, rows=650)
    assert profile_partition(world.deployment, week).changed
    assert by_feature(world, week)["distance"].rows == 650


def test_it_waits_for_its_features(world: World) -> None:
    with pytest.raises(NotReady, match="features of partition 2013-01-07"):
        profile_partition(world.deployment, world.week(0))


def test_it_waits_for_the_scoring_of_its_population(world: World) -> None:
    world.complete("features", world.week(1))
    world.complete("monitor", world.week(0))
    with pytest.raises(NotReady, match="score of partition 2013-01-07"):
        profile_partition(world.deployment, world.week(1))


def test_it_waits_for_the_partition_before_which_scored_what_falls_due_in_it(world: World) -> None:
    world.complete("features", world.week(2))
    world.complete("score", world.week(1))
    with pytest.raises(NotReady, match="monitor of partition 2013-01-14") as raised:
        profile_partition(world.deployment, world.week(2))
    assert (raised.value.stage, raised.value.partition) == ("monitor", world.week(1))


def test_a_partition_that_is_left_out_is_waited_for_by_nobody(world: World) -> None:
    world.complete("features", world.week(2))
    skipped_partitions.leave_out(world.ledger, world.spec.pipeline, world.week(1), dataset="flights", reason="no file")
    with pytest.raises(NotReady, match="monitor of partition 2013-01-07"):
        profile_partition(world.deployment, world.week(2))


def test_rows_of_a_stale_run_do_not_replace_newer_ones(world: World, week: str, meanwhile: Callable[..., None]) -> None:
    def corrected() -> None:
        world.flights(week, seed=1, rows=650)
        profile_partition(world.deployment, week)

    meanwhile(stage, "pin_inputs", corrected)
    with pytest.raises(Conflict, match="dataset profiles, partition 2013-01-21"):
        profile_partition(world.deployment, week)
    assert by_feature(world, week)["distance"].rows == 650


def test_a_pipeline_without_monitor_is_refused(with_spec: object) -> None:
    unwatched = with_spec(monitor=None)  # type: ignore[operator]
    with pytest.raises(UsageError, match="has no `monitor`"):
        profile_partition(unwatched.deployment, unwatched.week(0))


@pytest.mark.parametrize(
    ("column", "kind", "nulls"),
    [
        (pa.array([1, None, 3]), "numeric", 1),
        (pa.array([1.5, float("nan")]), "numeric", 0),
        (pa.array([True, None]), "numeric", 1),
        (pa.array(["a", None]), "categorical", 1),
        (pa.array(["a", "a"]).dictionary_encode(), "categorical", 0),
    ],
)
def test_a_column_is_profiled_by_its_type(column: pa.Array, kind: str, nulls: int) -> None:
    made = profile_column(pa.chunked_array([column]))
    assert made is not None
    assert (made.kind, made.null, made.rows) == (kind, nulls, len(column))


def test_times_have_no_profile() -> None:
    assert profile_column(pa.chunked_array([pa.array([0], pa.timestamp("us", "UTC"))])) is None
