"""Who serves a population: the champion, or, when it cannot, what the YAML names as its fallback."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tradewind.deployment import Deployment
from tradewind.errors import ModelError
from tradewind.isolation import task_outputs
from tradewind.ledger.journal import Entry
from tradewind.registry.model_registry import open_registry
from tradewind.registry.version_files import open_model
from tradewind.training import prediction_rows
from tradewind.training.model_inputs import score_config, train_config

if TYPE_CHECKING:
    import pyarrow as pa

    from tradewind.isolation.model_client import ModelHost
    from tradewind.isolation.task_outputs import Array
    from tradewind.ledger.champions import ChampionChange
    from tradewind.ledger.journal import Ledger
    from tradewind.spec.pipeline import Pipeline

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Predictor:
    """What predicts.

    :param version: model version whose predictions these are; for ``majority`` the one whose training is used
    :param served_by: ``champion``, ``previous_champion``, ``majority`` or ``shadow``
    :param train_partitions: what that version was fitted on
    :param host: the model; None for ``majority``
    :param majority: what ``majority`` predicts, as :func:`task_outputs.majority_answer` gives it
    """

    version: str
    served_by: str
    train_partitions: frozenset[str]
    host: ModelHost | None
    majority: Mapping[str, Any] = field(default_factory=dict)

    def answers(self, rows: pa.Table) -> tuple[Array, list[Any] | None]:
        """Answers for all rows, float64 of shape (rows, outputs), and the model's classes; None for a regressor.

        The model gets batch after batch, never the whole population at once.

        :raises ModelError: it fails in any of them
        """
        import numpy as np

        if self.host is None:
            return task_outputs.majority_output(self.majority, rows.num_rows)
        size = prediction_rows.BATCH_ROWS
        made = [self.host.predict(rows.slice(begin, size)) for begin in range(0, rows.num_rows, size)]
        return np.concatenate(made), self.host.classes


@dataclass(slots=True)
class FallbackChain:
    """The champion and, behind it, its fallbacks: one of them serves the whole of a population.

    :param service: who serves, as far as is known by now
    :param failed: why none before it could, in order
    """

    deployment: Deployment
    champion: ChampionChange
    population: str
    stack: ExitStack
    service: Predictor = field(init=False)
    failed: list[ModelError] = field(default_factory=list)
    behind: list[str] = field(default_factory=list)

    def begin(self) -> None:
        """Load the champion, or the first fallback that can be loaded.

        :raises ModelError: none can
        """
        self.behind = list(score_config(self.deployment.spec).fallback)
        try:
            self.service = load_predictor(self.deployment, self.champion.model_version, "champion", self.stack)
        except ModelError as exc:
            self.fall_back(exc, warm=self.deployment.runtime.warm)

    def fall_back(self, failed: ModelError, *, warm: bool = False) -> None:
        """Let the next one serve that can be loaded.

        :param failed: why the present one cannot
        :param warm: whether this process may still fork; not once it has used the lake
        :raises ModelError: none is left
        """
        self.failed.append(failed)
        while self.behind:
            fallback = self.behind.pop(0)
            try:
                service = self._load(fallback, warm=warm)
            except ModelError as exc:
                log.warning("%s: %s cannot serve population %s either: %s", self.deployment.spec.pipeline, fallback,
                            self.population, exc)  # fmt: skip
                continue
            if service is not None:
                self.service = service
                return
        name = self.deployment.spec.pipeline
        asked = score_config(self.deployment.spec).fallback
        behind = f"{', '.join(asked)} cannot either" if asked else "`score.fallback` is empty"
        raise ModelError(
            f"{self.failed[0]}\n{name} version {self.champion.model_version} cannot serve population "
            f"{self.population}, and {behind}: give another version the place with "
            f"`tradewind rollback {name} --to VERSION --reason TEXT`"
        ) from self.failed[0]

    def note(self, *, kept: str = "") -> None:
        """Say loudly, and journal, that it is not the champion who serves; once for the same reason.

        :param kept: why what was published stays, in place of what the fallback would answer
        """
        if not self.failed:
            return
        reason = f"version {self.champion.model_version} cannot serve: {self.failed[0]}"
        if kept:
            self._note_kept(f"{kept}; {reason}")
            return
        log.error(
            "%s: population %s is served by %s (version %s), because %s",
            self.deployment.spec.pipeline,
            self.population,
            self.service.served_by,
            self.service.version,
            reason,
        )
        served = f"{self.service.served_by}/{self.service.version}"
        key = f"fallback/{self.population}/{self.champion.model_version}/{served}"
        evidence = {"champion": self.champion.model_version, "served": self.service.version}
        entry = Entry(
            self.deployment.spec.pipeline,
            "note",
            "fallback",
            self.population,
            key,
            outcome=self.service.served_by,
            reason=reason,
            evidence=evidence,
            actor=self.deployment.runtime.actor,
            run_id=self.deployment.runtime.run_id,
        )
        self.deployment.ledger.append(entry)

    def _note_kept(self, reason: str) -> None:
        log.error("%s: %s", self.deployment.spec.pipeline, reason)
        key = f"kept/{self.population}/{self.champion.model_version}/{self.service.served_by}/{self.service.version}"
        evidence = {"champion": self.champion.model_version, "could_serve": self.service.version}
        entry = Entry(
            self.deployment.spec.pipeline,
            "note",
            "fallback",
            self.population,
            key,
            outcome="kept",
            reason=reason,
            evidence=evidence,
            actor=self.deployment.runtime.actor,
            run_id=self.deployment.runtime.run_id,
        )
        self.deployment.ledger.append(entry)

    def _load(self, fallback: str, *, warm: bool) -> Predictor | None:
        """A fallback; None if there is no such one."""
        if fallback == "majority":
            version = self.champion.model_version
            known, fitted_on = _majority_and_partitions(self.deployment.spec, version, self.deployment.ledger)
            if known is None:
                raise ModelError(f"the ledger does not say what the majority in the training of version {version} was")
            task_outputs.check_classes(
                train_config(self.deployment.spec).task, known.get("classes"), f"the majority of version {version}"
            )
            return Predictor(version, fallback, fitted_on, None, known)
        previous = self.deployment.ledger.previous_champion(self.deployment.spec.pipeline, self.population)
        if previous is None:
            return None
        return load_predictor(self.deployment, previous.model_version, fallback, self.stack, warm=warm)


@contextmanager
def open_fallback_chain(deployment: Deployment, champion: ChampionChange, population: str) -> Iterator[FallbackChain]:
    """Who can serve a population; the first of them is loaded.

    :raises ModelError: none can be loaded
    """
    with ExitStack() as stack:
        line = FallbackChain(deployment, champion, population, stack)
        line.begin()
        yield line


def load_predictor(
    deployment: Deployment, version: str, served_by: str, stack: ExitStack, *, warm: bool | None = None
) -> Predictor:
    """Load a model version into a process of its own and wait until it is there.

    :param stack: ends the process
    :param warm: fork this process; as the runtime says if None
    :raises ModelError: it cannot be loaded, its files are not those that were judged, or it is not a model of the
        pipeline's task
    :raises Unavailable: the registry does not answer
    """
    spec = deployment.spec
    found = open_registry(deployment).get(version)
    evidence = _training_evidence(spec, version, deployment.ledger)
    opened = stack.enter_context(open_model(deployment, found, warm=warm))
    task_outputs.check_classes(train_config(spec).task, opened.host.classes, str(found))
    return Predictor(found.version, served_by, frozenset(evidence["train_partitions"]), opened.host)


def _training_evidence(spec: Pipeline, version: str, ledger: Ledger) -> Mapping[str, Any]:
    """What is known of the version's training, from the ledger: MLflow may be what is broken."""
    trained = ledger.find(spec.pipeline, "trained", subject=version)
    if not trained:
        raise ModelError(f"{spec.pipeline} version {version}: the ledger knows nothing of its training")
    return trained[-1].evidence


def _majority_and_partitions(
    spec: Pipeline, version: str, ledger: Ledger
) -> tuple[Mapping[str, Any] | None, frozenset[str]]:
    """Majority and partitions of the version's training."""
    evidence = _training_evidence(spec, version, ledger)
    known = evidence.get("majority")
    if known is None and (share := evidence.get("positive_share")) is not None:
        known = {"classes": [0, 1], "shares": [1 - share, share]}
    return known, frozenset(evidence["train_partitions"])
