"""What was recorded of a model version, so that it can be made again: YAML, window, data, parameters, code, numbers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from tradewind.errors import ModelError
from tradewind.isolation.project_code import ProjectCode, find_package_folder, locate_project_code
from tradewind.spec.pipeline import Pipeline
from tradewind.training.model_inputs import PinnedInputs, train_config
from tradewind.training.training_plan import TrainingPlan
from tradewind.training.window import TrainingWindow

if TYPE_CHECKING:
    import pyarrow as pa

    from tradewind.core.runtime import Runtime
    from tradewind.deployment import Deployment
    from tradewind.registry.model_registry import RegisteredVersion

_ZERO_DURATION = "0w"
"""How a dump spells a duration of nothing, which the YAML cannot; it is the default wherever it is allowed."""


@dataclass(frozen=True, slots=True)
class RecordedTraining:
    """A version's evidence.

    :param spec: the YAML as it was
    :param partition: at which it was trained
    :param params: what its model function got
    :param config: hash of the configuration, likewise ``code`` of the project's code and ``data`` of the data
    :param libraries: versions by name, Python's among them
    :param metrics: on the test rows, by name
    :param majority: of the labels that it learned from
    :param rows: the test rows, as they were written down; a refit has seen them
    :param refit_of: the judged version that it is the refit of; None for a candidate
    :param commit: of the project's code; None if it was not recorded
    :param metric_code: what the metrics of the project that chose it depended on, by name
    """

    spec: Pipeline
    partition: str
    window: TrainingWindow
    pinned: PinnedInputs
    params: Mapping[str, Any]
    config: str
    code: str
    data: str
    libraries: Mapping[str, str]
    metrics: Mapping[str, float]
    majority: Mapping[str, Any]
    rows: pa.Table
    refit_of: str | None = None
    commit: str | None = None
    metric_code: Mapping[str, Any] = field(default_factory=dict)

    def plan(
        self, deployment: Deployment, code: ProjectCode, *, config: str, refit_of: str | None = None
    ) -> TrainingPlan:
        """What its training did, to be done again.

        :param deployment: the pipeline as it was then, with places of its own
        :param config: hash of the configuration as it is computed now
        :param refit_of: the version that it is fitted once more of; its own if None
        """
        return TrainingPlan(
            deployment, self.partition, self.window, code, self.pinned, config,
            refit_of=refit_of or self.refit_of, commit=self.commit, metric_code=self.metric_code,
        )  # fmt: skip


def read_recorded_training(spec: Pipeline, version: RegisteredVersion, evidence: Path) -> RecordedTraining:
    """Read a version's tags and the files that were logged with it.

    :param spec: today's YAML; what was recorded is used in its place
    :param evidence: folder of the files
    :raises ModelError: something was not recorded, or is gone
    """
    import pyarrow.parquet as pq
    import yaml

    made, lineage = (
        _read_evidence_json(version, evidence / "environment.json"),
        _read_evidence_json(version, evidence / "lineage.json"),
    )
    measured = _read_evidence_json(version, evidence / "metrics.json")
    rows = evidence / "test.parquet"
    if not rows.is_file():
        raise ModelError(f"{version}: the test rows are not among its evidence ({rows.name}); restore them")
    split = made["window"]
    return RecordedTraining(
        spec=_recorded_pipeline(spec, version, made),
        partition=_require_tag(version, "partition"),
        window=TrainingWindow(tuple(split["fit"]), tuple(split["validation"]), tuple(split["test"]), {}),
        pinned=PinnedInputs(lineage["versions"], lineage["digests"]),
        params=yaml.safe_load(made["params_yaml"]) if "params_yaml" in made else made["params"],
        config=_require_tag(version, "config"),
        code=_require_tag(version, "code"),
        data=_require_tag(version, "data"),
        libraries={"Python": made["python"], **made["libraries"]},
        metrics={name: float(one["value"]) for name, one in measured.items()},
        majority=json.loads(_require_tag(version, "majority")),
        rows=pq.read_table(rows),
        refit_of=made.get("refit_of"),
        commit=made.get("git"),
        metric_code=json.loads(version.tags.get("tradewind.metric_code", "{}")),
    )


def write_recorded_project(
    recorded: RecordedTraining, files: Path, project: Path, today: Path
) -> tuple[ProjectCode, str | None]:
    """Make a project of the code that was logged with a version.

    :param files: the version's own folder
    :param project: an empty folder
    :param today: the project as it is now; what was not logged comes from there
    :return: the model function, and which file is today's
    :raises ModelError: the code was not logged, or a file is nowhere
    """
    train = train_config(recorded.spec)
    home = find_package_folder(train.model)
    logged = files / "code" / home.name
    if not logged.is_dir():
        raise ModelError(f"the project's code is not among the files of the version ({logged} is not there)")
    shutil.copytree(logged, project / home, ignore=shutil.ignore_patterns("__pycache__"))
    assert recorded.spec.features is not None
    definitions, borrowed = recorded.spec.features.definitions, None
    if not (project / definitions).exists():
        if not (today / definitions).is_file():
            raise ModelError(f"the feature definitions {definitions} were not logged with the version, and are gone")
        (project / definitions).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(today / definitions, project / definitions)
        borrowed = definitions
    return locate_project_code(train.model, project), borrowed


def scratch_runtime(runtime: Runtime, scratch: Path) -> Runtime:
    """The deployment with a project, feature registry and reports of its own in a folder that goes away."""
    return replace(
        runtime,
        project=scratch / "project",
        feast_registry=f"sqlite:///{scratch / 'feast.db'}",
        feast_online={"type": "sqlite", "path": str(scratch / "online.db")},
        reports=scratch / "reports",
    )


def differing_libraries(before: Mapping[str, str], now: Mapping[str, str]) -> Sequence[str]:
    """In words, each library with both versions."""
    names = sorted({*before, *now}, key=str.lower)
    return [
        f"{name} {before.get(name, 'was not there')} then, {now.get(name, 'not there')} now"
        for name in names
        if before.get(name) != now.get(name)
    ]


def _recorded_pipeline(spec: Pipeline, version: RegisteredVersion, made: Mapping[str, Any]) -> Pipeline:
    whole = made.get("pipeline") or {**spec.model_dump(mode="json"), "train": made["train"]}
    try:
        return Pipeline.model_validate(_without_zero_durations(whole))
    except ValidationError as exc:
        first = exc.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ModelError(
            f"{version}: the YAML that it was trained with is not understood any more ({place}: {first['msg']}); "
            "reproduce it with the release of Tradewind that made it: environment.json of its evidence names it"
        ) from exc


def _without_zero_durations(dumped: Any) -> Any:
    if isinstance(dumped, dict):
        return {name: _without_zero_durations(value) for name, value in dumped.items() if value != _ZERO_DURATION}
    return [_without_zero_durations(value) for value in dumped] if isinstance(dumped, list) else dumped


def _read_evidence_json(version: RegisteredVersion, path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as exc:
        raise ModelError(
            f"{version}: {path.name} is not among its evidence; it was trained by a release that did not write it, or "
            "somebody removed it: train again"
        ) from exc


def _require_tag(version: RegisteredVersion, name: str) -> str:
    if (found := version.tags.get(f"tradewind.{name}")) is None:
        raise ModelError(f"{version} has no tag tradewind.{name} in MLflow; it cannot be made again without it")
    return found
