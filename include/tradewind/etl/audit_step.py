"""Whether staged rows may be published: their audit, or a person's word."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import NoReturn

from tradewind.checks.audit import audit_partition
from tradewind.checks.audit_result import AuditResult
from tradewind.deployment import Deployment
from tradewind.errors import AuditFailed
from tradewind.etl.quarantine_release import CAUSE, Release
from tradewind.lake.cause import Cause
from tradewind.lake.dataset import Dataset
from tradewind.lake.history import earlier_partitions
from tradewind.lake.staging import StagedPartition
from tradewind.spec.pipeline import Pipeline

log = logging.getLogger(__name__)


def require_audit(
    deployment: Deployment,
    dataset: Dataset,
    staged: StagedPartition,
    report: Path,
    *,
    cause: Cause,
    release: Release | None,
) -> None:
    """Let go what passes its audit, and what a person released as it is.

    :raises AuditFailed: the rows are in quarantine
    """
    spec = deployment.spec
    if release is not None and not release.drops:
        log.warning("%s %s %s: published %s", spec.pipeline, dataset.name, staged.key, release)
        return
    if staged.dropped:
        log.warning("%s %s %s: %s rows left out by the rule for duplicates", spec.pipeline, dataset.name, staged.key,
                    staged.dropped)  # fmt: skip
    audited = _run_audit(deployment, dataset, staged, report, cause=cause)
    if not audited.success:
        _quarantine(spec, dataset, staged, audited, cause=cause)


def _run_audit(
    deployment: Deployment, dataset: Dataset, staged: StagedPartition, report: Path, *, cause: Cause
) -> AuditResult:
    spec = deployment.spec
    part = spec.datasets[staged.dataset]
    suite = deployment.runtime.project / part.expectations if part.expectations else None
    title = f"{spec.pipeline} · {staged.dataset} · {staged.key}"
    audited = audit_partition(
        staged,
        suite=suite,
        keys=part.keys,
        title=title,
        report=report,
        rules=part.audit,
        history=earlier_partitions(dataset.snapshot(), staged.key, window=part.audit.window),
        facts=_malformed_facts(cause),
    )
    bad = len(audited.problems)
    log.info("%s %s %s audit: %s of %s checks passed, report %s", spec.pipeline, staged.dataset, staged.key,
             len(audited.results) - bad, len(audited.results), report)  # fmt: skip
    return audited


def _malformed_facts(cause: Cause) -> dict[str, str]:
    """What the report says of malformed rows that were put aside."""
    text = cause.notes.get("bad_rows", {})
    return {
        f"malformed in {view}": f"{bad['count']:,} of {bad['of']:,} rows, put aside in {bad['path']}"
        for view, bad in text.items()
    }


def _quarantine(
    spec: Pipeline, dataset: Dataset, staged: StagedPartition, audited: AuditResult, *, cause: Cause
) -> NoReturn:
    """Put the rows aside with the reasons and the report, and say so.

    :raises AuditFailed: always
    """
    reasons = [f"{check.outcome}: {check.name}: {check.problem}" for check in audited.problems]
    place = dataset.quarantine(staged, reasons=reasons)
    shutil.copyfile(audited.report, Path(place) / "report.html")
    (Path(place) / CAUSE).write_text(cause.as_json(), encoding="utf-8")
    what = f"{spec.pipeline}: dataset {dataset.name}, partition {staged.key}"
    text = "; ".join(check.problem for check in audited.problems)
    log.error("%s quarantine: %s", what, place)
    message = f"{what} is not published: {text}. Report: {audited.report}. Quarantine: {place}. "
    release = f"tradewind release {spec.pipeline} {dataset.name} {staged.key} --reason TEXT"
    message += f"Repair the input and run it again, or: {release}"
    raise AuditFailed(message, report=str(audited.report))
