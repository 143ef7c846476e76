"""``train``: what the form of ``P__train`` does, by command."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tradewind.errors import Conflict, Held
from tradewind.ledger import completion, holds

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Project
    from tests.unit.cli.fake_airflow import FakeAirflow

DAYS = ["2013-01-28", "2013-01-29", "2013-01-30", "2013-01-31"]
TRAINED = """\
features: {definitions: include/features.py}
score:
  population: {files: "{landing}/{day}.csv", columns: {id: BIGINT}, sql: include/p.sql, key: id, timestamp: at}
train:
  window: 2
  test: 1
  service: v1
  label: {dataset: orders, column: amount}
  model: include/shop/model.py:build
gates:
  - {metric: roc_auc, at_least: 0.5}
"""


@pytest.fixture
def trained(shop: Project, airflow: FakeAirflow) -> Project:
    """The shop with a `train`, whose features are complete for all that is built."""
    path = shop.folder / "dags" / "shop.yaml"
    path.write_text(path.read_text() + TRAINED)
    (shop.folder / "include" / "shop").mkdir()
    for name in ("features.py", "p.sql", "shop/model.py"):
        (shop.folder / "include" / name).write_text("")
    for day in DAYS[:3]:
        completion.record_completion(shop.ledger, "shop", "features", day, cause=day)
    airflow.dags.append("shop__train")
    return shop


def test_a_training_is_started_at_the_newest_partition_with_reason_and_name(
    trained: Project, airflow: FakeAirflow
) -> None:
    told = trained.told("train", "shop", "--reason", "new assortment", "--by", "ann")
    assert f"started shop__train {DAYS[2]}" in told
    assert airflow.started == [("shop__train", DAYS[2])]
    assert airflow.runs[0]["conf"] == {"by_hand": "new assortment", "by": "ann"}


def test_a_partition_can_be_named(trained: Project, airflow: FakeAirflow) -> None:
    answer = trained.answer("train", "shop", DAYS[1], "--reason", "new assortment", "--by", "ann")
    assert (answer["dag"], answer["partition"], answer["by"]) == ("shop__train", DAYS[1], "ann")
    assert airflow.started == [("shop__train", DAYS[1])]


@pytest.mark.parametrize(
    ("key", "message"),
    [
        (
            DAYS[3],
            f"features of partition {DAYS[3]} is not complete, so train would wait; the newest that is: {DAYS[2]}",
        ),
        ("2014-01-01", "outside the pipeline's range"),
        ("last week", "last week"),
        (DAYS[0], f"the training window of {DAYS[0]} is not complete"),
    ],
)
def test_a_partition_that_cannot_be_trained_at_is_refused(
    trained: Project, airflow: FakeAirflow, key: str, message: str
) -> None:
    assert message in trained.error("train", "shop", key, "--reason", "why not")
    assert airflow.started == []


def test_a_reason_is_needed(trained: Project, airflow: FakeAirflow) -> None:
    assert trained.command("train", "shop").exit_code == 2
    assert "three characters" in trained.error("train", "shop", "--reason", " x ")
    assert airflow.started == []


def test_a_paused_dag_is_named_and_can_be_unpaused(trained: Project, airflow: FakeAirflow) -> None:
    airflow.paused = ["shop__train"]
    error = trained.error("train", "shop", "--reason", "new assortment")
    assert "shop__train is paused" in error
    assert f'tradewind train shop {DAYS[2]} --reason "new assortment" --unpause' in error
    assert airflow.started == []
    trained.told("train", "shop", "--reason", "new assortment", "--unpause")
    assert (airflow.paused, len(airflow.started)) == ([], 1)


def test_a_run_that_is_on_its_way_is_named_since_it_has_another_reason(trained: Project, airflow: FakeAirflow) -> None:
    trained.told("train", "shop", "--reason", "new assortment")
    result = trained.command("train", "shop", "--reason", "me too")
    assert isinstance(result.exception, Conflict)
    assert f"shop__train {DAYS[2]} is on its way already (tradewind__{DAYS[2]}__1)" in " ".join(
        str(result.exception).split()
    )


def test_nothing_is_trained_while_the_pipeline_is_held(trained: Project, airflow: FakeAirflow) -> None:
    holds.hold_pipeline(trained.ledger, "shop", reason="the source lies", actor="ann")
    assert isinstance(trained.command("train", "shop", "--reason", "why not").exception, Held)
    assert airflow.started == []


def test_a_pipeline_without_a_training_says_so(shop: Project, airflow: FakeAirflow) -> None:
    assert "has no `train` in its YAML" in shop.error("train", "shop", "--reason", "why not")


def test_the_plan_tells_of_training(trained: Project) -> None:
    answer = trained.answer("plan", "shop")
    assert answer["training"]["next"].startswith(f"at {DAYS[0]}, because there is no champion yet")
