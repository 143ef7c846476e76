"""MLflow's model registry: log, register, find again, and the alias `champion`.

Only the client is used, never MLflow's global "active run" or tracking URI: two pipelines in one process do not meet.
Nothing here decides; who is champion is in the ledger.
"""

from __future__ import annotations

import json
import logging
import os
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlparse

from tradewind.core.disk import storage_fault
from tradewind.core.secrets import Secrets
from tradewind.errors import ModelError, Unavailable
from tradewind.registry import mlflow_run, mlflow_schema
from tradewind.registry.manifest import NAME, Manifest
from tradewind.registry.mlflow_run import CAUSE, EVIDENCE, MODEL_DIGEST, TrainingRecord

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment, LoggedModel
    from mlflow.entities.model_registry import ModelVersion

    from tradewind.core.runtime import Runtime
    from tradewind.deployment import Deployment

log = logging.getLogger(__name__)

ALIAS = "champion"
_REFUSED = ("PERMISSION_DENIED", "UNAUTHENTICATED", "CUSTOMER_UNAUTHORIZED")
_LONGEST = 1000  # characters of what MLflow says: the body of an answer may be a whole page
_QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "GIT_PYTHON_REFRESH": "quiet",
    # A server that is away is said to be within seconds, not after minutes; the caller asks again.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
}


@dataclass(frozen=True, slots=True)
class RegisteredVersion:
    """One registered model version.

    :param version: its number, as text
    :param mlflow_run_id: the run that trained it
    :param experiment_id: that run's experiment
    :param model: URI of the logged model's folder, the one with ``MLmodel``
    :param tags: lineage; keys begin with ``tradewind.``
    """

    name: str
    version: str
    mlflow_run_id: str
    experiment_id: str
    model: str
    tags: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.name} version {self.version}"


def create_mlflow_client(runtime: Runtime) -> MlflowClient:
    """A client of the deployment's tracking server and registry; telemetry, progress bars and chatter are off."""
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient

    with warnings.catch_warnings():
        # MLflow's own tables, of which SQLAlchemy tells when their module is imported.
        warnings.filterwarnings("ignore", message="The ``noload`` loader strategy is deprecated")
        mlflow_schema.create_mlflow_tables(runtime.mlflow)
        return MlflowClient(tracking_uri=runtime.mlflow, registry_uri=runtime.mlflow)


