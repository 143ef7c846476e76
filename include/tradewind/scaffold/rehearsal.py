"""All stages of a pipeline in this process, one partition after another: for tests, without Airflow or services."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tradewind.core.runtime import Runtime
from tradewind.ledger import progress
from tradewind.ledger.journal import Ledger
from tradewind.spec.load import load
from tradewind.spec.order import in_order
from tradewind.spec.project import project_root


class Rehearsal:
    """A pipeline with a lake, a ledger and registries of its own.

    :param path: the pipeline's YAML
    :param home: folder for all that is written; its ``landing`` is the landing zone
    :raises SpecError: the YAML is wrong
    """

    def __init__(self, path: Path, home: Path) -> None:
        self.spec, home = load(path), home.resolve()
        for name in ("mlflow", "feast"):
            (home / name).mkdir(parents=True, exist_ok=True)
        self.runtime = Runtime(
            project=project_root(path),
            lake=str(home / "lake"),
            landing=str(home / "landing"),
            ledger=f"sqlite:///{home / 'ledger.db'}",
            mlflow=f"sqlite:///{home / 'mlflow' / 'mlflow.db'}",
            feast_registry=f"sqlite:///{home / 'feast' / 'registry.db'}",
            feast_online={"type": "sqlite", "path": str(home / "feast" / "online.db")},
            reports=home / "reports",
        )

    def partitions(self) -> list[str]:
        """Keys from the pipeline's start to its end, which it must have."""
        slicing = self.spec.partitioning
        return slicing.between(self.spec.start, slicing.shift(self.spec.end, -1)) if self.spec.end else []

    def run(self, partition: str) -> dict[str, Any]:
        """Run one partition through every stage that the YAML asks for, in the order of events.

        :return: what came of each stage: rows of each dataset (``etl``) and feature view (``features``), the alarms
            (``monitor``), what became of the training (``train``), and what was predicted (``score``)
        :raises TradewindError: a stage failed
        """
        done = {stage: getattr(self, f"_{stage}")(partition) for stage in self.spec.stages}
        return {**done}

    def _etl(self, partition: str) -> dict[str, int]:
        from tradewind.etl.dataset import build_dataset
        from tradewind.etl.stage import complete_etl

        names = in_order(self.spec.datasets)
        rows = {name: build_dataset(self.spec, name, partition, self.runtime).published.rows for name in names}
        complete_etl(self.spec, partition, self.runtime)
        return rows

    def _features(self, partition: str) -> dict[str, int]:
        from tradewind.features.stage import materialise

        return dict(materialise(self.spec, partition, self.runtime).rows)

    def _monitor(self, partition: str) -> list[str]:
        from tradewind.monitoring.judge import judge
        from tradewind.monitoring.profile import profile

        profile(self.spec, partition, self.runtime)
        return list(judge(self.spec, partition, self.runtime).alarms)

    def _train(self, partition: str) -> str:
        from tradewind.models import shadow
        from tradewind.models.decide import decide
        from tradewind.models.promote import Withheld, promote

        outcome: str = decide(self.spec, partition, self.runtime).outcome
        if outcome == "train":
            outcome = self._candidate(partition)
        elif outcome == "judge":
            outcome = shadow.judge(self.spec, partition, self.runtime).outcome
        if outcome == "passed":
            promoted = promote(self.spec, partition, self.runtime, actor="rehearsal")
            outcome = promoted.outcome if isinstance(promoted, Withheld) else "promoted"
        evidence = {"outcome": outcome}
        ledger = Ledger(self.runtime.ledger)
        progress.complete(ledger, self.spec.pipeline, "train", partition, cause="settled", evidence=evidence)
        return outcome

    def _candidate(self, partition: str) -> str:
        from tradewind.models import shadow
        from tradewind.models.train import NotWorth, train
        from tradewind.models.verdict import verdict

        if isinstance(train(self.spec, partition, self.runtime), NotWorth):
            return "not worth continuing"
        outcome = verdict(self.spec, partition, self.runtime).outcome
        return outcome if shadow.begin(self.spec, partition, self.runtime) is None else "shadow"

    def _score(self, partition: str) -> dict[str, Any]:
        from tradewind.models import shadow
        from tradewind.models.score import Skipped, score

        scored = score(self.spec, partition, self.runtime)
        shadow.score(self.spec, partition, self.runtime)
        if isinstance(scored, Skipped):
            return {"population": scored.population, "rows": 0, "reason": scored.reason}
        return {
            "population": scored.population,
            "rows": scored.rows,
            "model_version": scored.version,
            "served_by": scored.served_by,
        }
