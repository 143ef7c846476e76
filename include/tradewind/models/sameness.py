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

from tradewind.core.rows import same_answers
from tradewind.errors import ModelError
from tradewind.ledger import refits
from tradewind.models import tasks
from tradewind.models.inputs import training
from tradewind.models.opening import open_model

if TYPE_CHECKING:
    import pyarrow as pa

    from tradewind.core.rows import TestRows
    from tradewind.core.runtime import Runtime
    from tradewind.ledger.champions import Champion
    from tradewind.ledger.journal import Ledger
    from tradewind.models.host import ModelHost
    from tradewind.models.opponents import Answer
    from tradewind.models.registry import Registry, Version
    from tradewind.spec.models import Pipeline
    from tradewind.spec.training import Train

log = logging.getLogger(__name__)

_WINDOW = tuple(
    f"tradewind.{name}" for name in ("train_partitions", "validation_partitions", "test_partitions", "fit_until")
)


@dataclass(frozen=True, slots=True)
class Judged:
    """The judged version behind a champion, beside a candidate with the same window.

    :param host: its process
    """

    version: Version
    host: ModelHost


def judged_behind(
    spec: Pipeline, runtime: Runtime, registry: Registry, ledger: Ledger, stack: ExitStack, *,
    candidate: Version, champion: Champion | None,
) -> Judged | None:  # fmt: skip
    """Start the version whose refit the champion is, or that was kept in place of its refit.

    None where nothing is refitted, or the candidate has another window than that version: its refit would be another.
    """
    if champion is None or not training(spec).refit:
        return None
    number = _judged_number(spec, ledger, champion.model_version)
    if number is None or number == candidate.version:
        return None
    try:
        version = registry.get(number)
        if any(version.tags.get(name) != candidate.tags.get(name) for name in _WINDOW):
            return None
        opened = stack.enter_context(open_model(spec, version, runtime, ledger))
    except ModelError as exc:
        log.warning("%s: whether %s changes anything cannot be found out: %s", spec.pipeline, candidate, exc)
        return None
    return Judged(version, opened.host)


def _judged_number(spec: Pipeline, ledger: Ledger, serving: str) -> str | None:
    trained = ledger.find(spec.pipeline, "trained", subject=serving)
    if trained and "refit_of" in trained[-1].evidence:
        return str(trained[-1].evidence["refit_of"])
    refit = refits.find_refit(ledger, spec.pipeline, serving)
    return serving if refit is not None and refit.outcome == refits.KEPT else None


def version_alike(
    train: Train, test: TestRows, judged: Judged | None, *,
    champion: Champion | None, rows: pa.Table, before: pa.Table | None, ours: Answer | ModelError,
) -> str | None:  # fmt: skip
    """Find the version that predicts as the candidate does, so that a promotion would change nothing; or None.

    :param test: rows with the answers of candidate and champion
    :param judged: of :func:`judged_behind`
    :param rows: the candidate's test rows
    :param before: the test rows of the judged version
    :param ours: what the candidate predicts for its rows
    """
    if champion is None:
        return None
    if not train.refit:
        return champion.model_version if test.same_as_champion else None
    if judged is None or before is None or isinstance(ours, ModelError) or not _same_rows(rows, before):
        return None
    try:
        theirs = judged.host.predict(rows.drop_columns([train.label.column])), judged.host.classes
    except ModelError:
        return None
    return judged.version.version if _same_answers(train, ours, theirs) else None


def _same_rows(one: pa.Table, other: pa.Table) -> bool:
    """Whether both hold the same, a NaN like a NaN."""
    if one.schema.remove_metadata() != other.schema.remove_metadata() or one.num_rows != other.num_rows:
        return False
    return bool(one.equals(other) or one.to_pandas().equals(other.to_pandas()))


def _same_answers(train: Train, one: Answer, other: Answer) -> bool:
    order = tasks.order(one[1], other[1]) if train.task == "multiclass" else []
    ours, theirs = (tasks.scores(train.task, output, classes, order=order) for output, classes in (one, other))
    return same_answers(ours, theirs)
