"""One partition of one dataset: stage, audit, publish."""

from __future__ import annotations

import logging
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

from tradewind.checks.audit import audit
from tradewind.checks.result import Audit
from tradewind.core.runtime import Runtime
from tradewind.errors import AuditFailed, TransformError, UsageError
from tradewind.etl.configuration import configuration
from tradewind.etl.inputs import Inputs, gather
from tradewind.etl.release import CAUSE, Release, released
from tradewind.lake import storage
from tradewind.lake.cause import Cause
from tradewind.lake.dataset import Dataset, Lake
from tradewind.lake.publish import Published
from tradewind.lake.staging import Staged
from tradewind.spec.models import Pipeline
from tradewind.transform.sql import select

log = logging.getLogger(__name__)

CODE = "etl-1"
"""Version of what this stage does with its inputs; another one makes every partition stale."""


@dataclass(frozen=True, slots=True)
class DatasetResult:
    """A published partition.

    :param report: report of the audit of these rows; None if the partition was there already and its report is not
    """

    published: Published
    report: Path | None


def build_dataset(spec: Pipeline, name: str, partition: str, runtime: Runtime) -> DatasetResult:
    """Stage, audit and publish one partition; nothing is done if its inputs, configuration and code are what they were.

    :param name: of the dataset in the YAML
    :raises InputError: something that it reads is missing or malformed
    :raises NotReady: an earlier partition that it looks back to is not published yet
    :raises TransformError: its SQL failed
    :raises AuditFailed: rows failed their checks; they are in quarantine
    :raises Conflict: another run published the partition meanwhile
    """
    spec.partitioning.check(partition)
    if name not in spec.datasets:
        raise UsageError(f"{spec.pipeline}: there is no dataset {name}; there are {', '.join(spec.datasets)}")
    dataset = _lake(runtime).dataset(spec.pipeline, name)
    base = dataset.base(partition)  # before the inputs: who sees older inputs than the publisher must lose
    inputs = gather(spec, name, partition, runtime)
    config = configuration(spec, name, runtime)
    cause = Cause(inputs.digests, config.hash, CODE, {"configuration": config.parts})
    report = _report(spec, name, partition, runtime, cause)
    if (published := _unchanged(dataset, partition, cause)) is not None:
        log.info("%s %s %s: unchanged, digest %s", spec.pipeline, name, partition, published.digest)
        return DatasetResult(published, report if report.exists() else None)
    release = released(spec, dataset, partition, runtime, cause=cause.hash)
    if release is not None:
        staged = release.stage(dataset, base=base)
        cause = replace(cause, notes={**cause.notes, "release": release.note()})
    else:
        staged = _stage(spec, dataset, partition, inputs, runtime, base=base)
    try:
        _examine(spec, dataset, staged, report, runtime, cause=cause, release=release)
        published = dataset.publish(staged, cause=cause, run_id=runtime.run_id)
    finally:
        dataset.discard(staged)
    log.info(
        "%s %s %s publish: version %s, digest %s", spec.pipeline, name, partition, published.version, published.digest
    )
    return DatasetResult(published, report)


def _report(spec: Pipeline, name: str, partition: str, runtime: Runtime, cause: Cause) -> Path:
    """Report of the audit of what has this cause: a bad delivery must not write over the report of a good one."""
    return runtime.reports / spec.pipeline / name / f"{partition}-{cause.hash[:8]}.html"


def _lake(runtime: Runtime) -> Lake:
    return Lake(runtime.lake, storage_options=runtime.storage_options)


def _unchanged(dataset: Dataset, partition: str, cause: Cause) -> Published | None:
    snapshot = dataset.snapshot()
    found = snapshot.partitions.get(partition) if snapshot else None
    if snapshot is None or found is None or found.cause != cause.hash:
        return None
    return Published(dataset.name, partition, snapshot.version, found.digest, found.rows, changed=False)


def _stage(
    spec: Pipeline, dataset: Dataset, partition: str, inputs: Inputs, runtime: Runtime, *, base: frozenset[str]
) -> Staged:
    sql = runtime.project / spec.datasets[dataset.name].sql
    bounds = spec.partitioning.bounds(partition)
    parameters = {"partition": partition, "partition_start": bounds.start, "partition_end": bounds.end}
    try:
        with (
            storage.scratch(dataset.uri) as spill,
            select(sql, inputs.views(), parameters=parameters, spill=spill) as rows,
        ):
            staged = dataset.stage(partition, rows, base=base)
    except UsageError as exc:
        raise TransformError(f"{sql}: {exc}") from exc
    try:
        inputs.confirm()
    except BaseException:
        dataset.discard(staged)
        raise
    log.info("%s %s %s stage: %s rows, digest %s", spec.pipeline, dataset.name, partition, staged.rows, staged.digest)
    return staged


def _examine(
    spec: Pipeline, dataset: Dataset, staged: Staged, report: Path, runtime: Runtime, *,
    cause: Cause, release: Release | None,
) -> None:  # fmt: skip
    """Let go what passes its audit, and what a person released as it is.

    :raises AuditFailed: the rows are in quarantine
    """
    if release is not None and not release.drops:
        log.warning("%s %s %s: published %s", spec.pipeline, dataset.name, staged.key, release)
        return
    audited = _audit(spec, staged, report, runtime)
    if not audited.success:
        _quarantine(spec, dataset, staged, audited, cause=cause)


def _audit(spec: Pipeline, staged: Staged, report: Path, runtime: Runtime) -> Audit:
    part = spec.datasets[staged.dataset]
    suite = runtime.project / part.expectations if part.expectations else None
    title = f"{spec.pipeline} · {staged.dataset} · {staged.key}"
    audited = audit(staged, suite=suite, keys=part.keys, title=title, report=report)
    bad = len(audited.problems)
    log.info("%s %s %s audit: %s of %s checks passed, report %s", spec.pipeline, staged.dataset, staged.key,
             len(audited.results) - bad, len(audited.results), report)  # fmt: skip
    return audited


def _quarantine(spec: Pipeline, dataset: Dataset, staged: Staged, audited: Audit, *, cause: Cause) -> NoReturn:
    """Put the rows aside with the reasons and the report, and say so.

    :raises AuditFailed: always
    """
    reasons = [f"{check.outcome}: {check.name}: {check.text} Found: {check.observed}" for check in audited.problems]
    place = dataset.quarantine(staged, reasons=reasons)
    shutil.copyfile(audited.report, Path(place) / "report.html")
    (Path(place) / CAUSE).write_text(cause.as_json(), encoding="utf-8")
    what = f"{spec.pipeline}: dataset {dataset.name}, partition {staged.key}"
    told = "; ".join(
        f"{check.text} {'could not be evaluated' if check.outcome == 'error' else 'failed'}: {check.observed}"
        for check in audited.problems
    )
    log.error("%s quarantine: %s", what, place)
    message = f"{what} is not published: {told}. Report: {audited.report}. Quarantine: {place}. "
    message += f"Repair the input and run it again, or: tradewind release {spec.pipeline} {dataset.name} {staged.key}"
    raise AuditFailed(message, report=str(audited.report))
