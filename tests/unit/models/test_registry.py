"""The registry finds versions by their cause, and shows the ledger's champion as an alias."""

from __future__ import annotations

import pytest

from tradewind.errors import ModelError, Unavailable
from tradewind.models.registry import Registry, project_alias
from tradewind.models.train import train


def test_a_version_is_found_by_its_cause_only(house) -> None:
    trained = train(house.spec, house.week(5), house.runtime)
    registry = Registry(house.runtime, "delays")
    found = registry.find(trained.cause)
    assert found is not None
    assert (found.version, found.mlflow_run_id) == (trained.version, trained.mlflow_run_id)
    assert registry.find("0" * 32) is None


def test_an_unknown_version_is_named(house) -> None:
    with pytest.raises(ModelError, match="delays version 7 is not in the model registry"):
        Registry(house.runtime, "delays").get("7")


def test_a_registry_that_does_not_answer_is_away_and_not_without_the_version(house, monkeypatch) -> None:
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    def unreachable(*_: object) -> None:
        raise MlflowException("connection refused")

    monkeypatch.setattr(MlflowClient, "get_model_version", unreachable)
    with pytest.raises(Unavailable, match="connection refused"):
        Registry(house.runtime, "delays").get("1")


def test_the_alias_moves_once_and_comes_back(house) -> None:
    train(house.spec, house.week(5), house.runtime)
    train(house.spec, house.week(6), house.runtime)
    done = [project_alias(house.runtime, "delays", version) for version in ("1", "1", "2")]
    assert done == [
        "alias champion of delays moved from nothing to version 1",
        None,
        "alias champion of delays moved from version 1 to version 2",
    ]
    client = Registry(house.runtime, "delays").client
    client.set_registered_model_alias("delays", "champion", "1")  # somebody else's edit
    assert project_alias(house.runtime, "delays", "2") is not None
    assert str(client.get_model_version_by_alias("delays", "champion").version) == "2"


def test_an_alias_for_a_version_that_is_not_there_is_refused(house) -> None:
    with pytest.raises(ModelError, match="version 3 is not in the model registry"):
        project_alias(house.runtime, "delays", "3")


def test_artifacts_lie_beside_the_tracking_database(house, tmp_path) -> None:
    train(house.spec, house.week(5), house.runtime)
    registry = Registry(house.runtime, "delays")
    with registry.folder(registry.get("1")) as folder:
        assert folder.is_relative_to(tmp_path / "artifacts" / "delays")
