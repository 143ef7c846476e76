"""Would a promotion change what serves? Where it would not, a candidate is unchanged and its gates decide nothing.

Without a refit that is so where candidate and champion predict the same. With one the candidate itself never serves,
its refit does, which does not exist yet. So it is held against the version whose refit the champion is: where both
learn from the same partitions, predict the same and are judged by the same rows, their refits are the same too.
"""

from __future__ import annotations

import logging
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tradewind.errors import ModelError
from tradewind.isolation import task_outputs
from tradewind.ledger import serving_versions
from tradewind.metrics.judged_rows import same_answers
from tradewind.registry.version_files import open_model
from tradewind.training.model_inputs import train_config

if TYPE_CHECKING:
    import pyarrow as pa

    from tradewind.deployment import Deployment
    from tradewind.isolation.model_client import ModelHost
    from tradewind.ledger.champions import ChampionChange
    from tradewind.ledger.journal import Ledger
    from tradewind.metrics.judged_rows import TestRows
    from tradewind.registry.model_registry import ModelRegistry, RegisteredVersion
    from tradewind.spec.pipeline import Pipeline
    from tradewind.spec.training import Train
    from tradewind.verdict.comparators import Answer

log = logging.getLogger(__name__)

_WINDOW_TAGS = tuple(
    f"tradewind.{name}" for name in ("train_partitions", "validation_partitions", "test_partitions", "fit_until")
)


@dataclass(frozen=True, slots=True)
class JudgedVersion:
    """The judged version behind a champion, beside a candidate with the same window.

    :param host: its process
    """

    version: RegisteredVersion
    host: ModelHost


def open_judged_version(
    deployment: Deployment,
    registry: ModelRegistry,
    stack: ExitStack,
    *,
    candidate: RegisteredVersion,
    champion: ChampionChange | None,
) -> JudgedVersion | None:
    """Start the version whose refit the champion is, or that was kept in place of its refit.

    None where nothing is refitted, or the candidate has another window than that version: its refit would be another.
    """
    spec = deployment.spec
    if champion is None or not train_config(spec).refit:
        return None
    number = _judged_version_number(spec, deployment.ledger, champion.model_version)
    if number is None or number == candidate.version:
        return None
    try:
        version = registry.get(number)
        if any(version.tags.get(name) != candidate.tags.get(name) for name in _WINDOW_TAGS):
            return None
        opened = stack.enter_context(open_model(deployment, version))
    except ModelError as exc:
        log.warning("%s: whether %s changes anything cannot be found out: %s", spec.pipeline, candidate, exc)
        return None
    return JudgedVersion(version, opened.host)


def _judged_version_number(spec: Pipeline, ledger: Ledger, serving: str) -> str | None:
    trained = ledger.find(spec.pipeline, "trained", subject=serving)
    if trained and "refit_of" in trained[-1].evidence:
        return str(trained[-1].evidence["refit_of"])
    refit = serving_versions.find_refit(ledger, spec.pipeline, serving)
    return serving if refit is not None and refit.outcome == serving_versions.KEPT else None


def find_equivalent_version(
    train: Train, test: TestRows, judged: JudgedVersion | None, *,
    champion: ChampionChange | None, rows: pa.Table, before: pa.Table | None, ours: Answer | ModelError,
) -> str | None:  # fmt: skip
    """Find the version that predicts as the candidate does, so that a promotion would change nothing; or None.

    :param test: rows with the answers of candidate and champion
    :param judged: of :func:`open_judged_version`
    :param rows: the candidate's test rows
    :param before: the test rows of the judged version
    :param ours: what the candidate predicts for its rows
    """
    if champion is None:
        return None
    if not train.refit:
        return champion.model_version if test.same_as_champion else None
    if judged is None or before is None or isinstance(ours, ModelError) or not _equal_tables(rows, before):
        return None
    try:
        theirs = judged.host.predict(rows.drop_columns([train.label.column])), judged.host.classes
    except ModelError:
        return None
    return judged.version.version if _has_same_scores(train, ours, theirs) else None


def _equal_tables(one: pa.Table, other: pa.Table) -> bool:
    """Whether both hold the same, a NaN like a NaN."""
    if one.schema.remove_metadata() != other.schema.remove_metadata() or one.num_rows != other.num_rows:
        return False
    return bool(one.equals(other) or one.to_pandas().equals(other.to_pandas()))


def _has_same_scores(train: Train, one: Answer, other: Answer) -> bool:
    order = task_outputs.class_order(one[1], other[1]) if train.task == "multiclass" else []
    ours, theirs = (
        task_outputs.metric_scores(train.task, output, classes, order=order) for output, classes in (one, other)
    )
    return same_answers(ours, theirs)
