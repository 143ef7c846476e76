"""Who serves a population: the champion, or, when it cannot be loaded, what the YAML names as its fallback."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tradewind.errors import ModelError
from tradewind.ledger.journal import Entry
from tradewind.models import tasks
from tradewind.models.host import ModelHost
from tradewind.models.inputs import scoring
from tradewind.models.registry import Registry

if TYPE_CHECKING:
    import numpy.typing as npt
    import pyarrow as pa

    from tradewind.core.runtime import Runtime
    from tradewind.ledger.champions import Champion
    from tradewind.ledger.journal import Ledger
    from tradewind.spec.models import Pipeline

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Service:
    """What predicts.

    :param version: model version whose predictions these are; for ``majority`` the one whose training share is used
    :param served_by: ``champion``, ``previous_champion`` or ``majority``
    :param train_partitions: what that version was fitted on
    :param host: the model; None for ``majority``
    :param share: predicted by ``majority``
    """

    version: str
    served_by: str
    train_partitions: frozenset[str]
    host: ModelHost | None
    share: float = 0.0

    def probability(self, rows: pa.Table) -> npt.NDArray[Any]:
        """Probability of the label 1, float64, shape (rows,)."""
        import numpy as np

        if self.host is None:
            return np.full(rows.num_rows, self.share)
        return tasks.scores("binary", self.host.predict(rows), self.host.classes)


@contextmanager
def open_service(
    spec: Pipeline, champion: Champion, population: str, runtime: Runtime, ledger: Ledger
) -> Iterator[Service]:
    """Load the champion, or the first fallback that works; every fallback is journalled and logged loudly.

    :raises ModelError: nothing can serve
    """
    with ExitStack() as stack:
        try:
            service = _load(spec, champion, "champion", runtime, ledger, stack)
        except ModelError as exc:
            service = _fall_back(spec, champion, population, runtime, ledger, stack, failed=exc)
        yield service


def _fall_back(
    spec: Pipeline, champion: Champion, population: str, runtime: Runtime, ledger: Ledger, stack: ExitStack, *,
    failed: ModelError,
) -> Service:  # fmt: skip
    for fallback in scoring(spec).fallback:
        try:
            service = _serve_by(fallback, spec, champion, population, runtime, ledger, stack)
        except ModelError as exc:
            log.warning("%s: %s cannot serve population %s either: %s", spec.pipeline, fallback, population, exc)
            continue
        if service is not None:
            _note(spec, champion, population, runtime, ledger, service=service, failed=failed)
            return service
    raise failed


def _serve_by(
    fallback: str, spec: Pipeline, champion: Champion, population: str, runtime: Runtime, ledger: Ledger,
    stack: ExitStack,
) -> Service | None:  # fmt: skip
    if fallback == "majority":
        share, fitted_on = _trained(spec, champion, ledger)
        return Service(champion.model_version, fallback, fitted_on, None, share)
    previous = ledger.previous_champion(spec.pipeline, population)
    return _load(spec, previous, fallback, runtime, ledger, stack) if previous else None


def _load(
    spec: Pipeline, champion: Champion, served_by: str, runtime: Runtime, ledger: Ledger, stack: ExitStack
) -> Service:
    registry = Registry(runtime, champion.model_name)
    version = registry.get(champion.model_version)
    folder = stack.enter_context(registry.folder(version))
    host = stack.enter_context(ModelHost(folder, name=str(version), warm=runtime.warm))
    assert host.columns is not None  # waits until the model is loaded, or raises
    _, fitted_on = _trained(spec, champion, ledger)
    return Service(version.version, served_by, fitted_on, host)


def _trained(spec: Pipeline, champion: Champion, ledger: Ledger) -> tuple[float, frozenset[str]]:
    """Positive share and partitions of the version's training, from the ledger: MLflow may be what is broken."""
    trained = ledger.find(spec.pipeline, "trained", subject=champion.model_version)
    if not trained:
        raise ModelError(f"{spec.pipeline} version {champion.model_version}: the ledger knows nothing of its training")
    evidence = trained[-1].evidence
    return float(evidence["positive_share"]), frozenset(evidence["train_partitions"])


def _note(
    spec: Pipeline, champion: Champion, population: str, runtime: Runtime, ledger: Ledger, *,
    service: Service, failed: ModelError,
) -> None:  # fmt: skip
    reason = f"version {champion.model_version} cannot serve: {failed}"
    log.error(
        "%s: population %s is served by %s (version %s), because %s",
        spec.pipeline, population, service.served_by, service.version, reason,
    )  # fmt: skip
    key = f"fallback/{population}/{champion.model_version}/{service.served_by}/{service.version}"
    evidence = {"champion": champion.model_version, "served": service.version}
    entry = Entry(
        spec.pipeline, "note", "fallback", population, key,
        outcome=service.served_by, reason=reason, evidence=evidence, actor=runtime.actor, run_id=runtime.run_id,
    )  # fmt: skip
    ledger.append(entry)
