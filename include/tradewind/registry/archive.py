"""The archive of model versions: their files are packed beside their evidence, and brought back when needed.

A pack is written and read back before anything is removed, and the ledger says so first. Whatever is killed in between
is finished by the next upkeep.
"""

from __future__ import annotations

import hashlib
import io
import logging
import tarfile
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tradewind.errors import ModelError
from tradewind.ledger.journal import Entry, Ledger
from tradewind.registry.model_registry import (
    ALIAS,
    ModelRegistry,
    RegisteredVersion,
    create_mlflow_client,
    translate_mlflow_errors,
)

if TYPE_CHECKING:
    from tradewind.core.runtime import Runtime
    from tradewind.deployment import Deployment

log = logging.getLogger(__name__)

ARCHIVED = "tradewind.archived"
"""Tag of a model version: when and why it was archived."""
FOLDER, PACK = "archive", "model.tar.xz"


def archive_registered_model(name: str, runtime: Runtime, *, reason: str) -> list[str]:
    """Tag every version of a registered model as archived and take the alias ``champion`` away.

    Versions, runs and evidence stay. What is archived already is left as it is.

    :param name: of the registered model
    :return: the versions that there are, oldest first; empty if nothing was ever registered
    :raises Unavailable: the registry does not answer
    """
    registry = create_mlflow_client(runtime)
    with translate_mlflow_errors(f"the versions of {name} cannot be archived"):
        if not registry.search_registered_models(f"name = '{name}'"):
            return []
        versions = sorted(registry.search_model_versions(f"name = '{name}'"), key=lambda found: int(found.version))
        text = f"{datetime.now(UTC):%Y-%m-%d}: {reason}"
        for version in versions:
            if ARCHIVED not in version.tags:
                registry.set_model_version_tag(name, version.version, ARCHIVED, text)
        if ALIAS in registry.get_registered_model(name).aliases:
            registry.delete_registered_model_alias(name, ALIAS)
    return [str(version.version) for version in versions]


def list_model_versions(name: str, runtime: Runtime) -> list[str]:
    """Versions of a registered model, oldest first.

    :raises Unavailable: the registry does not answer
    """
    with translate_mlflow_errors(f"the versions of {name} cannot be looked up"):
        found = create_mlflow_client(runtime).search_model_versions(f"name = '{name}'")
    return [str(number) for number in sorted(int(version.version) for version in found)]


def restore_version(deployment: Deployment, version: RegisteredVersion) -> bool:
    """Bring the files of a version back, if they are archived.

    :return: whether they were
    :raises ModelError: the pack is gone or is not what was packed
    :raises Unavailable: MLflow does not answer
    """
    spec, runtime = deployment.spec, deployment.runtime
    entry = find_archive_entry(deployment.ledger, spec.pipeline, version.version)
    if entry is None:
        return False
    registry = ModelRegistry(runtime, version.name)
    with tempfile.TemporaryDirectory() as scratch:
        files = unpack_version(version, runtime, entry, Path(scratch))
        with translate_mlflow_errors(f"the files of {version} cannot be restored"):
            _artifact_repository(version, runtime).log_artifacts(str(files))
            if ARCHIVED in version.tags:
                registry.client.delete_model_version_tag(version.name, version.version, ARCHIVED)
    back = Entry(
        spec.pipeline, "restored", version.version, None, entry.key,
        outcome="restored", reason="its files are back from the archive", actor=runtime.actor, run_id=runtime.run_id,
    )  # fmt: skip
    deployment.ledger.append(back)
    log.warning("%s: the files of %s are back from the archive", spec.pipeline, version)
    return True


def unpack_version(version: RegisteredVersion, runtime: Runtime, entry: Entry, folder: Path) -> Path:
    """The files of an archived version, unpacked below ``folder``; nothing else changes.

    :param entry: the one that archived it (:func:`find_archive_entry`)
    :raises ModelError: the pack is gone or is not what was packed
    :raises Unavailable: MLflow does not answer
    """
    pack = _fetch_pack(ModelRegistry(runtime, version.name), version, folder)
    if _sha256_hex(pack) != entry.evidence["sha256"]:
        raise ModelError(f"{version} is archived, and its pack is not what was packed; restore it from a backup")
    with tarfile.open(fileobj=io.BytesIO(pack), mode="r:xz") as packed:
        packed.extractall(folder / "model", filter="data")
    return folder / "model"


