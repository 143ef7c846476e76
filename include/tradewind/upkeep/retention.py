"""What must stay: versions of datasets that a model or a prediction was made from, and models that are needed."""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Iterator
from datetime import datetime
from typing import TYPE_CHECKING

from tradewind.lake import storage
from tradewind.lake.corrections import earlier_versions
from tradewind.lake.dataset import Lake
from tradewind.lake.vacuum import VacuumedFiles, vacuum_dataset
from tradewind.ledger import serving_versions, shadows
from tradewind.ledger.journal import Entry, Ledger

if TYPE_CHECKING:
    from pathlib import Path

    from tradewind.deployment import Deployment
    from tradewind.spec.pipeline import Pipeline

log = logging.getLogger(__name__)

PREDICTIONS = "predictions"
SHADOWED = "shadow_predictions"
VERSIONS = "dataset_versions"
MODEL_VERSION = "model_version"
SUBJECT = "vacuum"


def vacuum_pipeline(deployment: Deployment, *, now: datetime, dry_run: bool = False) -> list[VacuumedFiles]:
    """Remove what no version needs any more from every dataset of the pipeline, and journal what was removed.

    A run that is killed leaves the rest to the next one.

    :param now: the present, aware
    :param dry_run: say what would be removed, remove and journal nothing
    """
    spec = deployment.spec
    lake = deployment.lake
    as_known = _read_as_known(deployment)
    done = [
        _vacuum_dataset(spec, lake, name, (), now=now, dry_run=dry_run) for name in _prediction_datasets(lake, spec)
    ]
    # After the predictions: those that were removed pin nothing any more.
    pins = pinned_table_versions(deployment)
    for name in spec.datasets:
        done.append(
            _vacuum_dataset(spec, lake, name, pins.get(name, ()), now=now, dry_run=dry_run, as_known=name in as_known)
        )  # fmt: skip
    for one in done:
        log.info(
            "%s: %s: %s files of old versions, %s uncommitted, %s of quarantine, %s bytes%s; %s versions are whole",
            spec.pipeline, one.dataset, len(one.files), len(one.uncommitted), len(one.quarantined), one.bytes,
            " would be removed" if dry_run else " removed", one.versions,
        )  # fmt: skip
    if not dry_run and any(one.removed for one in done):
        _journal_vacuum(deployment, done, now=now)
    return done


def pinned_table_versions(deployment: Deployment) -> dict[str, set[int]]:
    """Versions of each dataset that a model (by the ledger) or a prediction that is kept (by its row) was made from."""
    found: dict[str, set[int]] = {}
    for entry in deployment.ledger.find(deployment.spec.pipeline, "trained"):
        _add_versions(found, entry.evidence.get("versions", {}))
    for name in (PREDICTIONS, SHADOWED):
        root = storage.local_path(deployment.lake.dataset(deployment.spec.pipeline, name).uri)
        for path in root.glob("partition=*/*.parquet"):
            for text in read_prediction_lineage(path):
                _add_versions(found, json.loads(text))
    return found


def needed_model_versions(deployment: Deployment) -> dict[str, str]:
    """Model versions that must be ready to serve or to be explained, with the reason in words.

    The champion of now and of later, the one before each (it is the fallback), the shadow, who waits for approval,
    and whatever made a prediction that is kept.
    """
    spec, ledger = deployment.spec, deployment.ledger
    lake = deployment.lake
    found = dict.fromkeys(_versions_with_predictions(spec, lake), "predictions that are kept came from it")
    found |= dict.fromkeys(_versions_awaiting_approval(spec, ledger), "it waits for approval")
    if (standing := shadows.standing_shadow(ledger, spec.pipeline)) is not None:
        found[standing.subject] = "it is the shadow"
    changes = ledger.champions(spec.pipeline)
    snapshot = lake.dataset(spec.pipeline, PREDICTIONS).snapshot()
    scored = max(snapshot.partitions, default="") if snapshot else ""
    for population in {scored, *(change.effective_from for change in changes if change.effective_from > scored)}:
        for champion in (ledger.champion_for(spec.pipeline, population),
                         ledger.previous_champion(spec.pipeline, population)):  # fmt: skip
            if champion is not None:
                found[champion.model_version] = "it is champion, or was before"
    for change in changes[-1:]:
        found[change.model_version] = "it is champion"
    return found