class ModelRegistry:
    """The registered model of one pipeline.

    :param name: of the registered model and of the experiment
    """

    def __init__(self, runtime: Runtime, name: str) -> None:
        self.name = name
        self.client = create_mlflow_client(runtime)
        self._tracking = runtime.mlflow
        self._artifacts = _local_artifact_folder(runtime.mlflow, name)

    def find(self, cause: str) -> RegisteredVersion | None:
        """The version with this cause; of several (two processes at once) the first, for every caller.

        :raises Unavailable: the registry does not answer
        """
        with translate_mlflow_errors(f"the versions of {self.name} cannot be searched"):
            found = self.client.search_model_versions(f"name = '{self.name}' and tag.`{CAUSE}` = '{cause}'")
            ready = [version for version in found if version.status == "READY"]
            return self._version(min(ready, key=lambda version: int(version.version))) if ready else None

    def get(self, version: str) -> RegisteredVersion:
        """A version by its number.

        :raises ModelError: there is none
        :raises Unavailable: the registry does not answer
        """
        named = f"{self.name} version {version}"
        with translate_mlflow_errors(f"{named} cannot be looked up", absent=f"{named} is not in the model registry"):
            return self._version(self.client.get_model_version(self.name, version))

    def log(self, record: TrainingRecord, *, cause: str) -> RegisteredVersion:
        """Log a run with its model and evidence, and register it as a new version.

        What an earlier attempt with the same cause has left is used: its version, or its complete, unregistered model.
        What such an attempt began and never ended is marked.

        :raises ModelError: MLflow refuses what it is given
        :raises Unavailable: MLflow does not answer; trying again uses what is there by then
        """
        if (version := self.find(cause)) is not None:
            return version
        record = replace(record, tags={**record.tags, CAUSE: cause})
        with translate_mlflow_errors(f"the model of {self.name}, {record.name}, cannot be logged"):
            experiment = self.experiment()
            model = self._unregistered(cause) or mlflow_run.write_training_run(self.client, experiment, record)
            self._ensure_registered_model()
            # The model's own, not the record's: a search that an earlier attempt made may have chosen otherwise.
            tags = {key: str(value) for key, value in model.tags.items() if key.startswith("tradewind.")}
            if self.find(cause) is None:  # another process may have been faster
                self.client.create_model_version(
                    self.name, model.artifact_location, model.source_run_id, tags=tags, model_id=model.model_id
                )
            registered = self.find(cause)
            assert registered is not None  # just written
            left = mlflow_run.mark_superseded_runs(self.client, experiment, cause=cause, by=registered.mlflow_run_id)
        log.info("registered %s (%s); %s unfinished runs of earlier attempts", registered, record.name, len(left))
        return registered

    @contextmanager
    def folder(self, version: RegisteredVersion) -> Iterator[Path]:
        """The version's files on this machine, unchecked: where they lie if they are here, else a temporary copy.

        To load them, use :mod:`tradewind.registry.version_files`.

        :raises ModelError: the files are not there
        """
        with _local_artifacts(version.model, str(version), self._tracking) as path:
            yield path

    @contextmanager
    def evidence(self, version: RegisteredVersion) -> Iterator[Path]:
        """The folder of files that were logged with the version as its evidence.

        :raises ModelError: the files are not there
        :raises Unavailable: MLflow does not answer
        """
        with translate_mlflow_errors(f"the run of {version} cannot be found"):
            run = self.client.get_run(version.mlflow_run_id)
        with _local_artifacts(
            f"{run.info.artifact_uri}/{EVIDENCE}", f"the evaluation of {version}", self._tracking
        ) as path:
            yield path

    def manifest(self, version: RegisteredVersion) -> Manifest | None:
        """The version's files as they were logged; None if an earlier release logged it, or if it was edited since.

        :raises Unavailable: MLflow does not answer
        """
        where = f"{EVIDENCE}/{NAME}"
        with (
            tempfile.TemporaryDirectory() as scratch,
            translate_mlflow_errors(f"the evidence of {version} cannot be read"),
        ):
            if where not in [one.path for one in self.client.list_artifacts(version.mlflow_run_id, EVIDENCE)]:
                return None
            found = self.client.download_artifacts(version.mlflow_run_id, where, scratch)
            manifest = Manifest.from_json(json.loads(Path(found).read_text(encoding="utf-8")))
        return manifest if manifest.digest == version.tags.get(MODEL_DIGEST) else None

    def experiment(self) -> str:
        """Id of the experiment; it is made if it is not there.

        :raises Unavailable: MLflow does not answer
        """
        from mlflow.exceptions import MlflowException

        with translate_mlflow_errors(f"the experiment {self.name} cannot be found or made"):
            found: Experiment | None = self.client.get_experiment_by_name(self.name)
            if found is not None:
                return str(found.experiment_id)
            try:
                return str(self.client.create_experiment(self.name, artifact_location=self._artifacts))
            except MlflowException:
                # Another process made it in between.
                if (found := self.client.get_experiment_by_name(self.name)) is None:
                    raise
                return str(found.experiment_id)

    def _ensure_registered_model(self) -> None:
        from mlflow.exceptions import MlflowException

        if not self.client.search_registered_models(f"name = '{self.name}'"):
            try:
                self.client.create_registered_model(self.name)
            except MlflowException as exc:
                if exc.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise

    def _unregistered(self, cause: str) -> LoggedModel | None:
        found = self.client.search_logged_models([self.experiment()], filter_string=f"tags.`{CAUSE}` = '{cause}'")
        return next((model for model in found if str(model.status) == "READY"), None)

    def _version(self, found: ModelVersion) -> RegisteredVersion:
        if not found.run_id or not found.source:
            raise ModelError(f"{self.name} version {found.version} was not registered by Tradewind")
        run = self.client.get_run(found.run_id)
        return RegisteredVersion(
            self.name, str(found.version), found.run_id, run.info.experiment_id, found.source, dict(found.tags)
        )


