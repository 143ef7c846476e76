"""The files that one pipeline is made of, laid upon one another: defaults, the pipeline, an environment's overlay.

A mapping is merged key by key; any other value replaces what lies below it; ``null`` takes away what lies below it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any

from yaml import MappingNode, Node, ScalarNode

from tradewind.spec import secrets
from tradewind.spec.document import NO_VALUE, Document, Unreadable, read_yaml
from tradewind.spec.problems import Finding, Path, Problem, join_words, nearest_word
from tradewind.spec.project import configuration_folders

DEFAULTS = "_defaults"
_NAME = re.compile(r"[\w-]+")
ENVIRONMENT = "TRADEWIND_ENV"
"""Environment variable that names the overlay."""
# What defaults say of these holds for the pipelines that have, by themselves, the field named here: a default
# switches no stage on.
_NEEDS = {name: name for name in ("features", "score", "train", "monitor")} | dict.fromkeys(
    ("gates", "verdict", "promotion", "retrain"), "train"
)
# What these hold is handed to the user's own code, which may want a `null`.
_FREE: frozenset[Path] = frozenset({("train", "params")})


@dataclass(frozen=True, slots=True)
class ConfigurationLayers:
    """One pipeline's files.

    :param files: from the lowest to the highest
    :param document: all of them as one
    :param flaws: what is wrong with single files, with the place in the data that it is about
    :param secrets: what must not be repeated
    """

    files: tuple[FilePath, ...]
    document: Document
    flaws: tuple[tuple[Path, Problem], ...]
    secrets: frozenset[str]


def is_pipeline(path: FilePath) -> bool:
    """Whether a YAML file is a pipeline, and not defaults or an overlay like ``parcels.prod.yaml``."""
    return not path.name.startswith(("_", ".")) and "." not in path.stem


def overlay_environments(path: FilePath) -> list[str]:
    """The environments that a pipeline (or a file of defaults) has an overlay for.

    :param path: its YAML
    """
    stem = re.escape(path.stem)
    found = (re.fullmatch(rf"{stem}\.([^.]+){path.suffix}", other.name) for other in path.parent.glob("*"))
    return sorted(match[1] for match in found if match)


def read_layers(path: FilePath, *, environment: str | None) -> ConfigurationLayers:
    """Read a pipeline and what lies below and above it.

    :param path: its YAML, or an overlay of it, which then is the one that is laid upon it
    :param environment: whose overlays are laid upon it; none if empty
    :raises Unreadable: one of the files is not YAML, or ``path`` holds defaults
    """
    path, environment = _pipeline(path, environment)
    main = read_yaml(path)
    lower = [
        file
        for folder in configuration_folders(path)
        for file in _with_overlay(folder / f"{DEFAULTS}.yaml", environment)
    ]
    lower = [file for file in lower if file.exists()]
    higher = _with_overlay(path, environment)[1:]
    defaults, overlays = (
        [read_yaml(file, layer=True) for file in lower],
        [read_yaml(file, layer=True) for file in higher],
    )
    flaws = [((), main.problem(missing)) for missing in _missing_overlays([path, *lower], environment)]
    flaws += [((), main.problem(other)) for other in _of_other_ending(path, environment)]
    words: set[str] = set()
    for document in (main, *overlays, *defaults):
        leaks, found = secrets.find_secrets(document)
        words |= found
        own = [*document.findings, *leaks, *(_misplaced(document) if document is not main else ())]
        flaws += [(one.path, document.problem(one)) for one in own if not _may_be(one)]
    laid = _laid(_fitting(defaults, main, overlays), main)
    return ConfigurationLayers((*lower, path, *higher), laid, tuple(flaws), frozenset(words))


def _fitting(defaults: list[Document], main: Document, overlays: list[Document]) -> list[Document]:
    """The layers without what does not count: fields of one pipeline, defaults of stages that it does not have."""
    own = {name: part.data[name] for part in (main, *overlays) for name in part.data}
    idle = {name for name, need in _NEEDS.items() if own.get(need) is None}
    below = [_without(part, {"pipeline", "datasets"} | idle) for part in defaults]
    return [*below, main, *(_without(part, {"pipeline"}) for part in overlays)]


def _pipeline(path: FilePath, environment: str | None) -> tuple[FilePath, str | None]:
    name, _, overlay = path.stem.partition(".")
    if name == DEFAULTS:
        message = "these are defaults; they are checked with the pipelines of their folder, so validate those"
        raise Unreadable(Problem(str(path), 1, 1, "", message))
    if not overlay:
        return path, environment
    pipeline = path.with_name(f"{name}{path.suffix}")
    if not pipeline.exists():
        raise Unreadable(Problem(str(path), 1, 1, "", f"an overlay of {pipeline.name}, which does not exist"))
    return pipeline, overlay


def _with_overlay(file: FilePath, environment: str | None) -> list[FilePath]:
    if not environment or not _NAME.fullmatch(environment):
        return [file]
    overlay = file.with_name(f"{file.stem}.{environment}{file.suffix}")
    return [file, overlay] if overlay.exists() else [file]


def _missing_overlays(files: list[FilePath], environment: str | None) -> Iterator[Finding]:
    """A file that differs between environments must say what it is in this one, else a slip would go unseen."""
    for file in files if environment else ():
        known = [] if "." in file.stem else overlay_environments(file)
        if known and environment not in known:
            message = (
                f"{ENVIRONMENT} is `{environment}`, and there is no {file.stem}.{environment}{file.suffix} here, "
                f"only {join_words((f'{file.stem}.{name}{file.suffix}' for name in known), 'and')}"
            )
            expected = "the name of one of them, or an overlay of that name, which may be empty"
            yield Finding((), message, expected=expected, suggestion=nearest_word(environment, known))


def _of_other_ending(path: FilePath, environment: str | None) -> Iterator[Finding]:
    """Who writes `.yml` for `.yaml`, or the other way round, means a file that is read."""
    chosen = [f".{environment}"] if environment and _NAME.fullmatch(environment) else []
    read = [f"{DEFAULTS}{env}.yaml" for env in ("", *chosen)] + [f"{path.stem}{env}{path.suffix}" for env in chosen]
    for name in read:
        other = path.with_name(name).with_suffix(".yml" if name.endswith(".yaml") else ".yaml")
        if other.exists():
            yield Finding((), f"{other.name} beside it is not read; it must be called {name}")


def _may_be(finding: Finding) -> bool:
    return finding.message == NO_VALUE and finding.path[:2] in _FREE


def _misplaced(document: Document) -> Iterator[Finding]:
    if "pipeline" in document.data:
        yield Finding(("pipeline",), "stands in the pipeline's own file and nowhere else", on_key=True)
    if "datasets" in document.data and FilePath(document.file).name.startswith(DEFAULTS):
        yield Finding(("datasets",), "defaults name no datasets", on_key=True)


def _without(document: Document, names: set[str]) -> Document:
    if not names & set(document.data):
        return document
    data = {name: value for name, value in document.data.items() if name not in names}
    node = _mapping(document.root, [pair for pair in document.root.value if pair[0].value not in names])
    return Document(document.file, document.lines, node, data)


def _laid(layers: list[Document], main: Document) -> Document:
    """All layers as one document, the last on top."""
    result = layers[0]
    for above in layers[1:]:
        removed = {place: node for place, node in result.removed.items() if not above.has(place)}
        data = _merged(result.data, above.data, ())
        node = _merged_nodes(result.root, above.root, (), main=main.file, removed=removed)
        result = Document(main.file, {**result.lines, **above.lines}, node, data, (), removed)
    return result


def _merged(below: Mapping[Any, Any], above: Mapping[Any, Any], place: Path) -> dict[Any, Any]:
    merged = dict(below)
    for name, value in above.items():
        if value is None and name in below and place not in _FREE:
            del merged[name]
        elif isinstance(value, dict) and isinstance(below.get(name), dict):
            merged[name] = _merged(below[name], value, (*place, name))
        else:
            merged[name] = value
    return merged


def _merged_nodes(below: Node, above: Node, place: Path, *, main: str, removed: dict[Path, Node]) -> MappingNode:
    merged = {_name(key): (key, value) for key, value in below.value}
    for key, value in above.value:
        name = _name(key)
        under = merged.get(name)
        here = (*place, name)
        if under and value.tag == "tag:yaml.org,2002:null" and place not in _FREE:
            del merged[name]
            removed[here] = key
        elif under and isinstance(value, MappingNode) and isinstance(under[1], MappingNode):
            shown = under[0] if under[0].start_mark.name == main else key
            merged[name] = shown, _merged_nodes(under[1], value, here, main=main, removed=removed)
        else:
            merged[name] = key, value
    return _mapping(above, list(merged.values()))


def _mapping(like: Node, pairs: list[tuple[Node, Node]]) -> MappingNode:
    return MappingNode(like.tag, pairs, like.start_mark, like.end_mark)


def _name(key: Node) -> str:
    return key.value if isinstance(key, ScalarNode) else ""
