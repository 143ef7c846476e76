"""How a pipeline stands: what is published, who is champion, what is wrong, what a person has stopped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tradewind.alerting.incident_history import Incident
from tradewind.alerting.incidents import close_incidents_outside_range, open_incidents
from tradewind.etl.quarantine_release import Quarantined, list_quarantined
from tradewind.ledger import holds, pins, skipped_partitions
from tradewind.ledger.journal import Entry, Ledger
from tradewind.planning import candidate_outcome
from tradewind.planning.served_populations import ServedPopulation, served_populations
from tradewind.registry import version_files

if TYPE_CHECKING:
    from tradewind.deployment import Deployment
    from tradewind.ledger.champions import ChampionChange
    from tradewind.planning.candidate_outcome import JudgedCandidate

OTHER_DATASETS = ("profiles", "drift", "performance", "predictions", "shadow_predictions")
"""Datasets that later stages write."""


@dataclass(frozen=True, slots=True)
class DatasetStatus:
    """One dataset as it is published.

    :param version: newest table version; None while nothing has been published
    :param newest: key of the newest partition
    :param released: partitions that a person released from quarantine, with who and why
    :param quarantine: rows that failed their audit, of partitions that are not published or whose incident is open
    """

    name: str
    uri: str
    version: int | None
    partitions: int
    rows: int
    newest: str | None
    released: Mapping[str, str]
    quarantine: tuple[Quarantined, ...]


@dataclass(frozen=True, slots=True)
class LedgerStatus:
    """What the ledger says: who stopped what, how far each stage is, what is wrong.

    :param stopped: why nothing runs, in words; None if the pipeline runs
    :param skipped: partitions that a person keeps out, with who and why
    :param left_out: partitions that are not there and will not come, with the reason
    :param complete: newest partition for which each stage is complete
    """

    pipeline: str
    stopped: str | None
    decommissioned: bool
    skipped: Mapping[str, str]
    left_out: Mapping[str, str]
    complete: Mapping[str, str]
    incidents: tuple[Incident, ...]


@dataclass(frozen=True, slots=True)
class PipelineStatus:
    """Everything that `show` tells.

    :param pin: why the champion is pinned, in words; None if it is not
    :param foreign: files that lie beside those of the champion, in words; None if none were seen
    :param shadow: the version that stands as shadow and how far it is, in words; None if none does
    :param candidate: the newest candidate that was judged, and what came of it
    :param served: who served each population that was scored, oldest first
    :param pages: report of its verdict and card of the champion, where they are on this machine
    :param drift: what drifted in the newest partition that was judged, as ``feature over h``
    :param judgements: how many judgements of drift were made there, by outcome
    :param judged: that partition; None while none was
    :param outcomes: how the performance of each population was judged there
    """

    state: LedgerStatus
    tables: tuple[DatasetStatus, ...]
    champion: ChampionChange | None
    pin: str | None
    foreign: str | None
    shadow: str | None
    verdict: Entry | None
    candidate: JudgedCandidate | None
    served: tuple[ServedPopulation, ...]
    pages: Mapping[str, str]
    judged: str | None
    drift: tuple[str, ...]
    judgements: Mapping[str, Any]
    performance: Mapping[str, Any]
    outcomes: Mapping[str, str]


def read_ledger_status(ledger: Ledger, pipeline: str) -> LedgerStatus:
    """What the ledger says about a pipeline; no table is looked at."""
    complete: dict[str, str] = {}
    for entry in ledger.find(pipeline, "complete"):
        complete[entry.subject] = max(complete.get(entry.subject, ""), entry.partition or "")
    skipped = {
        key: f"by {entry.actor}: {entry.reason}"
        for key, entry in skipped_partitions.skipped_partitions(ledger, pipeline).items()
    }
    return LedgerStatus(
        pipeline,
        holds.describe_stop(ledger, pipeline),
        holds.decommission_entry(ledger, pipeline) is not None,
        skipped,
        {key: reason for key, reason in skipped_partitions.left_out(ledger, pipeline).items() if key not in skipped},
        complete,
        tuple(open_incidents(ledger, pipeline)),
    )


def read_pipeline_status(deployment: Deployment) -> PipelineStatus:
    """How a pipeline stands; nothing is computed, only looked up. What left its range is an incident no more."""
    spec, ledger = deployment.spec, deployment.ledger
    close_incidents_outside_range(ledger, spec)
    found = read_ledger_status(ledger, spec.pipeline)
    champions, pin = ledger.champions(spec.pipeline), pins.current_pin(ledger, spec.pipeline)
    candidate = candidate_outcome.newest_candidate(ledger, spec.pipeline)
    monitored = max(ledger.find(spec.pipeline, "complete", subject="monitor"), key=_entry_order, default=None)
    judged = monitored.evidence if monitored else {}
    return PipelineStatus(
        found,
        tuple(_read_dataset_statuses(deployment, found.incidents)),
        champions[-1] if champions else None,
        pins.describe_pin(pin) if pin else None,
        _foreign_files_reason(ledger, champions[-1]) if champions else None,
        candidate_outcome.describe_shadow(ledger, spec.pipeline),
        candidate.verdict if candidate else None,
        candidate,
        tuple(served_populations(ledger, spec.pipeline)),
        candidate_outcome.find_evidence_pages(
            candidate, champions[-1] if champions else None, deployment.runtime.reports
        ),
        monitored.partition if monitored else None,
        tuple(judged.get("alarms", ())),
        judged.get("judgements", {}),
        judged.get("performance", {}),
        judged.get("outcomes", {}),
    )


def _foreign_files_reason(ledger: Ledger, champion: ChampionChange) -> str | None:
    subject = f"{version_files.FOREIGN}/{champion.model_version}"
    noted = ledger.find(champion.pipeline, "note", subject=subject)
    return noted[-1].reason if noted and noted[-1].evidence["files"] else None


def _entry_order(entry: Entry) -> tuple[str, int]:
    return entry.partition or "", entry.id or 0


def _read_dataset_statuses(deployment: Deployment, incidents: Sequence[Incident]) -> list[DatasetStatus]:
    spec = deployment.spec
    lake = deployment.lake
    releases = {
        (entry.subject, str(entry.partition)): entry for entry in deployment.ledger.find(spec.pipeline, "release")
    }
    found = []
    for name in (*spec.datasets, *OTHER_DATASETS):
        dataset = lake.dataset(spec.pipeline, name)
        snapshot = dataset.snapshot()
        if snapshot is None and name in OTHER_DATASETS:
            continue
        published = snapshot.partitions if snapshot else {}
        failing = {key for one in incidents if one.task == name for key in one.partitions}
        released = {
            key: f"{entry.outcome}, by {entry.actor}: {entry.reason}"
            for (subject, key), entry in releases.items()
            if subject == name and key in published and published[key].cause == entry.evidence["cause"]
        }
        kept = [one for one in list_quarantined(dataset) if one.partition not in published or one.partition in failing]
        newest = {one.partition: one for one in kept}
        found.append(
            DatasetStatus(
                name,
                dataset.uri,
                snapshot.version if snapshot else None,
                len(published),
                sum(part.rows for part in published.values()),
                max(published, default=None),
                released,
                tuple(newest[key] for key in sorted(newest)),
            )
        )
    return found
