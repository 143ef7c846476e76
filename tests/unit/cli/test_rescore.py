"""``rescore``: a person has a population scored again, and may accept that a fallback replaces what is published."""

from __future__ import annotations

import pytest
from tests.registered_versions import Place
from tests.unit.cli.conftest import Project
from tests.unit.cli.fake_airflow import FakeAirflow

SCORE = """\
score:
  population: {files: "{landing}/{day}.csv", sql: include/orders.sql, key: id, timestamp: at}
  ahead: 1
  fallback: [majority]
train:
  window: 2
  test: 1
  service: v1
  label: {dataset: orders, column: amount, available_after: 1d}
  model: include/shop/model.py:build
gates: [{metric: roc_auc, at_least: 0.6}]
features: {definitions: include/features.py}
"""


@pytest.fixture
def scoring(shop: Project) -> Project:
    yaml = shop.folder / "dags" / "shop.yaml"
    yaml.write_text(yaml.read_text() + SCORE)
    (shop.folder / "include" / "shop").mkdir()
    for name in ("shop/model.py", "features.py"):
        (shop.folder / "include" / name).write_text("")
    return shop


def test_a_population_is_scored_again_by_the_run_of_its_partition(scoring: Project, airflow: FakeAirflow) -> None:
    airflow.dags.append("shop__score")
    assert "shop__score 2013-01-29" in scoring.told("rescore", "shop", "2013-01-30")
    assert airflow.started == [("shop__score", "2013-01-29")]


def test_that_a_fallback_may_replace_it_is_journalled_with_who_and_why(scoring: Project, airflow: FakeAirflow) -> None:
    accepting = ("rescore", "shop", "2013-01-30", "--accept-fallback")
    assert "go together" in scoring.error(*accepting)
    assert "go together" in scoring.error("rescore", "shop", "2013-01-30", "--reason", "x")
    assert "nothing is published of population 2013-01-30" in scoring.error(*accepting, "--reason", "x")
    Place(scoring.spec, scoring.runtime).score("2013-01-30")
    told = " ".join(scoring.told(*accepting, "--reason", "any number will do", "--by", "ann", "--no-start").split())
    assert "population 2013-01-30 was scored by the champion, version 1" in told
    assert "replaces these 1 rows, accepted by ann: any number will do" in told
    assert "The next run of shop__score with the key 2013-01-29 scores population 2013-01-30." in told
    assert airflow.started == []
    story = " ".join(scoring.told("history", "shop").split())
    assert "a fallback may replace what is published of population 2013-01-30, accepted by ann: any number" in story


def test_a_pipeline_that_scores_nothing_is_refused(shop: Project) -> None:
    assert "its YAML has no `score`" in shop.error("rescore", "shop", "2013-01-30")


def test_a_key_that_is_none_is_refused(scoring: Project) -> None:
    assert "2013-13-01" in scoring.error("rescore", "shop", "2013-13-01")
