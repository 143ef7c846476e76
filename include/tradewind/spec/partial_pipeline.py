"""A pipeline whose fields are partly wrong, mended so that the rest of it can be checked at the same time.

A misspelt field takes the name that it was probably meant to have, an unknown one is left out, and a wrong value is
replaced: by the nearest right one, by its default, or by a stand-in where one is needed. What was guessed is
remembered: nothing may be said of it, nor of what only follows from it.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from tradewind.spec.document import Document
from tradewind.spec.error_messages import error_finding, inner_type, model_at
from tradewind.spec.pipeline import Pipeline
from tradewind.spec.problems import Path

_ROUNDS = 20
_STAND_INS: Mapping[str, Any] = {
    "pipeline": "stand_in",
    "partition": "day",
    "timezone": "UTC",
    "start": "2000-01-01",
    "schedule": "@daily",
    "datasets": {"stand_in": {"source": {"files": "-"}, "sql": "-"}},
    "window": 1_000_000,
}
_ANY: tuple[Any, ...] = ("-", "-.py:f", "1d", 1, 2, 0.5, True, [])
_GATE = {"check": "schema"}


@dataclass(slots=True)
class MendedPipeline:
    """What became of a pipeline.

    :param spec: all of it that is right
    :param guessed: places whose values are not those of the text, or not there
    :param renamed: places under their right names, and the places that they have in the text
    """

    spec: Pipeline
    guessed: frozenset[Path]
    renamed: Mapping[Path, Path]

    @property
    def unsure(self) -> set[str]:
        """Top-level fields of which so much is guessed that what follows from them means nothing."""
        return {str(place[0]) for place in self.guessed if not _is_inner(place)}

    def doubts(self, path: Path, *, on_key: bool = False) -> bool:
        """Whether something that is said of ``path`` may come from what was guessed.

        :param on_key: it is said of the name and not of what stands there
        """
        # A dataset's name is right or wrong whatever stands in it; what gates say together depends on each of them.
        named = on_key and path[:1] == ("datasets",)
        return any(path[: len(place)] == place or (not named and place[: len(path)] == path) for place in self.guessed)

    def written(self, path: Path) -> Path:
        """The place as it is in the text."""
        for right, text in self.renamed.items():
            if path[: len(right)] == right:
                return (*text, *path[len(right) :])
        return path


def _is_inner(place: Path) -> bool:
    """Entries of datasets and gates are known by their names and places, whatever stands in them."""
    return len(place) > 1 and place[0] in ("datasets", "gates")


@dataclass(slots=True)
class _Work:
    data: dict[str, Any]
    document: Document
    guessed: set[Path] = field(default_factory=set)
    renamed: dict[Path, Path] = field(default_factory=dict)


def mend_pipeline(document: Document, doubtful: Iterable[Path] = ()) -> MendedPipeline | None:
    """Mend what a document says.

    :param doubtful: places of which something has been said already, so that nothing follows from them
    :return: None if nothing can be made of it
    """
    work = _Work(copy.deepcopy(document.data), document)
    for _ in range(_ROUNDS):
        try:
            spec = Pipeline.model_validate(work.data)
        except ValidationError as exc:
            errors = exc.errors(include_url=False)
            # First the names: what is missing may be there under a misspelt one.
            names = [error for error in errors if error["type"] == "extra_forbidden"]
            for error in names or errors:
                _repair(work, error)
        else:
            return MendedPipeline(spec, frozenset({*work.guessed, *filter(None, doubtful)}), work.renamed)
    return None


def _repair(work: _Work, error: ErrorDetails) -> None:
    found = error_finding(error, work.document)
    place = tuple(error["loc"])
    path = tuple(part for part in place if not _is_kind(part) and part != "[key]")
    if error["type"] == "extra_forbidden":
        # Its own name may look like a kind.
        _rename(work, (*(part for part in place[:-1] if not _is_kind(part)), place[-1]), found.suggestion)
    elif error["type"] == "literal_error" and found.suggestion is not None:
        _put(work, path, found.suggestion)
    elif place[-1:] == ("[key]",):
        _leave_out(work, path)  # a name that is none
    elif error["type"] == "tradewind" and (about := error.get("ctx", {}).get("field")):
        _replace(work, (*path, about), (*place, about))
    else:
        _replace(work, path, place)


def _is_kind(part: object) -> bool:
    """Whether it is what pydantic puts between for the kind of a source or gate."""
    return str(part).startswith("<") and str(part).endswith(">")


def _rename(work: _Work, path: Path, meant: str | None) -> None:
    holder = _holder(work.data, path)
    if not isinstance(holder, dict) or path[-1] not in holder:
        return
    value = holder.pop(path[-1])
    if meant is None or meant in holder:
        return
    holder[meant] = value
    work.renamed[(*path[:-1], meant)] = work.renamed.pop(path, path)


def _replace(work: _Work, path: Path, place: Path) -> None:
    """Put in place of a wrong or missing value what the schema offers; else leave out what it belongs to.

    :param place: as pydantic says it, with the kinds of sources and gates between
    """
    if not path:
        work.data.clear()
        return
    model = model_at(place[:-1])
    known = model.model_fields.get(str(path[-1])) if model else None
    holder = _holder(work.data, path)
    if len(path) > 1 and path[0] == "gates":
        _put(work, path[:2], dict(_GATE))
    elif len(path) == 2 and path[0] == "datasets" and isinstance(holder, dict):
        _put(work, path, copy.deepcopy(_STAND_INS["datasets"]["stand_in"]))  # others name it
    elif known is None or holder is None or not known.is_required():
        _leave_out(work, path)
    elif path in work.guessed:
        # What stands in for it did not do, as it contradicts something beside it.
        _replace(work, path[:-1], place[:-1])
    else:
        _put(work, path, _stand_in(str(path[-1]), known))


def _leave_out(work: _Work, path: Path) -> None:
    if not path:
        work.data.clear()
        return
    holder = _holder(work.data, path)
    work.guessed.add(path)
    if isinstance(holder, dict) and path[-1] in holder:
        del holder[path[-1]]
    elif len(path) > 1:
        _leave_out(work, path[:-1])
    else:
        work.data.clear()


def _put(work: _Work, path: Path, value: Any) -> None:
    holder = _holder(work.data, path)
    work.guessed.add(path)
    if isinstance(holder, dict):
        holder[str(path[-1])] = value
    elif isinstance(holder, list) and isinstance(path[-1], int):
        holder[path[-1]] = value


def _holder(data: Any, path: Path) -> Any:
    """What holds the last part of a path; None if that is not there."""
    for part in path[:-1]:
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError):
            return None
    return data if isinstance(data, dict | list) else None


def _stand_in(name: str, known: FieldInfo) -> Any:
    """A value that the field takes."""
    if name in _STAND_INS:
        return _STAND_INS[name]
    inner = inner_type(known.annotation)
    if isinstance(inner, type) and issubclass(inner, BaseModel):
        return {each: _stand_in(each, of) for each, of in inner.model_fields.items() if of.is_required()}
    annotation: Any = Annotated[known.annotation, *known.metadata] if known.metadata else inner
    takes: TypeAdapter[Any] = TypeAdapter(annotation)
    for value in _ANY:
        try:
            takes.validate_python(value)
        except ValidationError:
            continue
        return value
    return None
