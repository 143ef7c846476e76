"""How a pipeline stands: what is published, who is champion, what is wrong, what a person has stopped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tradewind.alerting.incidents import Incident, close_outside_range, open_incidents
from tradewind.etl.release import Quarantined, quarantined
from tradewind.lake.dataset import Lake
from tradewind.ledger import absences, holds, pins
from tradewind.ledger.journal import Entry, Ledger
from tradewind.models import opening
from tradewind.planning import candidates
from tradewind.planning.served import ServedPopulation, served_populations

if TYPE_CHECKING:
    from tradewind.core.runtime import Runtime
    from tradewind.ledger.champions import Champion
    from tradewind.planning.candidates import Candidate
    from tradewind.spec.models import Pipeline

OTHERS = ("profiles", "drift", "performance", "predictions", "shadow_predictions")
"""Datasets that later stages write."""


@dataclass(frozen=True, slots=True)
class Table:
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
class State:
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
class Standing:
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

    state: State
    tables: tuple[Table, ...]
    champion: Champion | None
    pin: str | None
    foreign: str | None
    shadow: str | None
    verdict: Entry | None
    candidate: Candidate | None
    served: tuple[ServedPopulation, ...]
    pages: Mapping[str, str]
    judged: str | None
    drift: tuple[str, ...]
    judgements: Mapping[str, Any]
    performance: Mapping[str, Any]
    outcomes: Mapping[str, str]


def state(ledger: Ledger, pipeline: str) -> State:
    """What the ledger says about a pipeline; no table is looked at."""
    complete: dict[str, str] = {}
    for entry in ledger.find(pipeline, "complete"):
        complete[entry.subject] = max(complete.get(entry.subject, ""), entry.partition or "")
    skipped = {key: f"by {entry.actor}: {entry.reason}" for key, entry in absences.skipped(ledger, pipeline).items()}
    return State(
        pipeline,
        holds.told(ledger, pipeline),
        holds.decommissioned(ledger, pipeline) is not None,
        skipped,
        {key: reason for key, reason in absences.left_out(ledger, pipeline).items() if key not in skipped},
        complete,
        tuple(open_incidents(ledger, pipeline)),
    )


def standing(spec: Pipeline, runtime: Runtime) -> Standing:
    """How a pipeline stands; nothing is computed, only looked up. What left its range is an incident no more."""
    ledger = Ledger(runtime.ledger)
    close_outside_range(ledger, spec)
    found = state(ledger, spec.pipeline)
    champions, pin = ledger.champions(spec.pipeline), pins.pinned(ledger, spec.pipeline)
    candidate = candidates.newest(ledger, spec.pipeline)
    monitored = max(ledger.find(spec.pipeline, "complete", subject="monitor"), key=_place, default=None)
    judged = monitored.evidence if monitored else {}
    return Standing(
        found,
        tuple(_tables(spec, runtime, ledger, found.incidents)),
        champions[-1] if champions else None,
        pins.told(pin) if pin else None,
        _foreign(ledger, champions[-1]) if champions else None,
        candidates.shadow(ledger, spec.pipeline),
        candidate.verdict if candidate else None,
        candidate,
        tuple(served_populations(ledger, spec.pipeline)),
        candidates.pages(candidate, champions[-1] if champions else None, runtime.reports),
        monitored.partition if monitored else None,
        tuple(judged.get("alarms", ())),
        judged.get("judgements", {}),
        judged.get("performance", {}),
        judged.get("outcomes", {}),
    )


def _foreign(ledger: Ledger, champion: Champion) -> str | None:
    subject = f"{opening.FOREIGN}/{champion.model_version}"
    noted = ledger.find(champion.pipeline, "note", subject=subject)
    return noted[-1].reason if noted and noted[-1].evidence["files"] else None


def _place(entry: Entry) -> tuple[str, int]:
    return entry.partition or "", entry.id or 0


def _tables(spec: Pipeline, runtime: Runtime, ledger: Ledger, incidents: Sequence[Incident]) -> list[Table]:
    lake = Lake(runtime.lake, storage_options=runtime.storage_options)
    releases = {(entry.subject, str(entry.partition)): entry for entry in ledger.find(spec.pipeline, "release")}
    found = []
    for name in (*spec.datasets, *OTHERS):
        dataset = lake.dataset(spec.pipeline, name)
        snapshot = dataset.snapshot()
        if snapshot is None and name in OTHERS:
            continue
        published = snapshot.partitions if snapshot else {}
        failing = {key for one in incidents if one.task == name for key in one.partitions}
        released = {
            key: f"{entry.outcome}, by {entry.actor}: {entry.reason}"
            for (subject, key), entry in releases.items()
            if subject == name and key in published and published[key].cause == entry.evidence["cause"]
        }
        kept = [one for one in quarantined(dataset) if one.partition not in published or one.partition in failing]
        newest = {one.partition: one for one in kept}
        found.append(
            Table(
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
