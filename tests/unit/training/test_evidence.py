"""One whole training with early gate and search: what is kept of it explains the version and rebuilds it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from mlflow.entities import Run
from sklearn.metrics import log_loss, roc_auc_score

from tradewind.core import profiles
from tradewind.deployment import Deployment
from tradewind.errors import ModelError
from tradewind.isolation.project_code import import_project_code
from tradewind.registry.manifest import Manifest
from tradewind.registry.model_registry import ModelRegistry, RegisteredVersion
from tradewind.spec.digest import config_hash
from tradewind.spec.training import Early, Search
from tradewind.training import evidence
from tradewind.training.candidate import TrainedCandidate, train_candidate
from tradewind.training.fitting import fit_candidate, plan_training, training_config_hash
from tradewind.training.training_plan import FittedCandidate
from tradewind.training.window import TrainingWindow

SPACE = "def space(trial):\n    return {'C': trial.suggest_float('C', 0.01, 1.0, log=True)}\n"


def asked(house, **changes: Any):
    """The pipeline with a search, an early gate, a validation part, and something that gates need."""
    wanted = {
        "window": 5,
        "validation": 1,
        "search": Search(space="include/delays_model/space.py:space", metric="log_loss", trials=3),
        "early": Early(metric="roc_auc", at_least=0.55, rows=200),
    }
    return house.with_spec(train=house.spec.train.model_copy(update=wanted | changes)).spec


@pytest.fixture(scope="module")
def home(built, tmp_path_factory):
    """A deployment whose project has a search space."""
    house = built(tmp_path_factory.mktemp("evidence"))
    (house.runtime.project / "include/delays_model/space.py").write_text(SPACE)
    return house


@pytest.fixture(scope="module")
def trained(home) -> TrainedCandidate:
    found = train_candidate(Deployment(asked(home), home.runtime), home.week(6))
    assert isinstance(found, TrainedCandidate)
    return found


@pytest.fixture(scope="module")
def registry(home) -> ModelRegistry:
    return ModelRegistry(home.runtime, "delays")


@pytest.fixture(scope="module")
def made(registry, trained) -> RegisteredVersion:
    return registry.get(trained.version)


@pytest.fixture(scope="module")
def files(registry, made) -> Iterator[Path]:
    with registry.evidence(made) as folder:
        yield folder


@pytest.fixture(scope="module")
def entry(home, trained):
    return home.ledger.get("delays", "trained", key=trained.cause)


def read(files: Path, name: str) -> Any:
    return json.loads((files / name).read_text())


def runs(registry: ModelRegistry, cause: str) -> list[Run]:
    return list(registry.client.search_runs([registry.experiment()], f"tags.`tradewind.cause` = '{cause}'"))


def test_the_last_fit_learns_from_validation_too_and_not_from_the_gap(home, trained, made, files, registry) -> None:
    assert trained.train_partitions == tuple(home.week(n) for n in (2, 3, 4, 5))
    assert json.loads(made.tags["tradewind.validation_partitions"]) == [home.week(5)]
    begins = home.spec.partitioning.bounds(home.week(6)).start
    assert made.tags["tradewind.fit_until"] == (begins - timedelta(days=1)).isoformat()
    run = registry.client.get_run(trained.mlflow_run_id)
    rows = home.lake.dataset("delays", "flights").snapshot().arrow([home.week(n) for n in (2, 3, 4, 5)]).to_table()
    learned = [
        label is not None and at <= begins - timedelta(days=1)
        for label, at in zip(rows["late"].to_pylist(), rows["scheduled_at"].to_pylist(), strict=True)
    ]
    assert run.data.metrics["train_rows"] == sum(learned) < rows.num_rows * 0.9


def test_nothing_is_chosen_by_labels_that_were_not_known_when_the_test_began(home) -> None:
    predicted = []

    class Constant:
        def fit(self, frame, labels):
            self.classes_ = [0, 1]

        def predict_proba(self, frame):
            predicted.append(len(frame))
            return np.full((len(frame), 2), 0.5)

    spec = asked(home, search=None, early=Early(metric="brier", at_most=1.0))
    fit_candidate(plan_training(Deployment(spec, home.runtime), home.week(6)), lambda params: Constant())
    rows = home.lake.dataset("delays", "flights").snapshot().arrow([home.week(5)]).to_table()
    begins = home.spec.partitioning.bounds(home.week(6)).start
    known = [
        label is not None and at <= begins - timedelta(days=1)
        for label, at in zip(rows["late"].to_pylist(), rows["scheduled_at"].to_pylist(), strict=True)
    ]
    assert predicted[0] == sum(known) < rows["late"].drop_null().length() - 30


def test_the_rows_that_judge_have_what_gates_ask_for(home, files) -> None:
    rows = pq.read_table(files / "test.parquet")
    assert rows.column_names[:5] == ["flight_id", "scheduled_at", "partition", "late", "origin"]
    assert set(rows.column_names[5:]) == {"hour", "distance", "carrier", "late_share", "flown"}
    assert set(rows["partition"].to_pylist()) == {home.week(6)}


def test_every_metric_of_the_task_has_an_interval(files, registry, trained, home) -> None:
    found = read(files, "metrics.json")
    assert {"roc_auc", "average_precision", "log_loss", "brier", "ece", "accuracy"} <= set(found)
    assert all(one["low"] < one["value"] < one["high"] for name, one in found.items() if name != "ece")
    logged = registry.client.get_run(trained.mlflow_run_id).data.metrics
    assert logged["test_roc_auc"] == found["roc_auc"]["value"]
    assert logged["test_roc_auc_low"] == found["roc_auc"]["low"]


def test_the_profile_is_of_the_rows_that_were_learned_from(files, registry, trained) -> None:
    made = {name: profiles.from_json(json.dumps(text)) for name, text in read(files, "profile.json").items()}
    rows = registry.client.get_run(trained.mlflow_run_id).data.metrics["train_rows"]
    assert {name: (profile.kind, profile.rows) for name, profile in made.items()} == {
        **dict.fromkeys(("hour", "distance", "late_share", "flown"), ("numeric", rows)),
        "carrier": ("categorical", rows),
    }
    assert set(made["carrier"].counts) == {"AA", "UA", "WN"}


def test_importance_has_all_inputs_with_their_spread(files) -> None:
    found = read(files, "importance.json")
    assert {one["feature"] for one in found} == {"hour", "distance", "carrier", "late_share", "flown"}
    assert found[0]["feature"] == "hour"
    assert found[0]["mean"] > found[0]["std"] > 0
    assert all(len(one["values"]) == 5 for one in found)


def test_the_explanation_is_a_page_with_the_features(files) -> None:
    page = (files / "explanation.html").read_text(encoding="utf-8")
    assert page.lstrip().lower().startswith("<!doctype html>")
    assert all(name in page for name in ("hour", "distance", "late_share"))


def test_what_it_was_made_with_is_written_down(home, files, made) -> None:
    found = read(files, "environment.json")
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert found["libraries"]["scikit-learn"] == version("scikit-learn")
    assert f"numpy=={version('numpy')}" in found["requirements"]
    assert found["seeds"] == {"train": 7}
    assert (found["code"], found["config"], found["data"]) == tuple(
        made.tags[f"tradewind.{name}"] for name in ("code", "config", "data")
    )
    assert found["window"] == {
        "fit": [home.week(n) for n in (2, 3, 4)],
        "validation": [home.week(5)],
        "test": [home.week(6)],
    }
    assert found["train"]["search"]["trials"] == 3
    assert sorted(read(files, "lineage.json")["digests"]["flights"]) == [home.week(n) for n in (2, 3, 4, 5, 6)]


def test_mlflow_shows_the_datasets_with_their_digests(registry, trained, entry) -> None:
    inputs = registry.client.get_run(trained.mlflow_run_id).inputs.dataset_inputs
    shown = {one.dataset.name: one.dataset for one in inputs}
    assert {name: json.loads(one.source)["version"] for name, one in shown.items()} == entry.evidence["versions"]
    assert json.loads(shown["flights"].source)["partitions"] == ["2013-02-11", "2013-03-11"]
    assert shown["flights"].digest == config_hash(entry.evidence["digests"]["flights"])[:32]


def test_each_trial_is_a_run_below_the_training(registry, trained, files) -> None:
    found = [run for run in runs(registry, trained.cause) if run.info.run_id != trained.mlflow_run_id]
    trials = read(files, "search.json")["trials"]
    assert sorted(run.info.run_name for run in found) == ["trial 0", "trial 1", "trial 2"]
    for run in found:
        trial = trials[int(run.info.run_name[-1])]
        assert run.data.tags["mlflow.parentRunId"] == trained.mlflow_run_id
        assert run.data.tags["tradewind.trial"] == "complete"
        assert run.data.params == {"C": json.dumps(trial["params"]["C"])}
        assert run.data.metrics == {"validation_log_loss": trial["value"]}
        assert run.info.status == "FINISHED"
        assert run.info.end_time - run.info.start_time == pytest.approx(trial["seconds"] * 1000, abs=2)


def test_the_parameters_that_were_chosen_are_with_the_version(registry, trained, made, files, entry) -> None:
    best = min(read(files, "search.json")["trials"], key=lambda trial: trial["value"])
    assert json.loads(made.tags["tradewind.params"]) == entry.evidence["params"] == best["params"]
    parent = registry.client.get_run(trained.mlflow_run_id)
    assert parent.data.params["C"] == json.dumps(best["params"]["C"])
    assert parent.data.metrics["validation_log_loss"] == best["value"]
    assert entry.evidence["search"]["trials"] == 3


def test_the_ledger_says_what_the_early_gate_and_the_rows_were_like(entry, registry, made) -> None:
    assert entry.evidence["early"]["worth"] is True
    assert entry.evidence["early"]["rows"] == 200
    assert entry.evidence["majority"]["classes"] == [0, 1]
    assert entry.evidence["positive_share"] == entry.evidence["majority"]["shares"][1]
    assert (entry.evidence["warnings"], entry.evidence["absent"]) == ([], {})
    with registry.folder(made) as folder:
        now = Manifest.from_folder(folder)
    assert (entry.evidence["model_files"], entry.evidence["model_digest"]) == (now.as_json(), now.digest)
    assert {"MLmodel", "model.skops", "code/delays_model/model.py"} <= now.files.keys()


def test_the_recorded_parameters_build_the_same_model_without_a_search(home, trained, files, entry) -> None:
    planned = plan_training(Deployment(asked(home), home.runtime), home.week(6))
    assert planned.cause == trained.cause
    with import_project_code(planned.code) as build_model:
        again = fit_candidate(planned, build_model, params=entry.evidence["params"])
    assert isinstance(again, FittedCandidate)
    assert (again.search, again.early) == (None, None)
    assert {name: one["value"] for name, one in again.metrics.items()} == {
        name: one["value"] for name, one in read(files, "metrics.json").items()
    }
    assert again.output[:20].tolist() == read(files, "example.json")["predictions"]


def test_the_metrics_are_what_scikit_learn_says_of_the_rows_that_judge(home, entry, files) -> None:
    planned = plan_training(Deployment(asked(home), home.runtime), home.week(6))
    with import_project_code(planned.code) as build_model:
        again = fit_candidate(planned, build_model, params=entry.evidence["params"])
    rows, found = pq.read_table(files / "test.parquet"), read(files, "metrics.json")
    late = np.array(rows["late"].to_pylist())
    assert found["roc_auc"]["value"] == pytest.approx(roc_auc_score(late, again.output[:, 1]))
    assert found["log_loss"]["value"] == pytest.approx(log_loss(late, again.output[:, 1]))


def test_what_does_not_matter_is_no_cause_to_train_again(home, trained) -> None:
    alike = [
        asked(home),
        asked(home, patience=timedelta(days=9)),
        asked(home, complete=5),
        asked(home, gap=timedelta(days=1)),
        home.with_spec(train=asked(home).train, description="Later?").spec,
    ]
    assert {plan_training(Deployment(spec, home.runtime), home.week(6)).cause for spec in alike} == {trained.cause}


CHANGES = {
    "gap": {"gap": timedelta(days=2)},
    "validation": {"validation": 2},
    "task": {"task": "multiclass"},
    "trials": {"search": Search(space="include/delays_model/space.py:space", metric="log_loss", trials=4)},
    "early": {"early": None},
    "window": {"window": 4},
    "seed": {"seed": 8},
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_matters_is_a_cause_to_train_again(home, trained, change) -> None:
    assert plan_training(Deployment(asked(home, **CHANGES[change]), home.runtime), home.week(6)).cause != trained.cause


def test_columns_of_the_verdict_and_the_split_are_part_of_the_configuration(home, trained, made) -> None:
    spec, split = asked(home), TrainingWindow(("a",), ("b",), ("c",), {})
    other = home.with_spec(train=spec.train, verdict=spec.verdict.model_copy(update={"columns": ()})).spec
    moved = TrainingWindow(("a", "b"), (), ("c",), {})
    found = {
        training_config_hash(Deployment(of, home.runtime), to)
        for of, to in ((spec, split), (other, split), (spec, moved))
    }
    assert len(found) == 3


def test_a_column_that_the_verdict_needs_and_nobody_has_stops_before_the_fit(home) -> None:
    verdict = home.spec.verdict.model_copy(update={"columns": ("origin", "tail")})
    with pytest.raises(ModelError, match="flights has no column tail, which `verdict"):
        train_candidate(Deployment(home.with_spec(verdict=verdict).spec, home.runtime), home.week(6))


def test_the_commit_of_the_code_is_known_where_there_is_one(tmp_path) -> None:
    def git(*asked: str) -> None:
        who = ("-c", "user.name=a", "-c", "user.email=a@example.com")
        subprocess.run(["git", *who, *asked], cwd=tmp_path, check=True, capture_output=True)

    assert evidence.git_commit(tmp_path) is None
    git("init", "-q")
    (tmp_path / "model.py").touch()
    git("add", ".")
    git("commit", "-qm", "first")
    commit = evidence.git_commit(tmp_path)
    assert commit is not None
    assert len(commit) == 40
    (tmp_path / "model.py").write_text("changed")
    assert evidence.git_commit(tmp_path) == f"{commit}+"


def test_pickle_is_a_warning_in_the_verdict(home) -> None:
    spec = home.with_spec(train=home.spec.train.model_copy(update={"serialization": "pickle"})).spec
    planned = plan_training(Deployment(spec, home.runtime), home.week(5))
    with import_project_code(planned.code) as build_model:
        built = fit_candidate(planned, build_model)
    assert any("pickle, which runs code" in text for text in evidence.training_warnings(planned, built))