def _versions_awaiting_approval(spec: Pipeline, ledger: Ledger) -> list[str]:
    """Versions that wait for a person's answer."""
    settled = {entry.partition: entry for entry in ledger.find(spec.pipeline, "complete", subject="train")}
    found = []
    for partition, newest in settled.items():
        if newest.evidence.get("outcome") != "waits for approval":
            continue
        for asked in ledger.find(spec.pipeline, "verdict", partition=partition)[-1:]:
            answers = ledger.find(spec.pipeline, "approval", partition=partition)
            if asked.key not in {one.evidence.get("verdict_key", asked.key) for one in answers}:
                found += [str(asked.evidence["version"]), serving_versions.serving_version(ledger, asked)]
    return found


def _versions_with_predictions(spec: Pipeline, lake: Lake) -> set[str]:
    """Versions whose predictions are published."""
    import pyarrow.compute as pc

    found: set[str] = set()
    for name in (PREDICTIONS, SHADOWED):
        snapshot = lake.dataset(spec.pipeline, name).snapshot()
        if snapshot is None or MODEL_VERSION not in snapshot.schema.names:
            continue
        for batch in snapshot.arrow().to_batches(columns=[MODEL_VERSION]):
            found |= set(pc.unique(batch[MODEL_VERSION]).drop_null().to_pylist())
    return found


def read_prediction_lineage(path: Path) -> Iterator[str]:
    """What the predictions in a file say they were made from: few texts, each once a row group."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        if VERSIONS not in file.schema_arrow.names:
            return
        for number in range(file.num_row_groups):
            yield from file.read_row_group(number, columns=[VERSIONS])[VERSIONS].drop_null().unique().to_pylist()


def _prediction_datasets(lake: Lake, spec: Pipeline) -> list[str]:
    shadowed = lake.dataset(spec.pipeline, SHADOWED).snapshot() is not None
    return [PREDICTIONS, *([SHADOWED] if shadowed else [])]


def _add_versions(found: dict[str, set[int]], versions: dict[str, int]) -> None:
    for name, version in versions.items():
        found.setdefault(name, set()).add(int(version))


def _read_as_known(deployment: Deployment) -> set[str]:
    """Datasets whose corrected partitions are still read as they were before."""
    if deployment.spec.features is None or deployment.spec.features.corrections != "as_known":
        return set()
    from tradewind.features.definitions import load_definitions

    return set(load_definitions(deployment).datasets())


def _vacuum_dataset(
    spec: Pipeline,
    lake: Lake,
    name: str,
    pins: Collection[int],
    *,
    now: datetime,
    dry_run: bool,
    as_known: bool = False,
) -> VacuumedFiles:
    def before_corrections(versions: Collection[int]) -> set[int]:
        return earlier_versions(lake, spec.pipeline, name, versions) if as_known else set()

    return vacuum_dataset(
        lake.dataset(spec.pipeline, name),
        pinned=pins,
        history=spec.retention.history,
        quarantine=spec.retention.quarantine,
        now=now,
        before_corrections=before_corrections,
        dry_run=dry_run,
    )


def _journal_vacuum(deployment: Deployment, done: list[VacuumedFiles], *, now: datetime) -> None:
    evidence = {
        one.dataset: {
            "files": len(one.files),
            "uncommitted": len(one.uncommitted),
            "quarantined": len(one.quarantined),
            "bytes": one.bytes,
            "versions": one.versions,
        }
        for one in done
        if one.removed
    }
    total = sum(one.removed for one in done)
    entry = Entry(
        deployment.spec.pipeline, "note", SUBJECT, None, f"{SUBJECT}/{now.isoformat()}",
        outcome="vacuumed",
        reason=f"{total} files and folders that no model, prediction or retention needs",
        evidence=evidence, actor=deployment.runtime.actor, run_id=deployment.runtime.run_id,
    )  # fmt: skip
    deployment.ledger.append(entry)
