"""The ``features`` stage of one partition."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from tradewind.errors import SpecError, UsageError
from tradewind.etl.etl_completion import etl_cause
from tradewind.features import online_skew
from tradewind.features.dataset_versions import newest_versions
from tradewind.features.definitions import Definitions, load_definitions
from tradewind.features.feast_apply import apply_loaded_definitions
from tradewind.features.feature_store import open_feature_store
from tradewind.features.feature_window import FeatureWindow, check_window_rows, partition_window
from tradewind.features.online.store_config import explain_online_errors, online_store_digest
from tradewind.features.online.view_write import WrittenView, keeps_newer_values, write_view_online
from tradewind.features.registry_lock import hold_registry_lock
from tradewind.ledger import completion
from tradewind.ledger.journal import Entry

if TYPE_CHECKING:
    from feast import FeatureStore, FeatureView

    from tradewind.core.skew import FeatureSkew
    from tradewind.deployment import Deployment
    from tradewind.spec.pipeline import Pipeline

log = logging.getLogger(__name__)
_STAGE = "features"
# SQLite keeps whole seconds of event times: rows of the next partition that it could not tell apart are read too.
_SAME_SECOND = timedelta(microseconds=999_999)
_CODE = "2"  # raise it when the stage does something else with the same input


@dataclass(frozen=True, slots=True)
class Materialised:
    """What the stage did.

    :param rows: entities with a row in the window, by feature view
    :param kept: those of them whose online values were newer and stayed, as far as it is known
    :param windows: the time whose feature rows they are
    :param changed: False if all of it had been done before
    """

    rows: Mapping[str, int]
    kept: Mapping[str, int]
    windows: Mapping[str, FeatureWindow]
    changed: bool


def materialise_features(deployment: Deployment, partition: str) -> Materialised:
    """Apply changed definitions, bring the partition's features into the online store, and journal it.

    Nothing is written again while the partition's datasets, the definitions and the configuration are the same.

    :param partition: partition key; its etl must be complete
    :raises NotReady: its etl is not complete
    :raises UsageError: the partition is not over yet
    :raises MalformedInput: feature rows that are not right in time
    :raises Unavailable: the online store is away or full, or another run holds it or the registry for too long
    :raises MissingExtra: the driver of the online store is not installed
    """
    spec, runtime = deployment.spec, deployment.runtime
    if spec.features is None:
        raise SpecError(f"pipeline {spec.pipeline} has no `features` in its YAML")
    ledger = deployment.ledger
    completion.require_completion(ledger, spec.pipeline, "etl", partition)
    _refuse_future(spec, partition)
    upstream = str(completion.latest_cause(ledger, spec.pipeline, "etl", partition))
    completion.record_start(ledger, spec.pipeline, _STAGE, partition, cause=upstream, run_id=runtime.run_id)
    definitions = load_definitions(deployment)
    cause = materialisation_cause(spec, definitions, upstream)
    # One at a time: two windows that overlap could write their values in the wrong order.
    with hold_registry_lock(runtime.feast_registry, f"materialise-{spec.pipeline}"):
        earlier = ledger.find(spec.pipeline, "materialised", subject=_STAGE)
        done = _find_written(earlier, partition, cause)
        if done is None:
            done, skewed = _materialise_views(deployment, partition, definitions, cause=cause, earlier=earlier)
            ledger.append(done)
            online_skew.report_skew(spec, ledger, skewed, partition=partition, run_id=runtime.run_id)
            changed = True
        else:
            changed = False
    evidence = {name: done.evidence[name] for name in ("rows", "windows")}
    completion.record_completion(
        ledger, spec.pipeline, _STAGE, partition, cause=cause, evidence=evidence, run_id=runtime.run_id
    )
    windows = {
        view: FeatureWindow(*(datetime.fromisoformat(moment) for moment in ends))
        for view, ends in done.evidence["windows"].items()
    }
    return Materialised(dict(done.evidence["rows"]), dict(done.evidence["kept"]), windows, changed)


def _refuse_future(spec: Pipeline, partition: str) -> None:
    end = spec.partitioning.bounds(partition).end
    if end > datetime.now(UTC):
        raise UsageError(
            f"{spec.pipeline}: partition {partition} ends at {end}, which is in the future; "
            f"what is not over is not materialised: run it when it has ended"
        )


def materialisation_cause(spec: Pipeline, definitions: Definitions, upstream: str) -> str:
    """Hash of what a partition's materialisation is made from.

    :param upstream: the cause with which its etl is complete
    """
    assert spec.features is not None
    lookbacks = {str(view.name): spec.features.lookback_of(str(view.name)) for view in definitions.views}
    parts = [_CODE, upstream, definitions.digest, lookbacks, spec.partition, spec.timezone]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def _find_written(earlier: list[Entry], partition: str, cause: str) -> Entry | None:
    """The partition's newest materialisation, if it is of this cause."""
    newest = [entry for entry in earlier if entry.partition == partition][-1:]
    return newest[0] if newest and newest[0].evidence["cause"] == cause else None


