"""The configuration that holds in the end, and where each value of it comes from."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path as FilePath
from typing import Any

from yaml import Node, ScalarNode

from tradewind.spec.document import Document, child_nodes
from tradewind.spec.pipeline import Pipeline
from tradewind.spec.problems import Path, format_path
from tradewind.spec.project import project_root
from tradewind.spec.variables import variable_names

DEFAULT = "default"
_NESTED = (dict, list)
# What YAML takes for something else than text.
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
_EXPONENT = re.compile(r"^(-?\d+)e")
_PLAIN = re.compile(r"[A-Za-z_](?:[\w./@ -]*[\w./@-])?|\d+[mhdw]", flags=re.ASCII)


def as_yaml(spec: Pipeline, document: Document, *, width: int = 60) -> str:
    """The configuration that holds, as YAML, with the origin of each value behind it.

    An origin is ``file:line`` from the project root, with ``${VAR}`` behind it where the value comes from one, or
    ``default``. Optional parts that are not there are left out.

    :param document: the text that the pipeline comes from
    :param width: where the origins stand, if no longer line is in the way
    """
    lines = list[tuple[str, str]]()
    _write(lines, _tree(spec), document.root, "", _shown(document))
    width = min(width, max(len(text) for text, _ in lines))
    return "".join([f"{text:<{width}}  # {origin}\n" if origin else f"{text}\n" for text, origin in lines])


def as_json(spec: Pipeline, document: Document) -> dict[str, dict[str, Any]]:
    """The same by the places of its values: ``{"train.window": {"value": 8, "from": "dags/x.yaml:61"}}``."""
    leaves = _leaves(_tree(spec), document.root, ())
    shown = _shown(document)
    return {format_path(path): {"value": value, "from": _origin(node, shown)} for path, value, node in leaves}


def _tree(spec: Pipeline) -> dict[str, Any]:
    tree = spec.model_dump(mode="json", exclude_none=True)
    if spec.train:
        tree["train"]["params"] = spec.train.model_dump(mode="json")["params"]  # a `null` is a value there
    return tree


def _leaves(value: Any, node: Node | None, path: Path) -> Iterator[tuple[Path, Any, Node | None]]:
    """Every value and its text; a list of plain values is one value."""
    if _is_leaf(value):
        yield path, value, node
        return
    inside = child_nodes(node)
    for name, item in value.items() if isinstance(value, dict) else enumerate(value):
        yield from _leaves(item, inside.get(name), (*path, name))


def _is_leaf(value: Any) -> bool:
    """Plain values, lists of them, and what is empty."""
    if isinstance(value, list):
        return not any(isinstance(item, _NESTED) for item in value)
    return not isinstance(value, dict) or not value


def _shown(document: Document) -> dict[str, str]:
    """What each file is called: its path from the project root."""
    root = project_root(FilePath(document.file))
    paths = {file: FilePath(file).absolute() for file in document.lines}
    return {name: str(path.relative_to(root) if path.is_relative_to(root) else path) for name, path in paths.items()}


def _origin(node: Node | None, shown: Mapping[str, str]) -> str:
    if node is None:
        return DEFAULT
    mark = node.start_mark
    place = f"{shown[mark.name]}:{mark.line + 1}"
    if not isinstance(node, ScalarNode) or "${" not in node.value:
        return place
    return place + "".join(f", ${{{one}}}" for one in variable_names(node.value))


def _write(lines: list[tuple[str, str]], value: Any, node: Node | None, indent: str, shown: Mapping[str, str]) -> None:
    """Add lines of YAML, each with the origin of its value, walking the values and their text side by side."""
    inside = child_nodes(node)
    if isinstance(value, list):
        for index, item in enumerate(value):
            _write_item(lines, item, inside.get(index), indent, shown)
        return
    for name, item in value.items():
        if _is_leaf(item):
            lines.append((f"{indent}{_scalar(name)}: {_inline(item)}", _origin(inside.get(name), shown)))
        else:
            lines.append((f"{indent}{_scalar(name)}:", ""))
            _write(lines, item, inside.get(name), f"{indent}  ", shown)


def _write_item(
    lines: list[tuple[str, str]], item: Any, node: Node | None, indent: str, shown: Mapping[str, str]
) -> None:
    if _is_leaf(item):
        lines.append((f"{indent}- {_inline(item)}", _origin(node, shown)))
        return
    first = len(lines)
    _write(lines, item, node, f"{indent}  ", shown)
    text, origin = lines[first]
    lines[first] = f"{indent}- {text[len(indent) + 2 :]}", origin


def _inline(value: Any) -> str:
    """A value in one line: JSON, which YAML understands, without quotes where they are not needed."""
    if isinstance(value, str):
        return _scalar(value)
    if isinstance(value, list):
        return f"[{', '.join(map(_inline, value))}]"
    if isinstance(value, float):
        return _EXPONENT.sub(r"\1.0e", repr(value))
    return repr(value) if type(value) is int else json.dumps(value)


@lru_cache(maxsize=10_000)
def _scalar(text: str) -> str:
    """A text; the same few stand in every configuration."""
    plain = _PLAIN.fullmatch(text) and text.lower() not in _WORDS
    return text if plain else json.dumps(text, ensure_ascii=False)
