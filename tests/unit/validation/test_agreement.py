"""What validation says of SQL is what `etl` does with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tradewind.deployment import Deployment
from tradewind.errors import TradewindError
from tradewind.etl.dataset_build import build_dataset
from tradewind.lake.dataset import Lake
from tradewind.scaffold import sample
from tradewind.scaffold.new_pipeline import create_pipeline
from tradewind.scaffold.rehearsal import Rehearsal
from tradewind.validation.sql_columns import SqlColumns, bind_pipeline_sql
from tradewind.validation.validated_pipeline import read_validated_pipeline

DAY = sample.PARTITIONS["day"][0]
SQL = "include/shop/sql/deliveries.sql"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The project of `tradewind new`, with its sample."""
    home = tmp_path / "home"
    create_pipeline(tmp_path, "shop", landing=home / "landing")
    return tmp_path


def bound(project: Path) -> SqlColumns:
    subject, problems = read_validated_pipeline(project / "dags" / "shop.yaml")
    assert subject is not None
    assert not problems
    return bind_pipeline_sql(subject)


def build(project: Path, name: str) -> Rehearsal:
    rehearsal = Rehearsal(project / "dags" / "shop.yaml", project / "home")
    build_dataset(Deployment(rehearsal.spec, rehearsal.runtime), name, DAY)
    return rehearsal


def test_columns_and_types_that_are_bound_are_those_that_are_published(project: Path) -> None:
    tables = bound(project)
    assert tables.problems == []
    for name in ("deliveries", "depot_day"):
        rehearsal = build(project, name)
        snapshot = Lake(rehearsal.runtime.lake).dataset("shop", name).snapshot()
        assert snapshot is not None
        published = {field.name: field.type for field in snapshot.schema}
        assert {field.name: field.type for field in tables.datasets[name]} == published


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("    depot,", "    depo,"),
        ("FROM source", "FROM sourc"),
        ("FROM source", "FROM source; SELECT 1"),
        ("    depot,", "    $day AS depot,"),
        ("    planned_at,", "    planned_at::TIMESTAMP AS planned_at,"),
        ("    depot,", "    depot AS partition,"),
        ("    depot,", "    depot AS delivery_id,"),
        ("    depot,", "    INTERVAL 1 DAY AS depot,"),
        ("FROM source", "FROM read_csv('/etc/passwd')"),
    ],
)
def test_sql_that_is_refused_would_fail(old: str, new: str, project: Path) -> None:
    text = (project / SQL).read_text()
    assert old in text
    (project / SQL).write_text(text.replace(old, new))
    assert [problem.severity for problem in bound(project).problems if problem.file.endswith(SQL)] == ["error"]
    with pytest.raises(TradewindError):
        build(project, "deliveries")
