"""Which model versions are no longer needed, and their way into the archive."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from tradewind.core import fault_points
from tradewind.errors import ModelError
from tradewind.ledger.journal import Ledger
from tradewind.registry.archive import (
    ARCHIVED,
    find_archive_entry,
    measure_version_size,
    pack_version,
    remove_version_files,
)
from tradewind.registry.mlflow_run import CAUSE
from tradewind.registry.model_registry import ModelRegistry, RegisteredVersion, open_registry
from tradewind.upkeep import retention

if TYPE_CHECKING:
    from tradewind.deployment import Deployment
    from tradewind.spec.pipeline import Pipeline

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ArchivedVersion:
    """A version whose files are packed, or would be.

    :param bytes: of its files
    :param reason: why it is not needed, in words
    """

    version: str
    bytes: int
    reason: str


def archive_old_versions(deployment: Deployment, *, now: datetime, dry_run: bool = False) -> list[ArchivedVersion]:
    """Pack the files of versions that are not needed, and that were trained longer ago than ``retention.models``.

    Runs, test rows, verdicts, cards and all tags stay; the pack holds the signature too. A version of another tool in
    the same registered model is left alone.

    :param now: the present, aware
    :param dry_run: say what would be packed, and change nothing
    :raises Unavailable: the registry does not answer
    """
    spec = deployment.spec
    ledger, registry = deployment.ledger, open_registry(deployment)
    needed = retention.needed_model_versions(deployment)
    done = []
    for version, since in _training_times(spec, ledger).items():
        if version in needed or now - since <= spec.retention.models:
            continue
        if (found := _find_own_version(registry, version)) is None or ARCHIVED in found.tags:
            continue
        reason = f"trained on {since:%Y-%m-%d}, not needed since"
        one = ArchivedVersion(version, measure_version_size(found, deployment.runtime), reason)
        if not dry_run:
            _archive_version(deployment, found, registry, reason=reason)
        log.info("%s: %s %s: %s", spec.pipeline, found, "would be archived" if dry_run else "is archived", reason)
        done.append(one)
    return done


def _training_times(spec: Pipeline, ledger: Ledger) -> dict[str, datetime]:
    """When each version was trained, oldest first; the newest candidate and its refit are not among them."""
    found: dict[str, datetime] = {}
    entries = ledger.find(spec.pipeline, "trained")
    for entry in entries:
        found.setdefault(entry.subject, entry.at)
    newest = {entries[-1].subject, entries[-1].evidence.get("refit_of")} if entries else set()
    return {version: at for version, at in found.items() if version not in newest}


def _find_own_version(registry: ModelRegistry, version: str) -> RegisteredVersion | None:
    try:
        found = registry.get(version)
    except ModelError:
        return None  # it was deleted in MLflow; there is nothing to archive
    return found if CAUSE in found.tags else None


def _archive_version(
    deployment: Deployment, version: RegisteredVersion, registry: ModelRegistry, *, reason: str
) -> None:
    entry = find_archive_entry(deployment.ledger, deployment.spec.pipeline, version.version)
    if entry is None:
        entry = pack_version(deployment, version, registry, reason=reason)
        fault_points.reach_fault_point("after-pack-before-removal")
    if version.version in retention.needed_model_versions(deployment):
        return  # in this moment a person rolled back to it
    remove_version_files(version, deployment.runtime, registry, entry=entry)
