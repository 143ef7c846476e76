"""All stages of a pipeline in this process, one partition after another: without Airflow or services."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self

from tradewind.alerting import incidents
from tradewind.core.connections import Connections, DatabaseConnection, ObjectStoreConnection, WebServiceConnection
from tradewind.deployment import Deployment
from tradewind.errors import Conflict, LeftOut, TradewindError, UsageError
from tradewind.ledger import completion, holds
from tradewind.local_airflow.home import Home
from tradewind.local_airflow.supervisor import lock_home
from tradewind.planning.plan import ended_partitions
from tradewind.retraining import approval, train_stage
from tradewind.retraining.train_stage import TrainStep
from tradewind.spec.dataset_order import dataset_order
from tradewind.spec.load import load_pipeline
from tradewind.spec.project import project_root

ACTOR = "rehearsal"
_TRIES = 3


@dataclass(frozen=True, slots=True)
class StageOutcome:
    """What came of one stage of a partition.

    :param outcome: ``skipped``: it is kept out on purpose; ``not reached``: the stage before it was not done
    :param seconds: how long it took
    :param value: what :meth:`Rehearsal.run` returns of the stage
    :param reason: why it was not done, in words
    :param error: what was raised, where something was
    """

    partition: str
    stage: str
    outcome: Literal["done", "failed", "skipped", "not reached"]
    seconds: float = 0.0
    value: Any = None
    reason: str = ""
    error: Exception | None = None


class Rehearsal:
    """A pipeline with a lake, a ledger and registries of its own; nothing of Airflow runs.

    Used as a context manager it has its home for itself, and keeps the processes of models from one partition to the
    next. What is published afterwards, and what the ledger says, is what Airflow's tasks would have left.

    :param path: the pipeline's YAML
    :param home: folder for all that is written; its ``landing`` is the landing zone
    :param landing: another landing zone: a folder or an ``s3://`` URI
    :param connections: what lies outside; None for ``AIRFLOW_CONN_…`` in the environment
    :param approve: the answer where the YAML says ``promotion.mode: approval``; given by :data:`ACTOR`
    :raises SpecError: the YAML is wrong
    """

    def __init__(
        self, path: Path, home: Path, *, landing: str | None = None, connections: Connections | None = None,
        approve: bool = True,
    ) -> None:  # fmt: skip
        self.spec = load_pipeline(path)
        self.home = Home(root=home.resolve(), project=project_root(path))
        self.home.lay_out()
        if landing is not None:
            self.home.read_deliveries_from(landing)
        self.approve = approve
        # What has not been delivered by now is not waited for, and neither is a partition that failed.
        self.runtime = replace(
            self.home.runtime(),
            actor=ACTOR,
            connections=connections or _ExportedConnections(),
            waited=timedelta(days=36_500),
            alone=True,
        )
        self._began = datetime.now(UTC)
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        from tradewind.isolation.model_client import ModelHostCache

        lock = lock_home(self.home)
        if lock is None:
            raise Conflict(
                f"{self.home.root} is in use by another rehearsal or an Airflow; wait for it, or take another --home"
            )
        self._stack.enter_context(lock)
        self.runtime = replace(self.runtime, hosts=self._stack.enter_context(ModelHostCache()))
        return self

    def __exit__(self, *_: object) -> None:
        self.runtime = replace(self.runtime, hosts=None)
        self._stack.close()

    def partitions(self, first: str | None = None, last: str | None = None) -> list[str]:
        """Keys of the partitions that are over, in order.

        :param first: key of the first; None for the pipeline's start
        :param last: key of the last; None for the pipeline's last, or the newest that is over
        :raises InvalidPartitionKey: a key is malformed or outside the pipeline's range
        :raises UsageError: there is none, or ``last`` is not over yet
        """
        keys = list(ended_partitions(self.spec, first=first, last=last, now=datetime.now(UTC)))
        if not keys or (last is not None and keys[-1] != last):
            raise UsageError(
                f"{self.spec.pipeline}: partition {last or first or self.spec.start} is not over yet, so it cannot be "
                "rehearsed; name an earlier one"
            )
        return keys

    def run(self, partition: str) -> dict[str, Any]:
        """Run one partition through every stage that the YAML asks for, in the order of events.

        :return: what came of each stage: rows of each dataset (``etl``) and feature view (``features``), the alarms
            (``monitor``), what became of the training (``train``), and what was predicted (``score``)
        :raises TradewindError: a stage failed, or the partition is left out or held
        """
        done = {}
        for worked in self.work_through(partition):
            if worked.error is not None:
                raise worked.error
            if worked.outcome == "skipped":
                raise LeftOut(worked.reason)
            done[worked.stage] = worked.value
        return done

    def work_through(self, partition: str) -> Iterator[StageOutcome]:
        """Run one partition stage by stage, as Airflow would: what fails ends what depends on it, and nothing else.

        A failure is an incident in the ledger; a success closes what was open.

        :raises InvalidPartitionKey: the key is malformed or outside the pipeline's range
        """
        self.spec.partitioning.check(partition)
        run = f"{ACTOR}__{partition}__{self._began.isoformat(timespec='seconds')}"
        work = _PartitionWork(Deployment(self.spec, replace(self.runtime, run_id=run)), partition, approve=self.approve)
        done: dict[str, StageOutcome] = {}
        for name in _order_stages(self.spec.stages):
            before = completion.upstream_stage(name, self.spec.stages)
            if before is not None and done[before].outcome != "done":
                reason = f"{before} was not done"
                done[name] = StageOutcome(partition, name, "not reached", reason=reason)
            else:
                done[name] = work.stage(name)
            yield done[name]


@dataclass(frozen=True)
class _PartitionWork:
    """The work on one partition."""

    deployment: Deployment
    partition: str
    approve: bool

    def stage(self, name: str) -> StageOutcome:
        """Run one stage; nothing is raised but what ends the process."""
        began = time.monotonic()
        value, reason = None, ""
        error: Exception | None = None
        outcome: Literal["done", "failed", "skipped"] = "done"
        try:
            if (
                held := holds.describe_stop(self.deployment.ledger, self.deployment.spec.pipeline, self.partition)
            ) is not None:
                raise LeftOut(f"nothing is done: {held}")
            completion.record_begin(
                self.deployment.ledger,
                self.deployment.spec.pipeline,
                name,
                self.partition,
                stages=self.deployment.spec.stages,
                run_id=self.deployment.runtime.run_id,
            )
            value = getattr(self, f"_{name}")()
        except LeftOut as exc:
            outcome, reason, error = "skipped", str(exc), exc
        except Exception as exc:
            text = str(exc) if isinstance(exc, TradewindError) else f"{type(exc).__name__}: {exc}"
            outcome, reason, error = "failed", text, exc
        else:
            incidents.close_stage_incidents(
                self.deployment.ledger,
                self.deployment.spec.pipeline,
                name,
                self.partition,
                run_id=self.deployment.runtime.run_id,
            )
        return StageOutcome(self.partition, name, outcome, time.monotonic() - began, value, reason, error)

    @contextmanager
    def _task(self, stage: str, name: str) -> Iterator[None]:
        """What Airflow does around a task: a failure is an incident, and a success closes the one that was open."""
        about = {"pipeline": self.deployment.spec.pipeline, "stage": stage, "task": name, "partition": self.partition}
        try:
            yield
        except LeftOut:
            raise
        except Exception as exc:
            incidents.report_failure(
                self.deployment.ledger,
                **about,
                run_id=self.deployment.runtime.run_id,
                error_type=type(exc).__name__,
                message=str(exc),
                attempt=1,
                owner=self.deployment.spec.owner,
                runbook=self.deployment.spec.runbook,
                channels=self.deployment.spec.alerts.channels,
            )
            raise
        incidents.close_stage_incidents(
            self.deployment.ledger,
            self.deployment.spec.pipeline,
            stage,
            self.partition,
            task=name,
            run_id=self.deployment.runtime.run_id,
        )

    def _do(self, stage: str, name: str, work: Callable[[Deployment, str], Any]) -> Any:
        """One task; what lost against another run looks again, as a retry would."""
        with self._task(stage, name):
            holds.require_not_held(
                self.deployment.ledger,
                self.deployment.spec,
                self.partition,
                stage=stage,
                first=False,
                run_id=self.deployment.runtime.run_id,
            )
            for left in reversed(range(_TRIES)):
                try:
                    return work(self.deployment, self.partition)
                except Conflict:
                    if not left:
                        raise
        raise AssertionError("the loop returns or raises")

    def _etl(self) -> dict[str, int]:
        from tradewind.etl.dataset_build import DatasetResult, build_dataset
        from tradewind.etl.etl_completion import complete_etl

        rows: dict[str, int] = {}
        wrong: dict[str, Exception] = {}
        for name in dataset_order(self.deployment.spec.datasets):
            if upstream := wrong.keys() & self.deployment.spec.datasets[name].inputs.keys():
                wrong[name] = wrong[sorted(upstream)[0]]  # as a task whose upstream task failed
                continue

            def build(deployment: Deployment, key: str, dataset: str = name) -> DatasetResult:
                return build_dataset(deployment, dataset, key)

            try:
                rows[name] = self._do("etl", name, build).published.rows
            except Exception as exc:
                wrong[name] = exc
        if wrong:
            raise _first_failure(wrong)
        self._do("etl", "complete", complete_etl)
        return rows

    def _features(self) -> dict[str, int]:
        from tradewind.features.stage import materialise_features

        return dict(self._do("features", "materialise", materialise_features).rows)

    def _monitor(self) -> list[str]:
        from tradewind.monitoring.partition_judgement import judge_partition
        from tradewind.monitoring.profile_rows import profile_partition

        self._do("monitor", "profile", profile_partition)
        return list(self._do("monitor", "judge", judge_partition).alarms)

    def _train(self) -> str:
        def run_task(name: str, step: train_stage.StepFunction) -> TrainStep:
            done: TrainStep = self._do("train", name, step)
            return done

        steps = train_stage.list_train_steps(self.deployment.spec, ask=self._answer)
        return train_stage.run_train_stage(self.deployment, self.partition, steps=steps, run_task=run_task).outcome

    def _answer(self, deployment: Deployment, partition: str) -> TrainStep:
        """The answer of a person who is not here; a "no" leaves the training as waiting, as Airflow does."""
        verdict = approval.find_open_approval(deployment, partition)
        if verdict is None:
            return TrainStep("approved")
        word = "approved" if self.approve else "rejected"
        reason = f"{word} by a rehearsal, which asks nobody"
        approval.record_approval(
            verdict, deployment.runtime, approved=self.approve, reason=reason, actor=ACTOR, occasion=verdict.key
        )
        return TrainStep("approved" if self.approve else "not approved", settled=not self.approve)

    def _score(self) -> dict[str, Any]:
        from tradewind.scoring import shadow
        from tradewind.scoring.batch_scoring import SkippedPopulation, score_population

        scored = self._do("score", "score", score_population)
        if self.deployment.spec.promotion.shadow:
            self._do("score", "shadow", shadow.score_shadow)
        if isinstance(scored, SkippedPopulation):
            return {"population": scored.population, "rows": 0, "reason": scored.reason}
        return {
            "population": scored.population,
            "rows": scored.rows,
            "model_version": scored.version,
            "served_by": scored.served_by,
        }


class _ExportedConnections:
    """Connections of the environment; Airflow is imported when a source asks for one, and not before."""

    def database(self, conn_id: str) -> DatabaseConnection:
        """See :class:`~tradewind.core.connections.Connections`."""
        return self._found.database(conn_id)

    def http(self, conn_id: str) -> WebServiceConnection:
        """See :class:`~tradewind.core.connections.Connections`."""
        return self._found.http(conn_id)

    def s3(self, conn_id: str) -> ObjectStoreConnection:
        """See :class:`~tradewind.core.connections.Connections`."""
        return self._found.s3(conn_id)

    @cached_property
    def _found(self) -> Connections:
        from tradewind.hooks.process_logging import keep_process_logging

        with keep_process_logging():
            from tradewind.hooks.airflow_connections import EnvironmentConnections
        return EnvironmentConnections()


def _order_stages(stages: Sequence[str]) -> list[str]:
    """The stages in an order in which none has to wait for another one of the same partition.

    With ``score.ahead: 0`` monitoring waits for the predictions of its own partition; scoring waits for no later stage,
    and what this partition's training promotes serves later populations only.
    """
    return sorted(stages, key=lambda name: name in ("monitor", "train"))


def _first_failure(wrong: Mapping[str, Exception]) -> Exception:
    """The first failure; a dataset that is left out on purpose only where nothing failed."""
    failed: Sequence[Exception] = [exc for exc in wrong.values() if not isinstance(exc, LeftOut)]
    return failed[0] if failed else next(iter(wrong.values()))