def _materialise_views(
    deployment: Deployment, partition: str, definitions: Definitions, *, cause: str, earlier: list[Entry]
) -> tuple[Entry, dict[str, dict[str, FeatureSkew]]]:
    """Check and write every view, and look at what can be read then; what to journal about it."""
    spec, runtime = deployment.spec, deployment.runtime
    versions = newest_versions(deployment, definitions.datasets())
    place = online_store_digest(runtime.feast_online)
    later = _find_later(partition, earlier, definitions=definitions.digest, place=place)
    done: dict[str, tuple[FeatureWindow, WrittenView]] = {}
    with explain_online_errors(spec.pipeline, runtime.feast_online):
        apply_loaded_definitions(deployment, definitions, versions=versions)
        with open_feature_store(deployment, versions=versions) as store:
            for name in [str(view.name) for view in definitions.views if view.online]:
                done[name] = _materialise_view(spec, partition, store, store.get_feature_view(name), later=later)
            at, online = (
                spec.partitioning.bounds(later.newest).end,
                _online_partitions(deployment, definitions, earlier),
            )
            skewed = {
                name: online_skew.measure_view_skew(
                    spec, store, store.get_feature_view(name), at=at, online=online.after(partition), seed=partition
                )
                for name in done
            }
    evidence: dict[str, Any] = {
        "rows": {name: written.entities for name, (_, written) in done.items()},
        "kept": {name: written.kept for name, (_, written) in done.items() if written.kept is not None},
        "by": {name: written.by for name, (_, written) in done.items()},
        "windows": {name: [span.start.isoformat(), span.end.isoformat()] for name, (span, _) in done.items()},
        "skew": online_skew.skew_evidence(skewed),
        "versions": versions,
        "definitions": definitions.digest,
        "place": place,
        "cause": cause,
    }
    again = sum(entry.partition == partition for entry in earlier)
    key = f"{partition}/{again}/{cause}"
    reason = "again: its datasets, the definitions or the configuration changed" if again else "first time"
    entry = Entry(
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
    return entry, skewed


def _online_partitions(
    deployment: Deployment, definitions: Definitions, earlier: list[Entry]
) -> online_skew.OnlinePartitions:
    """Which partitions are in the online store as they are in the lake now.

    The lake is asked and not the ledger, which hears of new rows only when all datasets of a partition are published.
    """
    spec = deployment.spec
    lake = deployment.lake
    snapshots = {name: lake.dataset(spec.pipeline, name).snapshot() for name in spec.datasets}
    materialised = online_skew.newest_causes(earlier)
    causes = {}
    for key in materialised:
        digests = {name: one.partitions[key].digest for name, one in snapshots.items() if one and key in one.partitions}
        causes[key] = materialisation_cause(spec, definitions, etl_cause(digests))
    return online_skew.classify_online_partitions(causes, materialised)


@dataclass(frozen=True, slots=True)
class _Later:
    """What was materialised after a partition.

    :param newest: the newest partition of all
    :param there: its values are in the online store as it is now: with these definitions, at this place
    """

    newest: str
    there: bool


def _find_later(partition: str, earlier: list[Entry], *, definitions: str, place: str) -> _Later:
    newest = max(earlier, key=lambda entry: (entry.partition or "", entry.id or 0), default=None)
    if newest is None or (newest.partition or "") <= partition:
        return _Later(partition, there=True)
    there = newest.evidence.get("definitions") == definitions and newest.evidence.get("place") == place
    return _Later(str(newest.partition), there=there)


def _materialise_view(
    spec: Pipeline, partition: str, store: FeatureStore, view: FeatureView, *, later: _Later
) -> tuple[FeatureWindow, WrittenView]:
    """Check and write one view."""
    from tradewind.features.definitions import view_source
    from tradewind.features.pinned_datasets import pinned_arrow_dataset

    assert spec.features is not None
    partitioning, source = spec.partitioning, view_source(view)
    lookback = spec.features.lookback_of(str(view.name))
    # Where newer values stay in their place, older partitions need not be read together with all that came after them.
    # Late rows are told apart by when they were made, which the online store does not know.
    alone = (
        later.there
        and not source.created_timestamp_column
        and keeps_newer_values(store, view, pinned_arrow_dataset(store.config, source.dataset))
    )
    span = partition_window(partitioning, partition, lookback=lookback, newest=None if alone else later.newest)
    if alone and later.newest > partition:
        span = FeatureWindow(span.start, span.end + _SAME_SECOND)
    found = check_window_rows(store, view, span, partition=partition, bounds=partitioning.bounds(partition))
    rows = pinned_arrow_dataset(store.config, source.dataset, since=span.start, until=span.end)
    return span, write_view_online(store, view, rows, window=span, found=found)
