"""Erasure: the rows of one entity are removed wherever the pipeline keeps any, and what that breaks is written down."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from tradewind.errors import UsageError
from tradewind.lake import storage
from tradewind.lake.dataset import Dataset, Lake
from tradewind.lake.row_erasure import ErasedRows, breaks_version, missing_files, published_and_old
from tradewind.lake.row_erasure import erase_rows as erase_from
from tradewind.ledger.journal import Entry, Ledger
from tradewind.scoring.batch_scoring import RUN_COLUMNS
from tradewind.upkeep.retention import PREDICTIONS, SHADOWED, read_prediction_lineage

if TYPE_CHECKING:
    import pyarrow as pa
    from feast import FeatureView

    from tradewind.deployment import Deployment
    from tradewind.lake.table_log import FileSpan
    from tradewind.spec.pipeline import Pipeline

SUBJECT = "entity"
REMOVING = "removing"
"""Outcome of the entry that says, before a dataset is touched, what is removed from it."""
GONE = "not reproducible"
"""Outcome of the entries that say which model versions and predictions cannot be made again."""


@dataclass(frozen=True, slots=True)
class ErasureReport:
    """What was removed, or would be.

    :param datasets: each in which something was found
    :param without: datasets that do not have the columns
    :param online: entities removed by feature view; empty in a dry run
    :param models: model versions that can no longer be trained again from the same rows
    :param predictions: partitions of predictions that can no longer be made again from the same rows
    :param dry_run: nothing was removed
    """

    datasets: tuple[ErasedRows, ...]
    without: tuple[str, ...]
    online: Mapping[str, int]
    models: tuple[str, ...]
    predictions: tuple[str, ...]
    dry_run: bool

    @property
    def found(self) -> bool:
        """Whether there was anything of the entity."""
        return any(one.found for one in self.datasets) or any(self.online.values())

    @property
    def staged(self) -> list[str]:
        """Datasets of which a run has staged rows of the entity right now."""
        return [one.dataset for one in self.datasets if one.staged]


def erase_entity(
    deployment: Deployment,
    entity: Mapping[str, str],
    *,
    renamed: Mapping[str, Mapping[str, str]] | None = None,
    reason: str,
    now: datetime,
    online: bool = True,
    dry_run: bool = False,
) -> ErasureReport:
    """Remove every row of one entity from datasets, old versions, predictions, quarantine and online store.

    The ledger says that, when, by which person and how much, and never which entity. What a run that was killed
    left is removed by the next one. Landing files belong to those who deliver them: a partition that is run again
    from a delivery that still has the entity brings it back.

    :param entity: text of the values by column; rows with all of them are the entity's
    :param renamed: the same for datasets that call the columns otherwise, by dataset
    :param now: the present, aware
    :param online: False to leave the online store alone
    :raises UsageError: no dataset has these columns, or the reason names the entity
    :raises Unavailable: another run holds the online store for too long, or publishes all the time
    """
    spec = deployment.spec
    renamed = renamed or {}
    named = sorted({value for part in (entity, *renamed.values()) for value in part.values() if value in reason})
    if named:
        raise UsageError("the reason is kept for ever and names the entity; say it without the value")
    searched, without = _datasets_to_search(deployment, entity, renamed)
    ledger = deployment.ledger
    about = {"columns": sorted(entity), "datasets": sorted(searched)}
    if not dry_run:
        _journal_erasure(deployment, "begun", reason, now=now, evidence=about)
    lake = deployment.lake

    def from_lake() -> list[ErasedRows]:
        return [
            _erase_from_dataset(
                deployment, lake.dataset(spec.pipeline, name), values, reason=reason, now=now, dry_run=dry_run
            )
            for name, values in searched.items()
        ]

    if online and spec.features is not None and not dry_run:
        removed, served = _erase_with_online_store(deployment, searched, from_lake)
    else:
        removed, served = from_lake(), {}
    # What is gone by now, not only what this run removed: one before it may have been killed.
    gone = {
        one.dataset: missing_files(lake.dataset(spec.pipeline, one.dataset), besides=one.files) for one in removed
    }  # fmt: skip
    models, predictions = _broken_models(spec, ledger, gone), _broken_predictions(spec, lake, removed, gone)
    done = ErasureReport(
        tuple(one for one in removed if one.found), tuple(without), served, models, predictions, dry_run
    )  # fmt: skip
    if not dry_run:
        _journal_erasure(deployment, "erased", reason, now=now, evidence={**about, **_erasure_evidence(done)})
        _mark_not_reproducible(deployment, done, now=now)
    return done


def _erase_from_dataset(
    deployment: Deployment, dataset: Dataset, values: Mapping[str, str], *, reason: str, now: datetime, dry_run: bool
) -> ErasedRows:
    """Erase from one dataset; what is going to be removed is journalled first, so that a kill leaves a record of it."""
    columns = RUN_COLUMNS if dataset.name in (PREDICTIONS, SHADOWED) else ()
    found = erase_from(dataset, values, run_id=deployment.runtime.run_id, now=now, dry_run=True, run_columns=columns)
    if dry_run or not found.found:
        return found
    _journal_erasure(deployment, REMOVING, reason, now=now, evidence=_removed_counts(found), subject=dataset.name)
    return erase_from(dataset, values, run_id=deployment.runtime.run_id, now=now, run_columns=columns)


def _datasets_to_search(
    deployment: Deployment, entity: Mapping[str, str], renamed: Mapping[str, Mapping[str, str]]
) -> tuple[dict[str, Mapping[str, str]], list[str]]:
    """Values to look for by dataset, and the datasets that do not have the columns; every table on disk counts."""
    spec = deployment.spec
    lake = deployment.lake
    root = storage.local_path(lake.root) / spec.pipeline
    folders = sorted(path.name for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
    unknown = sorted(set(renamed) - set(folders))
    if unknown:
        raise UsageError(f"{spec.pipeline}: there is no dataset {', '.join(unknown)}; there are {', '.join(folders)}")
    searched: dict[str, Mapping[str, str]] = {}
    without = []
    for name in folders:
        values = renamed.get(name, entity)
        columns = _column_names(lake.dataset(spec.pipeline, name))
        # a dataset whose first partition waits in quarantine has no table, and no columns, yet
        if values and (columns is None or set(values) <= columns):
            searched[name] = values
        else:
            without.append(name)
    if not any(_column_names(lake.dataset(spec.pipeline, name)) for name in searched):
        raise UsageError(
            f"{spec.pipeline}: no dataset has the columns {', '.join(entity)}; name it as DATASET.COLUMN=VALUE where "
            "it is called otherwise"
        )
    return searched, without


def _column_names(dataset: Dataset) -> set[str] | None:
    snapshot = dataset.snapshot()
    return set(snapshot.schema.names) if snapshot else None


def _erase_with_online_store(
    deployment: Deployment, searched: Mapping[str, Mapping[str, str]], from_lake: Any
) -> tuple[list[ErasedRows], dict[str, int]]:
    """Remove from the online store, from the lake, and from the online store again: no run materialises meanwhile."""
    from tradewind.features.feature_store import open_feature_store
    from tradewind.features.online.entity_removal import erase_online_entities as erase_online
    from tradewind.features.online.store_config import explain_online_errors
    from tradewind.features.registry_lock import hold_registry_lock

    counts: dict[str, int] = {}
    with (
        hold_registry_lock(deployment.runtime.feast_registry, f"materialise-{deployment.spec.pipeline}"),
        explain_online_errors(deployment.spec.pipeline, deployment.runtime.feast_online),
        open_feature_store(deployment, versions={}) as store,
    ):
        views = {view: _entity_keys(deployment, view, searched) for view in store.list_feature_views()}
        for view, entities in views.items():
            counts[str(view.name)] = erase_online(store, view, entities) if entities is not None else 0
        removed: list[ErasedRows] = from_lake()
    return removed, counts


def _entity_keys(
    deployment: Deployment, view: FeatureView, searched: Mapping[str, Mapping[str, str]]
) -> pa.Table | None:
    """Keys of the view that are the entity's: as its rows have them, in whatever version, and as they were given."""
    import pyarrow as pa
    from feast.type_map import feast_value_type_to_pa

    from tradewind.engine.database import connect_duckdb, quote_identifier, quote_string, quote_strings
    from tradewind.features.definitions import view_source

    source = view_source(view)
    values = searched.get(source.dataset)
    if values is None:
        return None
    before = {new: old for old, new in source.field_mapping.items()}
    names = [column.name for column in view.entity_columns]
    columns = [before.get(name, name) for name in names]
    lake = deployment.lake
    files = published_and_old(lake.dataset(deployment.spec.pipeline, source.dataset))
    picked = ", ".join(
        f"{quote_identifier(column)} AS {quote_identifier(name)}" for column, name in zip(columns, names, strict=True)
    )
    same = " AND ".join(
        f"CAST({quote_identifier(name)} AS VARCHAR) = {quote_string(value)}" for name, value in values.items()
    )
    parts = []
    if files and names:
        with connect_duckdb() as connection:
            read = f"read_parquet({quote_strings(files)}, union_by_name = true, hive_partitioning = false)"
            parts.append(connection.sql(f"SELECT DISTINCT {picked} FROM {read} WHERE {same}").to_arrow_table())
    if names and set(columns) <= set(values):
        given = pa.table({name: [values[column]] for column, name in zip(columns, names, strict=True)})
        schema = parts[0].schema if parts else pa.schema(
            [(c.name, feast_value_type_to_pa(c.dtype.to_value_type())) for c in view.entity_columns]
        )  # fmt: skip
        with contextlib.suppress(pa.ArrowInvalid):  # only a number is a key
            parts.append(given.cast(schema))
    return pa.concat_tables(parts).group_by(names).aggregate([]) if parts else None


