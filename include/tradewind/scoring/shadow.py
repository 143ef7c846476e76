"""A shadow: a candidate that passed predicts beside the champion for some populations, and is then judged on them."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tradewind.champion import promotion
from tradewind.errors import ModelError
from tradewind.lake.cause import Cause
from tradewind.lake.dataset import Lake
from tradewind.ledger import serving_versions, shadows
from tradewind.ledger.journal import Entry
from tradewind.metrics.judged_rows import CANDIDATE, CHAMPION
from tradewind.registry.model_registry import ModelRegistry, RegisteredVersion, open_registry
from tradewind.scoring import batch_scoring as scores
from tradewind.scoring.predictor import load_predictor
from tradewind.spec.digest import config_hash
from tradewind.training import evidence, prediction_rows
from tradewind.training.model_frame import PARTITION, population_frame, population_inputs, training_frame
from tradewind.training.model_inputs import pin_inputs, score_config, train_config
from tradewind.verdict import comparators
from tradewind.verdict.comparators import find_champion_to_replace
from tradewind.verdict.judgement import CandidateVerdict, judge_prepared_rows, verdict_config_hash

if TYPE_CHECKING:
    import pyarrow as pa

    from tradewind.deployment import Deployment
    from tradewind.ledger.champions import ChampionChange
    from tradewind.spec.pipeline import Pipeline
    from tradewind.verdict.comparators import Answer

log = logging.getLogger(__name__)

CODE = "shadow/1"
DATASET = "shadow_predictions"
SHADOW = "shadow"


@dataclass(frozen=True, slots=True)
class ShadowedPopulation:
    """A population that the shadow predicted, or could not.

    :param version: of the shadow
    :param reason: why it could not, in words; empty where it did
    """

    population: str
    rows: int
    version: str
    reason: str = ""


def begin_shadow(deployment: Deployment, partition: str) -> Entry | None:
    """Let the candidate that passed its verdict at a partition stand as shadow, where the YAML asks for one.

    One that stands because of this partition's verdict stands no more if the verdict was made again and rejects it.

    :return: the entry that began it; None where it does not have to: no ``promotion.shadow``, a rejection, or no
        champion beside which it could stand, so that it is promoted at once
    """
    spec, runtime = deployment.spec, deployment.runtime
    ledger, number = deployment.ledger, spec.promotion.shadow
    verdicts = ledger.find(spec.pipeline, "verdict", partition=partition)
    if not number or not verdicts:
        return None
    judged, standing = verdicts[-1], shadows.standing_shadow(ledger, spec.pipeline)
    version = serving_versions.serving_version(ledger, judged) if train_config(spec).refit else judged.subject
    if judged.outcome != "passed":
        if standing is not None and (standing.partition, standing.subject) == (partition, version):
            why = f"judged again, and {judged.outcome}: {judged.reason}"
            shadows.record_shadow_end(ledger, standing, partition, outcome=shadows.WITHDRAWN, reason=why,
                        actor=runtime.actor, run_id=runtime.run_id)  # fmt: skip
        return None
    if judged.evidence["champion"] is None:
        log.info("%s: there is no champion to stand beside: version %s goes on at once", spec.pipeline, version)
        return None
    first = promotion.first_unscored_population(deployment, partition)
    populations = [spec.partitioning.shift(first, later) for later in range(number)]
    begun = shadows.record_shadow_begin(
        ledger, spec.pipeline, partition,
        version=version, populations=populations, judged_at=_partition_with_labels(spec, populations[-1]),
        verdict_key=judged.key, actor=runtime.actor, run_id=runtime.run_id,
    )  # fmt: skip
    log.info("%s: version %s stands as shadow: %s", spec.pipeline, begun.subject, begun.reason)
    return begun


def find_shadow_to_judge(deployment: Deployment, partition: str) -> Entry | None:
    """The shadow that the run of a partition judges in place of a training; the decision of that partition says so."""
    spec, ledger = deployment.spec, deployment.ledger
    decisions = ledger.find(spec.pipeline, "decision", subject="train", partition=partition)
    if not spec.promotion.shadow or not decisions or decisions[-1].outcome != "judge":
        return None
    return shadows.standing_shadow(ledger, spec.pipeline, partition)


def score_shadow(deployment: Deployment, partition: str) -> ShadowedPopulation | None:
    """Predict the population that a partition's run scores by the shadow too, into the dataset ``shadow_predictions``.

    A shadow that cannot load or predict is journalled and does no harm; its verdict misses these rows.

    :return: None where no shadow has to predict this population
    :raises Unavailable: the model registry or the lake does not answer
    :raises Conflict: another run published the same population in the meantime
    """
    spec, ledger = deployment.spec, deployment.ledger
    population = spec.partitioning.shift(partition, score_config(spec).ahead)
    standing = shadows.standing_shadow(ledger, spec.pipeline, partition) if spec.promotion.shadow else None
    if standing is None or population not in standing.evidence["populations"]:
        return None
    try:
        rows = _score_with_shadow(deployment, partition, version=standing.subject, population=population)
    except ModelError as exc:
        log.exception("%s: shadow %s cannot predict population %s", spec.pipeline, standing.subject, population)
        shadows.record_shadow_failure(
            ledger,
            standing,
            population,
            reason=str(exc),
            actor=deployment.runtime.actor,
            run_id=deployment.runtime.run_id,
        )
        return ShadowedPopulation(population, 0, standing.subject, str(exc))
    log.info("%s: shadow %s predicted %s rows of population %s", spec.pipeline, standing.subject, rows, population)
    return ShadowedPopulation(population, rows, standing.subject)


def judge_shadow(deployment: Deployment, partition: str) -> CandidateVerdict:
    """Judge the shadow on what it would have predicted, beside what the champion predicted for the same entities.

    Only entities count that both predicted and whose label is known by the end of the partition. Where there are too
    few, the gates say *insufficient* and the shadow is rejected.

    Only where :func:`find_shadow_to_judge` names one.
    """
    runtime = deployment.runtime
    ledger, registry = deployment.ledger, open_registry(deployment)
    standing = find_shadow_to_judge(deployment, partition)
    assert standing is not None  # the caller asked
    candidate = registry.get(standing.subject)
    champion = find_champion_to_replace(deployment.spec, partition, ledger, candidate=candidate.version)
    populations = list(standing.evidence["populations"])
    table, answers, notes = _rows_and_answers(deployment, partition, registry, candidate, champion, populations)
    against = registry.get(champion.model_version) if champion else None
    prepared = comparators.prepare_test_rows(deployment, table, answers=answers, candidate=candidate, champion=against)
    asked = config_hash(CODE, verdict_config_hash(deployment, champion))
    verdict = judge_prepared_rows(
        deployment,
        partition,
        candidate=candidate,
        champion=champion,
        test=prepared.test,
        measurements={},
        key=f"{standing.key}/{asked}",
        basis="shadow",
        partitions=populations,
        classes=prepared.classes,
        notes=[*notes, *prepared.notes],
    )
    shadows.record_shadow_end(
        ledger, standing, partition,
        outcome=verdict.outcome, reason=verdict.reason, actor=runtime.actor, run_id=runtime.run_id,
    )  # fmt: skip
    return verdict


def _partition_with_labels(spec: Pipeline, population: str) -> str:
    """The partition by whose end the labels of a population are known."""
    slices = spec.partitioning
    known, key = slices.bounds(population).end + train_config(spec).label.available_after, population
    while slices.bounds(key).end < known:
        key = slices.shift(key, 1)
    return key


def _score_with_shadow(deployment: Deployment, partition: str, *, version: str, population: str) -> int:
    dataset = deployment.lake.dataset(deployment.spec.pipeline, DATASET)
    with ExitStack() as stack:
        service = load_predictor(deployment, version, SHADOW, stack)
        # After the model's process began: nothing of the lake may be used before a fork.
        base = dataset.base(population)
        pinned = scores.pin_population_inputs(deployment, partition, population)
        delivered = population_inputs(deployment, population)
        given = {f"population/{population}/{name}": digest for name, digest in delivered.digests.items()}
        cause = Cause({**pinned.by_name(), **given, SHADOW: version}, scores.scoring_config_hash(deployment), CODE)
        snapshot = dataset.snapshot()
        known = snapshot.partitions.get(population) if snapshot else None
        if known is not None and known.cause == cause.hash:
            return known.rows
        frame = population_frame(deployment, population, versions=pinned.versions, delivered=delivered)
        rows = scores.predict_population(deployment, population, frame=frame, service=service, pinned=pinned)
        staged = dataset.stage(population, _batch_reader(rows), run_columns=scores.RUN_COLUMNS, base=base)
        try:
            return dataset.publish(staged, cause=cause, run_id=deployment.runtime.run_id).rows
        finally:
            dataset.discard(staged)


def _batch_reader(batches: Iterator[pa.RecordBatch]) -> pa.RecordBatchReader:
    import pyarrow as pa

    first = next(batches)
    return pa.RecordBatchReader.from_batches(first.schema, itertools.chain([first], batches))


def _rows_and_answers(
    deployment: Deployment,
    partition: str,
    registry: ModelRegistry,
    candidate: RegisteredVersion,
    champion: ChampionChange | None,
    populations: list[str],
) -> tuple[pa.Table, dict[str, Answer | ModelError], list[str]]:
    """The labelled entities that both predicted, with what a test set has of them; both models' answers; a note."""
    import pyarrow.compute as pc

    spec = deployment.spec
    lake = deployment.lake
    labelled = _labelled_entities(deployment, partition, registry, candidate, populations)
    asked = {CANDIDATE: (DATASET, candidate.version, SHADOW)}
    if champion is not None:
        asked[CHAMPION] = (scores.DATASET, champion.model_version, "champion")
    found = {name: _published_predictions(lake, spec, *where, populations) for name, where in asked.items()}
    answers: dict[str, Answer | ModelError] = {}
    table = labelled
    for rows in found.values():
        if rows is not None:
            table = table.filter(pc.is_in(_entity_ids(spec, table), _entity_ids(spec, rows)))
    for name, rows in found.items():
        missing = ModelError(f"version {asked[name][1]} predicted none of the populations {', '.join(populations)}")
        here = None if rows is None else rows.take(pc.index_in(_entity_ids(spec, table), _entity_ids(spec, rows)))
        answers[name] = missing if here is None else prediction_rows.answers_from_columns(train_config(spec).task, here)
    both = f"{table.num_rows} of {labelled.num_rows} labelled entities were predicted by both"
    return table, answers, [both] if table.num_rows < labelled.num_rows else []


