"""What a fallback may replace, and what is reported where the champion did not serve.

A published population is never replaced by the answers of a model that comes later in line than the one that served
it, unless a person accepts that. Whatever the champion did not serve is an incident until the champion serves it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tradewind.alerting.lasting_conditions import LastingCondition, heal_condition, open_condition
from tradewind.ledger.rescores import accepted_fallback
from tradewind.training.model_inputs import score_config

if TYPE_CHECKING:
    from tradewind.deployment import Deployment
    from tradewind.lake.snapshot import Snapshot
    from tradewind.ledger.journal import Ledger
    from tradewind.scoring.predictor import FallbackChain
    from tradewind.spec.pipeline import Pipeline

CHAMPION = "champion"
KIND = "NotServedByChampion"


@dataclass(frozen=True, slots=True)
class PublishedBy:
    """Who served what is published of a population.

    :param cause: hash of what it was made from
    :param served_by: place in line: ``champion``, ``previous_champion`` or ``majority``
    """

    cause: str
    rows: int
    version: str
    served_by: str

    def __str__(self) -> str:
        return describe_served_by(self.served_by, self.version)


def describe_served_by(served_by: str, version: str) -> str:
    """Who served, in words."""
    place = {"previous_champion": "the previous champion", "champion": "the champion"}.get(served_by, served_by)
    return f"{place}, version {version}" if served_by != "majority" else f"the majority of version {version}'s training"


def published_by(snapshot: Snapshot | None, population: str) -> PublishedBy | None:
    """Who served what is published of a population; None if nothing is."""
    if snapshot is None or (state := snapshot.partitions.get(population)) is None:
        return None
    names = [name for name in ("served_by", "model_version") if name in snapshot.schema.names]
    first = snapshot.arrow([population]).head(1, columns=names).to_pylist()
    text = first[0] if first else {}
    return PublishedBy(
        state.cause, state.rows, str(text.get("model_version") or "-"), str(text.get("served_by") or CHAMPION)
    )


def keeps_published_predictions(
    spec: Pipeline, published: PublishedBy, served_by: str, *, population: str, ledger: Ledger
) -> bool:
    """Whether what is published stays, although a model could serve in the champion's place.

    :param served_by: place of who could
    """
    line = [CHAMPION, *score_config(spec).fallback]
    # What the YAML does not name any more came from a model that was wanted then: only the champion replaces it.
    place = line.index(published.served_by) if published.served_by in line else 0
    if place >= line.index(served_by):
        return False
    return accepted_fallback(ledger, spec.pipeline, population, cause=published.cause) is None


def explain_kept_predictions(
    spec: Pipeline, published: PublishedBy, line: FallbackChain, *, population: str, same_inputs: bool
) -> str:
    """Why what is published stays, and what a person can do."""
    since = "" if same_inputs else "; what it was scored from has changed since, so it is not up to date"
    able = describe_served_by(line.service.served_by, line.service.version)
    return (
        f"population {population} stays as {published} scored it{since}: only {able} could score it now, and a "
        f"fallback does not replace better answers by itself. If it ought to: tradewind rescore {spec.pipeline} "
        f"{population} --accept-fallback --reason TEXT"
    )


def update_fallback_incident(deployment: Deployment, partition: str, line: FallbackChain, *, kept: str) -> None:
    """Open the incident of a population that the champion did not serve, or close it because it did.

    :param partition: whose run scored
    :param kept: why what was published stays; empty if it does not
    """
    population, service = line.population, line.service
    if service.served_by == CHAMPION:
        served = f"the champion, version {service.version}, serves population {population}"
        close_fallback_incident(deployment, partition, because=served)
        return
    champion = line.champion.model_version
    what = kept or (
        f"population {population} is served by {describe_served_by(service.served_by, service.version)} and not by the "
        f"champion, version {champion}"
    )
    condition = LastingCondition(
        KIND, "score", partition=partition,
        message=f"{what}. Version {champion} cannot serve: {line.failed[0]}",
        evidence={
            "population": population, "champion": champion, "served_by": service.served_by,
            "version": service.version, "kept": bool(kept),
        },
    )  # fmt: skip
    open_condition(deployment.ledger, deployment.spec, condition, run_id=deployment.runtime.run_id)


def close_fallback_incident(deployment: Deployment, partition: str, *, because: str) -> None:
    """Close the incident of a partition's population.

    :param because: what healed it
    """
    heal_condition(
        deployment.ledger,
        deployment.spec,
        kind=KIND,
        stage="score",
        partition=partition,
        because=because,
        run_id=deployment.runtime.run_id,
    )