def _broken_models(spec: Pipeline, ledger: Ledger, gone: Mapping[str, list[FileSpan]]) -> tuple[str, ...]:
    """Versions that were trained on something that is gone. What vacuum removed belonged to none."""
    found: dict[str, None] = {}
    for entry in ledger.find(spec.pipeline, "trained"):
        digests = entry.evidence.get("digests", {})
        for name, version in entry.evidence.get("versions", {}).items():
            partitions = {key.split("@")[0] for key in digests[name]} if name in digests else None
            if breaks_version(gone.get(name, ()), int(version), partitions):
                found[entry.subject] = None
    return tuple(found)


def _broken_predictions(
    spec: Pipeline, lake: Lake, removed: list[ErasedRows], gone: Mapping[str, list[FileSpan]]
) -> tuple[str, ...]:
    """Partitions of predictions that lost rows, or that were made from something that is gone."""
    dataset = lake.dataset(spec.pipeline, PREDICTIONS)
    snapshot = dataset.snapshot()
    found = {key for one in removed if one.dataset == PREDICTIONS for key in one.partitions}
    for key, state in snapshot.partitions.items() if snapshot else ():
        for file in state.files:
            for text in read_prediction_lineage(storage.local_path(dataset.uri) / file):
                if any(breaks_version(gone.get(name, ()), int(version)) for name, version in json.loads(text).items()):
                    found.add(key)
    return tuple(sorted(found))


