"""What is known of a champion when its card is written: from the ledger, and from what was logged with its training."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tradewind.ledger import pins
from tradewind.ledger.journal import Entry, Ledger
from tradewind.registry.model_registry import ModelRegistry, translate_mlflow_errors
from tradewind.verdict import verdict_files

if TYPE_CHECKING:
    from tradewind.deployment import Deployment
    from tradewind.ledger.champions import ChampionChange
    from tradewind.registry.model_registry import RegisteredVersion
    from tradewind.spec.pipeline import Pipeline


@dataclass(frozen=True, slots=True)
class CardFacts:
    """Everything that a card is made from; what is not recorded is None or empty, and the card says so.

    :param trained: the ledger's entry of its training
    :param judged: the version that was judged, where this one is its refit; its verdicts, metrics and pictures are told
    :param verdicts: every verdict on it or on the judged one, the one that it was promoted on among them
    :param changes: all changes of champion up to this one, oldest first
    :param rejected: verdicts on other versions that were rejected since the champion before
    :param answers: what persons said about it, or about candidates since the champion before
    :param shadows: what the ledger says of it as a shadow
    :param pin: the pin that is on
    :param alarms: what had drifted, by partition, after its training
    :param metrics: on the test rows, with their intervals
    :param environment: with what it was made
    :param importance: of its columns, largest first
    :param drawn: what the pictures of the verdict that it was promoted on show
    :param rows: how many it was fitted (``train_rows``) and tested (``test_rows``) on
    """

    spec: Pipeline
    champion: ChampionChange
    trained: Entry | None
    judged: str | None
    verdicts: Sequence[Entry]
    changes: Sequence[ChampionChange]
    rejected: Sequence[Entry]
    answers: Sequence[Entry]
    shadows: Sequence[Entry]
    pin: Entry | None
    alarms: Mapping[str, Sequence[str]]
    metrics: Mapping[str, Mapping[str, Any]]
    environment: Mapping[str, Any]
    importance: Sequence[Mapping[str, Any]]
    drawn: Mapping[str, Any]
    rows: Mapping[str, int]

    @property
    def known(self) -> Mapping[str, Any]:
        """What the ledger says of its training."""
        return self.trained.evidence if self.trained else {}

    @property
    def decided(self) -> Entry | None:
        """The verdict that it was promoted on; the newest where a person named the version."""
        key = self.champion.evidence.get("verdict_key")
        found = [entry for entry in self.verdicts if entry.key == key] or self.verdicts
        return found[-1] if found else None

    @property
    def before(self) -> ChampionChange | None:
        """The change before this one."""
        return self.changes[-2] if len(self.changes) > 1 else None

    @property
    def fitted(self) -> list[str]:
        """Partitions that it was fitted on."""
        return list(self.known.get("train_partitions") or self.champion.evidence.get("train_partitions") or ())


def gather_card_facts(
    deployment: Deployment, champion: ChampionChange, registry: ModelRegistry, version: RegisteredVersion
) -> CardFacts:
    """Look everything up; nothing is computed, and nothing is missed that is not there.

    :param version: the champion in the registry
    :raises Unavailable: the ledger or MLflow does not answer
    """
    ledger, name, number = deployment.ledger, deployment.spec.pipeline, champion.model_version
    changes = [change for change in ledger.champions(name) if change.seq <= champion.seq]
    trained = ledger.find(name, "trained", subject=number)
    # The time of partitions: what lies between the decision before and this one.
    since, until = (changes[-2].decided_at or "" if len(changes) > 1 else ""), champion.decided_at or "9999"
    verdicts = [entry for entry in ledger.find(name, "verdict") if (entry.partition or "") <= until]
    refit_of = trained[-1].evidence.get("refit_of") if trained else None
    judged, own = registry.get(refit_of) if refit_of else version, {number, refit_of}
    others = [entry for entry in verdicts if entry.subject not in own and (entry.partition or "") > since]
    facts = CardFacts(
        spec=deployment.spec,
        champion=champion,
        trained=trained[-1] if trained else None,
        judged=refit_of,
        verdicts=[entry for entry in verdicts if entry.subject in own],
        changes=changes,
        rejected=[entry for entry in others if entry.outcome == "rejected"],
        answers=[entry for entry in ledger.find(name, "approval") if since < (entry.partition or "") <= until],
        shadows=ledger.find(name, "shadow", subject=number),
        pin=pins.current_pin(ledger, name),
        alarms=_drift_alarms(ledger, name, since=trained[-1].partition if trained else None, until=champion.decided_at),
        metrics=_read_json_artifact(registry, judged, "evaluation/metrics.json") or {},
        environment=_read_json_artifact(registry, version, "evaluation/environment.json") or {},
        importance=_read_json_artifact(registry, version, "evaluation/importance.json") or [],
        drawn={},
        rows={**_row_counts(registry, judged), **_row_counts(registry, version)},
    )
    if facts.decided is None:
        return facts
    return replace(
        facts, drawn=_parse_json(verdict_files.read_recorded_pictures(registry, judged, facts.decided)) or {}
    )


def _row_counts(registry: ModelRegistry, version: RegisteredVersion) -> Mapping[str, int]:
    with translate_mlflow_errors(f"the run of {version} cannot be read"):
        measured = registry.client.get_run(version.mlflow_run_id).data.metrics
    return {name: int(measured[name]) for name in ("train_rows", "test_rows") if name in measured}


def _drift_alarms(ledger: Ledger, pipeline: str, *, since: str | None, until: str | None) -> dict[str, Sequence[str]]:
    """What drifted in the partitions after the training, up to the one that decided."""
    newest: dict[str, Sequence[str]] = {}
    for entry in ledger.find(pipeline, "complete", subject="monitor", until=until):
        if entry.partition and entry.partition > (since or ""):
            newest[entry.partition] = tuple(entry.evidence.get("alarms", ()))
    return {key: found for key, found in sorted(newest.items()) if found}


def _read_json_artifact(registry: ModelRegistry, version: RegisteredVersion, path: str) -> Any:
    """A file that was logged with the version; None if it is not there or no JSON."""
    return _parse_json(verdict_files.read_run_artifact(registry, version, path))


def _parse_json(text: str | None) -> Any:
    try:
        return json.loads(text) if text else None
    except ValueError:
        return None
