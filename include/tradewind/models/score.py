"""Batch scoring: the population of a partition, predicted by the champion that the ledger names for it."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import chain
from typing import TYPE_CHECKING, Any

from tradewind.errors import LeftOut, ModelError, Unavailable
from tradewind.lake.cause import Cause
from tradewind.lake.dataset import Lake
from tradewind.ledger import progress, turns
from tradewind.ledger.journal import Ledger
from tradewind.models.fallbacks import (
    CHAMPION,
    PublishedBy,
    heal_service,
    keeps,
    kept_words,
    published_by,
    report_service,
    served_words,
)
from tradewind.models.frame import Frame, population_frame, population_inputs
from tradewind.models.inputs import Pinned, definitions_digest, feature_time, pin, scoring, training
from tradewind.models.predictions import rows_of
from tradewind.models.service import Line, Service, open_line
from tradewind.spec.digest import config_hash
from tradewind.spec.sources import Query
from tradewind.transform.text import canonical_text

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


@dataclass(frozen=True, slots=True)
class Scored:
    """A population that was predicted.

    :param population: its partition key
    :param version: the model version whose predictions these are
    :param served_by: ``champion``, ``previous_champion`` or ``majority``
    :param changed: False if the same predictions were there already, or if they are kept
    :param kept: why better answers, which were published before, stay in place of a fallback's; empty if none do
    """

    population: str
    rows: int
    version: str
    served_by: str
    changed: bool
    kept: str = ""


@dataclass(frozen=True, slots=True)
class Skipped:
    """Nothing was predicted.

    :param reason: why not, in words
    """

    population: str
    reason: str


@dataclass(frozen=True, slots=True)
class _Answer:
    """What came of asking.

    :param batches: rows to publish; None if what is published stays
    :param kept: why it stays although it is not what would be made now
    """

    cause: Cause
    batches: Iterator[pa.RecordBatch] | None = None
    kept: str = ""


@dataclass(frozen=True, slots=True)
class _Work:
    """What the predictions of one population are made of, whoever makes them.

    :param base: what was published of it before anything here was looked up: whoever sees older inputs than the
        publisher must lose
    """

    population: str
    champion: Champion
    base: frozenset[str]
    pinned: Pinned
    delivered: Inputs


def score(spec: Pipeline, partition: str, runtime: Runtime) -> Scored | Skipped:
    """Predict the population ``ahead`` partitions after ``partition``; publish it as one partition of ``predictions``.

    Nothing is predicted again if champion, population, features and configuration are what they were. Where only a
    fallback can answer, what is published by somebody before it in line stays, and that is an incident.

    :raises NotReady: training of the partition before is not complete, so its champion may still come
    :raises MissingInput: the population has not been delivered
    :raises NotDelivered: it has not, and the YAML says to wait
    :raises MalformedInput: an entity has no key, no time, or is there twice
    :raises ModelError: neither the champion nor a fallback can be loaded and predict the whole population
    :raises Conflict: another run published the same population in the meantime
    :raises Unavailable: another champion came, or a file changed, in the meantime; scoring again uses the new one
    """
    ledger = Ledger(runtime.ledger)
    progress.begin(ledger, spec.pipeline, STAGE, partition, stages=spec.stages, run_id=runtime.run_id)
    if spec.train is not None:
        turns.require_before(spec, ledger, partition, stage=STAGE, of="train", alone=runtime.alone)
    population = spec.partitioning.shift(partition, scoring(spec).ahead)
    champion = ledger.champion_for(spec.pipeline, population)
    if champion is None:
        none = f"no champion holds for population {population}"
        return _skip(spec, partition, runtime, ledger, population, reason=none, cause="no champion")
    try:
        with open_line(spec, champion, population, runtime, ledger) as line:
            return _score(spec, partition, runtime, ledger, line=line)
    except LeftOut as exc:
        # Settled, or monitoring of the population's partition would wait for predictions that nobody makes.
        return _skip(spec, partition, runtime, ledger, population, reason=str(exc), cause="left out")


def _skip(
    spec: Pipeline, partition: str, runtime: Runtime, ledger: Ledger, population: str, *, reason: str, cause: str
) -> Skipped:
    log.info("%s at %s: nothing is scored: %s", spec.pipeline, partition, reason)
    heal_service(spec, partition, runtime, ledger, because=f"nothing is scored: {reason}")
    evidence = {"population": population, "skipped": reason}
    progress.complete(ledger, spec.pipeline, STAGE, partition, cause=cause, evidence=evidence, run_id=runtime.run_id)
    return Skipped(population, reason)


def _score(spec: Pipeline, partition: str, runtime: Runtime, ledger: Ledger, *, line: Line) -> Scored:
    dataset = Lake(runtime.lake, storage_options=runtime.storage_options).dataset(spec.pipeline, DATASET)
    population = line.population
    # After the model's process began: nothing of the lake may be used before a fork. The champion is asked for again.
    base = dataset.base(population)
    pinned = pin_population(spec, partition, runtime, population)
    delivered = population_inputs(spec, population, runtime, waits=True)
    work = _Work(population, line.champion, base, pinned, delivered)
    published = published_by(dataset.snapshot(), population)
    answer = _answered(spec, runtime, ledger, line, work, published=published)
    line.note(kept=answer.kept)
    scored = _settled(spec, partition, runtime, ledger, dataset, line=line, work=work, answer=answer, known=published)
    _confirm(spec, ledger, work)
    report_service(spec, partition, line, runtime, ledger, kept=answer.kept)
    evidence = {
        "population": population,
        "rows": scored.rows,
        "model_version": scored.version,
        "served_by": scored.served_by,
        "champion": work.champion.model_version,
        "kept": scored.kept,
    }
    # What is kept has a cause of its own, so that the ledger has an entry of it, and another one when it is over.
    cause = f"{answer.cause.hash}/kept" if answer.kept else answer.cause.hash
    progress.complete(ledger, spec.pipeline, STAGE, partition, cause=cause, evidence=evidence, run_id=runtime.run_id)
    log.info(
        "%s at %s: %s rows of population %s %s by %s",
        spec.pipeline, partition, scored.rows, population,
        "scored" if scored.changed else "had been scored", served_words(scored.served_by, scored.version),
    )  # fmt: skip
    return scored


def _settled(
    spec: Pipeline, partition: str, runtime: Runtime, ledger: Ledger, dataset: Dataset, *,
    line: Line, work: _Work, answer: _Answer, known: PublishedBy | None,
) -> Scored:  # fmt: skip
    """Publish the answer, if there is something to publish."""
    if answer.kept:
        assert known is not None  # it is what is kept
        return Scored(work.population, known.rows, known.version, known.served_by, False, answer.kept)
    rows, changed = (known.rows if known else 0), False
    if answer.batches is not None:
        published = _publish(spec, runtime, ledger, dataset, batches=answer.batches, cause=answer.cause, work=work)
        rows, changed = published.rows, published.changed
    return Scored(work.population, rows, line.service.version, line.service.served_by, changed)


def _answered(
    spec: Pipeline, runtime: Runtime, ledger: Ledger, line: Line, work: _Work, *, published: PublishedBy | None
) -> _Answer:
    """Rows of the first in line that predicts the whole population, unless what is published is better or the same.

    Nothing is written before the last batch is predicted: no population is served by two.
    """
    frame: Frame | None = None
    while True:
        service = line.service
        cause = _cause(spec, runtime, work, service)
        if published is not None and published.cause == cause.hash:
            return _Answer(cause)
        if published is not None and keeps(
            spec, published, service.served_by, population=work.population, ledger=ledger
        ):  # fmt: skip
            return _Answer(cause, kept=_kept(spec, runtime, line, work, published))
        if frame is None:
            frame = population_frame(
                spec, work.population, runtime, versions=work.pinned.versions, delivered=work.delivered
            )
        try:
            return _Answer(
                cause, predict(spec, runtime, work.population, frame=frame, service=service, pinned=work.pinned)
            )
        except ModelError as exc:
            line.fall_back(exc)


def _kept(spec: Pipeline, runtime: Runtime, line: Line, work: _Work, published: PublishedBy) -> str:
    there = Service(published.version, published.served_by, frozenset(), None)
    if published.served_by == CHAMPION:  # perhaps another one than now: that is no change of what it was scored from
        work = replace(work, champion=replace(work.champion, model_version=published.version))
    same = _cause(spec, runtime, work, there).hash == published.cause
    return kept_words(spec, published, line, population=work.population, same_inputs=same)


def predict(
    spec: Pipeline, runtime: Runtime, population: str, *, frame: Frame, service: Service, pinned: Pinned
) -> Iterator[pa.RecordBatch]:
    """Rows of ``predictions`` for a population; when this returns, the model has predicted all of them.

    :param frame: its :func:`population_frame`
    :param pinned: its :func:`pin_population`
    :raises ModelError: the model fails
    """
    output, classes = service.answers(frame.inputs())
    lineage = _lineage(spec, runtime, pinned, service=service, population=population)
    return rows_of(frame, output, classes, lineage, pipeline=spec.pipeline, population=population)


def pin_population(spec: Pipeline, partition: str, runtime: Runtime, population: str) -> Pinned:
    """What the features of a population are read from by the run of ``partition``.

    :raises NotReady: a dataset has not been published yet
    """
    since = feature_time(spec, population) or spec.partitioning.bounds(population).start
    return pin(spec, runtime, since=since, last=partition)


def _cause(spec: Pipeline, runtime: Runtime, work: _Work, service: Service) -> Cause:
    inputs = {
        **work.pinned.by_name(),
        **{f"population/{work.population}/{name}": digest for name, digest in work.delivered.digests.items()},
        "champion": work.champion.model_version,
        "served": f"{service.served_by} {service.version}",
    }
    return Cause(inputs, configuration(spec, runtime), CODE)


def configuration(spec: Pipeline, runtime: Runtime) -> str:
    """Hash of the configuration that determines predictions."""
    declared = scoring(spec)
    references = declared.population.references.values()
    files = [declared.population.sql, *(source.query for source in references if isinstance(source, Query))]
    sql, *queries = [(runtime.project / name).read_text(encoding="utf-8") for name in files]
    about = [training(spec).columns, training(spec).service, spec.timezone]
    # A comment or a line break changes nothing that is computed; a database may read hints in comments.
    return config_hash(declared, canonical_text(sql), about, definitions_digest(spec, runtime), *queries)


def _publish(
    spec: Pipeline, runtime: Runtime, ledger: Ledger, dataset: Dataset, *,
    batches: Iterator[pa.RecordBatch], cause: Cause, work: _Work,
) -> Published:  # fmt: skip
    import pyarrow as pa

    first = next(batches)
    reader = pa.RecordBatchReader.from_batches(first.schema, chain([first], batches))
    staged = dataset.stage(work.population, reader, run_columns=RUN_COLUMNS, base=work.base)
    try:
        _confirm(spec, ledger, work)
        return dataset.publish(staged, cause=cause, run_id=runtime.run_id)
    finally:
        dataset.discard(staged)


def _confirm(spec: Pipeline, ledger: Ledger, work: _Work) -> None:
    """See that the champion is still the one that scored: a promotion that finds a population unscored claims it.

    One that has looked already and has not written yet is waited for; one that looks later finds what was published.

    :raises Unavailable: another one holds for the population now
    """
    now = ledger.champion_for(spec.pipeline, work.population, alone=True)
    if now is None or now.seq != work.champion.seq:
        newer = f"version {now.model_version}" if now else "nobody"
        raise Unavailable(
            f"{spec.pipeline}: {newer} became champion of population {work.population} while version "
            f"{work.champion.model_version} scored it; score it again"
        )


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