def _erasure_evidence(done: ErasureReport) -> dict[str, Any]:
    return {
        "removed": {one.dataset: _removed_counts(one) for one in done.datasets},
        "online": dict(done.online),
        "models": list(done.models),
        "predictions": list(done.predictions),
    }


def _removed_counts(one: ErasedRows) -> dict[str, Any]:
    return {
        "rows": one.rows,
        "partitions": list(one.partitions),
        "files": len(one.files),
        "quarantined": len(one.quarantined),
        "versions": one.versions,
    }


def _journal_erasure(
    deployment: Deployment, outcome: str, reason: str, *, now: datetime, evidence: Any, subject: str = SUBJECT
) -> None:
    key = f"{subject}/{now.isoformat()}/{outcome}"
    deployment.ledger.append(
        Entry(
            deployment.spec.pipeline,
            "erased",
            subject,
            None,
            key,
            outcome=outcome,
            reason=reason,
            evidence=evidence,
            actor=deployment.runtime.actor,
            run_id=deployment.runtime.run_id,
        )
    )


def _mark_not_reproducible(deployment: Deployment, done: ErasureReport, *, now: datetime) -> None:
    """Say with each model version and each partition of predictions that it cannot be made again."""
    what = "rows that it was made from were erased on {day}; it cannot be made again"
    subjects = [*((version, None) for version in done.models), *((PREDICTIONS, key) for key in done.predictions)]
    for subject, partition in subjects:
        entry = Entry(
            deployment.spec.pipeline,
            "erased",
            subject,
            partition,
            f"{subject}/{partition or '-'}/{now.isoformat()}",
            outcome=GONE,
            reason=what.format(day=now.date().isoformat()),
            actor=deployment.runtime.actor,
            run_id=deployment.runtime.run_id,
        )
        deployment.ledger.append(entry)
