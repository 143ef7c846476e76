"""From the inputs of one partition, through its SQL, to staged rows."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tradewind.deployment import Deployment
from tradewind.engine.query import run_select
from tradewind.errors import TransformError, UsageError
from tradewind.etl.inputs import Inputs
from tradewind.lake import storage
from tradewind.lake.dataset import Dataset
from tradewind.lake.duplicates import DuplicateRule
from tradewind.lake.staging import StagedPartition

log = logging.getLogger(__name__)

MALFORMED = "malformed"
"""Folder in a partition's quarantine: rows that could not be read as declared."""


def stage_transformed_rows(
    deployment: Deployment, dataset: Dataset, partition: str, inputs: Inputs, *, base: frozenset[str], scratch: Path
) -> tuple[StagedPartition, Inputs]:
    """Stage what the dataset's SQL makes of the inputs.

    When that fails, malformed rows are looked for: up to `max_bad_rows` of them are put aside and the SQL runs over the
    others. So rows are looked at one by one only where there is a reason to.

    :param scratch: folder that lives until the inputs have been read
    :returns: the rows, and the inputs as they were read
    :raises InputError: a delivery is empty or malformed
    :raises TransformError: the SQL failed
    :raises Unavailable: a file changed while it was read
    """
    read, views = inputs, inputs.views()
    try:
        staged = _stage_query(deployment, dataset, partition, views, base=base, spill=scratch / "spill")
    except TransformError as exc:
        if not exc.running:
            raise
        quarantine = storage.local_path(dataset.uri) / storage.QUARANTINE / partition / MALFORMED
        read = inputs.sift(scratch=scratch, quarantine=quarantine)
        if read == inputs:
            raise
        staged = _stage_query(deployment, dataset, partition, read.views(), base=base, spill=scratch / "again")
    try:
        inputs.confirm()
    except BaseException:
        dataset.discard(staged)
        raise
    what = f"{deployment.spec.pipeline} {dataset.name} {partition}"
    for view, bad in read.bad.items():
        log.warning("%s: %s of %s rows of `%s` are malformed: %s", what, bad.count, bad.rows, view, bad.path)
    log.info("%s stage: %s rows, digest %s", what, staged.rows, staged.digest)
    return staged, read


def _stage_query(
    deployment: Deployment,
    dataset: Dataset,
    partition: str,
    views: Mapping[str, Any],
    *,
    base: frozenset[str],
    spill: Path,
) -> StagedPartition:
    part = deployment.spec.datasets[dataset.name]
    sql = deployment.runtime.project / part.sql
    bounds = deployment.spec.partitioning.bounds(partition)
    parameters = {"partition": partition, "partition_start": bounds.start, "partition_end": bounds.end}
    rule = DuplicateRule(part.keys, part.duplicates.keep, part.duplicates.by) if part.duplicates else None
    spill.mkdir()
    try:
        with run_select(
            sql,
            views,
            parameters=parameters,
            spill=spill,
            deterministic=part.deterministic,
            threads=deployment.runtime.threads,
        ) as rows:
            return dataset.stage(partition, rows, base=base, duplicates=rule)
    except UsageError as exc:
        raise TransformError(f"{sql}: {exc}") from exc
