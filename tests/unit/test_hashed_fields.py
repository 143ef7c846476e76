"""For each field of the YAML this states which stages hash it. The hashes are computed, and compared with that.

A stage whose hash omits a field that it uses would keep results that are out of date. A new field of the YAML is stated
nowhere, so these tests fail until its author has decided which stages it concerns.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel
from tests.delays_pipeline import FEATURES, POPULATION, runtime, spec

from tradewind.deployment import Deployment
from tradewind.errors import SpecError
from tradewind.monitoring.drift_rows import drift_config_hash
from tradewind.monitoring.performance_rows import performance_config_hash
from tradewind.monitoring.profile_rows import profile_config_hash
from tradewind.scoring.batch_scoring import scoring_config_hash
from tradewind.spec.pipeline import Pipeline
from tradewind.training.fitting import training_config_hash
from tradewind.training.window import TrainingWindow
from tradewind.verdict.judgement import verdict_config_hash

WINDOW = TrainingWindow(("2013-01-28",), (), ("2013-02-04",), {}, "")
HASHES: dict[str, Callable[[Deployment], str]] = {
    "profiles": profile_config_hash,
    "drift": lambda deployment: drift_config_hash(deployment.spec),
    "performance": lambda deployment: performance_config_hash(deployment, ["2013-01-28"]),
    "score": scoring_config_hash,
    "train": lambda deployment: training_config_hash(deployment, WINDOW),
    "verdict": lambda deployment: verdict_config_hash(deployment, None),
}


# Fields by the stages whose hash has them. A dataset hashes the whole of its part: tests/unit/spec/test_digest.py.
HASHED_BY: dict[tuple[str, ...], Mapping[str, str]] = {
    # What is read of datasets and features is in a cause by the digest of its rows. The rest says who is told, what
    # happens to a model that is there, how long things are kept, and which partitions make up a window, which is
    # hashed itself. Of `metrics` a stage hashes those that it uses, each with its code. `train.gap` and
    # `train.label.available_after` are in the training's hash as what they amount to.
    (): {
        "": "datasets description end metrics owner pipeline runbook schedule start",
        "alerts": "channels deadline decay drift no_champion rejected",
        "features": "corrections lookback views",
        "features.skew": "at_most sample",
        "promotion": "approvers mode shadow timeout",
        "retention": "history models quarantine",
        "retrain": "budget cooldown wait_for_drifted",
        "retrain.when": "decay drift every",
        "score.population.limits": "columns page_time size time unpacked",
        "train": "complete patience refit_change test validation window",
    },
    ("train",): {
        "train": "gap model params serialization trusted",
        "train.checks": "constant leakage_at_least min_rows missing_labels_at_most on_leakage",
        "train.early": "at_least at_most metric rows",
        "train.label": "available_after",
        "train.search": "metric space time trials",
    },
    ("score",): {
        "score": "fallback",
        "score.population": "columns connection delimiter deterministic empty files format late max_bad_rows missing "
        "new_columns nulls references sql wait_for",
    },
    ("verdict",): {"": "gates", "train": "refit", "verdict": "correction heuristics resamples"},
    ("drift",): {"monitor": "horizons", "monitor.drift": "fdr floor min_rows tests"},
    ("performance",): {"monitor.performance": "at_least at_most metric min_rows"},
    ("profiles", "score", "train", "verdict"): {"features": "definitions", "train": "columns service"},
    ("profiles", "score", "train"): {"score": "ahead predict_at"},
    ("profiles", "train"): {"train.label": "dataset"},
    ("train", "verdict"): {"train": "seed", "verdict": "columns"},
    ("performance", "train"): {"train": "task", "train.label": "column"},
    ("performance", "score", "train"): {"score.population": "key"},
    # Profiles use it where `predict_at` is `event`, and do not hash it: adding it would make every profile stale.
    ("score", "train"): {"score.population": "timestamp"},
    ("performance", "profiles", "score", "train", "verdict"): {"": "timezone"},
    ("profiles",): {"": "partition"},
}


def stated_fields() -> dict[str, tuple[str, ...]]:
    """The stages that hash a field, by the path of the field."""
    return {
        f"{section}.{name}".removeprefix("."): stages
        for stages, sections in HASHED_BY.items()
        for section, names in sections.items()
        for name in names.split()
    }


def full_spec() -> Pipeline:
    """A pipeline that has every section, so that each field of the YAML has a value that can be changed."""
    given = spec().model_dump(mode="json", exclude_unset=True)
    given["features"]["views"] = {"carrier_week": 8}
    given["score"]["population"]["references"] = {"airports": {"files": "{landing}/airports.csv"}}
    given["train"] |= {
        "gap": "2d",
        "search": {"space": "include/delays_model/model.py:space", "metric": "roc_auc", "time": "1h"},
        "early": {"metric": "roc_auc", "at_least": 0.5},
        "validation": 1,
    }
    given["monitor"] = {"performance": {"metric": "roc_auc", "at_least": 0.5}}
    return Pipeline.model_validate(given)


def changed_copies(model: BaseModel, path: str = "") -> Iterator[tuple[str, BaseModel]]:
    """Each field of a model and of the models in it, by its path, with a copy in which only it differs."""
    for name, field in type(model).model_fields.items():
        value, here = getattr(model, name), f"{path}{name}"
        if isinstance(value, BaseModel):
            for inner, copy in changed_copies(value, f"{here}."):
                yield inner, model.model_copy(update={name: copy})
        else:
            choices = [choice for choice in get_args(field.annotation) if isinstance(choice, str) and choice != value]
            changed = choices[0] if choices else another_value(value)
            yield here, model.model_copy(update={name: changed})


def another_value(value: Any) -> Any:
    """A value of the same type that differs."""
    if isinstance(value, BaseModel):
        return next(changed_copies(value))[1]
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, timedelta):
        return value + timedelta(hours=1)
    if isinstance(value, tuple):
        return (*value, value[0] if value else "other")
    if isinstance(value, dict):
        first = next(iter(value), "other")
        return {**value, first: another_value(value.get(first))}
    return f"{value or ''}other"


def hashed_fields(folder: Path, hash_of: Callable[[Deployment], str]) -> set[str]:
    """Fields whose change changes the hash, or makes it name a file that is absent."""
    places = runtime(folder)
    before = hash_of(Deployment(full_spec(), places))

    def is_hashed(changed: BaseModel) -> bool:
        assert isinstance(changed, Pipeline)
        try:
            return hash_of(Deployment(changed, places)) != before
        except (SpecError, FileNotFoundError, KeyError):  # of a file or a metric whose name was changed
            return True

    return {path for path, changed in changed_copies(full_spec()) if is_hashed(changed)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project with the files that hashes read."""
    code = tmp_path / "project" / "include" / "delays_model"
    code.mkdir(parents=True)
    (code / "features.py").write_text(textwrap.dedent(FEATURES))
    (code / "population.sql").write_text(POPULATION)
    return tmp_path


def test_each_field_of_the_yaml_is_stated_once() -> None:
    listed = [name for sections in HASHED_BY.values() for names in sections.values() for name in names.split()]
    assert set(stated_fields()) == {path for path, _ in changed_copies(full_spec())}
    assert len(listed) == len(stated_fields())


@pytest.mark.parametrize("stage", HASHES)
def test_a_stage_hashes_the_fields_that_are_stated(folder: Path, stage: str) -> None:
    stated = {path for path, stages in stated_fields().items() if stage in stages}
    assert hashed_fields(folder, HASHES[stage]) == stated
