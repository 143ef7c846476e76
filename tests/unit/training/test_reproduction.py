"""A version is made again from what was recorded of it; what is not as it was is named."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.delays_pipeline import House

from tradewind.cli import deployments
from tradewind.cli.reproduce import reproduce_model as command
from tradewind.errors import UsageError
from tradewind.ledger.champions import ChampionChange
from tradewind.ledger.journal import Entry
from tradewind.registry import archive
from tradewind.registry.model_registry import ModelRegistry, RegisteredVersion
from tradewind.training.candidate import train_candidate
from tradewind.training.reproduction import Reproduction, reproduce_version
from tradewind.upkeep import archiving

Edit = Callable[[str], str]


@pytest.fixture(scope="module")
def trained(built: Callable[[Path], House], tmp_path_factory: pytest.TempPathFactory) -> House:
    """A deployment with version 1, trained on weeks 2 to 4 and judged on week 5, with names that are no text."""
    house = built(tmp_path_factory.mktemp("reproduce"))
    assert house.spec.train is not None
    params = {"class_weight": {0: 1.0, 1: 2.0}}
    house = house.with_spec(train=house.spec.train.model_copy(update={"params": params}))
    train_candidate(house.deployment, house.week(5))
    return house


def again(house: House, version: str | None = "1") -> Reproduction:
    return reproduce_version(house.deployment, version)


def version(house: House) -> RegisteredVersion:
    return ModelRegistry(house.runtime, "delays").get("1")


@contextmanager
def edited(path: Path, change: Edit) -> Iterator[None]:
    text = path.read_text()
    changed = change(text)
    assert changed != text
    path.write_text(changed)
    try:
        yield
    finally:
        path.write_text(text)


@contextmanager
def evidence(house: House, name: str, change: Edit) -> Iterator[None]:
    with ModelRegistry(house.runtime, "delays").evidence(version(house)) as folder, edited(folder / name, change):
        yield


def test_a_version_comes_out_identical_whatever_code_yaml_and_data_are_by_now(
    trained: House, publish_week: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = {path: path.stat().st_mtime_ns for path in Path(trained.runtime.project).parent.glob("*.db")}
    publish_week(trained, 3, seed=9)
    assert trained.spec.train is not None
    other = trained.with_spec(
        train=trained.spec.train.model_copy(update={"seed": 8, "params": {"C": 0.01}, "window": 3})
    )
    model = trained.runtime.project / "include" / "delays_model" / "model.py"

    with edited(model, lambda text: text.replace("max_iter=500", "max_iter=1")):
        result = again(other)

    assert (result.outcome, result.differences, result.notes) == ("identical", (), ())
    assert result.rows > 300
    assert result.metrics is not None
    assert all(then == now for then, now in result.metrics.values())
    assert "roc_auc" in result.metrics
    (entry,) = trained.ledger.find("delays", "reproduced")
    assert (entry.subject, entry.partition, entry.outcome) == ("1", trained.week(5), "identical")
    # Nothing else was written anywhere.
    assert archive.list_model_versions("delays", trained.runtime) == ["1"]
    assert trained.ledger.champions("delays") == []
    changed = {path.name for path, at in before.items() if path.stat().st_mtime_ns != at}
    assert changed == {"ledger.db"}
    assert list(tmp_path.iterdir()) == []


def test_code_that_was_edited_beside_the_model_is_named_and_never_imported(trained: House, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    with ModelRegistry(trained.runtime, "delays").folder(version(trained)) as files:
        model = files / "code" / "delays_model" / "model.py"
        with edited(model, lambda text: f"{text}\nopen({str(ran)!r}, 'w')\n"):
            result = again(trained)
    assert result.outcome == "impossible"
    assert "code/delays_model/model.py has changed" in result.reason
    assert not ran.exists()


def test_data_that_is_not_what_it_was_is_named_by_dataset_and_partition(trained: House) -> None:
    import pyarrow.parquet as pq

    found = version(trained)
    at = json.loads(found.tags["tradewind.dataset_versions"])["flights"]
    dataset = trained.lake.dataset("delays", "flights")
    snapshot = dataset.snapshot(at)
    assert snapshot is not None
    (file,) = snapshot.partitions[trained.week(2)].files
    path, kept = Path(dataset.uri) / file, Path(dataset.uri).parent / "kept.parquet"
    shutil.copy(path, kept)
    rows = pq.read_table(path)
    pq.write_table(rows.set_column(rows.column_names.index("late"), "late", rows["late"].fill_null(True)), path)
    try:
        changed = again(trained)
        path.unlink()
        gone = again(trained)
    finally:
        shutil.move(kept, path)
    assert changed.outcome == "different"
    assert f"data: dataset flights, partition {trained.week(2)}: its digest was 2." in changed.reason
    assert gone.outcome == "impossible"
    assert f"files of partition {trained.week(2)} are gone, vacuumed or erased" in gone.reason


def test_a_version_whose_evidence_or_code_is_gone_says_what(trained: House) -> None:
    with (
        ModelRegistry(trained.runtime, "delays").evidence(version(trained)) as folder,
        ModelRegistry(trained.runtime, "delays").folder(version(trained)) as files,
    ):
        for path, told in (
            (folder / "lineage.json", "lineage.json is not among its evidence"),
            (folder / "test.parquet", "the test rows are not among its evidence"),
            (files / "code" / "delays_model", "code/delays_model/model.py is missing"),
        ):
            path.rename(path.with_name("away"))
            try:
                result = again(trained)
            finally:
                path.with_name("away").rename(path)
            assert (result.outcome, told in result.reason) == ("impossible", True)


def test_the_command_names_what_differs_with_the_libraries_that_may_be_why(
    trained: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deployments, "find_pipeline", lambda name: trained.spec)
    monkeypatch.setattr(deployments, "find_runtime", lambda actor: replace(trained.runtime, actor=actor))

    def other(text: str) -> str:
        return json.dumps({**json.loads(text), "roc_auc": {"value": 0.123}})

    def older(text: str) -> str:
        made = json.loads(text)
        return json.dumps({**made, "libraries": {**made["libraries"], "scikit-learn": "1.0.0"}})

    def run(*arguments: str) -> tuple[int, str]:
        done = CliRunner().invoke(command, [*arguments, "--by", "ann"])
        if isinstance(done.exception, UsageError):
            return 2, str(done.exception)
        return done.exit_code, done.output

    with evidence(trained, "environment.json", older):
        same = run("delays/1")
        with evidence(trained, "metrics.json", other):
            code, text = run("delays/1", "--json")
    assert same[0] == 0
    assert same[1].startswith(
        f"delays version 1, trained at {trained.week(5)}: identical\ndata and code are the same; "
    )
    assert "made with other versions, to the same result: scikit-learn 1.0.0 then" in same[1]
    told = json.loads(text)
    assert (code, told["outcome"], told["tolerance"]) == (1, "different", 1e-6)
    assert [(one["about"], one["text"].split(" and ")[0].split(",")[0]) for one in told["differences"]] == [
        ("metrics", "roc_auc was 0.123"),
        ("libraries", "scikit-learn 1.0.0 then"),
    ]
    assert trained.ledger.find("delays", "reproduced")[-1].actor == "ann"
    assert run("delays/9") == (2, "the model registry has no version 9 of delays; there are 1")
    assert run("delays") == (2, "delays has no champion yet; name a version: delays/VERSION")


def test_an_archived_version_is_made_again_from_its_pack_and_one_whose_rows_were_erased_is_not(trained: House) -> None:
    house = trained
    house.ledger.append(Entry("delays", "trained", "2", house.week(6), "newer"))
    archived = archiving.archive_old_versions(house.deployment, now=datetime(2200, 1, 1, tzinfo=UTC))
    assert [one.version for one in archived] == ["1"]
    assert again(house).outcome == "identical"
    assert not archive.has_version_files(version(house), house.runtime)
    why = "rows that it was made from were erased on 2014-01-01; it cannot be made again"
    house.ledger.append(Entry("delays", "erased", "1", None, "1/-/x", reason=why, actor="ann"))
    result = again(house)
    assert (result.outcome, result.partition) == ("impossible", house.week(5))
    assert result.reason == f"delays version 1: {why} (by ann)"
    house.ledger.promote(ChampionChange("delays", 0, "delays", "1", house.week(7), house.week(5)), expected=0)
    assert again(house, None).version == "1"  # the champion, where no version is named
