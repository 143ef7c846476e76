"""One pipeline that is being validated: what could be read of it, and the files that it names."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path as FilePath
from typing import Any, Literal

from tradewind.spec import project
from tradewind.spec.document import Document
from tradewind.spec.load import ExaminedPipeline, examine_pipeline
from tradewind.spec.partial_pipeline import MendedPipeline
from tradewind.spec.pipeline import DatasetSpec, Pipeline
from tradewind.spec.problems import Finding, Path, Problem, format_path, join_words, nearest_word
from tradewind.spec.sources import Source


@dataclass(frozen=True, slots=True)
class NamedFile:
    """A file of the project that the YAML names.

    :param path: where it is
    :param shown: what problems call it
    :param text: its content
    :param field: where the YAML names it
    """

    path: FilePath
    shown: str
    text: str
    field: Path

    def problem(
        self,
        offset: int,
        message: str,
        *,
        width: int = 1,
        expected: str | None = None,
        suggestion: str | None = None,
        severity: Literal["error", "note"] = "error",
    ) -> Problem:
        """Something wrong at a character of the text, counted from 0."""
        before = self.text[:offset]
        line = before.count("\n") + 1
        start = before.rfind("\n") + 1
        source = self.text[start:].partition("\n")[0].rstrip()
        column = min(offset - start, len(source))
        return Problem(
            self.shown,
            line,
            column + 1,
            format_path(self.field),
            message,
            expected,
            suggestion,
            source,
            width,
            severity,
        )

    def offset(self, line: int, column: int = 1) -> int:
        """Character at a line and column that count from 1."""
        lines = self.text.split("\n")
        return sum(len(each) + 1 for each in lines[: line - 1]) + column - 1


@dataclass(frozen=True)
class ValidatedPipeline:
    """A pipeline's YAML, as much of it as is right.

    :param path: the YAML
    :param root: the project root
    :param document: puts findings where they belong
    :param whole: the pipeline, if nothing is wrong with its values
    :param spec: the same, or what is right of it, and stand-ins: datasets of which it is not known what they read are
        not there
    :param mended: how ``spec`` was made right; None if nothing is wrong with the fields
    """

    path: FilePath
    root: FilePath
    document: Document
    whole: Pipeline | None
    spec: Pipeline
    mended: MendedPipeline | None = None

    @property
    def dataset_names(self) -> list[str]:
        """Names of all datasets, also of those of which nothing more is known."""
        return list((self.mended.spec if self.mended else self.spec).datasets)

    def doubts(self, field: str) -> bool:
        """Whether a problem at a field, as problems spell it, may come from what was guessed."""
        places = [format_path(place) for place in self.mended.guessed] if self.mended else []
        return any(field == place or field.startswith((f"{place}.", f"{place}[")) for place in places)

    def guessed(self, *fields: Path) -> bool:
        """Whether any of these places, or what lies in it or around it, is not what the text says."""
        return self.mended is not None and any(self.mended.doubts(path) for path in fields)

    def at(
        self,
        path: Path,
        message: str,
        *,
        expected: str | None = None,
        suggestion: str | None = None,
        on_key: bool = False,
        severity: Literal["error", "note"] = "error",
    ) -> Problem:
        """Something wrong at a place of the YAML."""
        path = self.mended.written(path) if self.mended else path
        finding = Finding(path, message, expected=expected, suggestion=suggestion, on_key=on_key)
        return replace(self.document.problem(finding), severity=severity)

    def no_column(self, path: Path, column: str, names: Iterable[str], *, of: str) -> Problem:
        """A column that the YAML names and ``of`` does not have."""
        known = list(names)
        near = nearest_word(column, known)
        expected = None if near else f"one of {join_words(known)}"
        return self.at(path, f"{of} has no column `{column}`", expected=expected, suggestion=near)

    def file(self, name: str, field: Path) -> NamedFile | None:
        """A file that the YAML names at ``field``; None if it cannot be read, which is told elsewhere."""
        if project.file_name_error(self.root, name):
            return None
        path = self.root / name
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return None
        return NamedFile(path, self.shown(path), text, field)

    def shown(self, path: FilePath) -> str:
        """What problems call a file: from the working directory, as the YAML itself is called."""
        if self.path.is_absolute():
            return str(path)
        return os.path.relpath(path)

    def shown_inside(self, name: str | None) -> str | None:
        """As :meth:`shown`; None for what is no file of the project."""
        path = FilePath(name) if name else None
        return self.shown(path) if path and path.is_relative_to(self.root) else None

    @cached_property
    def sources(self) -> dict[Path, Source]:
        """Every source by its place in the YAML."""
        found: dict[Path, Source] = {}
        for name, dataset in self.spec.datasets.items():
            found |= _sources_by_place(("datasets", name, "source"), ("datasets", name, "references"), dataset)
        if self.spec.score:
            place: Path = ("score", "population")
            found |= _sources_by_place(place, (*place, "references"), self.spec.score.population)
        return found


def build_partial_pipeline(**parts: Any) -> Pipeline:
    """A pipeline of which only some fields are known; nothing is checked."""
    of: Any = Pipeline  # whose constructor is typed for all fields
    made: Pipeline = of.model_construct(**parts)
    return made


def read_validated_pipeline(path: FilePath) -> tuple[ValidatedPipeline | None, tuple[Problem, ...]]:
    """Read one pipeline's YAML.

    :return: what can be validated deeper, None if that is nothing; and what is wrong with the YAML itself
    """
    found: ExaminedPipeline = examine_pipeline(path)
    if found.document is None:
        return None, found.problems
    if found.spec is None and found.mended is None:
        return None, found.problems
    mended, spec = found.mended, found.spec
    if spec is None:
        assert mended is not None
        right = {name: part for name, part in mended.spec.datasets.items() if not _has_unknown_columns(mended, name)}
        spec = mended.spec.model_copy(update={"datasets": right})
    whole = found.spec or (mended.spec if mended is not None and not mended.guessed else None)
    return ValidatedPipeline(path, project.project_root(path), found.document, whole, spec, mended), found.problems


def _has_unknown_columns(mended: MendedPipeline, dataset: str) -> bool:
    """Whether it is not known which columns a dataset's SQL reads."""
    for place in mended.guessed:
        if place == ("datasets",) or place == ("datasets", dataset):
            return True
        if place[:2] == ("datasets", dataset) and place[2] in ("source", "references", "inputs"):
            entry = place[2] != "source" and len(place) == 4
            if len(place) == 3 or entry or "columns" in place:
                return True
    return False


def _sources_by_place(place: Path, references: Path, part: DatasetSpec | Any) -> dict[Path, Any]:
    own: Source | None = part.source if isinstance(part, DatasetSpec) else part
    found: dict[Path, Any] = {place: own} if own is not None else {}
    return found | {(*references, view): source for view, source in part.references.items()}
