"""The ``features`` stage of one partition."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tradewind.errors import SpecError, UsageError
from tradewind.features.apply import apply_loaded
from tradewind.features.definitions import Definitions, load
from tradewind.features.lock import exclusive
from tradewind.features.store import opened
from tradewind.features.versions import current
from tradewind.features.window import Window, entities, window
from tradewind.ledger import progress
from tradewind.ledger.journal import Entry, Ledger

if TYPE_CHECKING:
    from tradewind.core.runtime import Runtime
    from tradewind.spec.models import Pipeline

log = logging.getLogger(__name__)
_STAGE = "features"
_CODE = "1"  # raise it when the stage does something else with the same input


@dataclass(frozen=True, slots=True)
class Materialised:
    """What the stage did.

    :param rows: entities written to the online store, by feature view
    :param window: the time whose feature rows they are
    :param changed: False if all of it had been done before
    """

    rows: Mapping[str, int]
    window: Window
    changed: bool


def materialise(spec: Pipeline, partition: str, runtime: Runtime) -> Materialised:
    """Apply changed definitions, bring the partition's features into the online store, and journal it.

    Nothing is written again while the partition's datasets, the definitions and the configuration are the same.

    :param partition: partition key; its etl must be complete
    :raises NotReady: its etl is not complete
    :raises UsageError: the partition is not over yet
    :raises MalformedInput: feature rows that are not right in time
    :raises Unavailable: another run holds the registry or the online store for too long
    """
    if spec.features is None:
        raise SpecError(f"pipeline {spec.pipeline} has no `features` in its YAML")
    ledger = Ledger(runtime.ledger)
    progress.require(ledger, spec.pipeline, "etl", partition)
    _refuse_future(spec, partition)
    upstream = str(progress.latest_cause(ledger, spec.pipeline, "etl", partition))
    progress.start(ledger, spec.pipeline, _STAGE, partition, cause=upstream, run_id=runtime.run_id)
    definitions = load(spec, runtime)
    cause = cause_of(spec, definitions, upstream)
    # One at a time: two windows that overlap could write their values in the wrong order.
    with exclusive(runtime.feast_registry, f"materialise-{spec.pipeline}"):
        earlier = ledger.find(spec.pipeline, "materialised", subject=_STAGE)
        done = _written(earlier, partition, cause)
        if done is None:
            done = _materialise(spec, partition, runtime, definitions, cause=cause, earlier=earlier)
            ledger.append(done)
            changed = True
        else:
            changed = False
    evidence = {"rows": done.evidence["rows"], "window": done.evidence["window"]}
    progress.complete(ledger, spec.pipeline, _STAGE, partition, cause=cause, evidence=evidence, run_id=runtime.run_id)
    start, end = (datetime.fromisoformat(moment) for moment in done.evidence["window"])
    return Materialised(dict(done.evidence["rows"]), Window(start, end), changed)


def _refuse_future(spec: Pipeline, partition: str) -> None:
    end = spec.partitioning.bounds(partition).end
    if end > datetime.now(UTC):
        raise UsageError(
            f"{spec.pipeline}: partition {partition} ends at {end}, which is in the future; "
            f"what is not over is not materialised: run it when it has ended"
        )


def cause_of(spec: Pipeline, definitions: Definitions, upstream: str) -> str:
    """Hash of what a partition's materialisation is made from.

    :param upstream: the cause with which its etl is complete
    """
    assert spec.features is not None
    parts = [_CODE, upstream, definitions.digest, spec.features.lookback, spec.partition, spec.timezone]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def _written(earlier: list[Entry], partition: str, cause: str) -> Entry | None:
    """The partition's newest materialisation, if it is of this cause."""
    newest = [entry for entry in earlier if entry.partition == partition][-1:]
    return newest[0] if newest and newest[0].evidence["cause"] == cause else None


def _materialise(
    spec: Pipeline, partition: str, runtime: Runtime, definitions: Definitions, *, cause: str, earlier: list[Entry]
) -> Entry:
    """Check and write every view; what to journal about it."""
    assert spec.features is not None
    partitioning = spec.partitioning
    versions = current(spec, runtime, definitions.datasets())
    apply_loaded(spec, runtime, definitions, versions=versions)
    covered = window(
        partitioning,
        partition,
        lookback=spec.features.lookback,
        materialised=[entry.partition for entry in earlier if entry.partition],
    )
    bounds = partitioning.bounds(partition)
    with opened(runtime, spec, versions=versions) as store:
        views = [store.get_feature_view(view.name) for view in definitions.views if view.online]
        rows = {str(v.name): entities(store, v, covered, partition=partition, bounds=bounds) for v in views}
        with contextlib.redirect_stdout(io.StringIO()):  # Feast prints its progress, with colours
            store.materialize(covered.start, covered.end, feature_views=list(rows))
    log.info("%s: materialised %s from %s to %s: %s", spec.pipeline, partition, covered.start, covered.end, rows)
    evidence: dict[str, Any] = {
        "rows": rows,
        "window": [covered.start.isoformat(), covered.end.isoformat()],
        "versions": versions,
        "definitions": definitions.digest,
        "cause": cause,
    }
    again = sum(entry.partition == partition for entry in earlier)
    key = f"{partition}/{again}/{cause}"
    reason = "again: its datasets, the definitions or the configuration changed" if again else "first time"
    return Entry(
        spec.pipeline,
        "materialised",
        _STAGE,
        partition,
        key,
        outcome="materialised",
        reason=reason,
        evidence=evidence,
        actor=runtime.actor,
        run_id=runtime.run_id,
    )
