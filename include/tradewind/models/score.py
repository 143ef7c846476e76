"""Batch scoring: the population of a partition, predicted by the champion that the ledger names for it."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tradewind.errors import LeftOut, Unavailable
from tradewind.lake.cause import Cause
from tradewind.lake.dataset import Lake
from tradewind.ledger import absences, progress
from tradewind.ledger.journal import Ledger
from tradewind.models.frame import Frame, population_frame, population_inputs
from tradewind.models.inputs import Pinned, definitions_digest, feature_time, pin, scoring, training
from tradewind.models.service import Service, open_service
from tradewind.spec.digest import config_hash
from tradewind.spec.sources import Query

if TYPE_CHECKING:
    import pyarrow as pa

    from tradewind.core.runtime import Runtime
    from tradewind.etl.inputs import Inputs
    from tradewind.lake.dataset import Dataset
    from tradewind.lake.publish import Published
    from tradewind.ledger.champions import Champion
    from tradewind.spec.models import Pipeline

log = logging.getLogger(__name__)

CODE = "score/1"
DATASET = "predictions"
STAGE = "score"
RUN_COLUMNS = ("run_id", "scored_at", "dataset_versions")
BATCH_ROWS = 50_000


@dataclass(frozen=True, slots=True)
class Scored:
    """A population that was predicted.

    :param population: its partition key
    :param version: the model version whose predictions these are
    :param served_by: ``champion``, ``previous_champion`` or ``majority``
    :param changed: False if the same predictions were there already
    """

    population: str
    rows: int
    version: str
    served_by: str
    changed: bool


@dataclass(frozen=True, slots=True)
class Skipped:
    """Nothing was predicted.

    :param reason: why not, in words
    """

    population: str
    reason: str


@dataclass(frozen=True, slots=True)
class _Work:
    """All that determines the predictions of one population.

    :param base: what was published of it before anything here was looked up: whoever sees older inputs than the
        publisher must lose
    """

    population: str
    champion: Champion
    service: Service
    base: frozenset[str]
    pinned: Pinned
    delivered: Inputs


def score(spec: Pipeline, partition: str, runtime: Runtime) -> Scored | Skipped:
    """Predict the population ``ahead`` partitions after ``partition``; publish it as one partition of ``predictions``.

    Nothing is predicted again if champion, population, features and configuration are what they were.

    :raises NotReady: training of the partition before is not complete, so its champion may still come
    :raises MissingInput: the population has not been delivered
    :raises NotDelivered: it has not, and the YAML says to wait
    :raises MalformedInput: an entity has no key, no time, or is there twice
    :raises ModelError: neither the champion nor a fallback can serve
    :raises Conflict: another run published the same population in the meantime
    :raises Unavailable: another champion came, or a file changed, in the meantime; scoring again uses the new one
    """
    ledger = Ledger(runtime.ledger)
    before = absences.before(ledger, spec.pipeline, partition, partitioning=spec.partitioning)
    if spec.train is not None and before is not None:
        progress.require(ledger, spec.pipeline, "train", before)
    population = spec.partitioning.shift(partition, scoring(spec).ahead)
    champion = ledger.champion_for(spec.pipeline, population)
    if champion is None:
        none = f"no champion holds for population {population}"
        return _skip(spec, partition, runtime, ledger, population, reason=none, cause="no champion")
    try:
        with open_service(spec, champion, population, runtime, ledger) as service:
            return _score(spec, partition, runtime, ledger, champion=champion, service=service, population=population)
    except LeftOut as exc:
        # Settled, or monitoring of the population's partition would wait for predictions that nobody makes.
        return _skip(spec, partition, runtime, ledger, population, reason=str(exc), cause="left out")


def _skip(
    spec: Pipeline, partition: str, runtime: Runtime, ledger: Ledger, population: str, *, reason: str, cause: str
) -> Skipped:
    log.info("%s at %s: nothing is scored: %s", spec.pipeline, partition, reason)
    evidence = {"population": population, "skipped": reason}
    progress.complete(ledger, spec.pipeline, STAGE, partition, cause=cause, evidence=evidence, run_id=runtime.run_id)
    return Skipped(population, reason)


def _score(
    spec: Pipeline, partition: str, runtime: Runtime, ledger: Ledger, *,
    champion: Champion, service: Service, population: str,
) -> Scored:  # fmt: skip
    dataset = Lake(runtime.lake, storage_options=runtime.storage_options).dataset(spec.pipeline, DATASET)
    # After the model's process began: nothing of the lake may be used before a fork. The champion is asked for again.
    base = dataset.base(population)
    pinned = _pin(spec, partition, runtime, population)
    work = _Work(population, champion, service, base, pinned, population_inputs(spec, population, runtime, waits=True))
    cause = _cause(spec, runtime, work)
    snapshot = dataset.snapshot()
    known = snapshot.partitions.get(population) if snapshot else None
    rows, changed = (known.rows if known else 0), False
    if known is None or known.cause != cause.hash:
        published = _predict(spec, runtime, ledger, dataset, cause=cause, work=work)
        rows, changed = published.rows, published.changed
    _confirm(spec, ledger, work)
    evidence = {
        "population": population,
        "rows": rows,
        "model_version": service.version,
        "served_by": service.served_by,
    }
    progress.complete(
        ledger, spec.pipeline, STAGE, partition, cause=cause.hash, evidence=evidence, run_id=runtime.run_id
    )
    log.info(
        "%s at %s: %s rows of population %s %s by version %s (%s)",
        spec.pipeline, partition, rows, population,
        "scored" if changed else "had been scored", service.version, service.served_by,
    )  # fmt: skip
    return Scored(population, rows, service.version, service.served_by, changed)


def _pin(spec: Pipeline, partition: str, runtime: Runtime, population: str) -> Pinned:
    since = feature_time(spec, population) or spec.partitioning.bounds(population).start
    return pin(spec, runtime, since=since, last=partition)


def _cause(spec: Pipeline, runtime: Runtime, work: _Work) -> Cause:
    inputs = {
        **work.pinned.by_name(),
        **{f"population/{work.population}/{name}": digest for name, digest in work.delivered.digests.items()},
        "champion": work.champion.model_version,
        "served": f"{work.service.served_by} {work.service.version}",
    }
    return Cause(inputs, configuration(spec, runtime), CODE)


def configuration(spec: Pipeline, runtime: Runtime) -> str:
    """Hash of the configuration that determines predictions."""
    declared = scoring(spec)
    references = declared.population.references.values()
    files = [declared.population.sql, *(source.query for source in references if isinstance(source, Query))]
    sql, *queries = [(runtime.project / name).read_text(encoding="utf-8") for name in files]
    about = [training(spec).columns, training(spec).service, spec.timezone]
    return config_hash(declared, sql, about, definitions_digest(spec, runtime), *queries)


def _predict(
    spec: Pipeline, runtime: Runtime, ledger: Ledger, dataset: Dataset, *, cause: Cause, work: _Work
) -> Published:
    import pyarrow as pa

    population, service = work.population, work.service
    frame = population_frame(spec, population, runtime, versions=work.pinned.versions, delivered=work.delivered)
    lineage = _lineage(spec, runtime, work.pinned, service=service, population=population)
    batches = _batches(spec, frame, lineage, service=service, population=population)
    first = next(batches)
    reader = pa.RecordBatchReader.from_batches(first.schema, _after(first, batches))
    staged = dataset.stage(population, reader, run_columns=RUN_COLUMNS, base=work.base)
    try:
        _confirm(spec, ledger, work)
        return dataset.publish(staged, cause=cause, run_id=runtime.run_id)
    finally:
        dataset.discard(staged)


def _confirm(spec: Pipeline, ledger: Ledger, work: _Work) -> None:
    """See that the champion is still the one that scored: a promotion that finds a population unscored claims it.

    :raises Unavailable: another one holds for the population now
    """
    now = ledger.champion_for(spec.pipeline, work.population)
    if now is None or now.seq != work.champion.seq:
        newer = f"version {now.model_version}" if now else "nobody"
        raise Unavailable(
            f"{spec.pipeline}: {newer} became champion of population {work.population} while version "
            f"{work.champion.model_version} scored it; score it again"
        )


def _after(first: pa.RecordBatch, rest: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    yield first
    yield from rest


def _lineage(
    spec: Pipeline, runtime: Runtime, pinned: Pinned, *, service: Service, population: str
) -> Mapping[str, Any]:
    """What is the same for every row."""
    return {
        "model_name": spec.model_name,
        "model_version": service.version,
        "dataset_versions": json.dumps(dict(pinned.versions), sort_keys=True),
        "pipeline_version": config_hash(spec)[:12],
        "run_id": runtime.run_id,
        "scored_at": datetime.now(UTC),
        "served_by": service.served_by,
        "in_sample": population in service.train_partitions,
    }


def _batches(
    spec: Pipeline, frame: Frame, lineage: Mapping[str, Any], *, service: Service, population: str
) -> Iterator[pa.RecordBatch]:
    """Entities with probability and lineage, batch by batch; the whole population is never in the model at once."""
    import pyarrow as pa

    kinds = {"scored_at": pa.timestamp("us", "UTC"), "in_sample": pa.bool_()}
    entities, inputs = frame.table, frame.inputs()
    for begin in range(0, entities.num_rows, BATCH_ROWS):
        part = entities.slice(begin, BATCH_ROWS)
        keys, times = part[frame.key].combine_chunks(), part[frame.timestamp].combine_chunks()
        constant = {
            name: pa.repeat(pa.scalar(value, kinds.get(name, pa.string())), part.num_rows)
            for name, value in lineage.items()
        }
        named = (spec.pipeline, service.version, population)
        columns = {
            frame.key: keys,
            frame.timestamp: times,
            "probability": pa.array(service.probability(inputs.slice(begin, BATCH_ROWS)), pa.float64()),
            "prediction_id": pa.array([prediction_id(*named, key) for key in keys.to_pylist()], pa.string()),
            **constant,
        }
        yield pa.RecordBatch.from_pydict(columns)


def prediction_id(pipeline: str, version: str, population: str, key: object) -> str:
    """Name of one prediction: 32 hex digits, the same whenever it is made again."""
    text = json.dumps([pipeline, version, population, str(key)])
    return hashlib.sha256(text.encode()).hexdigest()[:32]
