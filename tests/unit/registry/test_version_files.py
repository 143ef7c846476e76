"""No file of a model is opened before it is known to be the one that was judged; what lies beside them is harmless."""

from __future__ import annotations

import os
import pickle
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from tradewind.champion.rollback import roll_back_to_version
from tradewind.errors import ModelError, ModelFilesChanged
from tradewind.isolation.model_client import ModelHost
from tradewind.ledger import completion, shadows
from tradewind.ledger.champions import ChampionChange
from tradewind.registry import archive
from tradewind.registry.manifest import model_folder_digest
from tradewind.registry.model_registry import ModelRegistry
from tradewind.registry.version_files import judged_files, open_model
from tradewind.scoring import shadow
from tradewind.scoring.batch_scoring import score_population
from tradewind.training.candidate import train_candidate
from tradewind.training.reproduction import reproduce_version
from tradewind.upkeep import archiving
from tradewind.verdict.judgement import judge_candidate_version

# MLflow's own SQL store, under the newest SQLAlchemy.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")

LOAD = "import sys, mlflow; mlflow.set_tracking_uri(sys.argv[1]); mlflow.pyfunc.load_model('models:/delays/2')"


@pytest.fixture(scope="module")
def origin(built, tmp_path_factory):
    """Versions 1 and 2, the second one with files of its own; 2 is champion from week 6, 1 was before it."""
    house = built(tmp_path_factory.mktemp("opening"))
    house = house.with_spec(promotion=house.spec.promotion.model_copy(update={"shadow": 1}))
    train_candidate(house.deployment, house.week(4))
    registry = ModelRegistry(house.runtime, "delays")
    first = registry.get("1")
    with registry.folder(first) as folder:
        other = shutil.copytree(folder, folder.parent / "second")
    registry.client.create_model_version("delays", other.as_uri(), first.mlflow_run_id, tags=dict(first.tags))
    (trained,) = house.ledger.find("delays", "trained")
    evidence = {**trained.evidence, "version": "2"}
    house.ledger.append(
        replace(trained, id=None, subject="2", partition=house.week(5), key="2", evidence=evidence)
    )  # fmt: skip
    for version, decided in (("1", 4), ("2", 5)):
        change = ChampionChange("delays", 0, "delays", version, house.week(6), house.week(decided), evidence={})
        house.ledger.promote(change, expected=int(version) - 1)
    for number in range(3, 8):
        completion.record_completion(house.ledger, "delays", "train", house.week(number), cause="settled")
    return house


@pytest.fixture
def house(origin, tmp_path):
    """With a lake and a ledger of its own; the registry's files are put back afterwards."""
    shutil.copytree(origin.runtime.lake, tmp_path / "lake")
    shutil.copy(origin.runtime.ledger.removeprefix("sqlite:///"), tmp_path / "ledger.db")
    moved = {"lake": str(tmp_path / "lake"), "ledger": f"sqlite:///{tmp_path}/ledger.db", "reports": tmp_path / "r"}
    return replace(origin, runtime=replace(origin.runtime, **moved))


@pytest.fixture
def files(house) -> Iterator[Callable[[str], Path]]:
    """Folders of versions, which are as they were when the test is over."""
    kept: dict[Path, Path] = {}

    def folder_of(version: str) -> Path:
        registry = ModelRegistry(house.runtime, "delays")
        with registry.folder(registry.get(version)) as folder:
            if folder not in kept:
                kept[folder] = shutil.copytree(folder, Path(house.runtime.lake).parent / f"kept{version}")
        return folder

    yield folder_of
    for folder, copy in kept.items():
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(copy, folder)


class Payload:
    """What runs code when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (str(self.canary), "w")


def poison(folder: Path, canary: Path) -> None:
    """Turn the model's file into a pickle, and say in MLmodel that it is one."""
    described = yaml.safe_load((folder / "MLmodel").read_text())
    described["flavors"]["sklearn"]["serialization_format"] = "pickle"
    (folder / "MLmodel").write_text(yaml.safe_dump(described))
    (folder / described["flavors"]["sklearn"]["pickled_model"]).write_bytes(pickle.dumps(Payload(canary)))


def swap(folder: Path, canary: Path) -> None:
    """Other code, which runs when it is imported."""
    code = folder / "code" / "delays_model" / "transformers.py"
    code.write_text(f"open({str(canary)!r}, 'w')\n{code.read_text()}")


def opened(house, version: str):
    found = ModelRegistry(house.runtime, "delays").get(version)
    return open_model(house.deployment, found, warm=False)


