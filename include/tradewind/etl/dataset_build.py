"""One partition of one dataset: stage, audit, publish."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tradewind.deployment import Deployment
from tradewind.errors import LeftOut, UsageError
from tradewind.etl.audit_step import require_audit
from tradewind.etl.dataset_hash import hash_dataset_config
from tradewind.etl.inputs import Inputs, gather_inputs
from tradewind.etl.quarantine_release import find_release, record_malformed_cause, without_bad_row_limit
from tradewind.etl.transform_step import stage_transformed_rows
from tradewind.lake import storage
from tradewind.lake.cause import Cause
from tradewind.lake.dataset import Dataset
from tradewind.lake.publish import PublishedPartition
from tradewind.ledger import skipped_partitions

log = logging.getLogger(__name__)

CODE = "etl-2"
"""Version of what this stage does with its inputs; another one makes every partition stale."""


@dataclass(frozen=True, slots=True)
class DatasetResult:
    """A published partition.

    :param report: report of the audit of these rows; None if the partition was there already and its report is not
    :param bad_rows: malformed rows that this build put aside
    :param dropped: rows that the rule for duplicates left out
    """

    published: PublishedPartition
    report: Path | None
    bad_rows: int = 0
    dropped: int = 0


def build_dataset(deployment: Deployment, name: str, partition: str) -> DatasetResult:
    """Stage, audit and publish one partition; nothing is done if its inputs, configuration and code are what they were.

    :param name: of the dataset in the YAML
    :raises InputError: something that it reads is missing, empty or malformed
    :raises NotDelivered: something that it reads has not come yet, and the YAML says to wait
    :raises LeftOut: something that it reads has not come, and the YAML says to skip; the ledger says so too
    :raises NotReady: an earlier partition that it looks back to is not published yet
    :raises TransformError: its SQL failed
    :raises AuditFailed: rows failed their checks; they are in quarantine
    :raises Conflict: another run published the partition meanwhile
    """
    spec = deployment.spec
    spec.partitioning.check(partition)
    if name not in spec.datasets:
        raise UsageError(f"{spec.pipeline}: there is no dataset {name}; there are {', '.join(spec.datasets)}")
    lake = deployment.lake
    dataset = lake.dataset(spec.pipeline, name)
    base = dataset.base(partition)  # before the inputs: who sees older inputs than the publisher must lose
    try:
        with storage.scratch_folder(dataset.uri) as scratch:
            inputs = gather_inputs(deployment, name, partition, scratch=scratch)
            return _build(deployment, dataset, partition, inputs, base=base, scratch=scratch)
    except LeftOut as exc:
        skipped_partitions.leave_out(
            deployment.ledger, spec.pipeline, partition, dataset=name, reason=str(exc),
            actor=deployment.runtime.actor, run_id=deployment.runtime.run_id,
        )  # fmt: skip
        raise


def _build(
    deployment: Deployment, dataset: Dataset, partition: str, inputs: Inputs, *, base: frozenset[str], scratch: Path
) -> DatasetResult:
    spec = deployment.spec
    config = hash_dataset_config(deployment, dataset.name)
    cause = Cause(inputs.digests, config.hash, CODE, {"configuration": config.parts})
    report = _audit_page_path(deployment, dataset.name, partition, cause)
    if (published := _find_unchanged(dataset, partition, cause)) is not None:
        log.info("%s %s %s: unchanged, digest %s", spec.pipeline, dataset.name, partition, published.digest)
        return DatasetResult(published, report if report.exists() else None)
    release = find_release(deployment, dataset, partition, cause=cause.hash)
    if release is not None:
        cause = replace(cause, notes={**cause.notes, "release": release.note()})
    if release is not None and not release.of_malformed:
        staged = release.stage(dataset, base=base)
    else:
        inputs = without_bad_row_limit(inputs) if release is not None else inputs
        with record_malformed_cause(dataset, partition, cause):
            staged, inputs = stage_transformed_rows(deployment, dataset, partition, inputs, base=base, scratch=scratch)
        cause = replace(cause, notes={**cause.notes, **_bad_rows_note(inputs)})
    try:
        require_audit(deployment, dataset, staged, report, cause=cause, release=release)
        taken = spec.datasets[dataset.name].new_columns
        published = dataset.publish(staged, cause=cause, run_id=deployment.runtime.run_id, new_columns=taken)
    finally:
        dataset.discard(staged)
    log.info("%s %s %s publish: version %s, digest %s", spec.pipeline, dataset.name, partition, published.version,
             published.digest)  # fmt: skip
    return DatasetResult(
        published, report, bad_rows=sum(bad.count for bad in inputs.bad.values()), dropped=staged.dropped
    )


def _bad_rows_note(inputs: Inputs) -> dict[str, dict[str, Any]]:
    """What the commit says of malformed rows that were put aside."""
    facts = {view: {"count": bad.count, "of": bad.rows, "path": str(bad.path)} for view, bad in inputs.bad.items()}
    return {"bad_rows": facts} if facts else {}


def _audit_page_path(deployment: Deployment, name: str, partition: str, cause: Cause) -> Path:
    """Report of the audit of what has this cause: a bad delivery must not write over the report of a good one."""
    return deployment.runtime.reports / deployment.spec.pipeline / name / f"{partition}-{cause.hash[:8]}.html"


def _find_unchanged(dataset: Dataset, partition: str, cause: Cause) -> PublishedPartition | None:
    snapshot = dataset.snapshot()
    found = snapshot.partitions.get(partition) if snapshot else None
    if snapshot is None or found is None or found.cause != cause.hash:
        return None
    return PublishedPartition(dataset.name, partition, snapshot.version, found.digest, found.rows, changed=False)
