"""The feature definitions that a data scientist wrote: loaded, checked against the YAML, and summed up in a digest."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from tradewind.errors import SpecError
from tradewind.features.feast_import import import_feast

if TYPE_CHECKING:
    from feast import FeatureService, FeatureView

    from tradewind.deployment import Deployment
    from tradewind.features.source import LakeSource
    from tradewind.spec.pipeline import Pipeline

_VOLATILE = {"meta", "createdTimestamp", "lastUpdatedTimestamp"}


@dataclass(frozen=True, slots=True)
class Definitions:
    """The Feast objects of one pipeline.

    :param path: the file they come from
    :param objects: every Feast object at the top level of the file
    :param digest: of what they say; comments and the order in the file do not change it
    """

    path: Path
    objects: tuple[Any, ...]
    digest: str

    @property
    def views(self) -> tuple[FeatureView, ...]:
        """Feature views that read a dataset, by name."""
        from feast import FeatureView

        return tuple(sorted((o for o in self.objects if isinstance(o, FeatureView)), key=lambda view: str(view.name)))

    @property
    def services(self) -> dict[str, FeatureService]:
        """Feature services by name."""
        from feast import FeatureService

        return {o.name: o for o in self.objects if isinstance(o, FeatureService)}

    def datasets(self, views: Iterable[FeatureView] | None = None) -> list[str]:
        """Names of the datasets that ``views`` (all by default) read."""
        return sorted({view_source(view).dataset for view in (self.views if views is None else views)})

    def service(self, name: str) -> FeatureService:
        """The feature service ``name``.

        :raises SpecError: there is none
        """
        if name not in self.services:
            close = difflib.get_close_matches(name, self.services, 1)
            hint = f"; did you mean {close[0]}?" if close else f"; there are: {', '.join(self.services) or 'none'}"
            raise SpecError(f"{self.path}: there is no FeatureService {name!r}, which `train.service` names{hint}")
        return self.services[name]


@dataclass(frozen=True, slots=True)
class DefinitionFlaw:
    """Something wrong with one of the definitions.

    :param name: of the Feast object; empty for the whole file
    :param kind: what it is, in words
    :param word: what is wrong, as it is written in the file
    :param near: the nearest right word
    :param known: what would be right, in words
    """

    name: str
    kind: str
    message: str
    word: str = ""
    near: str | None = None
    known: str | None = None

    def text(self) -> str:
        """The flaw as a sentence."""
        what = f"{self.kind} {self.name}: " if self.name else ""
        hint = f"; did you mean {self.near}?" if self.near else f"; {self.known}" if self.known else ""
        return f"{what}{self.message}{hint}"


def load_definitions(deployment: Deployment) -> Definitions:
    """The Feast objects of the pipeline's definitions file, which runs once a deployment.

    :raises SpecError: there is no such file, it does not run, or it contradicts the YAML
    """
    return deployment.load_once(_load_definitions)


def _load_definitions(deployment: Deployment) -> Definitions:
    definitions = collect_definitions(deployment)
    if found := find_definition_flaws(definitions, deployment.spec):
        raise SpecError("\n".join(f"{definitions.path}: {flaw.text()}" for flaw in found))
    return definitions


def collect_definitions(deployment: Deployment) -> Definitions:
    """As :func:`load_definitions`, but whether the definitions agree with the YAML is not looked at.

    :raises SpecError: there is no such file, or it does not run
    """
    spec = deployment.spec
    if spec.features is None:
        raise SpecError(f"pipeline {spec.pipeline} has no `features` in its YAML")
    import_feast()
    path = deployment.runtime.project / spec.features.definitions
    objects = _collect_objects(_run_definitions(path, spec.pipeline))
    return Definitions(path, objects, _digest(objects))


def service_features(deployment: Deployment) -> list[str]:
    """Names of the features of ``train.service``, in its order: the columns that :func:`join` adds.

    :raises SpecError: the pipeline has no `train`, or there is no such service
    """
    return [name for _, name in _service_columns(train_service(deployment.spec, load_definitions(deployment)))]


def needed_datasets(deployment: Deployment) -> list[str]:
    """Datasets that a join with ``train.service`` reads; their versions must be pinned.

    :raises SpecError: the pipeline has no `train`, or there is no such service
    """
    definitions = load_definitions(deployment)
    used = {view for view, _ in _service_columns(train_service(deployment.spec, definitions))}
    return definitions.datasets(view for view in definitions.views if view.name in used)


def view_source(view: FeatureView) -> LakeSource:
    """The source of a view of these definitions; they were checked to have no other."""
    from tradewind.features.source import LakeSource

    source = view.batch_source
    assert isinstance(source, LakeSource)
    return source


def train_service(spec: Pipeline, definitions: Definitions) -> FeatureService:
    """The service that ``train.service`` names.

    :raises SpecError: the pipeline has no `train`, or there is no such service
    """
    if spec.train is None:
        raise SpecError(f"pipeline {spec.pipeline} has no `train` in its YAML, so it names no feature service")
    return definitions.service(spec.train.service)


def _service_columns(service: FeatureService) -> list[tuple[str, str]]:
    """``(view, feature)`` of every feature of the service, in its order."""
    return [(p.name, feature.name) for p in service.feature_view_projections for feature in p.features]


def _run_definitions(path: Path, pipeline: str) -> ModuleType:
    if not path.is_file():
        raise SpecError(f"pipeline {pipeline}: there is no file {path}, which `features.definitions` names")
    module = ModuleType(f"_tradewind_features_{pipeline}")
    module.__file__ = str(path)
    try:
        # not by import: its cached bytecode is stale when a file of the same size is deployed within the second
        exec(compile(path.read_bytes(), path, "exec"), module.__dict__)
    except Exception as exc:
        raise SpecError(
            f"{path}: the feature definitions do not run: {type(exc).__name__}: {exc}{_error_line(exc, path)}"
        ) from exc
    return module


def _error_line(exc: Exception, path: Path) -> str:
    """Where in the file it went wrong."""
    import traceback

    lines = [frame.lineno for frame in traceback.extract_tb(exc.__traceback__) if frame.filename == str(path)]
    return f" (line {lines[-1]})" if lines else ""


def _collect_objects(module: ModuleType) -> tuple[Any, ...]:
    from feast import Entity, FeatureService
    from feast.base_feature_view import BaseFeatureView
    from feast.data_source import DataSource

    found = {
        id(o): o for o in vars(module).values() if isinstance(o, Entity | FeatureService | BaseFeatureView | DataSource)
    }
    return tuple(sorted(found.values(), key=lambda o: (type(o).__name__, str(o.name))))


def find_definition_flaws(definitions: Definitions, spec: Pipeline) -> list[DefinitionFlaw]:
    """Everything that the definitions say and the YAML contradicts, or that is not supported."""
    from feast import FeatureView
    from feast.base_feature_view import BaseFeatureView

    found = [
        DefinitionFlaw(
            str(o.name), type(o).__name__, "only feature views over datasets are supported; compute it in SQL instead"
        )
        for o in definitions.objects
        if isinstance(o, BaseFeatureView) and type(o) is not FeatureView
    ]
    found += [flaw for view in definitions.views if (flaw := _find_view_flaw(view, spec))]
    for service in definitions.services.values():
        names = [name for _, name in _service_columns(service)]
        found += [
            DefinitionFlaw(
                service.name, "feature service", f"{n} views have a feature {name!r}; rename it with field_mapping"
            )
            for name in dict.fromkeys(names)
            if (n := names.count(name)) > 1
        ]
    found += _find_lookback_flaws(definitions, spec)
    if not definitions.views:
        found.append(DefinitionFlaw("", "", "there is no FeatureView at the top level of the file"))
    return found


def _find_view_flaw(view: FeatureView, spec: Pipeline) -> DefinitionFlaw | None:
    from tradewind.features.source import LakeSource

    source = view.batch_source
    if not isinstance(source, LakeSource):
        return DefinitionFlaw(
            view.name, "feature view", f"its source must be a LakeSource, not {type(source).__name__}"
        )
    if source.dataset in spec.datasets:
        return None
    close = difflib.get_close_matches(source.dataset, spec.datasets, 1)
    known = None if close else f"there are: {', '.join(spec.datasets)}"
    message = f"the pipeline has no dataset {source.dataset}"
    return DefinitionFlaw(
        view.name, "feature view", message, word=source.dataset, near=close[0] if close else None, known=known
    )


def _find_lookback_flaws(definitions: Definitions, spec: Pipeline) -> list[DefinitionFlaw]:
    names = [str(view.name) for view in definitions.views]
    found = []
    for name in spec.features.views if spec.features else ():
        if name not in names:
            close = difflib.get_close_matches(name, names, 1)
            known = None if close else f"there are: {', '.join(names) or 'none'}"
            message = f"there is no feature view {name}, which `features.views` names"
            found.append(DefinitionFlaw("", "", message, word=name, near=close[0] if close else None, known=known))
    return found


def _digest(objects: Iterable[Any]) -> str:
    from google.protobuf.json_format import MessageToDict

    said = [(type(o).__name__, _without_volatile_fields(MessageToDict(o.to_proto()))) for o in objects]
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _without_volatile_fields(message: Any) -> Any:
    """``message`` without what differs each time: timestamps, and pickled code where its text is there too."""
    if isinstance(message, dict):
        dropped = _VOLATILE | ({"body"} if "bodyText" in message else set())
        return {key: _without_volatile_fields(value) for key, value in message.items() if key not in dropped}
    if isinstance(message, list):
        return [_without_volatile_fields(value) for value in message]
    return message