def version_2(house):
    return ModelRegistry(house.runtime, "delays").get("2")


def scores(house) -> str:
    scored = score_population(house.deployment, house.week(5))
    assert (scored.version, scored.served_by) == ("1", "previous_champion")
    return house.ledger.find("delays", "note", subject="fallback")[0].reason


def shadows_it(house) -> str:
    shadows.record_shadow_begin(
        house.ledger, "delays", house.week(5), version="2", populations=[house.week(7)], judged_at=house.week(8),
        verdict_key="v", actor="a", run_id="r",
    )  # fmt: skip
    done = shadow.score_shadow(house.deployment, house.week(6))
    assert done is not None
    assert done.rows == 0
    return done.reason


def judges_the_candidate(house) -> str:
    judged = judge_candidate_version(house.deployment, house.week(5))
    assert (judged.candidate, judged.outcome) == ("2", "rejected")
    return judged.reason


def judges_beside_the_champion(house) -> str:
    trained = house.ledger.find("delays", "trained", subject="1")[0]
    house.ledger.append(replace(trained, id=None, partition=house.week(7), key="again"))
    judged = judge_candidate_version(house.deployment, house.week(7))
    assert (judged.candidate, judged.champion) == ("1", "2")
    return judged.reason


def rolls_back(house) -> str:
    third = ChampionChange("delays", 0, "delays", "1", house.week(6), None, evidence={})
    house.ledger.promote(third, expected=2)
    with pytest.raises(ModelError, match="version 2 cannot serve, so version 1 stays champion") as caught:
        roll_back_to_version(house.deployment, to_version="2", reason="r", actor="ann")
    assert house.ledger.champions("delays")[-1].model_version == "1"
    return str(caught.value)


def reproduces(house) -> str:
    result = reproduce_version(house.deployment, "2")
    assert result.outcome == "impossible"
    return result.reason


PATHS = [scores, shadows_it, judges_the_candidate, judges_beside_the_champion, rolls_back, reproduces]


@pytest.mark.parametrize("spoil", [poison, swap])
@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.__name__)
def test_no_path_opens_a_file_that_is_not_the_one_that_was_judged(house, files, tmp_path, path, spoil) -> None:
    canary = tmp_path / "ran"
    spoil(files("2"), canary)
    told = path(house)
    assert "not those that were trained and judged" in told
    assert "model.skops has changed" in told if spoil is poison else "transformers.py has changed" in told
    assert not canary.exists()


@pytest.mark.parametrize("spoil", [poison, swap])
def test_the_attacks_of_this_file_do_run_where_nobody_checks(house, files, tmp_path, spoil) -> None:
    canary = tmp_path / "ran"
    spoil(files("2"), canary)
    with ModelHost(files("2"), name="unchecked", warm=False) as host, suppress(ModelError):
        _ = host.columns
    assert canary.exists()


def test_what_was_spoilt_before_it_was_archived_is_refused_when_it_comes_back(house, files, tmp_path) -> None:
    canary = tmp_path / "ran"
    poison(files("2"), canary)
    house.ledger.promote(ChampionChange("delays", 0, "delays", "1", house.week(6), None, evidence={}), expected=2)
    found, registry = version_2(house), ModelRegistry(house.runtime, "delays")
    archiving._archive_version(house.deployment, found, registry, reason="t")
    # Champions are not archived by upkeep; here one is packed all the same.
    archive.pack_version(house.deployment, found, registry, reason="t")
    with (
        pytest.raises(ModelFilesChanged, match=r"its files in the archive are not those .* has changed"),
        judged_files(house.deployment, found),
    ):
        pass
    with pytest.raises(ModelError, match="version 2 cannot serve"):
        roll_back_to_version(house.deployment, to_version="2", reason="r", actor="ann")
    assert not canary.exists()


def test_a_file_that_is_exchanged_after_the_check_is_not_the_one_that_is_loaded(house, files, tmp_path) -> None:
    canary = tmp_path / "ran"
    with judged_files(house.deployment, version_2(house)) as folder:
        poison(files("2"), canary)
        assert stat.S_IMODE(folder.parent.stat().st_mode) == 0o700
        with ModelHost(folder, name="checked", warm=False) as host:
            assert host.columns
    assert not canary.exists()
    assert not folder.exists()


