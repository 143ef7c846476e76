"""Training makes one version a cause, and logs with it everything that it came from."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mlflow import MlflowClient

from tradewind.deployment import Deployment
from tradewind.errors import MissingInput, ModelError
from tradewind.ledger import skipped_partitions
from tradewind.registry.model_registry import ModelRegistry
from tradewind.training.candidate import train_candidate
from tradewind.training.fitting import plan_training


def registry(house) -> ModelRegistry:
    return ModelRegistry(house.runtime, "delays")


def versions(house) -> list[str]:
    return sorted(str(v.version) for v in registry(house).client.search_model_versions("name = 'delays'"))


@pytest.fixture(scope="module")
def first(built, tmp_path_factory):
    """A deployment and its one training, at week 5."""
    house = built(tmp_path_factory.mktemp("train"))
    return house, train_candidate(house.deployment, house.week(5))


def cause(house) -> str:
    return plan_training(house.deployment, house.week(5)).cause


def test_the_window_ends_with_the_partition_and_its_last_part_judges(first) -> None:
    house, trained = first
    assert trained.train_partitions == tuple(house.week(n) for n in (2, 3, 4))
    assert trained.test_partitions == (house.week(5),)


def test_training_again_adds_nothing(first) -> None:
    house, trained = first
    again = train_candidate(house.deployment, house.week(5))
    assert (again.version, again.cause, trained.changed, again.changed) == (trained.version, cause(house), True, False)
    assert len(versions(house)) == 1
    assert len(house.ledger.find("delays", "trained")) == 1


def test_a_later_partition_is_no_cause_to_train_again(house, publish_week) -> None:
    before = cause(house)
    publish_week(house, 8)
    assert cause(house) == before


def test_a_corrected_partition_is_a_cause_to_train_again(house, publish_week) -> None:
    before = cause(house)
    publish_week(house, 4, seed=1)
    assert cause(house) != before


def test_what_changed_and_changed_back_is_the_candidate_again(house, publish_week) -> None:
    train_candidate(house.deployment, house.week(5))
    publish_week(house, 4, seed=1)
    train_candidate(house.deployment, house.week(5))
    publish_week(house, 4, cause="back")
    for _ in range(2):
        assert train_candidate(house.deployment, house.week(5)).version == "1"
    assert [entry.subject for entry in house.ledger.find("delays", "trained")] == ["1", "2", "1"]


def test_changed_model_code_is_a_cause_to_train_again(house) -> None:
    before = cause(house)
    code = house.runtime.project / "include/delays_model/transformers.py"
    code.write_text(code.read_text() + "\n# changed\n")
    assert cause(house) != before


def test_an_attempt_that_ended_before_registering_is_finished_and_not_repeated(house, monkeypatch) -> None:
    def crash(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(MlflowClient, "create_model_version", crash)
        with pytest.raises(KeyboardInterrupt):
            train_candidate(house.deployment, house.week(5))
    assert versions(house) == []
    train_candidate(house.deployment, house.week(5))
    client = registry(house).client
    assert versions(house) == ["1"]
    assert len(client.search_logged_models([registry(house).experiment()])) == 1


def test_an_attempt_that_ended_before_the_ledger_is_journalled_by_the_next(house, monkeypatch) -> None:
    from tradewind.ledger.journal import Ledger

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Ledger, "append", crash)
        with pytest.raises(KeyboardInterrupt):
            train_candidate(house.deployment, house.week(5))
    train_candidate(house.deployment, house.week(5))
    assert versions(house) == ["1"]
    assert [entry.evidence["version"] for entry in house.ledger.find("delays", "trained")] == ["1"]


def test_the_ledger_says_what_a_version_came_from(first) -> None:
    house, trained = first
    entry = house.ledger.get("delays", "trained", key=trained.cause)
    assert entry is not None
    assert entry.evidence["train_partitions"] == [house.week(n) for n in (2, 3, 4)]
    assert sorted(entry.evidence["digests"]["flights"]) == [house.week(n) for n in (2, 3, 4, 5)]
    assert 0.3 < entry.evidence["positive_share"] < 0.9
    assert set(entry.evidence["versions"]) == {"flights", "carrier_week"}


def test_a_version_carries_its_requirements_signature_code_and_evidence(first) -> None:
    from importlib.metadata import version

    house, trained = first
    of = registry(house).get(trained.version)
    with registry(house).folder(of) as folder, registry(house).evidence(of) as evidence:
        required = (folder / "requirements.txt").read_text().splitlines()
        assert f"scikit-learn=={version('scikit-learn')}" in required
        assert all("==" in line for line in required)
        assert (folder / "code/delays_model/transformers.py").is_file()
        assert "signature" in (folder / "MLmodel").read_text()
        rows = pq.read_table(evidence / "test.parquet")
        assert {"flight_id", "scheduled_at", "partition", "late", "origin", "hour", "late_share"} <= set(
            rows.column_names
        )
        assert set(rows["partition"].to_pylist()) == {house.week(5)}
        assert len(json.loads((evidence / "example.json").read_text())["predictions"]) == 20


def test_the_same_training_gives_the_same_predictions_elsewhere(first, house) -> None:
    answers = []
    for place, trained in (first, (house, train_candidate(house.deployment, house.week(5)))):
        of = registry(place).get(trained.version)
        with registry(place).evidence(of) as evidence:
            answers.append((evidence / "example.json").read_text())
    assert answers[0] == answers[1]


def test_a_window_before_the_start_is_refused(house) -> None:
    with pytest.raises(MissingInput, match="1 of 4 partitions lie before the pipeline's start 2013-01-28"):
        train_candidate(house.deployment, house.week(2))


def test_a_missing_partition_is_named(house) -> None:
    with pytest.raises(MissingInput, match="2013-03-25"):
        train_candidate(house.deployment, house.week(8))


def test_a_partition_that_is_left_out_is_in_no_window(house) -> None:
    skipped_partitions.skip_partition(house.ledger, "delays", house.week(4), reason="strike", actor="ann")
    trained = train_candidate(house.deployment, house.week(5))
    assert house.week(4) not in trained.train_partitions + trained.test_partitions
    assert trained.test_partitions[-1] == house.week(5)


def test_one_class_only_is_refused(house, publish_week) -> None:
    for number in (2, 3, 4):
        publish_week(house, number, change=lambda rows: rows.set_column(6, "late", pa.array([True] * rows.num_rows)))
    with pytest.raises(ModelError, match=r"training rows .* have one class only"):
        train_candidate(house.deployment, house.week(5))


def test_a_type_that_nobody_trusts_is_named(house) -> None:
    spec = house.spec.train.model_copy(update={"trusted": ("numpy.dtype",)})
    with pytest.raises(ModelError, match=r"delays_model\.transformers\.Known.*train\.trusted"):
        train_candidate(Deployment(house.with_spec(train=spec).spec, house.runtime), house.week(5))


def test_a_model_that_cannot_be_fitted_says_why(house) -> None:
    spec = house.spec.train.model_copy(update={"params": {"C": -1.0}})
    with pytest.raises(ModelError, match=r"build_model cannot be fitted on .* rows: InvalidParameterError"):
        train_candidate(Deployment(house.with_spec(train=spec).spec, house.runtime), house.week(5))
