"""A YAML file, parsed once: its data, and where in the text each piece of it stands."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any

import yaml
from yaml import (
    CollectionEndEvent,
    CollectionStartEvent,
    CSafeLoader,
    MappingNode,
    Mark,
    MarkedYAMLError,
    Node,
    ScalarNode,
    SequenceNode,
    YAMLError,
)
from yaml.reader import ReaderError

from tradewind.spec.problems import Finding, Path, Problem, format_path

_IN_OTHER_WORDS = {
    "found character that cannot start any token": "this character cannot stand here; put the value in quotes",
    "mapping values are not allowed in this context": "a `:` cannot stand here; indent the line like its neighbours, "
    "or put a value with a colon in quotes",
    "could not find expected ':'": "expected `name: value`; the `:` is missing",
    "found undefined alias": "`*` refers to an anchor `&` that does not exist; put text that starts with `*` in quotes",
    "did not find expected alphabetic or numeric character": "put text that starts with `*` or `&` in quotes",
    "did not find expected node content": "a value is missing here",
    "found unhashable key": "a list or mapping cannot be a name; expected `name: value`",
    "did not find expected key": "expected another `name: value` here; check the indentation and closing quotes",
    "did not find expected '-' indicator": "expected another `- item` of the list here; check the indentation",
    "did not find expected ',' or '}'": "expected `,` or `}`; is the `{` closed?",
    "did not find expected ',' or ']'": "expected `,` or `]`; is the `[` closed?",
    "found unexpected end of stream": "the file ends inside quotes or brackets that are not closed",
    "but found another document": "a file holds one pipeline; `---` starts another",
    "control characters are not allowed": "a control character cannot stand in YAML",
}


NO_VALUE = "has no value; give it one or remove the line"
"""What is said of a name with nothing behind it."""

# libyaml builds nested lists and mappings by recursion in C, which ends the process when it goes too deep.
_DEEPEST = 100
_OPENS = ("[", "{", "-", "?")
# Aliases and merges of what holds aliases and merges itself double with every level; no pipeline comes near this.
_LARGEST = 100_000
_TOO_LARGE = (
    f"with its aliases and merges written out this has more than {_LARGEST:,} values; do not nest `*` and `<<` in "
    "one another"
)


class _Loader(CSafeLoader):
    """PyYAML's safe loader on libyaml, except that an impossible date like 2013-02-30 stays text."""

    def construct_object(self, node: Node, deep: bool = False) -> Any:
        """Text, which is most of a file, needs none of the bookkeeping for values that may contain themselves."""
        if node.tag == "tag:yaml.org,2002:str" and isinstance(node, ScalarNode):
            return node.value
        return super().construct_object(node, deep)

    def timestamp(self, node: ScalarNode) -> object:
        try:
            return self.construct_yaml_timestamp(node)
        except ValueError:
            return node.value


_Loader.add_constructor("tag:yaml.org,2002:timestamp", _Loader.timestamp)


