"""What pydantic found, in the words of a person who writes YAML."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from functools import cache
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, Tag
from pydantic_core import ErrorDetails

from tradewind.spec.document import Document
from tradewind.spec.gates import GATE_KINDS
from tradewind.spec.pipeline import Pipeline
from tradewind.spec.problems import Finding, Path, join_words, nearest_word
from tradewind.spec.source_kinds import SOURCE_KINDS

_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "tuple_type": "a list, like [a, b]",
    "dict_type": "`name: value` lines",
    "model_type": "`name: value` lines",
}
_LIMITS = {
    "greater_than": ("gt", "more than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "less than"),
    "less_than_equal": ("le", "at most"),
}


def explain_errors(errors: Sequence[ErrorDetails], document: Document) -> list[Finding]:
    """One finding for each thing that is wrong; a misspelt field is not also reported as missing.

    :param errors: of a `pydantic.ValidationError` of a `Pipeline`
    :param document: the text that was validated
    """
    findings = [replace(found, path=_written(found.path)) for found in (error_finding(e, document) for e in errors)]
    meant = {(*f.path[:-1], f.suggestion) for f in findings if f.suggestion and f.message == _UNKNOWN}
    # Of a gate whose kind is misspelt, pydantic misses the field of the first kind.
    meant |= {(*path, _FIRST_GATE) for *path, name in meant if name in _GATES}
    return [f for f in findings if not (f.message == _MISSING and f.path in meant)]


_UNKNOWN = "unknown field"
_SOURCES = tuple(kind.kind for kind in SOURCE_KINDS)
_GATES = tuple(kind.kind for kind in GATE_KINDS)
_FIRST_GATE = _GATES[0]
_ONE_GATE = f"{join_words([f'`{name}`' for name in _GATES], last='and')}, which says what kind of gate it is"
_MISSING = "is missing"


def error_finding(error: ErrorDetails, document: Document) -> Finding:
    """One error of pydantic in the words of the YAML.

    :param document: the text that was validated
    """
    kind, found = error["type"], error["input"]
    path = _written(tuple(error["loc"]))
    context: Mapping[str, Any] = error.get("ctx", {})
    if kind == "extra_forbidden":
        return _unknown(tuple(error["loc"]))
    if kind == "invalid_key" or (path and path[-1] == "[key]"):
        return _wrong_key(path, kind, context)
    if kind == "missing":
        return Finding(path, _MISSING, expected=_described(tuple(error["loc"])))
    if kind == "tradewind":
        field = context["field"]
        return Finding((*path, field) if field else path, context["message"])
    if kind == "literal_error":
        choices = re.findall(r"'([^']*)'", context["expected"])
        message = f"expected {join_words(choices)}, found {_found(found, document.raw(path))}"
        return Finding(path, message, suggestion=nearest_word(found, choices))
    if kind in _LIMITS:
        name, words = _LIMITS[kind]
        return Finding(path, f"expected {words} {context[name]}, found {found}")
    if kind in ("too_short", "string_too_short"):
        return Finding(path, "must not be empty")
    return _wrong_type(path, kind, error, document)


def _wrong_type(path: Path, kind: str, error: ErrorDetails, document: Document) -> Finding:
    found, raw = error["input"], document.raw(path)
    if kind not in _EXPECTED:
        return Finding(path, error["msg"])
    quoted = f'"{raw}"' if kind == "string_type" and raw else None
    number = kind in ("int_type", "float_type") and isinstance(found, str) and re.fullmatch(r"-?\d+(\.\d+)?", found)
    return Finding(
        path,
        f"expected {_EXPECTED[kind]}, found {_found(found, raw)}",
        suggestion=quoted or (found if number else None),
    )


def _unknown(path: Path) -> Finding:
    model, name = model_at(path[:-1]), path[-1]
    kind = str(path[-2:][0])[1:-1] if str(path[-2:][0]).startswith("<") else None
    if name in _SOURCES and kind in _SOURCES:
        known = join_words((f"`{one}`" for one in _SOURCES), "and")
        right = f"one of {known}; an overlay takes another one away with `null`"
        return Finding(path, f"a source cannot have `{kind}` and `{name}`", expected=right, on_key=True)
    if kind in _GATES:
        return _unknown_in_gate(path, kind)
    names = list(model.model_fields) if model else []
    near = nearest_word(name, names)
    elsewhere = sorted(_homes().get(str(name), ()))
    if not near and elsewhere:
        return Finding(
            path, _UNKNOWN, expected=f"`{name}` under {join_words(f'`{e}`' for e in elsewhere)}", on_key=True
        )
    expected = None if near or not names else f"one of {', '.join(names)}"
    return Finding(path, _UNKNOWN, suggestion=near, expected=expected, on_key=True)


def _unknown_in_gate(path: Path, kind: str) -> Finding:
    """A field that this kind of gate does not have; another kind may have it."""
    model, name = model_at(path[:-1]), path[-1]
    names = list(model.model_fields) if model else []
    if name in _GATES:
        return Finding(path, f"a gate cannot have `{kind}` and `{name}`", expected=f"one of {_ONE_GATE}", on_key=True)
    if any(name in _fields_of_gate(f"<{other}>") for other in _GATES if other != kind):
        expected = f"one of {', '.join(names)}"
        return Finding(path, f"a gate with `{kind}` has no `{name}`", expected=expected, on_key=True)
    near = nearest_word(name, [*names, *_GATES])
    return Finding(
        path, _UNKNOWN, suggestion=near, expected=None if near else f"one of {', '.join(names)}", on_key=True
    )


def _fields_of_gate(tag: str) -> list[Any]:
    model = model_at(("gates", 0, tag))
    return list(model.model_fields) if model else []


def _wrong_key(path: Path, kind: str, context: Mapping[str, Any]) -> Finding:
    place = tuple(part for part in path if part != "[key]")
    if kind == "tradewind":
        return Finding(place, context["message"], on_key=True)
    return Finding(place, "a name is text; put it in quotes", on_key=True)


def _found(value: object, raw: str | None) -> str:
    if isinstance(value, bool):
        return f"`{raw}`, which YAML reads as {str(value).lower()}"
    if isinstance(value, date):
        return f"the date {raw or value}"
    if isinstance(value, int | float):
        return f"the number {raw or value}"
    if isinstance(value, str):
        return f"the text {value!r}"
    if isinstance(value, Mapping):
        return "`name: value` lines"
    return "nothing" if value is None else "a list"


def _described(path: Path) -> str | None:
    if path[-2:] == (f"<{_FIRST_GATE}>", _FIRST_GATE):
        return f"one of {_ONE_GATE}"
    model = model_at(path[:-1])
    field = model.model_fields.get(str(path[-1])) if model else None
    return f"`{path[-1]}`: {field.description}" if field and field.description else None


def _written(path: Path) -> Path:
    """The place as it is in the text: pydantic puts the kind of a source or gate, in angle brackets, between."""
    return tuple(part for part in path if not str(part).startswith("<"))


def model_at(path: Path) -> type[BaseModel] | None:
    """The model whose fields stand at ``path``; None inside free mappings."""
    here: Any = Pipeline
    for part in path:
        here = inner_type(here)
        if str(part).startswith("<"):
            here = next(kind for kind in get_args(here) if any(_tag(said) == part for said in get_args(kind)))
        elif isinstance(here, type) and issubclass(here, BaseModel):
            field = here.model_fields.get(str(part))
            here = field.annotation if field else None
        elif get_origin(here) in (dict, tuple):
            # dict[Name, Dataset] and tuple[Gate, ...]: what is inside.
            here = get_args(here)[1 if get_origin(here) is dict else 0]
        else:
            return None
    here = inner_type(here)
    return here if isinstance(here, type) and issubclass(here, BaseModel) else None


def _tag(said: Any) -> str | None:
    return said.tag if isinstance(said, Tag) else None


def inner_type(annotation: Any) -> Any:
    """The type without ``Annotated`` and without ``| None``."""
    if get_origin(annotation) is Annotated:
        return inner_type(get_args(annotation)[0])
    options = [option for option in get_args(annotation) if option is not type(None)]
    if len(options) == 1 and get_origin(annotation) not in (dict, tuple):
        return inner_type(options[0])
    return annotation


@cache
def _homes() -> dict[str, set[str]]:
    """Where each field name belongs, for a field that was written one level too high or too low."""
    homes: dict[str, set[str]] = {}
    for home, model in _parts(Pipeline, ""):
        for name in model.model_fields:
            homes.setdefault(name, set()).add(home or "the top level")
    return homes


def _parts(model: type[BaseModel], home: str) -> Iterator[tuple[str, type[BaseModel]]]:
    yield home, model
    for name, field in model.model_fields.items():
        inner = inner_type(field.annotation)
        place = f"{home}.{name}" if home else name
        if get_origin(inner) is dict:
            inner, place = inner_type(get_args(inner)[1]), f"{place}.NAME"
        elif get_origin(inner) is tuple:
            inner, place = inner_type(get_args(inner)[0]), f"{place}[]"
        for kind in (inner, *map(inner_type, get_args(inner))):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from _parts(kind, place)
