"""A text of sections that is written once and read twice: as Markdown and as a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from tradewind.pages import look
from tradewind.pages.words import NOTHING, markdown_table, plain, prose


@dataclass(frozen=True, slots=True)
class Prose:
    """A paragraph; what stands between backticks is code."""

    text: str


@dataclass(frozen=True, slots=True)
class Items:
    """A list of such texts."""

    texts: Sequence[str]


@dataclass(frozen=True, slots=True)
class Facts:
    """Names and what is known of them."""

    told: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Grid:
    """A table of texts."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]


Block = Prose | Items | Facts | Grid


@dataclass(frozen=True, slots=True)
class Section:
    """A title and what stands below it."""

    title: str
    blocks: Sequence[Block]


def markdown(title: str, sections: Sequence[Section]) -> str:
    """The text as Markdown (with GitHub's tables); nothing in it means anything else than it says."""
    parts = [f"# {plain(title)}"]
    for section in sections:
        parts += [f"## {plain(section.title)}", *map(_markdown, section.blocks)]
    return "\n\n".join(parts) + "\n"


def html(sections: Sequence[Section]) -> str:
    """The text as HTML, without the page around it and without its title."""
    return "\n".join(f"<h2>{escape(section.title)}</h2>{''.join(map(_html, section.blocks))}" for section in sections)


def _markdown(block: Block) -> str:
    if isinstance(block, Prose):
        return prose(block.text)
    if isinstance(block, Items):
        return "\n".join(f"- {prose(text)}" for text in block.texts)
    if isinstance(block, Facts):
        return markdown_table(("", ""), [(plain(name), plain(told) or NOTHING) for name, told in block.told.items()])
    return markdown_table([plain(name) for name in block.head], [[prose(cell) for cell in row] for row in block.rows])


def _html(block: Block) -> str:
    if isinstance(block, Prose):
        return f"<p>{look.marked(block.text)}</p>"
    if isinstance(block, Items):
        return f"<ul>{''.join(f'<li>{look.marked(text)}</li>' for text in block.texts)}</ul>"
    if isinstance(block, Facts):
        return look.facts(block.told)
    return look.table(list(block.head), [list(row) for row in block.rows])
