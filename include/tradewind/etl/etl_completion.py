"""The end of the stage: every dataset of a partition is published."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from typing import Any

from tradewind.deployment import Deployment
from tradewind.errors import LeftOut, NotReady
from tradewind.ledger import completion, skipped_partitions

log = logging.getLogger(__name__)


def failed_dependent_runs(deployment: Deployment, partition: str) -> dict[str, str]:
    """Ids of the runs of later partitions that failed because they look back to this one, by their partition."""
    from tradewind.alerting.incidents import runs_not_ready

    spec = deployment.spec
    ledger, slicing = deployment.ledger, spec.partitioning
    reach = max((read.lookback for part in spec.datasets.values() for read in part.inputs.values()), default=1) - 1
    waited = runs_not_ready(ledger, spec.pipeline, "etl") if reach else {}
    out = skipped_partitions.skipped_partitions(ledger, spec.pipeline) if waited else {}
    within = {slicing.shift(partition, step) for step in range(1, reach + 1)}
    return {key: waited[key] for key in sorted(waited) if key in within and key not in out}


def complete_etl(deployment: Deployment, partition: str) -> str:
    """Record in the ledger that every dataset has the partition.

    :returns: the stage's cause: a hash of the datasets' digests
    :raises NotReady: a dataset does not have the partition
    :raises LeftOut: a dataset does without it on purpose
    """
    spec = deployment.spec
    spec.partitioning.check(partition)
    lake = deployment.lake
    evidence: dict[str, dict[str, Any]] = {}
    missing = []
    for name in spec.datasets:
        snapshot = lake.dataset(spec.pipeline, name).snapshot()
        found = snapshot.partitions.get(partition) if snapshot else None
        if snapshot is None or found is None:
            missing.append(name)
        else:
            evidence[name] = {"digest": found.digest, "version": snapshot.version, "rows": found.rows}
    ledger = deployment.ledger
    if missing:
        if left_out := skipped_partitions.left_out(ledger, spec.pipeline).get(partition):
            raise LeftOut(f"{spec.pipeline}: partition {partition} is left out: {left_out}")
        raise NotReady(
            f"{spec.pipeline}: partition {partition} is not published in {', '.join(missing)}; build it first"
        )
    digests = {name: found["digest"] for name, found in evidence.items()}
    cause = etl_cause(digests)
    new = completion.record_completion(
        ledger, spec.pipeline, "etl", partition, cause=cause, evidence=evidence, run_id=deployment.runtime.run_id
    )
    log.info("%s etl %s: complete, cause %s%s", spec.pipeline, partition, cause, "" if new else ", as before")
    return cause


def etl_cause(digests: Mapping[str, str]) -> str:
    """The cause with which `etl` of a partition is complete, 32 hex digits.

    :param digests: of the partition, by dataset
    """
    return hashlib.sha256(json.dumps(dict(digests), sort_keys=True).encode()).hexdigest()[:32]