def open_registry(deployment: Deployment) -> ModelRegistry:
    """The registered model of a pipeline; a deployment opens it once."""
    return deployment.load_once(_make_registry)


def _make_registry(deployment: Deployment) -> ModelRegistry:
    return ModelRegistry(deployment.runtime, deployment.spec.model_name)


def set_champion_alias(runtime: Runtime, name: str, version: str) -> str | None:
    """Make MLflow's alias ``champion`` point to ``version``, the ledger's champion.

    The alias is for people and other tools; Tradewind never reads it to decide.

    :return: what was done, in words; None if the alias was right
    :raises ModelError: there is no such version
    :raises Unavailable: the registry does not answer
    """
    registry = ModelRegistry(runtime, name)
    registry.get(version)
    with translate_mlflow_errors(f"the alias {ALIAS} of {name} cannot be set"):
        model = registry.client.get_registered_model(name)
        before = {key: str(value) for key, value in model.aliases.items()}.get(ALIAS)
        if before == version:
            return None
        registry.client.set_registered_model_alias(name, ALIAS, version)
    done = f"alias {ALIAS} of {name} moved from {f'version {before}' if before else 'nothing'} to version {version}"
    log.info("%s", done)
    return done


@contextmanager
def translate_mlflow_errors(what: str, *, absent: str | None = None) -> Iterator[None]:
    """Translate what MLflow's client raises.

    :param what: what cannot be done if it raises
    :param absent: what it means that MLflow answers and does not have it; None: ``what``
    :raises ModelError: MLflow answered that something is not there or not allowed to be
    :raises Unavailable: it did not answer
    """
    from mlflow.exceptions import MlflowException
    from requests import RequestException

    try:
        yield
    except (MlflowException, RequestException) as exc:
        raise _explain_mlflow_error(exc, what, absent=absent) from exc
    except OSError as exc:  # MLflow's files, or the copy of them that is logged
        if (fault := storage_fault(exc, what, tempfile.gettempdir())) is not None:
            raise fault from exc
        raise


@contextmanager
def _local_artifacts(uri: str, what: str, tracking: str) -> Iterator[Path]:
    parsed = urlparse(uri)
    if parsed.scheme in ("", "file"):
        path = Path(unquote(parsed.path))
        if not path.is_dir():
            raise ModelError(f"{what}: its files are not at {path}; restore them, or roll back to another version")
        yield path
        return
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    with tempfile.TemporaryDirectory() as scratch:
        try:
            path = Path(download_artifacts(artifact_uri=uri, dst_path=scratch, tracking_uri=tracking))
        except (MlflowException, OSError) as exc:
            raise _explain_mlflow_error(exc, f"{what}: its files cannot be fetched from {uri}") from exc
        yield path


def _explain_mlflow_error(exc: Exception, what: str, *, absent: str | None = None) -> ModelError | Unavailable:
    """What is not there is an error for good; all else is a registry that is away: no reason to serve a fallback."""
    if (fault := storage_fault(exc, what, tempfile.gettempdir())) is not None:
        return fault
    code = getattr(exc, "error_code", "")
    reason = _mlflow_credentials().mask(str(exc))[:_LONGEST]
    if code in _REFUSED:
        return Unavailable(f"{what}: MLflow refuses the login ({code}); see the connection to MLflow: {reason}")
    if code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE") or isinstance(exc, FileNotFoundError):
        return ModelError(f"{absent or what}: {reason}")
    return Unavailable(f"{what}: {reason}")


def _mlflow_credentials() -> Secrets:
    """What MLflow's client authenticates with; its hook hands it down through MLflow's own variables."""
    user, *held = (os.environ.get(f"MLFLOW_TRACKING_{name}", "") for name in ("USERNAME", "PASSWORD", "TOKEN"))
    return Secrets([*held, f"{user}:{held[0]}" if held[0] else ""])


def _local_artifact_folder(tracking: str, name: str) -> str | None:
    """Folder for artifacts next to a SQLite tracking database; a server knows its own place."""
    if not tracking.startswith("sqlite:///"):
        return None
    return (Path(tracking.removeprefix("sqlite:///")).absolute().parent / "artifacts" / name).as_uri()
