"""The MLflow run of one training: its parameters, numbers and evidence, the trials below it, and the model itself."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tradewind.errors import ModelError
from tradewind.registry.manifest import NAME, Manifest
from tradewind.spec.digest import config_hash

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput, LoggedModel
    from mlflow.models import Model

CAUSE = "tradewind.cause"
EVIDENCE = "evaluation"
"""Folder of a run's artifacts that holds the evidence."""
MODEL_DIGEST = "tradewind.model_digest"
"""Tag of a version: digest of its manifest; of versions of earlier releases, of the whole folder."""
SUPERSEDED = "tradewind.superseded_by"
"""Tag of what an attempt left that did not come to its end, or came second: the run that counts."""
ABANDONED = "abandoned"
"""Value of :data:`SUPERSEDED` where no run counts: nothing came of the attempt."""
_REACH_MS = 31 * 24 * 3600 * 1000
_PARENT = "mlflow.parentRunId"
_LONGEST = 8000


@dataclass(frozen=True, slots=True)
class NestedRun:
    """A run below another one.

    :param begun: seconds since 1970
    """

    name: str
    params: Mapping[str, Any]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    status: Literal["FINISHED", "FAILED", "KILLED"]
    begun: float
    seconds: float


@dataclass(frozen=True, slots=True)
class TrainingRecord:
    """What is logged of one training.

    :param save: writes the model into the (empty) folder that it is given, with the description that it is given
    :param name: of the run
    :param tags: of run, model and version
    :param evidence: folder whose files become artifacts of the run below :data:`EVIDENCE`
    :param datasets: what was read: name, table version, and digests by partition
    """

    save: Callable[[Path, Model], None]
    name: str
    params: Mapping[str, Any]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    evidence: Path
    nested: Sequence[NestedRun] = field(default_factory=tuple)
    datasets: Sequence[tuple[str, int, Mapping[str, str]]] = ()


def write_training_run(client: MlflowClient, experiment: str, record: TrainingRecord) -> LoggedModel:
    """Write a run: the run first, the model's READY last; what is READY is whole.

    :raises ModelError: MLflow does not take the model, or it has no signature
    """
    from mlflow.entities import LoggedModelOutput

    run = client.create_run(experiment, tags=shorten_tags(record.tags), run_name=record.name).info.run_id
    params = _params_as_text(record.params)
    model = client.create_logged_model(
        experiment, name="model", source_run_id=run, tags=dict(record.tags), params=params, model_type="sklearn"
    )
    _log_batch(client, run, params, record.metrics, model_id=model.model_id)
    client.log_outputs(run, [LoggedModelOutput(model.model_id, step=0)])
    client.log_inputs(run, [_dataset_input(*one) for one in record.datasets])
    client.log_artifacts(run, str(record.evidence), EVIDENCE)
    for nested in record.nested:
        _write_nested_run(client, experiment, run, nested, cause=record.tags.get(CAUSE, ""))
    _log_model(client, run, model, record)
    client.set_terminated(run, "FINISHED")
    return client.finalize_logged_model(model.model_id, "READY")


def mark_superseded_runs(client: MlflowClient, experiment: str, *, cause: str, by: str) -> list[str]:
    """Mark runs of this cause that never came to their end: a process that wrote them was killed, or came second.

    :param by: the run that counts
    :return: the runs that were marked
    """
    found = client.search_runs(
        [experiment], filter_string=f"tags.`{CAUSE}` = '{cause}' and attributes.status = 'RUNNING'"
    )
    left = [run.info.run_id for run in found if run.info.run_id != by]
    for run in left:
        client.set_tag(run, SUPERSEDED, by)
        client.set_terminated(run, "KILLED")
    return left


