"""The datasets that monitoring writes: `profiles`, `drift` and `performance`, a few rows a partition."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tradewind.errors import UsageError
from tradewind.lake.publish import PublishedPartition

if TYPE_CHECKING:
    import pyarrow as pa

    from tradewind.deployment import Deployment
    from tradewind.lake.cause import Cause
    from tradewind.lake.dataset import Dataset
    from tradewind.lake.snapshot import PartitionState, Snapshot
    from tradewind.spec.pipeline import Pipeline
    from tradewind.spec.policy import Monitor

PROFILES: Mapping[str, str] = {
    "feature": "string",
    "kind": "string",
    "rows": "int64",
    "model_version": "string",
    "profile": "string",
}
DRIFT: Mapping[str, str] = {
    "horizon": "int64",
    "feature": "string",
    "outcome": "string",
    "alarm": "bool",
    "psi": "float64",
    "null_mean": "float64",
    "null_high": "float64",
    "p": "float64",
    "q": "float64",
    "rows": "int64",
    "model_version": "string",
    "reason": "string",
    "test": "string",
    "statistic": "float64",
}
PERFORMANCE: Mapping[str, str] = {
    "population": "string",
    "outcome": "string",
    "metric": "string",
    "value": "float64",
    "low": "float64",
    "high": "float64",
    "limit": "float64",
    "below": "bool",
    "rows": "int64",
    "without_label": "int64",
    "not_scored": "int64",
    "model_version": "string",
    "in_sample": "bool",
    "reason": "string",
}
_COLUMNS = {"profiles": PROFILES, "drift": DRIFT, "performance": PERFORMANCE}


def require_monitor(spec: Pipeline) -> Monitor:
    """The `monitor` part.

    :raises UsageError: there is none
    """
    if spec.monitor is None:
        raise UsageError(f"pipeline {spec.pipeline} has no `monitor` in its YAML")
    return spec.monitor


def publish_monitoring_rows(
    deployment: Deployment,
    name: str,
    *,
    partition: str,
    cause: Cause,
    base: frozenset[str],
    rows: Callable[[], Sequence[Mapping[str, Any]]],
) -> PublishedPartition:
    """Publish the rows of one partition; they are made only if the partition is not there from the same cause.

    Columns that a table of an earlier release does not have are added to it; its older partitions have NULL there.

    :param name: `profiles`, `drift` or `performance`
    :param base: its :func:`monitoring_base`
    :raises Conflict: another run published the partition meanwhile
    """
    import pyarrow as pa

    dataset = _monitoring_dataset(deployment, name)
    known = dataset.snapshot()
    found = known.partitions.get(partition) if known else None
    if known and found and found.cause == cause.hash:
        return PublishedPartition(name, partition, known.version, found.digest, found.rows, changed=False)
    schema = pa.schema([(column, pa.type_for_alias(kind)) for column, kind in _COLUMNS[name].items()])
    table = pa.Table.from_pylist([dict(row) for row in rows()], schema=schema)
    staged = dataset.stage(partition, table.to_reader(), base=base)
    return dataset.publish(staged, cause=cause, run_id=deployment.runtime.run_id, new_columns="take")


def monitoring_base(deployment: Deployment, name: str, partition: str) -> frozenset[str]:
    """What is published of a partition; ask before its inputs are looked up, so that stale rows never replace newer."""
    return _monitoring_dataset(deployment, name).base(partition)


def monitoring_snapshot(deployment: Deployment, name: str) -> Snapshot | None:
    """A dataset as it is now; None while there is no table."""
    return _monitoring_dataset(deployment, name).snapshot()


def partition_states(found: Snapshot | None) -> Mapping[str, PartitionState]:
    """All partitions of a snapshot."""
    return found.partitions if found else {}


def snapshot_rows(found: Snapshot | None, partitions: Sequence[str]) -> pa.Table | None:
    """Rows of those of ``partitions`` that are there, with the column `partition`; None while there is no table."""
    return found.arrow([key for key in partitions if key in found.partitions]).to_table() if found else None


def read_monitoring_rows(deployment: Deployment, name: str, *, partitions: Sequence[str]) -> pa.Table | None:
    """Rows of those of ``partitions`` that are there now; None while there is no table."""
    return snapshot_rows(monitoring_snapshot(deployment, name), partitions)


def _monitoring_dataset(deployment: Deployment, name: str) -> Dataset:
    return deployment.lake.dataset(deployment.spec.pipeline, name)
