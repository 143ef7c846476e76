"""The configuration that holds in the end, and where each value of it comes from."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path as FilePath
from typing import Any

from yaml import Node, ScalarNode

from tradewind.spec.document import Document, children
from tradewind.spec.models import Pipeline
from tradewind.spec.problems import Path, spelled
from tradewind.spec.project import project_root
from tradewind.spec.variables import names

DEFAULT = "default"
# What YAML takes for something else than text.
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})

_PLAIN = re.compile(r"[A-Za-z_](?:[\w./@ -]*[\w./@-])?|\d+[mhdw]", flags=re.ASCII)


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
    tree = spec.model_dump(mode="json", exclude_none=True)
    if spec.train and "params" in tree["train"]:
        tree["train"]["params"] = spec.train.model_dump(mode="json")["params"]  # a `null` is a value there
    root = project_root(FilePath(document.file))
    shown = {file: _shown(FilePath(file), root) for file in document.lines}
    return Effective(tree, dict(_origins(tree, document.root, (), shown)))


def as_yaml(found: Effective, *, width: int = 60) -> str:
    """The configuration as YAML, with the origin of each value behind it.

    :param width: where the origins stand, if no longer line is in the way
    """
    lines = list(_lines(found.tree, (), "", found.origins))
    width = min(width, max(len(text) for text, _ in lines))
    return "".join([f"{text:<{width}}  # {origin}\n" if origin else f"{text}\n" for text, origin in lines])


def as_json(found: Effective) -> dict[str, dict[str, Any]]:
    """The configuration by the places of its values: ``{"train.window": {"value": 8, "from": "dags/x.yaml:61"}}``."""
    leaves = _leaves(found.tree, ())
    return {spelled(path): {"value": value, "from": found.origins[path]} for path, value in leaves}


def _leaves(value: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    if _is_leaf(value):
        yield path, value
        return
    for name, item in value.items() if isinstance(value, dict) else enumerate(value):
        yield from _leaves(item, (*path, name))


def _is_leaf(value: Any) -> bool:
    """Plain values, lists of them, and what is empty."""
    if isinstance(value, list):
        return not any(isinstance(item, dict | list) for item in value)
    return not isinstance(value, dict) or not value


def _shown(file: FilePath, root: FilePath) -> str:
    path = file.absolute()
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def _origins(value: Any, node: Node | None, path: Path, shown: Mapping[str, str]) -> Iterator[tuple[Path, str]]:
    """Where each leaf comes from, walking the values and the text side by side."""
    if _is_leaf(value):
        yield path, _origin(node, shown)
        return
    inside = children(node)
    for name, item in value.items() if isinstance(value, dict) else enumerate(value):
        here = (*path, name)
        if isinstance(item, dict | list):
            yield from _origins(item, inside.get(name), here, shown)
        else:
            yield here, _origin(inside.get(name), shown)


def _origin(node: Node | None, shown: Mapping[str, str]) -> str:
    if node is None:
        return DEFAULT
    mark = node.start_mark
    place = f"{shown[mark.name]}:{mark.line + 1}"
    if not isinstance(node, ScalarNode) or "${" not in node.value:
        return place
    return place + "".join(f", ${{{one}}}" for one in names(node.value))


def _lines(value: Any, path: Path, indent: str, origins: Mapping[Path, str]) -> Iterator[tuple[str, str]]:
    """Lines of YAML, each with the origin of its value."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _item(item, (*path, index), indent, origins)
        return
    for name, item in value.items():
        if _is_leaf(item):
            yield f"{indent}{_scalar(name)}: {_inline(item)}", origins[(*path, name)]
        else:
            yield f"{indent}{_scalar(name)}:", ""
            yield from _lines(item, (*path, name), f"{indent}  ", origins)


def _item(item: Any, path: Path, indent: str, origins: Mapping[Path, str]) -> Iterator[tuple[str, str]]:
    if _is_leaf(item):
        yield f"{indent}- {_inline(item)}", origins[path]
        return
    inside = _lines(item, path, f"{indent}  ", origins)
    text, origin = next(inside)
    yield f"{indent}- {text[len(indent) + 2 :]}", origin
    yield from inside


def _inline(value: Any) -> str:
    """A value in one line: JSON, which YAML understands, without quotes where they are not needed."""
    if isinstance(value, list):
        return f"[{', '.join(map(_inline, value))}]"
    if isinstance(value, str):
        return _scalar(value)
    return re.sub(r"^(-?\d+)e", r"\1.0e", repr(value)) if isinstance(value, float) else json.dumps(value)


@lru_cache(maxsize=10_000)
def _scalar(text: str) -> str:
    """A text; the same few stand in every configuration."""
    plain = _PLAIN.fullmatch(text) and text.lower() not in _WORDS
    return text if plain else json.dumps(text, ensure_ascii=False)