def _labelled_entities(
    deployment: Deployment,
    partition: str,
    registry: ModelRegistry,
    candidate: RegisteredVersion,
    populations: list[str],
) -> pa.Table:
    import pyarrow.parquet as pq

    spec = deployment.spec
    name = train_config(spec).label.dataset
    lake = deployment.lake
    snapshot = lake.dataset(spec.pipeline, name).snapshot()
    there = [key for key in populations if snapshot and key in snapshot.partitions]
    if not there:
        with registry.evidence(candidate) as folder:
            return pq.read_table(folder / "test.parquet").slice(0, 0)
    since = spec.partitioning.bounds(there[0]).start
    last = spec.partitioning.shift(there[-1], -score_config(spec).ahead)
    pinned = pin_inputs(deployment, since=since, last=last, rows={name: there})
    known_by = spec.partitioning.bounds(partition).end
    frame = training_frame(deployment, there, known_by=known_by, versions=pinned.versions)
    return evidence.select_test_rows(spec, frame)


def _published_predictions(
    lake: Lake, spec: Pipeline, name: str, version: str, served_by: str, populations: list[str]
) -> pa.Table | None:
    """What a version predicted of these populations, and not another one in its place; None for nothing."""
    import pyarrow.compute as pc

    snapshot = lake.dataset(spec.pipeline, name).snapshot()
    there = [key for key in populations if snapshot and key in snapshot.partitions]
    if snapshot is None or not there:
        return None
    rows = snapshot.arrow(there).to_table()
    rows = rows.filter(pc.and_(pc.equal(rows["model_version"], version), pc.equal(rows["served_by"], served_by)))
    return rows if rows.num_rows else None


def _entity_ids(spec: Pipeline, rows: pa.Table) -> pa.Array:
    """Who each row is about: the same key may come again in every population."""
    import pyarrow as pa
    import pyarrow.compute as pc

    key = rows[score_config(spec).population.key].cast(pa.string())
    return pc.binary_join_element_wise(rows[PARTITION].cast(pa.string()), key, "\n").combine_chunks()
