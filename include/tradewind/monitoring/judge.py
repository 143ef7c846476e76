"""Judge one partition: drift against the champion's baseline, and performance where labels fell due."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tradewind.ledger import progress
from tradewind.ledger.journal import Ledger
from tradewind.monitoring import datasets, report
from tradewind.monitoring.drifts import publish_drift
from tradewind.monitoring.performance import publish_performance
from tradewind.monitoring.profile import require_turn

if TYPE_CHECKING:
    from tradewind.core.runtime import Runtime
    from tradewind.lake.publish import Published
    from tradewind.spec.models import Pipeline

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Judged:
    """What was found for one partition.

    :param alarms: what drifted, as ``feature over h partitions``
    :param performance: the realised metric of each population that fell due; None where there is none
    :param report: the HTML report
    :param changed: False if all of it had been done before
    """

    alarms: tuple[str, ...]
    performance: Mapping[str, float | None]
    report: Path
    changed: bool


def judge(spec: Pipeline, partition: str, runtime: Runtime) -> Judged:
    """Publish `drift` and `performance` of one partition, write the report, and complete the stage `monitor`.

    :param partition: partition key; it must have been profiled
    :raises NotReady: the population of ``partition`` has not been scored, or the partition before not been judged, yet
    :raises MissingInput: the partition has not been profiled
    :raises Conflict: another run published the partition meanwhile
    """
    ledger = Ledger(runtime.ledger)
    require_turn(spec, partition, ledger, alone=runtime.alone)
    drift = publish_drift(spec, partition, runtime, ledger=ledger)
    performance = publish_performance(spec, partition, runtime)
    drifts = _rows(spec, runtime, drift)
    realised = _rows(spec, runtime, performance)
    path = runtime.reports / spec.pipeline / "monitor" / f"{partition}.html"
    report.write(path, pipeline=spec.pipeline, partition=partition, drift=drifts, performance=realised)
    alarms = tuple(f"{r['feature']} over {r['horizon']}" for r in drifts if r["alarm"])
    values = {row["population"]: row["value"] for row in realised}
    log.info("%s: partition %s: drift in %s; performance %s", spec.pipeline, partition, alarms or "nothing", values)
    done = progress.complete(
        ledger,
        spec.pipeline,
        "monitor",
        partition,
        cause=_cause(spec, partition, runtime),
        evidence={"alarms": alarms, "performance": values},
        run_id=runtime.run_id,
    )
    changed = done or drift.changed or (performance is not None and performance.changed)
    return Judged(alarms, values, path, changed)


def _rows(spec: Pipeline, runtime: Runtime, published: Published | None) -> list[dict[str, Any]]:
    if published is None:
        return []
    table = datasets.read(spec, runtime, published.dataset, partitions=[published.partition])
    rows: list[dict[str, Any]] = table.to_pylist() if table is not None else []
    return rows


def _cause(spec: Pipeline, partition: str, runtime: Runtime) -> str:
    """Hash of what caused everything that monitoring published for the partition."""
    names = ("profiles", "drift", "performance")
    found = {name: datasets.states(datasets.snapshot(spec, runtime, name)).get(partition) for name in names}
    causes = {name: state.cause for name, state in found.items() if state}
    return hashlib.sha256(json.dumps(causes, sort_keys=True).encode()).hexdigest()[:32]
