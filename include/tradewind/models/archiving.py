"""Which model versions nobody needs any more, and their way into the archive."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from tradewind.core import faults
from tradewind.errors import ModelError
from tradewind.ledger.journal import Ledger
from tradewind.models import retention
from tradewind.models.archive import ARCHIVED, pack_version, remove_files, size_in_bytes, standing
from tradewind.models.registry import Registry, Version
from tradewind.models.runs import CAUSE

if TYPE_CHECKING:
    from tradewind.core.runtime import Runtime
    from tradewind.spec.models import Pipeline

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Archived:
    """A version whose files are packed, or would be.

    :param bytes: of its files
    :param reason: why nobody needs it, in words
    """

    version: str
    bytes: int
    reason: str


def archive_old(spec: Pipeline, runtime: Runtime, *, now: datetime, dry_run: bool = False) -> list[Archived]:
    """Pack the files of versions that nobody needs, and that were trained longer ago than ``retention.models``.

    Runs, test rows, verdicts, cards and all tags stay; the pack holds the signature too. A version of somebody else in
    the same registered model is left alone.

    :param now: the present, aware
    :param dry_run: say what would be packed, and change nothing
    :raises Unavailable: the registry does not answer
    """
    ledger, registry = Ledger(runtime.ledger), Registry(runtime, spec.model_name)
    needed = retention.needed(spec, runtime, ledger)
    done = []
    for version, since in _trained(spec, ledger).items():
        if version in needed or now - since <= spec.retention.models:
            continue
        if (found := _ours(registry, version)) is None or ARCHIVED in found.tags:
            continue
        reason = f"trained on {since:%Y-%m-%d}, not needed since"
        one = Archived(version, size_in_bytes(found, runtime), reason)
        if not dry_run:
            _archive(spec, found, runtime, ledger, registry, reason=reason)
        log.info("%s: %s %s: %s", spec.pipeline, found, "would be archived" if dry_run else "is archived", reason)
        done.append(one)
    return done


def _trained(spec: Pipeline, ledger: Ledger) -> dict[str, datetime]:
    """When each version was trained, oldest first; the newest candidate and its refit are not among them."""
    found: dict[str, datetime] = {}
    entries = ledger.find(spec.pipeline, "trained")
    for entry in entries:
        found.setdefault(entry.subject, entry.at)
    newest = {entries[-1].subject, entries[-1].evidence.get("refit_of")} if entries else set()
    return {version: at for version, at in found.items() if version not in newest}


def _ours(registry: Registry, version: str) -> Version | None:
    try:
        found = registry.get(version)
    except ModelError:
        return None  # somebody deleted it in MLflow; there is nothing to archive
    return found if CAUSE in found.tags else None


def _archive(
    spec: Pipeline, version: Version, runtime: Runtime, ledger: Ledger, registry: Registry, *, reason: str
) -> None:
    entry = standing(ledger, spec.pipeline, version.version)
    if entry is None:
        entry = pack_version(spec, version, runtime, ledger, registry, reason=reason)
        faults.reach("after-pack-before-removal")
    if version.version in retention.needed(spec, runtime, ledger):
        return  # in this moment somebody rolled back to it
    remove_files(version, runtime, registry, entry=entry)