def find_archive_entry(ledger: Ledger, pipeline: str, version: str) -> Entry | None:
    """The entry that archived a version; None if its files are where they were, or are back there."""
    found = ledger.find(pipeline, "archived", subject=version)
    if not found or ledger.get(pipeline, "restored", key=found[-1].key) is not None:
        return None
    return found[-1]


def remove_version_files(
    version: RegisteredVersion, runtime: Runtime, registry: ModelRegistry, *, entry: Entry
) -> None:
    """Remove the files of a packed version from where they were logged, and tag it.

    :param entry: the one that archived it
    :raises Unavailable: MLflow does not answer
    """
    with translate_mlflow_errors(f"the files of {version} cannot be removed"):
        _artifact_repository(version, runtime).delete_artifacts()
        registry.client.set_model_version_tag(
            version.name, version.version, ARCHIVED, f"{entry.at:%Y-%m-%d}: {entry.reason}"
        )


def has_version_files(version: RegisteredVersion, runtime: Runtime) -> bool:
    """Whether the version's model is where it was logged.

    :raises Unavailable: the place does not answer
    """
    with translate_mlflow_errors(f"the files of {version} cannot be listed"):
        return any(Path(one.path).name == "MLmodel" for one in _artifact_repository(version, runtime).list_artifacts())


def pack_version(deployment: Deployment, version: RegisteredVersion, registry: ModelRegistry, *, reason: str) -> Entry:
    """Pack the files of a version into its run and journal it; the files stay where they are.

    :param reason: why they are not needed, in words
    :raises ModelError: what was packed cannot be read back
    :raises Unavailable: MLflow does not answer
    """
    with registry.folder(version) as folder, tempfile.TemporaryDirectory() as scratch:
        files = {
            str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
        }
        pack = _pack_files(files)
        (Path(scratch) / PACK).write_bytes(pack)
        with translate_mlflow_errors(f"the files of {version} cannot be packed"):
            registry.client.log_artifact(version.mlflow_run_id, str(Path(scratch) / PACK), FOLDER)
        if _sha256_hex(_fetch_pack(registry, version, Path(scratch))) != _sha256_hex(pack):
            raise ModelError(f"{version} is not archived: its pack cannot be read back as it was written")
    number = len(deployment.ledger.find(deployment.spec.pipeline, "archived", subject=version.version))
    entry = Entry(
        deployment.spec.pipeline, "archived", version.version, None, f"{version.version}/{number}",
        outcome="archived", reason=reason, evidence=_describe_pack(files, pack),
        actor=deployment.runtime.actor, run_id=deployment.runtime.run_id,
    )  # fmt: skip
    deployment.ledger.append(entry)
    return entry


def _describe_pack(files: dict[str, bytes], pack: bytes) -> dict[str, Any]:
    return {
        "pack": f"{FOLDER}/{PACK}",
        "sha256": _sha256_hex(pack),
        "bytes": sum(map(len, files.values())),
        "packed_bytes": len(pack),
        "files": {name: _sha256_hex(content) for name, content in files.items()},
    }


def _pack_files(files: dict[str, bytes]) -> bytes:
    """The same bytes for the same files, whenever they are packed."""
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w:xz") as pack:
        for name, content in files.items():
            about = tarfile.TarInfo(name)
            about.size, about.mode = len(content), 0o644
            pack.addfile(about, io.BytesIO(content))
    return sink.getvalue()


def _fetch_pack(registry: ModelRegistry, version: RegisteredVersion, scratch: Path) -> bytes:
    with translate_mlflow_errors(f"the pack of {version} cannot be fetched from its run"):
        where = registry.client.download_artifacts(version.mlflow_run_id, f"{FOLDER}/{PACK}", str(scratch))
    return Path(where).read_bytes()


def measure_version_size(version: RegisteredVersion, runtime: Runtime) -> int:
    """Bytes of the files at the top of the model's folder, and below."""
    repository = _artifact_repository(version, runtime)

    def below(path: str | None) -> int:
        return sum(
            below(one.path) if one.is_dir else int(one.file_size or 0) for one in repository.list_artifacts(path)
        )

    with translate_mlflow_errors(f"the files of {version} cannot be listed"):
        return below(None)


def _artifact_repository(version: RegisteredVersion, runtime: Runtime) -> Any:
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    return get_artifact_repository(version.model, tracking_uri=runtime.mlflow, registry_uri=runtime.mlflow)


def _sha256_hex(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
