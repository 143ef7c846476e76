"""Load a pipeline from its YAML, or say everything that is wrong with it."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path as FilePath

from pydantic import ValidationError

from tradewind.errors import SpecError
from tradewind.spec import secrets
from tradewind.spec.check import check_pipeline
from tradewind.spec.document import Document, Unreadable, read_yaml
from tradewind.spec.error_messages import explain_errors
from tradewind.spec.layers import ENVIRONMENT, read_layers
from tradewind.spec.partial_pipeline import MendedPipeline, mend_pipeline
from tradewind.spec.pipeline import Pipeline
from tradewind.spec.problems import Finding, Path, Problem
from tradewind.spec.project import project_root
from tradewind.spec.variables import fill_variables


@dataclass(frozen=True, slots=True)
class ExaminedPipeline:
    """What a pipeline's YAML says, and where in its text each piece of it stands.

    :param spec: the pipeline; None if its fields are wrong
    :param problems: everything that is wrong, file by file in the order of lines
    :param document: puts a finding of another check where it belongs; None if a file cannot be read as YAML
    :param mended: of a pipeline whose fields are wrong, all that is right; None if that is nothing
    :param files: what it is made of, from the lowest layer to the highest; the pipeline's own file alone when a file
        cannot be read
    """

    spec: Pipeline | None
    problems: tuple[Problem, ...]
    document: Document | None
    files: tuple[FilePath, ...]
    mended: MendedPipeline | None = None

    def checked(self) -> Pipeline:
        """The pipeline.

        :raises SpecError: something is wrong; the message lists every problem with file, line and column
        """
        if self.problems or self.spec is None:
            raise SpecError("\n".join(problem.text() for problem in self.problems))
        return self.spec


def examine_pipeline(path: FilePath, *, environment: str | None = None) -> ExaminedPipeline:
    """Read one pipeline and say what is wrong with it, without raising.

    :param path: its YAML, in the ``dags`` folder of a project; or an overlay, which then is laid upon it
    :param environment: whose overlays are laid upon it; what the environment variable TRADEWIND_ENV says if None
    """
    chosen = os.environ.get(ENVIRONMENT) if environment is None else environment
    try:
        layers = read_layers(path, environment=chosen)
    except Unreadable as exc:
        return ExaminedPipeline(None, (exc.problem,), None, (path,))
    document, flaws = fill_variables(layers.document, os.environ)
    words = set(layers.secrets)
    if document is not layers.document:  # what an environment variable has brought
        leaks, found = secrets.find_secrets(document)
        flaws, words = flaws + leaks, words | found
    text = {place for place, _ in layers.flaws if place}
    flaws = [flaw for flaw in flaws if flaw.path not in text]
    text |= {flaw.path for flaw in flaws}
    spec, mended, findings = _judge(document, project_root(path), text)
    flaws += [finding for finding in findings if finding.path not in text]
    every = [problem for _, problem in layers.flaws] + [document.problem(flaw) for flaw in flaws]
    every = in_order(secrets.mask_secrets(every, words) if words else every, first=document.file)
    return ExaminedPipeline(spec, tuple(every), document, layers.files, mended)


def in_order(problems: Iterable[Problem], *, first: str) -> list[Problem]:
    """Each problem once, file by file in the order of lines.

    :param first: the file that is named first
    """
    return sorted(dict.fromkeys(problems), key=lambda one: (one.file != first, one.file, one.line, one.column))


def load_pipeline(path: FilePath) -> Pipeline:
    """Read one pipeline.

    :param path: its YAML, in the ``dags`` folder of a project
    :raises SpecError: the YAML is wrong; the message lists every problem with file, line and column
    """
    return examine_pipeline(path).checked()


def list_problems(path: FilePath) -> list[Problem]:
    """Everything that is wrong with one pipeline's YAML, in the order of its lines; empty if nothing is."""
    return list(examine_pipeline(path).problems)


def duplicate_pipelines(paths: Sequence[FilePath]) -> list[Problem]:
    """Pipelines that have the same name as one of an earlier file; their DAGs would replace each other."""
    first: dict[str, Document] = {}
    found = []
    for path in paths:
        try:
            document = read_yaml(path)
        except Unreadable:
            continue
        name = str(document.data.get("pipeline", ""))
        if name in first:
            message = f"`{name}` is already the pipeline of {first[name].file}; choose another name"
            found.append(document.problem(Finding(("pipeline",), message)))
        elif name:
            first[name] = document
    return found


def _judge(
    document: Document, root: FilePath, reported: Collection[Path]
) -> tuple[Pipeline | None, MendedPipeline | None, list[Finding]]:
    """The pipeline, if its fields are right, else what is right of it; and what is wrong with it.

    :param reported: places that something has been said about; what they hold is not relied on
    """
    try:
        spec = Pipeline.model_validate(document.data)
    except ValidationError as exc:
        found = explain_errors(exc.errors(include_url=False), document)
        mended = mend_pipeline(document, reported)
        return None, mended, found + _check_the_rest(mended, root)
    return spec, None, check_pipeline(spec, root=root, unsure={str(place[0]) for place in reported})


def _check_the_rest(mended: MendedPipeline | None, root: FilePath) -> list[Finding]:
    """Check what is right beside what is not, so that all problems are told at once."""
    if mended is None:
        return []
    unsure = mended.unsure
    if unsure & {"partition", "start", "end"}:
        unsure |= {"partition", "start", "end"}
    findings = check_pipeline(mended.spec, root=root, unsure=unsure)
    sure = [found for found in findings if not mended.doubts(found.path, on_key=found.on_key)]
    return [replace(found, path=mended.written(found.path)) for found in sure]