class Unreadable(Exception):
    """The file is not YAML at all; its problem is the argument."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.text())
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Document:
    """One YAML document, or several laid upon one another.

    :param file: path as the caller gave it
    :param lines: the text of each file, without line ends
    :param root: the parsed tree, with positions; each node knows its file
    :param data: what the tree says, in plain Python values
    :param findings: keys that occur twice, values that were left out
    :param removed: keys that a layer took away with ``null``
    """

    file: str
    lines: Mapping[str, tuple[str, ...]]
    root: Node
    data: Any
    findings: tuple[Finding, ...] = ()
    removed: Mapping[Path, Node] = field(default_factory=dict)

    def problem(self, finding: Finding) -> Problem:
        """Put a finding where it belongs in the text."""
        node, width = self._locate(finding.path if finding.at is None else finding.at, on_key=finding.on_key)
        mark = node.start_mark
        return _problem(
            mark.name,
            self.lines[mark.name],
            mark.line,
            mark.column,
            format_path(finding.path),
            finding.message,
            expected=finding.expected,
            suggestion=finding.suggestion,
            width=width,
        )

    def has(self, path: Path) -> bool:
        """Whether the text holds something at ``path``."""
        return self._walk(path)[2] == len(path)

    def raw(self, path: Path, *, quoted: bool = False) -> str | None:
        """A plain scalar as it is written; None for everything else.

        :param quoted: also what is in quotes
        """
        _, value, depth = self._walk(path)
        scalar = depth == len(path) and isinstance(value, ScalarNode) and (quoted or not value.style)
        return value.value if scalar else None

    def _walk(self, path: Path) -> tuple[Node | None, Node, int]:
        """The key node and the value node of the longest part of ``path`` that exists, and how long that is."""
        key: Node | None = None
        value = self.root
        for depth, part in enumerate(path):
            step = _child(value, part)
            if step is None:
                return key, value, depth
            key, value = step
        return key, value, len(path)

    def _locate(self, path: Path, *, on_key: bool) -> tuple[Node, int]:
        """The node to point at: a value, or the key that leads to a mapping or to nothing, and its width."""
        if path in self.removed:
            return self.removed[path], _width(self.removed[path])
        key, value, depth = self._walk(path)
        short = depth < len(path) or not isinstance(value, ScalarNode) or not value.value
        if key is not None and (on_key or short):
            return key, _width(key)
        if key is None and isinstance(value, MappingNode) and value.value:
            return value.value[0][0], _width(value.value[0][0])
        return value, _width(value)


def parse_yaml(text: str, *, file: str, layer: bool = False) -> Document:
    """Parse YAML text.

    :param text: the whole file
    :param file: what problems call it
    :param layer: defaults or an overlay, which may be empty
    :raises Unreadable: not YAML, not one document, empty, no mapping at the top, or an alias inside its own anchor
    """
    lines = tuple(text.splitlines())
    try:
        if (deep := _too_deep(text)) is not None:
            raise Unreadable(_problem(file, lines, *deep, "", "lists or mappings are nested far too deeply"))
        loader = _Loader(_stream(text, file))
        try:
            root = loader.get_single_node()
            findings = tuple(_flaws(root, (), frozenset(), set())) if root is not None else ()
            if (large := _too_large(root)) is not None:
                raise Unreadable(_problem(file, lines, large.line, large.column, "", _TOO_LARGE))
            data = loader.construct_document(root) if root is not None else None
        finally:
            loader.dispose()
    except YAMLError as exc:
        raise Unreadable(_syntax(exc, file, lines, text)) from exc
    except _Recursion as exc:
        mark = exc.node.start_mark
        raise Unreadable(_problem(file, lines, mark.line, mark.column, "", "an alias inside its own anchor")) from exc
    if root is None and layer:
        return parse_yaml("{}", file=file)
    if not isinstance(root, MappingNode):
        found = "the file is empty" if data is None else "this is not a mapping"
        problem = _problem(file, lines, 0, 0, "", found, expected="`name: value` lines, `pipeline: …` first")
        raise Unreadable(problem)
    return Document(file, {file: lines}, root, data, findings)


def read_yaml(path: FilePath, *, layer: bool = False) -> Document:
    """Read and parse a YAML file.

    :param layer: defaults or an overlay, which may be empty
    :raises Unreadable: as `parse`; also a file that cannot be opened or is not UTF-8
    """
    file = str(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as exc:
        raise Unreadable(_problem(file, (), 0, 0, "", f"cannot be read: {exc.strerror}")) from exc
    except UnicodeDecodeError as exc:
        lines = tuple(path.read_bytes().decode("utf-8", errors="replace").splitlines())
        line = exc.object[: exc.start].count(b"\n")
        column = len(exc.object[: exc.start].rsplit(b"\n", 1)[-1].decode("utf-8", errors="replace"))
        raise Unreadable(_problem(file, lines, line, column, "", "is not UTF-8; save the file as UTF-8")) from exc
    return parse_yaml(text, file=file, layer=layer)


def _stream(text: str, name: str) -> io.StringIO:
    """The text as a file with a name, which PyYAML writes into every position."""
    stream = io.StringIO(text)
    stream.name = name
    return stream


def _too_deep(text: str) -> tuple[int, int] | None:
    """Line and column of what is nested too deeply; only a text with many brackets and dashes is looked at."""
    if sum(map(text.count, _OPENS)) <= 2 * _DEEPEST:
        return None
    depth = 0
    try:
        for event in yaml.parse(text, Loader=CSafeLoader):
            depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
            if depth > _DEEPEST and event.start_mark:
                return event.start_mark.line, event.start_mark.column
    except YAMLError:
        return None  # parsing it stops here too, and says why
    return None


def _too_large(root: Node | None) -> Mark | None:
    """Where something stands that is too large once every alias is written out; it is not written out for that."""
    sizes: dict[int, int] = {}

    def size(node: Node) -> int:
        # An alias is its anchor's own node, which stands before it in the text and so has its size already.
        if id(node) not in sizes:
            parts = node.value if isinstance(node, SequenceNode) else ()
            if isinstance(node, MappingNode):
                parts = [part for pair in node.value for part in pair]
            sizes[id(node)] = 1 + sum(map(size, parts))
            if sizes[id(node)] > _LARGEST:
                raise _TooLarge(node)
        return sizes[id(node)]

    try:
        if root is not None:
            size(root)
    except _TooLarge as exc:
        mark: Mark = exc.node.start_mark
        return mark
    return None


class _TooLarge(Exception):
    def __init__(self, node: Node) -> None:
        super().__init__()
        self.node = node


class _Recursion(Exception):
    def __init__(self, node: Node) -> None:
        super().__init__()
        self.node = node


def _flaws(node: Node, path: Path, above: frozenset[int], seen: set[int]) -> Iterator[Finding]:
    """Keys that occur twice and values left out, each node looked at once however many aliases lead to it."""
    if id(node) in above:
        raise _Recursion(node)
    if id(node) in seen or isinstance(node, ScalarNode):
        return
    seen.add(id(node))
    above |= {id(node)}
    if isinstance(node, SequenceNode):
        for index, item in enumerate(node.value):
            if not isinstance(item, ScalarNode):
                yield from _flaws(item, (*path, index), above, seen)
        return
    first: dict[str, int] = {}
    for key, value in node.value:
        name = key.value if isinstance(key, ScalarNode) else ""
        if name in first:
            yield Finding((*path, name), f"is there twice; the first is in line {first[name]}", on_key=True)
        elif name:
            first[name] = key.start_mark.line + 1
        if not isinstance(value, ScalarNode):
            yield from _flaws(value, (*path, name), above, seen)
        elif not value.value and not value.style:
            yield Finding((*path, name), NO_VALUE, on_key=True)


def child_nodes(node: Node | None) -> dict[str | int, Node]:
    """The values in a list or mapping, by index or name; of a name that stands twice, the last one counts."""
    if isinstance(node, SequenceNode):
        return dict(enumerate(node.value))
    pairs = node.value if isinstance(node, MappingNode) else ()
    return {key.value: value for key, value in pairs if isinstance(key, ScalarNode)}


def _child(node: Node, part: str | int) -> tuple[Node | None, Node] | None:
    if isinstance(node, SequenceNode) and isinstance(part, int) and part < len(node.value):
        return None, node.value[part]
    if isinstance(node, MappingNode):
        # What was merged in by `<<` stands first, and what is written beside it wins. Of a key that occurs twice,
        # too, the last one counts.
        for key, value in reversed(node.value):
            if isinstance(key, ScalarNode) and key.value == str(part):
                return key, value
    return None


def _width(node: Node) -> int:
    start, end = node.start_mark, node.end_mark
    return end.column - start.column if end.line == start.line else 10_000


def _problem(
    file: str,
    lines: tuple[str, ...],
    line: int,
    column: int,
    field: str,
    message: str,
    *,
    expected: str | None = None,
    suggestion: str | None = None,
    width: int = 1,
) -> Problem:
    """A problem from PyYAML's positions, which count from 0 and may lie behind the end."""
    line = min(line, max(0, len(lines) - 1))
    source = lines[line].rstrip() if lines else ""
    column = min(column, len(source))
    return Problem(file, line + 1, column + 1, field, message, expected, suggestion, source, width)


def _syntax(exc: YAMLError, file: str, lines: tuple[str, ...], text: str) -> Problem:
    if isinstance(exc, ReaderError):
        line = text.encode()[: exc.position].count(b"\n")
        return _problem(file, lines, line, 0, "", _IN_OTHER_WORDS.get(exc.reason, str(exc.reason)))
    mark = exc.problem_mark if isinstance(exc, MarkedYAMLError) else None
    if not isinstance(exc, MarkedYAMLError) or mark is None:
        return _problem(file, lines, 0, 0, "", str(exc))
    line, column = mark.line, mark.column
    source = lines[line] if line < len(lines) else ""
    indent = source[: len(source) - len(source.lstrip())]
    if "\t" in indent:
        return _problem(file, lines, line, indent.index("\t"), "", "a tab cannot indent YAML; use spaces")
    problem = exc.problem or "cannot be read"
    if "could not determine a constructor" in problem:
        return _problem(file, lines, line, column, "", "tags like `!name` are not known here; write the value itself")
    return _problem(file, lines, line, column, "", _IN_OTHER_WORDS.get(problem, problem))