def test_every_missing_and_changed_file_is_named(house, files) -> None:
    (files("2") / "conda.yaml").unlink()
    requirements = files("2") / "requirements.txt"
    size = requirements.stat().st_size
    requirements.write_text("scikit-learn\n")
    with pytest.raises(ModelFilesChanged) as caught, opened(house, "2"):
        pass
    assert f"conda.yaml is missing; requirements.txt has changed ({size} bytes then, 13 now)" in str(caught.value)
    assert "None was loaded. Restore them from a backup, or go to another version: `tradewind rollback" in str(
        caught.value
    )


@pytest.mark.slow
def test_loading_a_version_with_mlflow_does_not_take_it_out_of_service(house, files) -> None:
    before = set(files("2").rglob("*"))
    quiet = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false"}
    done = subprocess.run(
        [sys.executable, "-c", LOAD, house.runtime.mlflow], env=quiet, capture_output=True, text=True, timeout=300,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert files("2") / "registered_model_meta" in set(files("2").rglob("*")) - before  # else this tries nothing
    scored = score_population(house.deployment, house.week(5))
    assert (scored.version, scored.served_by) == ("2", "champion")
    (note,) = house.ledger.find("delays", "note", subject="foreign files/2")
    assert "registered_model_meta" in note.evidence["files"]


def test_foreign_files_are_told_once_and_are_not_among_what_the_model_can_load(house, files, tmp_path) -> None:
    canary = tmp_path / "ran"
    planted = files("2") / "code" / "aaa" / "__init__.py"  # a package beside the model's: its process imports each
    planted.parent.mkdir()
    planted.write_text(f"open({str(canary)!r}, 'w')\n")
    beside = files("2") / "code" / "delays_model" / "sitecustomize.py"
    beside.write_text(f"open({str(canary)!r}, 'w')\n")
    cache = files("2") / "code" / "delays_model" / "__pycache__"
    cache.mkdir()
    (cache / f"transformers.{sys.implementation.cache_tag}.pyc").write_bytes(b"of somebody")
    for _ in range(2):
        with opened(house, "2") as model:
            assert model.host.columns
            assert not [path for path in model.folder.rglob("*") if path.name in ("aaa", beside.name, cache.name)]
    assert not canary.exists()
    (note,) = house.ledger.find("delays", "note", subject="foreign files/2")
    assert note.evidence["files"] == [
        "code/aaa/__init__.py", "code/delays_model/__pycache__/", "code/delays_model/sitecustomize.py"
    ]  # fmt: skip
    assert "which are none of the model's; they are not loaded" in note.reason
    for path in (planted, beside):
        path.unlink()
    shutil.rmtree(cache)
    with opened(house, "2"):
        pass
    assert house.ledger.find("delays", "note", subject="foreign files/2")[-1].evidence["files"] == []


def of_earlier_release(house, version: str, digest: str | None) -> None:
    """The version's training as an earlier release wrote it down."""
    trained = house.ledger.find("delays", "trained", subject=version)[-1]
    told = {name: value for name, value in trained.evidence.items() if name != "model_files"}
    house.ledger.append(replace(trained, id=None, key="old", evidence={**told, "model_digest": digest}))


def test_a_version_with_the_digest_of_its_whole_folder_goes_on_serving(house, files) -> None:
    of_earlier_release(house, "2", model_folder_digest(files("2")))
    (files("2") / "registered_model_meta").write_text("{}")
    with opened(house, "2") as model:
        assert model.host.columns
        assert not (model.folder / "registered_model_meta").exists()
    (files("2") / "code" / "delays_model" / "more.py").write_text("")
    with pytest.raises(ModelFilesChanged, match="the digest of the folder is"), opened(house, "2"):
        pass


def test_a_version_of_before_there_were_digests_is_loaded_and_it_is_said(house, caplog) -> None:
    of_earlier_release(house, "2", None)
    with opened(house, "2") as model:
        assert model.host.columns
    assert "logged it without a digest, so its files cannot be checked" in caplog.text


def test_a_version_that_the_ledger_does_not_know_is_not_opened(house) -> None:
    found = replace(version_2(house), version="9")
    with (
        pytest.raises(ModelError, match="version 9: the ledger knows nothing"),
        judged_files(house.deployment, found),
    ):
        pass


def test_a_manifest_that_was_edited_in_mlflow_is_not_taken_down(house, files) -> None:
    registry, found = ModelRegistry(house.runtime, "delays"), version_2(house)
    assert registry.manifest(found) is not None
    assert registry.manifest(replace(found, tags={**found.tags, "tradewind.model_digest": "0" * 64})) is None
