"""Batch scoring: the population of a partition, predicted by the champion that the ledger names for it."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import chain
from typing import TYPE_CHECKING, Any

from tradewind.engine.sql_text import canonical_text
from tradewind.errors import LeftOut, ModelError, Unavailable
from tradewind.lake.cause import Cause
from tradewind.ledger import completion, ordering
from tradewind.ledger.journal import Ledger
from tradewind.scoring.fallbacks import (
    CHAMPION,
    PublishedBy,
    close_fallback_incident,
    describe_served_by,
    explain_kept_predictions,
    keeps_published_predictions,
    published_by,
    update_fallback_incident,
)
from tradewind.scoring.predictor import FallbackChain, Predictor, open_fallback_chain
from tradewind.spec.digest import config_hash
from tradewind.training.model_frame import ModelFrame, population_frame, population_inputs
from tradewind.training.model_inputs import (
    PinnedInputs,
    definitions_digest,
    feature_time,
    pin_inputs,
    score_config,
    train_config,
)
from tradewind.training.prediction_rows import prediction_batches

if TYPE_CHECKING:
    import pyarrow as pa

    from tradewind.deployment import Deployment
    from tradewind.etl.inputs import Inputs
    from tradewind.lake.dataset import Dataset
    from tradewind.lake.publish import PublishedPartition
    from tradewind.ledger.champions import ChampionChange
    from tradewind.spec.pipeline import Pipeline

log = logging.getLogger(__name__)

CODE = "score/1"
DATASET = "predictions"
STAGE = "score"
RUN_COLUMNS = ("run_id", "scored_at", "dataset_versions")


@dataclass(frozen=True, slots=True)
class ScoredPopulation:
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
class SkippedPopulation:
    """Nothing was predicted.

    :param reason: why not, in words
    """

    population: str
    reason: str


@dataclass(frozen=True, slots=True)
class _ScoringAnswer:
    """What came of asking.

    :param batches: rows to publish; None if what is published stays
    :param kept: why it stays although it is not what would be made now
    """

    cause: Cause
    batches: Iterator[pa.RecordBatch] | None = None
    kept: str = ""


@dataclass(frozen=True, slots=True)
class _ScoringWork:
    """What the predictions of one population are made of, whatever run makes them.

    :param base: what was published of it before anything here was looked up: a run that sees older inputs than the
        publisher must lose
    """

    population: str
    champion: ChampionChange
    base: frozenset[str]
    pinned: PinnedInputs
    delivered: Inputs


def score_population(deployment: Deployment, partition: str) -> ScoredPopulation | SkippedPopulation:
    """Predict the population ``ahead`` partitions after ``partition``; publish it as one partition of ``predictions``.

    Nothing is predicted again if champion, population, features and configuration are what they were. Where only a
    fallback can answer, what is published by a model before it in line stays, and that is an incident.

    :raises NotReady: training of the partition before is not complete, so its champion may still come
    :raises MissingInput: the population has not been delivered
    :raises NotDelivered: it has not, and the YAML says to wait
    :raises MalformedInput: an entity has no key, no time, or is there twice
    :raises ModelError: neither the champion nor a fallback can be loaded and predict the whole population
    :raises Conflict: another run published the same population in the meantime
    :raises Unavailable: another champion came, or a file changed, in the meantime; scoring again uses the new one
    """
    spec, ledger = deployment.spec, deployment.ledger
    completion.record_begin(
        ledger, spec.pipeline, STAGE, partition, stages=spec.stages, run_id=deployment.runtime.run_id
    )
    if spec.train is not None:
        ordering.require_stage_complete(
            spec, ledger, partition, stage=STAGE, of="train", alone=deployment.runtime.alone
        )
    population = spec.partitioning.shift(partition, score_config(spec).ahead)
    champion = ledger.champion_for(spec.pipeline, population)
    if champion is None:
        none = f"no champion holds for population {population}"
        return _skip_population(deployment, partition, population, reason=none, cause="no champion")
    try:
        with open_fallback_chain(deployment, champion, population) as line:
            return _score_with_chain(deployment, partition, line=line)
    except LeftOut as exc:
        # Settled, or monitoring of the population's partition would wait for predictions that never come.
        return _skip_population(deployment, partition, population, reason=str(exc), cause="left out")


def _skip_population(
    deployment: Deployment, partition: str, population: str, *, reason: str, cause: str
) -> SkippedPopulation:
    log.info("%s at %s: nothing is scored: %s", deployment.spec.pipeline, partition, reason)
    close_fallback_incident(deployment, partition, because=f"nothing is scored: {reason}")
    evidence = {"population": population, "skipped": reason}
    completion.record_completion(
        deployment.ledger,
        deployment.spec.pipeline,
        STAGE,
        partition,
        cause=cause,
        evidence=evidence,
        run_id=deployment.runtime.run_id,
    )
    return SkippedPopulation(population, reason)


def _score_with_chain(deployment: Deployment, partition: str, *, line: FallbackChain) -> ScoredPopulation:
    spec = deployment.spec
    dataset = deployment.lake.dataset(spec.pipeline, DATASET)
    population = line.population
    # After the model's process began: nothing of the lake may be used before a fork. The champion is asked for again.
    base = dataset.base(population)
    pinned = pin_population_inputs(deployment, partition, population)
    delivered = population_inputs(deployment, population, waits=True)
    work = _ScoringWork(population, line.champion, base, pinned, delivered)
    published = published_by(dataset.snapshot(), population)
    answer = _first_answer(deployment, line, work, published=published)
    line.note(kept=answer.kept)
    scored = _publish_answer(deployment, partition, dataset, line=line, work=work, answer=answer, known=published)
    _confirm_champion(spec, deployment.ledger, work)
    update_fallback_incident(deployment, partition, line, kept=answer.kept)
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
    completion.record_completion(
        deployment.ledger,
        spec.pipeline,
        STAGE,
        partition,
        cause=cause,
        evidence=evidence,
        run_id=deployment.runtime.run_id,
    )
    log.info(
        "%s at %s: %s rows of population %s %s by %s",
        spec.pipeline, partition, scored.rows, population,
        "scored" if scored.changed else "had been scored", describe_served_by(scored.served_by, scored.version),
    )  # fmt: skip
    return scored


def _publish_answer(
    deployment: Deployment,
    partition: str,
    dataset: Dataset,
    *,
    line: FallbackChain,
    work: _ScoringWork,
    answer: _ScoringAnswer,
    known: PublishedBy | None,
) -> ScoredPopulation:
    """Publish the answer, if there is something to publish."""
    if answer.kept:
        assert known is not None  # it is what is kept
        return ScoredPopulation(work.population, known.rows, known.version, known.served_by, False, answer.kept)
    rows, changed = (known.rows if known else 0), False
    if answer.batches is not None:
        published = _publish_batches(deployment, dataset, batches=answer.batches, cause=answer.cause, work=work)
        rows, changed = published.rows, published.changed
    return ScoredPopulation(work.population, rows, line.service.version, line.service.served_by, changed)


def _first_answer(
    deployment: Deployment, line: FallbackChain, work: _ScoringWork, *, published: PublishedBy | None
) -> _ScoringAnswer:
    """Rows of the first in line that predicts the whole population, unless what is published is better or the same.

    Nothing is written before the last batch is predicted: no population is served by two.
    """
    frame: ModelFrame | None = None
    while True:
        service = line.service
        cause = _prediction_cause(deployment, work, service)
        if published is not None and published.cause == cause.hash:
            return _ScoringAnswer(cause)
        if published is not None and keeps_published_predictions(
            deployment.spec, published, service.served_by, population=work.population, ledger=deployment.ledger
        ):  # fmt: skip
            return _ScoringAnswer(cause, kept=_explain_kept(deployment, line, work, published))
        if frame is None:
            frame = population_frame(
                deployment, work.population, versions=work.pinned.versions, delivered=work.delivered
            )
        try:
            return _ScoringAnswer(
                cause,
                predict_population(deployment, work.population, frame=frame, service=service, pinned=work.pinned),
            )
        except ModelError as exc:
            line.fall_back(exc)


def _explain_kept(deployment: Deployment, line: FallbackChain, work: _ScoringWork, published: PublishedBy) -> str:
    there = Predictor(published.version, published.served_by, frozenset(), None)
    if published.served_by == CHAMPION:  # perhaps another one than now: that is no change of what it was scored from
        work = replace(work, champion=replace(work.champion, model_version=published.version))
    same = _prediction_cause(deployment, work, there).hash == published.cause
    return explain_kept_predictions(deployment.spec, published, line, population=work.population, same_inputs=same)


def predict_population(
    deployment: Deployment, population: str, *, frame: ModelFrame, service: Predictor, pinned: PinnedInputs
) -> Iterator[pa.RecordBatch]:
    """Rows of ``predictions`` for a population; when this returns, the model has predicted all of them.

    :param frame: its :func:`population_frame`
    :param pinned: its :func:`pin_population_inputs`
    :raises ModelError: the model fails
    """
    output, classes = service.answers(frame.inputs())
    lineage = _row_lineage(deployment, pinned, service=service, population=population)
    return prediction_batches(frame, output, classes, lineage, pipeline=deployment.spec.pipeline, population=population)


def pin_population_inputs(deployment: Deployment, partition: str, population: str) -> PinnedInputs:
    """What the features of a population are read from by the run of ``partition``.

    :raises NotReady: a dataset has not been published yet
    """
    since = feature_time(deployment.spec, population) or deployment.spec.partitioning.bounds(population).start
    return pin_inputs(deployment, since=since, last=partition)


def _prediction_cause(deployment: Deployment, work: _ScoringWork, service: Predictor) -> Cause:
    inputs = {
        **work.pinned.by_name(),
        **{f"population/{work.population}/{name}": digest for name, digest in work.delivered.digests.items()},
        "champion": work.champion.model_version,
        "served": f"{service.served_by} {service.version}",
    }
    return Cause(inputs, scoring_config_hash(deployment), CODE)


def scoring_config_hash(deployment: Deployment) -> str:
    """Hash of the configuration that determines predictions."""
    spec = deployment.spec
    declared = score_config(spec)
    references = declared.population.references.values()
    files = [declared.population.sql, *(file for source in references for file in source.sql_files().values())]
    sql, *queries = [(deployment.runtime.project / name).read_text(encoding="utf-8") for name in files]
    about = [train_config(spec).columns, train_config(spec).service, spec.timezone]
    # A comment or a line break changes nothing that is computed; a database may read hints in comments.
    return config_hash(declared, canonical_text(sql), about, definitions_digest(deployment), *queries)


def _publish_batches(
    deployment: Deployment, dataset: Dataset, *, batches: Iterator[pa.RecordBatch], cause: Cause, work: _ScoringWork
) -> PublishedPartition:
    import pyarrow as pa

    first = next(batches)
    reader = pa.RecordBatchReader.from_batches(first.schema, chain([first], batches))
    staged = dataset.stage(work.population, reader, run_columns=RUN_COLUMNS, base=work.base)
    try:
        _confirm_champion(deployment.spec, deployment.ledger, work)
        return dataset.publish(staged, cause=cause, run_id=deployment.runtime.run_id)
    finally:
        dataset.discard(staged)


def _confirm_champion(spec: Pipeline, ledger: Ledger, work: _ScoringWork) -> None:
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


def _row_lineage(
    deployment: Deployment, pinned: PinnedInputs, *, service: Predictor, population: str
) -> Mapping[str, Any]:
    """What is the same for every row."""
    return {
        "model_name": deployment.spec.model_name,
        "model_version": service.version,
        "dataset_versions": json.dumps(dict(pinned.versions), sort_keys=True),
        "pipeline_version": config_hash(deployment.spec)[:12],
        "run_id": deployment.runtime.run_id,
        "scored_at": datetime.now(UTC),
        "served_by": service.served_by,
        "in_sample": population in service.train_partitions,
    }
