"""The one place where the files of a model version are opened: only when they are those that were judged.

They are copied into a private folder, and what is hashed are the bytes that are copied: no one can exchange a file
between the check and the loading, and what lies beside them cannot be imported. Nothing is parsed or loaded before.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tradewind.errors import ModelError, ModelFilesChanged
from tradewind.isolation.model_client import ModelHost
from tradewind.ledger.journal import Entry, Ledger
from tradewind.registry import archive
from tradewind.registry.manifest import Manifest, copy_files, copy_folder, foreign_files
from tradewind.registry.model_registry import ModelRegistry

if TYPE_CHECKING:
    from tradewind.core.runtime import Runtime
    from tradewind.deployment import Deployment
    from tradewind.registry.model_registry import RegisteredVersion

log = logging.getLogger(__name__)

FOREIGN = "foreign files"
"""Subject of the notes about files that lie beside those of a version."""


@dataclass(frozen=True, slots=True)
class OpenedModel:
    """A model version whose files were checked.

    :param host: its process
    :param folder: a private copy of its files, with ``MLmodel``; gone when the model is closed
    """

    host: ModelHost
    folder: Path


@contextmanager
def open_model(
    deployment: Deployment, version: RegisteredVersion, *, warm: bool | None = None, timeout: float = 300.0
) -> Iterator[OpenedModel]:
    """Check the files of a version, then start a process that loads them.

    :param warm: fork this process; as the runtime says if None
    :param timeout: seconds that loading, or one batch, may take
    :raises ModelFilesChanged: the files are not those that were judged; no file was opened but to hash it
    :raises ModelError: the files are not there, or the ledger knows nothing of the version's training
    :raises Unavailable: the registry does not answer
    """
    warm, kept = deployment.runtime.warm if warm is None else warm, deployment.runtime.hosts
    with judged_files(deployment, version) as folder:
        if kept is None:
            with ModelHost(folder, name=str(version), warm=warm, timeout=timeout) as host:
                yield OpenedModel(host, folder)
        else:
            # The files are checked at each use, also where the process is there already.
            host = kept.lend(str(version)) or kept.keep(str(version), _host_with_own_files(folder, version))
            yield OpenedModel(host, folder)


@contextmanager
def _host_with_own_files(folder: Path, version: RegisteredVersion) -> Iterator[ModelHost]:
    """A process whose files stay as long as it does: it may import some of its code late."""
    with tempfile.TemporaryDirectory(prefix="tradewind-model-") as scratch:
        own = shutil.copytree(folder, Path(scratch) / "model")
        with ModelHost(own, name=str(version), warm=False) as host:
            yield host


@contextmanager
def judged_files(deployment: Deployment, version: RegisteredVersion) -> Iterator[Path]:
    """A private copy of a version's own files, which are those that were judged.

    Of an archived version they come from its pack; it stays archived.

    :raises ModelFilesChanged: a file is missing or is another one
    :raises ModelError: the files are not there, or the ledger knows nothing of the version's training
    :raises Unavailable: the registry does not answer
    """
    spec, runtime, ledger = deployment.spec, deployment.runtime, deployment.ledger
    trained = ledger.find(spec.pipeline, "trained", subject=version.version)
    if not trained:
        raise ModelError(f"{spec.pipeline} version {version.version}: the ledger knows nothing of its training")
    archived = archive.find_archive_entry(ledger, spec.pipeline, version.version)
    with tempfile.TemporaryDirectory(prefix="tradewind-model-") as scratch:
        own = Path(scratch) / "model"
        own.mkdir()
        if archived is not None:
            packed = archive.unpack_version(version, runtime, archived, Path(scratch) / "archive")
            _copy_judged_files(trained[-1], version, packed, own, where="the archive")
        else:
            with ModelRegistry(runtime, version.name).folder(version) as folder:
                manifest = _copy_judged_files(trained[-1], version, folder, own, where=str(folder))
                _note_foreign_files(foreign_files(folder, manifest), version, trained[-1], runtime, ledger)
        yield own


def _copy_judged_files(
    trained: Entry, version: RegisteredVersion, source: Path, target: Path, *, where: str
) -> Manifest | None:
    """Copy and check.

    :param trained: the entry of its training: with the manifest; from an earlier release with the digest of the whole
        folder, or without any
    """
    if (files := trained.evidence.get("model_files")) is not None:
        manifest = Manifest.from_json(files)
        if wrong := copy_files(source, target, manifest):
            raise _files_changed_error(
                trained, version, where, f": {'; '.join(wrong[:5])}{' …' if len(wrong) > 5 else ''}"
            )
        return manifest
    now, judged = copy_folder(source, target), trained.evidence.get("model_digest")
    if judged is None:
        log.warning("%s: an earlier release logged it without a digest, so its files cannot be checked", version)
    elif now != judged:
        raise _files_changed_error(
            trained, version, where, f": the digest of the folder is {now[:12]}…, and was {judged[:12]}…"
        )
    return None


def _files_changed_error(trained: Entry, version: RegisteredVersion, where: str, what: str) -> ModelFilesChanged:
    return ModelFilesChanged(
        f"{version}: its files in {where} are not those that were trained and judged{what}. None was loaded. Restore "
        "them from a backup, or go to another version: "
        f"`tradewind rollback {trained.pipeline} --to VERSION --reason TEXT`"
    )


def _note_foreign_files(
    found: list[str], version: RegisteredVersion, trained: Entry, runtime: Runtime, ledger: Ledger
) -> None:
    """Say, and journal once as long as they are the same, which files lie beside those of the version."""
    before = ledger.find(trained.pipeline, "note", subject=f"{FOREIGN}/{version.version}")
    if found == (list(before[-1].evidence["files"]) if before else []):
        return
    reason = (
        f"beside the files of version {version.version} lie {', '.join(found[:10])}{' …' if len(found) > 10 else ''}, "
        "which are none of the model's; they are not loaded"
    )
    if not found:
        reason = f"beside the files of version {version.version} lies nothing any more"
    log.warning("%s: %s", trained.pipeline, reason)
    entry = Entry(
        trained.pipeline, "note", f"{FOREIGN}/{version.version}", None, f"foreign/{version.version}/{len(before)}",
        outcome="foreign", reason=reason, evidence={"version": version.version, "files": found},
        actor=runtime.actor, run_id=runtime.run_id,
    )  # fmt: skip
    ledger.append(entry)
