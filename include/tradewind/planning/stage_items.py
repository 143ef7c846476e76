"""How every later stage of every partition stands: against the stage before it, its configuration and its code."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from tradewind.deployment import Deployment
from tradewind.etl.inputs import SOURCE
from tradewind.lake.cause import Cause
from tradewind.ledger import completion
from tradewind.planning import recorded_causes
from tradewind.planning.plan_item import DOUBT, NOT_DETERMINISTIC, UNSURE, ItemState, PlanItem, Reason
from tradewind.planning.served_populations import served_population

if TYPE_CHECKING:
    from tradewind.features.definitions import Definitions
    from tradewind.ledger.journal import Entry
    from tradewind.planning.delivery_digests import DeliveryDigests

NewestEntries = Mapping[tuple[str, str], "Entry"]


def examine_stages(
    deployment: Deployment, keys: Sequence[str], *, datasets: Sequence[PlanItem], deliveries: DeliveryDigests
) -> list[PlanItem]:
    """How each stage stands for each of ``keys`` for which the stage before it is complete.

    For ``etl`` only its end is looked at, where all datasets are published: whether what they hold was passed on.

    :param datasets: how the datasets stand: what comes after one that is stale is possibly stale

    :raises SpecError: the feature definitions are wrong
    """
    spec, ledger = deployment.spec, deployment.ledger
    complete = _newest(ledger.find(spec.pipeline, "complete"))
    started = _newest(ledger.find(spec.pipeline, "started"))
    looking = _StageExamination(deployment, deliveries, complete, started)
    etl = [item for key in keys if (item := looking.end_of_etl(key))]
    later = [
        item
        for stage in spec.stages
        if stage != "etl"
        for key in keys
        if (item := looking.item(stage, key)) is not None
    ]
    return _with_doubts(datasets, etl + later, spec.stages)


def _with_doubts(datasets: Sequence[PlanItem], later: Sequence[PlanItem], stages: Sequence[str]) -> list[PlanItem]:
    """The items of the later stages; what is current after something that will or may change is possibly stale."""
    doubts: dict[tuple[str, str], tuple[str, ...]] = {}
    for item in datasets:
        if item.state in UNSURE:
            known = doubts.get(("etl", item.partition), ())
            doubts["etl", item.partition] = (*known, f"{item.name}/{item.partition}")
    found = []
    for item in later:
        before = completion.upstream_stage(item.stage, stages) or "etl"
        about = doubts.get((before, item.partition))
        if about and item.state == "current":
            item = replace(item, state="possibly stale", why=(*item.why, Reason("upstream", DOUBT, about)))
        if item.state in UNSURE:
            doubts.setdefault((item.stage, item.partition), about or (f"{item.name}/{item.partition}",))
        found.append(item)
    return found


@dataclass
class _StageExamination:
    deployment: Deployment
    deliveries: DeliveryDigests
    complete: NewestEntries
    started: NewestEntries

    def end_of_etl(self, key: str) -> PlanItem | None:
        digests = {name: states[key] for name, states in self._digests.items() if key in states}
        if len(digests) < len(self.deployment.spec.datasets):
            return None
        entry = self.complete.get(("etl", key))
        if entry is None:
            why = Reason("upstream", "its datasets are published, but the stage did not end")
            return PlanItem("etl", "complete", key, "missing", (why,))
        passed_on = {name: about["digest"] for name, about in entry.evidence.items() if isinstance(about, dict)}
        if passed_on == digests:
            return PlanItem("etl", "complete", key, "current")
        why = Reason("upstream", "datasets were published again, and the stages after it do not know")
        return PlanItem("etl", "complete", key, "stale", (why,))

    def item(self, stage: str, key: str) -> PlanItem | None:
        before = completion.upstream_stage(stage, self.deployment.spec.stages)
        upstream = self.complete.get((before or "", key))
        if upstream is None:
            return None
        if (stage, key) not in self.complete:
            return PlanItem(
                stage, stage, key, "missing", (Reason("upstream", f"{before} is complete and this is not"),)
            )
        why = []
        begun = self.started.get((stage, key))
        if begun is None or begun.evidence["cause"] != upstream.evidence["cause"]:
            why.append(Reason("upstream", f"{before} has other results since; it looks again"))
        if stage in self._own:
            why += self._own[stage](key)
        state: ItemState = "stale" if why else "current"
        if (
            stage == "score"
            and self.deployment.spec.score is not None
            and not self.deployment.spec.score.population.deterministic
        ):
            why.append(Reason("note", f"score.population: {NOT_DETERMINISTIC}"))
        return PlanItem(stage, stage, key, state, tuple(why))

    @cached_property
    def _own(self) -> Mapping[str, Callable[[str], list[Reason]]]:
        """What else than the stage before can make a stage stale."""
        return {"features": self._features, "monitor": self._monitor, "score": self._score}

    def _features(self, key: str) -> list[Reason]:
        from tradewind.features.stage import materialisation_cause

        entry, upstream = self._materialised.get(("features", key)), self.complete["etl", key].evidence["cause"]
        if entry is None or entry.evidence["cause"] == materialisation_cause(
            self.deployment.spec, self._definitions, str(upstream)
        ):
            return []
        if entry.evidence["definitions"] != self._definitions.digest:
            return [Reason("configuration", "the feature definitions have changed")]
        begun = self.started.get(("features", key))
        if begun is not None and begun.evidence["cause"] != upstream:
            return []  # that is said already
        return [Reason("configuration", "`features` in the YAML, or Tradewind, has changed")]

    def _monitor(self, key: str) -> list[Reason]:
        from tradewind.monitoring import drift_rows, performance_rows, profile_rows

        def realised() -> str:
            return performance_rows.performance_config_hash(
                self.deployment, performance_rows.due_populations(self.deployment.spec, key)
            )

        return [
            *self._compared("profiles", key, lambda: self._profiles, profile_rows.CODE),
            *self._compared("drift", key, lambda: drift_rows.drift_config_hash(self.deployment.spec), drift_rows.CODE),
            *self._compared("performance", key, realised, performance_rows.CODE),
        ]

    def _score(self, key: str) -> list[Reason]:
        from tradewind.scoring import batch_scoring

        ahead = self.deployment.spec.score.ahead if self.deployment.spec.score else 0
        population = self.deployment.spec.partitioning.shift(key, ahead)
        compared = self._compared(batch_scoring.DATASET, population, lambda: self._scoring, batch_scoring.CODE)
        return [*self._served(key), *self._delivered(population), *compared]

    def _served(self, key: str) -> list[Reason]:
        """Whether another model than the champion served what the champion should serve."""
        entry = self.complete[("score", key)]
        served = served_population(entry)
        if served is None or served.by_champion:
            return []
        if served.kept:
            text = "the champion could not serve its population when it ran last; what was published before stays"
            return [Reason("model", text, (served.population,))]
        text = f"its population is served by {served.served_by}, and not by the champion"
        return [Reason("model", text, (served.population,))]

    def _delivered(self, population: str) -> list[Reason]:
        """Whether what was delivered of a population that was scored has changed; what cannot be seen has not."""
        from tradewind.scoring.batch_scoring import DATASET

        recorded_ = self._recorded(DATASET).get(population)
        if recorded_ is None or self.deployment.spec.score is None:
            return []
        declared = self.deployment.spec.score.population
        changed = [
            view
            for view, source in {SOURCE: declared, **declared.references}.items()
            if (before := recorded_.inputs.get(f"population/{population}/{view}"))
            and self.deliveries.changed(source, population, before, deployment=self.deployment)
        ]
        return [Reason("input", "its population has changed since", tuple(changed))] if changed else []

    def _compared(self, name: str, key: str, config: Callable[[], str], code: str) -> list[Reason]:
        found = self._recorded(name).get(key)
        if found is None:
            return []
        why = []
        if found.config != config():
            why.append(Reason("configuration", f"what the YAML says of {name}, or a file that it names, has changed"))
        if found.code != code:
            text = f"Tradewind was upgraded and makes {name} in another way ({found.code}, now {code})"
            why.append(Reason("code", text))
        return why

    def _recorded(self, name: str) -> Mapping[str, Cause]:
        if name not in self._causes:
            snapshot = self.deployment.lake.dataset(self.deployment.spec.pipeline, name).snapshot()
            self._causes[name] = recorded_causes.read_recorded_causes(snapshot, snapshot.partitions) if snapshot else {}
        return self._causes[name]

    @cached_property
    def _causes(self) -> dict[str, Mapping[str, Cause]]:
        return {}

    @cached_property
    def _digests(self) -> Mapping[str, Mapping[str, str]]:
        snapshots = {
            name: self.deployment.lake.dataset(self.deployment.spec.pipeline, name).snapshot()
            for name in self.deployment.spec.datasets
        }
        return {
            name: {key: state.digest for key, state in snapshot.partitions.items()} if snapshot else {}
            for name, snapshot in snapshots.items()
        }

    @cached_property
    def _materialised(self) -> NewestEntries:
        return _newest(self.deployment.ledger.find(self.deployment.spec.pipeline, "materialised"))

    @cached_property
    def _definitions(self) -> Definitions:
        from tradewind.features.definitions import load_definitions

        return load_definitions(self.deployment)

    @cached_property
    def _profiles(self) -> str:
        from tradewind.monitoring.profile_rows import profile_config_hash

        return profile_config_hash(self.deployment)

    @cached_property
    def _scoring(self) -> str:
        from tradewind.scoring.batch_scoring import scoring_config_hash

        return scoring_config_hash(self.deployment)


def _newest(entries: Sequence[Entry]) -> NewestEntries:
    return {(entry.subject, entry.partition): entry for entry in entries if entry.partition is not None}
