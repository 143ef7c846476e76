"""Load a pipeline from its YAML, or say everything that is wrong with it."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any

from pydantic import ValidationError

from tradewind.errors import SpecError
from tradewind.spec import secrets
from tradewind.spec.check import check
from tradewind.spec.document import Document, Unreadable, read
from tradewind.spec.explain import explain
from tradewind.spec.layers import ENVIRONMENT, read_layers
from tradewind.spec.models import Pipeline
from tradewind.spec.problems import Finding, Path, Problem
from tradewind.spec.project import project_root
from tradewind.spec.variables import fill

# What stands in for a wrong top-level field while the rest is checked. Wrong optional fields are just left out.
_STAND_INS: dict[str, Any] = {
    "pipeline": "stand_in",
    "owner": "-",
    "description": "-",
    "partition": "day",
    "timezone": "UTC",
    "start": "2000-01-01",
    "schedule": "@daily",
    "datasets": {"stand_in": {"source": {"files": "-"}, "sql": "-"}},
}


@dataclass(frozen=True, slots=True)
class Examined:
    """What a pipeline's YAML says, and where in its text each piece of it stands.

    :param spec: the pipeline; None if its fields are wrong
    :param problems: everything that is wrong, file by file in the order of lines
    :param document: puts a finding of somebody else's check where it belongs; None if a file cannot be read as YAML
    :param files: what it is made of, from the lowest layer to the highest; the pipeline's own file alone when a file
        cannot be read
    """

    spec: Pipeline | None
    problems: tuple[Problem, ...]
    document: Document | None
    files: tuple[FilePath, ...]

    def checked(self) -> Pipeline:
        """The pipeline.

        :raises SpecError: something is wrong; the message lists every problem with file, line and column
        """
        if self.problems or self.spec is None:
            raise SpecError("\n".join(problem.text() for problem in self.problems))
        return self.spec


def examine(path: FilePath, *, environment: str | None = None) -> Examined:
    """Read one pipeline and say what is wrong with it, without raising.

    :param path: its YAML, in the ``dags`` folder of a project; or an overlay, which then is laid upon it
    :param environment: whose overlays are laid upon it; what the environment variable TRADEWIND_ENV says if None
    """
    chosen = os.environ.get(ENVIRONMENT) if environment is None else environment
    try:
        layers = read_layers(path, environment=chosen)
    except Unreadable as exc:
        return Examined(None, (exc.problem,), None, (path,))
    document, flaws = fill(layers.document, os.environ)
    words = set(layers.secrets)
    if document is not layers.document:  # what an environment variable has brought
        leaks, found = secrets.find(document)
        flaws, words = flaws + leaks, words | found
    told = {place for place, _ in layers.flaws if place}
    flaws = [flaw for flaw in flaws if flaw.path not in told]
    told |= {flaw.path for flaw in flaws}
    spec, findings = _judge(document, project_root(path), told)
    flaws += [finding for finding in findings if finding.path not in told]
    every = [problem for _, problem in layers.flaws] + [document.problem(flaw) for flaw in flaws]
    every = in_order(secrets.hide(every, words) if words else every, first=document.file)
    return Examined(spec, tuple(every), document, layers.files)


def in_order(problems: Iterable[Problem], *, first: str) -> list[Problem]:
    """Each problem once, file by file in the order of lines.

    :param first: the file that is told first
    """
    return sorted(dict.fromkeys(problems), key=lambda one: (one.file != first, one.file, one.line, one.column))


def load(path: FilePath) -> Pipeline:
    """Read one pipeline.

    :param path: its YAML, in the ``dags`` folder of a project
    :raises SpecError: the YAML is wrong; the message lists every problem with file, line and column
    """
    return examine(path).checked()


def problems(path: FilePath) -> list[Problem]:
    """Everything that is wrong with one pipeline's YAML, in the order of its lines; empty if nothing is."""
    return list(examine(path).problems)


def namesakes(paths: Sequence[FilePath]) -> list[Problem]:
    """Pipelines that have the same name as one of an earlier file; their DAGs would replace each other."""
    first: dict[str, Document] = {}
    found = []
    for path in paths:
        try:
            document = read(path)
        except Unreadable:
            continue
        name = str(document.data.get("pipeline", ""))
        if name in first:
            message = f"`{name}` is already the pipeline of {first[name].file}; choose another name"
            found.append(document.problem(Finding(("pipeline",), message)))
        elif name:
            first[name] = document
    return found


def _judge(document: Document, root: FilePath, told: Collection[Path]) -> tuple[Pipeline | None, list[Finding]]:
    """The pipeline, if its fields are right, and what is wrong with it.

    :param told: places that something has been said about; what they hold is not relied on
    """
    try:
        spec = Pipeline.model_validate(document.data)
    except ValidationError as exc:
        errors = exc.errors(include_url=False)
        rest = _check_the_rest(document.data, [*told, *(tuple(error["loc"]) for error in errors)], root)
        return None, explain(errors, document) + rest
    return spec, check(spec, root=root, unsure={str(place[0]) for place in told})


def _check_the_rest(data: dict[str, Any], wrong: Sequence[Path], root: FilePath) -> list[Finding]:
    """Check what is right between fields that are not, so that all problems are told at once."""
    inside = {place[1] for place in wrong if place[0] == "datasets" and len(place) > 1 and place[-1] != "[key]"}
    unsure = {place[0] for place in wrong if not (place[0] == "datasets" and len(place) > 1 and place[1] in inside)}
    if unsure & {"partition", "start", "end"}:
        unsure |= {"partition", "start", "end"}
    rest = {name: value for name, value in data.items() if name not in unsure}
    if "datasets" in rest:
        stand_in = _STAND_INS["datasets"]["stand_in"]
        rest["datasets"] = {name: stand_in if name in inside else value for name, value in rest["datasets"].items()}
    stand_ins = {name: value for name, value in _STAND_INS.items() if name not in rest}
    try:
        spec = Pipeline.model_validate({**stand_ins, **rest})
    except ValidationError:  # what is wrong reaches further than one field; that is told already
        return []
    findings = check(spec, root=root, unsure={str(name) for name in unsure})
    sure = [f for f in findings if not (f.path[0] == "datasets" and len(f.path) > 1 and f.path[1] in inside)]
    return [finding for finding in sure if finding.path[0] in rest or finding.path[0] not in _STAND_INS]
