from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tradewind.alerting.drift_alarms import read_drift_rows
from tradewind.errors import Conflict, MissingInput
from tradewind.lake.dataset import Lake
from tradewind.monitoring.drift_rows import drift_config_hash, publish_drift
from tradewind.monitoring.monitoring_datasets import DRIFT

if TYPE_CHECKING:
    from conftest import World

PERFORMANCE = {"metric": "roc_auc", "at_least": 0.6}


@pytest.fixture
def steady(world: World) -> World:
    """Weeks 0…9 alike; champion 1, trained on weeks 0…4, serves and scored weeks 5…9."""
    rng = np.random.default_rng(0)
    for number in range(10):
        predictions = {"prediction": rng.beta(2, 5, 700)} if number > 4 else {}
        world.profiled(
            world.week(number),
            predicted_by="1",
            wind=rng.normal(rng.normal(0, 0.1), 1, 700),
            carrier={"AA": int(rng.integers(330, 370)), "UA": 350},
            **predictions,
        )
    world.champion("1", train=world.weeks(0, 4), effective_from=world.week(5))
    return world


def drift(world: World, week: str) -> dict[tuple[str, int], dict[str, Any]]:
    publish_drift(world.deployment, week)
    return {(row["feature"], row["horizon"]): row for row in world.rows("drift", week)}


def test_steady_weeks_do_not_drift(steady: World) -> None:
    rows = drift(steady, steady.week(9))
    assert set(rows) == {(name, h) for name in ("wind", "carrier", "prediction") for h in (1, 2)}
    assert {row["outcome"] for row in rows.values()} == {"ok"}
    assert {row["alarm"] for row in rows.values()} == {False}


def test_a_destroyed_feature_is_an_alarm_and_the_others_are_not(steady: World) -> None:
    rng = np.random.default_rng(1)
    steady.profiled(
        steady.week(9),
        predicted_by="1",
        wind=np.zeros(700),
        carrier={"AA": 350, "UA": 350},
        prediction=rng.beta(2, 5, 700),
    )
    rows = drift(steady, steady.week(9))
    assert [key for key, row in rows.items() if row["alarm"]] == [("wind", 1), ("wind", 2)]
    assert rows["wind", 1]["psi"] > 1
    assert rows["wind", 1]["model_version"] == "1"


def test_predicted_classes_drift_when_their_shares_do(world: World) -> None:
    for number in range(10):
        shares = {"late": 100, "on time": 600} if number < 9 else {"late": 400, "on time": 300}
        world.profiled(
            world.week(number), predicted_by="1", **({"prediction": shares} if number > 4 else {}), wind=[1.0]
        )
    world.champion("1", train=world.weeks(0, 4), effective_from=world.week(5))
    assert drift(world, world.week(8))["prediction", 1]["alarm"] is False
    assert drift(world, world.week(9))["prediction", 1]["alarm"] is True


def test_predictions_are_compared_with_what_the_champion_scored_before(steady: World) -> None:
    rng = np.random.default_rng(1)
    steady.profiled(
        steady.week(9),
        predicted_by="1",
        wind=rng.normal(size=700),
        carrier={"AA": 350, "UA": 350},
        prediction=rng.beta(9, 2, 700),
    )
    assert drift(steady, steady.week(9))["prediction", 1]["alarm"]


def test_predictions_of_too_few_scored_weeks_are_insufficient(steady: World) -> None:
    row = drift(steady, steady.week(7))["prediction", 1]
    assert (row["outcome"], row["alarm"]) == ("insufficient", None)
    assert "2 baseline partitions" in row["reason"]


def test_predictions_of_another_version_are_no_baseline(steady: World) -> None:
    steady.champion("2", train=steady.weeks(2, 6), effective_from=steady.week(8))
    rng = np.random.default_rng(1)
    steady.profiled(steady.week(9), predicted_by="2", wind=rng.normal(size=700), prediction=rng.beta(9, 2, 700))
    rows = drift(steady, steady.week(9))
    assert rows["prediction", 1]["outcome"] == "insufficient"
    assert "not the same prediction" in rows["prediction", 2]["reason"]


def test_a_horizon_that_reaches_into_training_is_insufficient(steady: World) -> None:
    rows = drift(steady, steady.week(5))
    assert rows["wind", 1]["outcome"] == "ok"
    assert rows["wind", 2]["outcome"] == "insufficient"
    assert "reach into the champion's training, which ended with 2013-02-04" in rows["wind", 2]["reason"]


def test_without_a_champion_every_feature_says_so(steady: World) -> None:
    rows = drift(steady, steady.week(4))
    assert {row["outcome"] for row in rows.values()} == {"no champion"}
    assert {row["alarm"] for row in rows.values()} == {None}
    assert set(rows) == {(name, h) for name in ("wind", "carrier") for h in (1, 2)}


