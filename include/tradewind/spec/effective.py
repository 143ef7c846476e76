"""The configuration that holds in the end, and where each value of it comes from."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any

from tradewind.spec.document import Document
from tradewind.spec.models import Pipeline
from tradewind.spec.problems import Path, spelled
from tradewind.spec.project import project_root
from tradewind.spec.variables import names

DEFAULT = "default"
# What YAML takes for something else than text.
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})


@dataclass(frozen=True, slots=True)
class Effective:
    """A pipeline's configuration.

    :param tree: what holds, as JSON has it; optional parts that are not there are left out
    :param origins: where each value comes from: ``file:line`` from the project root, with ``${VAR}`` behind it where it
        comes from one, or ``default``; a list of plain values is one value
    """

    tree: Mapping[str, Any]
    origins: Mapping[Path, str]


def effective(spec: Pipeline, document: Document) -> Effective:
    """What holds for a pipeline.

    :param spec: the pipeline
    :param document: the text that it comes from
    """
    tree = _given(spec.model_dump(mode="json"), ())
    root = project_root(FilePath(document.file))
    return Effective(tree, {path: _origin(path, document, root) for path, _ in _leaves(tree, ())})


def as_yaml(found: Effective, *, width: int = 60) -> str:
    """The configuration as YAML, with the origin of each value behind it.

    :param width: where the origins stand, if no longer line is in the way
    """
    lines = _lines(found.tree, (), found.origins)
    width = min(width, max(len(text) for text, _ in lines))
    return "".join(f"{text:<{width}}  # {origin}\n" if origin else f"{text}\n" for text, origin in lines)


def as_json(found: Effective) -> dict[str, dict[str, Any]]:
    """The configuration by the places of its values: ``{"train.window": {"value": 8, "from": "dags/x.yaml:61"}}``."""
    leaves = _leaves(found.tree, ())
    return {spelled(path): {"value": value, "from": found.origins[path]} for path, value in leaves}


def _given(value: Any, path: Path) -> Any:
    if isinstance(value, list):
        return [_given(item, (*path, index)) for index, item in enumerate(value)]
    if not isinstance(value, dict) or path == ("train", "params"):
        return value
    return {name: _given(item, (*path, name)) for name, item in value.items() if item is not None}


def _leaves(value: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    if _is_leaf(value):
        yield path, value
        return
    for name, item in value.items() if isinstance(value, dict) else enumerate(value):
        yield from _leaves(item, (*path, name))


def _is_leaf(value: Any) -> bool:
    """Plain values, lists of them, and what is empty."""
    return not value or not (isinstance(value, dict) or (isinstance(value, list) and not all(map(_is_plain, value))))


def _is_plain(value: Any) -> bool:
    return not isinstance(value, dict | list)


def _origin(path: Path, document: Document, root: FilePath) -> str:
    place = document.place(path)
    if place is None:
        return DEFAULT
    file = FilePath(place[0]).absolute()
    shown = file.relative_to(root).as_posix() if file.is_relative_to(root) else str(file)
    variables = [f", ${{{name}}}" for name in names(document.raw(path, quoted=True) or "")]
    return f"{shown}:{place[1]}{''.join(variables)}"


def _lines(value: Any, path: Path, origins: Mapping[Path, str]) -> list[tuple[str, str]]:
    """Lines of YAML, each with the origin of its value."""
    lines: list[tuple[str, str]] = []
    for name, item in value.items() if isinstance(value, dict) else enumerate(value):
        here = (*path, name)
        head = "-" if isinstance(value, list) else f"{_inline(name)}:"
        if _is_leaf(item):
            lines.append((f"{head} {_inline(item)}", origins[here]))
            continue
        inside = [(f"  {text}", origin) for text, origin in _lines(item, here, origins)]
        if isinstance(value, list):
            lines += [(f"- {inside[0][0][2:]}", inside[0][1]), *inside[1:]]
        else:
            lines += [(head, ""), *inside]
    return lines


def _inline(value: Any) -> str:
    """A value in one line: JSON, which YAML understands, without quotes where they are not needed."""
    if isinstance(value, list):
        return f"[{', '.join(map(_inline, value))}]"
    if isinstance(value, float):
        return re.sub(r"^(-?\d+)e", r"\1.0e", repr(value))
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z_](?:[\w./@ -]*[\w./@-])?|\d+[mhdw]", value, flags=re.ASCII):
        return value if value.lower() not in _WORDS else f'"{value}"'
    return json.dumps(value, ensure_ascii=False)