def mark_abandoned_runs(client: MlflowClient, experiment: str, *, before: datetime) -> list[str]:
    """Mark runs and logged models that a killed process left, and that no retry of it came back for.

    Runs that never came to their end are ended as KILLED; models that were never registered keep their status, since a
    retry may still register one that is READY.

    :param before: what began earlier than this (aware) belongs to no process any more
    :return: names of what was marked, like ``run ID`` and ``model ID``
    """
    limit = int(before.timestamp() * 1000)
    running = client.search_runs([experiment], filter_string="attributes.status = 'RUNNING'")
    runs = [run.info.run_id for run in running if run.info.start_time < limit]
    for run in runs:
        client.set_tag(run, SUPERSEDED, ABANDONED)
        client.set_terminated(run, "KILLED")
    models = [model.model_id for model in _unregistered_models(client, experiment, limit)]
    for model in models:
        client.set_logged_model_tags(model, {SUPERSEDED: ABANDONED})
    return [*(f"run {run}" for run in runs), *(f"model {model}" for model in models)]


def _unregistered_models(client: MlflowClient, experiment: str, limit: int) -> Iterator[LoggedModel]:
    """Models of the month before ``limit`` (ms) that belong to no version; older ones were looked at before."""
    asked = f"creation_timestamp < {limit} AND creation_timestamp > {limit - _REACH_MS}"
    token: str | None = None
    while True:
        page = client.search_logged_models([experiment], filter_string=asked, page_token=token)
        for model in page:
            # MLflow says which versions a run has, and not which ones a logged model has.
            asked_of_run = f"run_id = '{model.source_run_id}'"
            if SUPERSEDED not in model.tags and not client.search_model_versions(asked_of_run, max_results=1):
                yield model
        if not (token := page.token):
            return


def shorten_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Tags as long as MLflow's database lets a run have them; those of the version stay whole.

    A window of a month of hours names more partitions than fit. SQLite takes them all the same, PostgreSQL does not.
    """
    return {key: value if len(value) <= _LONGEST else f"{value[: _LONGEST - 1]}…" for key, value in tags.items()}


def _dataset_input(name: str, version: int, digests: Mapping[str, str]) -> DatasetInput:
    """A dataset as MLflow shows it: one digest over the partitions that were read."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    source = {"version": version, "partitions": [min(digests, default=None), max(digests, default=None)]}
    described = Dataset(name, config_hash(digests)[:32], "delta", json.dumps(source))
    return DatasetInput(described, [InputTag("mlflow.data.context", "training")])


def _write_nested_run(client: MlflowClient, experiment: str, parent: str, nested: NestedRun, *, cause: str) -> None:
    begun = int(nested.begun * 1000)
    tags = {_PARENT: parent, CAUSE: cause, **nested.tags}
    run = client.create_run(experiment, start_time=begun, tags=tags, run_name=nested.name).info.run_id
    _log_batch(client, run, _params_as_text(nested.params), nested.metrics)
    client.set_terminated(run, nested.status, begun + int(nested.seconds * 1000))


def _log_batch(
    client: MlflowClient,
    run: str,
    params: Mapping[str, str],
    metrics: Mapping[str, float],
    *,
    model_id: str | None = None,
) -> None:
    from mlflow.entities import Metric, Param

    now = int(time.time() * 1000)
    logged = [Metric(key, value, now, 0, model_id=model_id, run_id=run) for key, value in metrics.items()]
    client.log_batch(run, metrics=logged, params=[Param(key, value) for key, value in params.items()])


def _log_model(client: MlflowClient, run: str, model: LoggedModel, record: TrainingRecord) -> None:
    from mlflow.exceptions import MlflowException
    from mlflow.models import Model

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "model"
        described = Model(artifact_path=model.artifact_location, run_id=run, model_id=model.model_id)
        try:
            record.save(folder, described)
        except MlflowException as exc:
            # There was no network call: the model itself is what MLflow does not take.
            raise ModelError(f"the model of run {record.name} cannot be saved: {exc}") from exc
        if described.signature is None:
            raise ModelError(f"the model of run {record.name} has no signature: nobody could say what it takes")
        manifest = Manifest.from_folder(folder)
        client.log_dict(run, manifest.as_json(), f"{EVIDENCE}/{NAME}")
        client.set_logged_model_tags(model.model_id, {MODEL_DIGEST: manifest.digest})
        client.log_model_artifacts(model.model_id, str(folder))


def _params_as_text(params: Mapping[str, Any]) -> dict[str, str]:
    return {key: value if isinstance(value, str) else json.dumps(value, default=str) for key, value in params.items()}