def test_a_feature_that_the_baseline_lacks_is_insufficient(steady: World) -> None:
    rng = np.random.default_rng(1)
    steady.profiled(steady.week(9), predicted_by="1", wind=rng.normal(size=700), gusts=rng.normal(size=700))
    rows = drift(steady, steady.week(9))
    assert rows["gusts", 1]["outcome"] == "insufficient"
    assert rows["wind", 1]["outcome"] == "ok"


def test_judging_again_changes_nothing_and_later_weeks_are_no_cause(steady: World) -> None:
    drift(steady, steady.week(8))
    version = steady.version("drift")
    steady.profiled(steady.week(9), wind=np.zeros(700))
    drift(steady, steady.week(8))
    assert steady.version("drift") == version


def test_another_champion_is_a_cause_to_judge_again(steady: World) -> None:
    drift(steady, steady.week(9))
    version = steady.version("drift")
    steady.champion("2", train=steady.weeks(2, 6), effective_from=steady.week(9))
    assert {row["model_version"] for row in drift(steady, steady.week(9)).values()} == {"2"}
    assert steady.version("drift") == version + 1


def test_rows_of_an_older_champion_do_not_replace_newer_ones(steady: World, meanwhile: Callable[..., None]) -> None:
    def promoted_and_judged() -> None:
        steady.champion("2", train=steady.weeks(2, 6), effective_from=steady.week(9))
        drift(steady, steady.week(9))

    meanwhile(type(steady.ledger), "champion_for", promoted_and_judged)
    with pytest.raises(Conflict, match="dataset drift, partition 2013-03-11"):
        drift(steady, steady.week(9))
    assert {row["model_version"] for row in steady.rows("drift", steady.week(9))} == {"2"}


def test_a_partition_that_was_not_profiled_is_named(steady: World) -> None:
    with pytest.raises(MissingInput, match="profiles has no partition 2013-04-01; profile it first"):
        drift(steady, steady.week(12))


def test_too_few_rows_are_insufficient(steady: World, with_spec: Callable[..., World]) -> None:
    strict = with_spec(monitor={"performance": {"metric": "roc_auc", "at_least": 0.6}, "drift": {"min_rows": 701}})
    assert {row["outcome"] for row in drift(strict, strict.week(9)).values()} == {"insufficient"}


def test_a_row_names_its_test_and_its_statistic(steady: World) -> None:
    row = drift(steady, steady.week(9))["wind", 1]
    assert (row["test"], row["statistic"]) == ("psi", row["psi"])


def test_a_table_without_the_newer_columns_takes_them_and_its_older_rows_are_read_as_psi(steady: World) -> None:
    import pyarrow as pa

    earlier = {
        "horizon": 1,
        "feature": "wind",
        "outcome": "drift",
        "alarm": True,
        "psi": 0.7,
        "null_mean": 0.1,
        "null_high": 0.2,
        "p": 0.01,
        "q": 0.01,
        "rows": 700,
        "model_version": "1",
        "reason": "PSI 0.700",
    }
    columns = {name: pa.array([value], pa.type_for_alias(DRIFT[name])) for name, value in earlier.items()}
    steady.publish("drift", steady.week(7), columns)

    read = {"keys": steady.weeks(7, 8), "lake": Lake(steady.runtime.lake)}
    before = read_drift_rows(steady.spec, **read)[steady.week(7)]
    drift(steady, steady.week(8))
    after = read_drift_rows(steady.spec, **read)

    assert [(row.test, row.statistic, row.null_high, row.alarm) for row in before] == [("psi", 0.7, 0.2, True)]
    assert after[steady.week(7)] == before
    assert {row.test for row in after[steady.week(8)]} == {"psi"}
    assert None not in [row.statistic for row in after[steady.week(8)] if row.outcome == "ok"]


def test_a_pipeline_that_names_no_test_has_the_hash_that_it_had(steady: World, with_spec: Callable[..., World]) -> None:
    """The numbers are of the release before tests had names."""

    def spelled(**policy: Any) -> str:
        changed = with_spec(monitor={"horizons": [1, 2], "performance": PERFORMANCE, "drift": policy})
        return drift_config_hash(changed.spec)

    before = "bd6940153c0ed40fd55bf773be33cd10660693218190edf7578abe6281970f94"
    assert (drift_config_hash(steady.spec), spelled(tests=["psi"])) == (before, before)
    assert spelled(floor=0.2) == "043fa849fedfa26bb3784bef11686203f065b4c793660b3ead519b13459b4b41"
