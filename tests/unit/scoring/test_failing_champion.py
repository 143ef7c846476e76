"""A champion that loads and fails while it predicts: the next in line serves the whole population, or nobody does."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tradewind.deployment import Deployment
from tradewind.errors import ModelError
from tradewind.ledger import completion
from tradewind.ledger.champions import ChampionChange
from tradewind.registry.manifest import Manifest
from tradewind.registry.model_registry import ModelRegistry
from tradewind.scoring import batch_scoring as scoring
from tradewind.scoring.batch_scoring import ScoredPopulation, score_population
from tradewind.training import prediction_rows
from tradewind.training.candidate import train_candidate

SPOILED = """

_asked, _transform = [], Known.transform

def transform(self, X):
    _asked.append(X)
    if len(_asked) == {batch}:
        {how}
    return _transform(self, X)

Known.transform = transform
"""
RAISES, DIES = "raise LookupError('no such carrier')", "import os; os._exit(9)"


@pytest.fixture(scope="module")
def two(built, tmp_path_factory):
    """Versions 1 and 2, both champions from week 6, the second after the first."""
    house = built(tmp_path_factory.mktemp("two"))
    train_candidate(house.deployment, house.week(4))
    copy(house, "1", as_version="2")
    for version, decided in (("1", 4), ("2", 5)):
        change = ChampionChange("delays", 0, "delays", version, house.week(6), house.week(decided), evidence={})
        house.ledger.promote(change, expected=int(version) - 1)
    for number in range(3, 8):
        completion.record_completion(house.ledger, "delays", "train", house.week(number), cause="settled")
    return house


def copy(house, version: str, *, as_version: str) -> None:
    """Register a version again, with files of its own."""
    registry = ModelRegistry(house.runtime, "delays")
    first = registry.get(version)
    with registry.folder(first) as folder:
        files = shutil.copytree(folder, folder.with_name("copy"))
    made = registry.client.create_model_version("delays", files.as_uri(), first.mlflow_run_id, tags=dict(first.tags))
    assert str(made.version) == as_version
    entry = house.ledger.find("delays", "trained")[0]
    house.ledger.append(replace(entry, id=None, key="copy", subject=as_version, partition=house.week(5)))


@pytest.fixture
def spoil(two, monkeypatch, request) -> Iterator[Callable[..., None]]:
    """Makes a version fail in one of the seven batches of a population."""
    monkeypatch.setattr(prediction_rows, "BATCH_ROWS", 64)
    # What another test published does not count.
    monkeypatch.setattr(scoring, "CODE", request.node.name)
    registry = ModelRegistry(two.runtime, "delays")
    before: dict[tuple[str, Path], str] = {}

    def change(version: str, *, how: str, batch: int) -> None:
        with registry.folder(registry.get(version)) as folder:
            code = folder / "code" / "delays_model" / "transformers.py"
            before.setdefault((version, code), code.read_text())
            code.write_text(before[version, code] + SPOILED.format(how=how, batch=batch))
        record(two, version)

    yield change
    dataset = two.lake.dataset("delays", "predictions")
    if dataset.snapshot() is not None:  # what one test published is not what the next one finds
        shutil.rmtree(dataset.uri)
    for (version, code), text in before.items():
        code.write_text(text)
        record(two, version)


def record(house, version: str) -> None:
    """The version's files as they are now are those of its training."""
    registry, trained = ModelRegistry(house.runtime, "delays"), house.ledger.find("delays", "trained")
    with registry.folder(registry.get(version)) as folder:
        now = Manifest.from_folder(folder)
    newest = [entry for entry in trained if entry.subject == version][-1]
    evidence = {**newest.evidence, "model_digest": now.digest, "model_files": now.as_json()}
    house.ledger.append(replace(newest, id=None, key=f"recorded/{len(trained)}", evidence=evidence))


def falling_back_to(house, *fallback: str):
    return house.with_spec(score=house.spec.score.model_copy(update={"fallback": fallback})).spec


def rows(house):
    return house.lake.dataset("delays", "predictions").snapshot().arrow([house.week(6)]).to_table()


def test_the_previous_champion_serves_the_whole_population(two, spoil) -> None:
    spoil("2", how=RAISES, batch=7)
    scored = score_population(two.deployment, two.week(5))
    assert (scored.version, scored.served_by, scored.rows) == ("1", "previous_champion", 400)
    assert set(rows(two)["served_by"].to_pylist()) == {"previous_champion"}
    assert set(rows(two)["model_version"].to_pylist()) == {"1"}
    note = two.ledger.find("delays", "note", subject="fallback")[0]
    assert (note.partition, note.outcome, note.evidence) == (
        two.week(6), "previous_champion", {"champion": "2", "served": "1"},
    )  # fmt: skip
    assert note.reason.startswith("version 2 cannot serve: model delays version 2")


def test_files_that_are_not_those_that_were_judged_serve_nobody(two, spoil) -> None:
    with ModelRegistry(two.runtime, "delays").folder(ModelRegistry(two.runtime, "delays").get("2")) as folder:
        code = folder / "code" / "delays_model" / "transformers.py"
        judged = code.read_text()
        code.write_text(f"{judged}\nEDITED = True\n")
    try:
        assert score_population(two.deployment, two.week(5)).served_by == "previous_champion"
        with pytest.raises(
            ModelError,
            match=r"delays version 2: its files in .* not those .* judged: code/delays_model/transformers.py has",
        ):
            score_population(Deployment(falling_back_to(two), two.runtime), two.week(5))
    finally:
        code.write_text(judged)


def test_a_champion_that_is_well_again_serves_again(two, spoil) -> None:
    spoil("2", how=DIES, batch=7)
    assert (
        score_population(Deployment(falling_back_to(two, "majority"), two.runtime), two.week(5)).served_by == "majority"
    )
    spoil("2", how=DIES, batch=8)
    assert score_population(two.deployment, two.week(5)) == ScoredPopulation(two.week(6), 400, "2", "champion", True)


def test_of_two_that_fail_neither_serves_a_row(two, spoil) -> None:
    spoil("2", how=RAISES, batch=1)
    spoil("1", how=DIES, batch=6)
    scored = score_population(two.deployment, two.week(5))
    assert (scored.version, scored.served_by) == ("2", "majority")
    share = two.ledger.find("delays", "trained")[1].evidence["positive_share"]
    assert set(rows(two)["probability"].to_pylist()) == {share}


def test_without_a_fallback_nothing_is_published_and_it_is_said_what_to_do(two, spoil) -> None:
    spoil("2", how=RAISES, batch=7)
    dataset = two.lake.dataset("delays", "predictions")
    before = dataset.snapshot().version if dataset.snapshot() else None
    words = r"(?s)delays version 2 .*predict: LookupError.*`score.fallback` is empty.*`tradewind rollback delays --to"
    with pytest.raises(ModelError, match=words):
        score_population(Deployment(falling_back_to(two), two.runtime), two.week(5))
    assert (dataset.snapshot().version if dataset.snapshot() else None) == before


def test_the_ledger_of_before_tells_the_majority_by_its_share(two) -> None:
    """An entry from before there were tasks."""
    from tradewind.scoring.predictor import _majority_and_partitions

    entry = two.ledger.find("delays", "trained")[0]
    evidence = {name: value for name, value in entry.evidence.items() if name != "majority"}
    old = replace(entry, id=None, key="old", subject="77", evidence={**evidence, "positive_share": 0.25})
    two.ledger.append(old)
    assert _majority_and_partitions(two.spec, "77", two.ledger)[0] == {"classes": [0, 1], "shares": [0.75, 0.25]}
