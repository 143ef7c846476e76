"""A text of sections that is written once and read twice: as Markdown and as a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from tradewind.pages import layout
from tradewind.pages.formatting import NOTHING, escape_markdown, markdown_table, prose_markdown


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

    facts: Mapping[str, str]


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


def render_markdown(title: str, sections: Sequence[Section]) -> str:
    """The text as Markdown (with GitHub's tables); nothing in it means anything else than it says."""
    parts = [f"# {escape_markdown(title)}"]
    for section in sections:
        parts += [f"## {escape_markdown(section.title)}", *map(_markdown, section.blocks)]
    return "\n\n".join(parts) + "\n"


def render_html(sections: Sequence[Section]) -> str:
    """The text as HTML, without the page around it and without its title."""
    return "\n".join(f"<h2>{escape(section.title)}</h2>{''.join(map(_html, section.blocks))}" for section in sections)


def _markdown(block: Block) -> str:
    if isinstance(block, Prose):
        return prose_markdown(block.text)
    if isinstance(block, Items):
        return "\n".join(f"- {prose_markdown(text)}" for text in block.texts)
    if isinstance(block, Facts):
        return markdown_table(
            ("", ""), [(escape_markdown(name), escape_markdown(text) or NOTHING) for name, text in block.facts.items()]
        )
    return markdown_table(
        [escape_markdown(name) for name in block.head], [[prose_markdown(cell) for cell in row] for row in block.rows]
    )


def _html(block: Block) -> str:
    if isinstance(block, Prose):
        return f"<p>{layout.mark_code(block.text)}</p>"
    if isinstance(block, Items):
        return f"<ul>{''.join(f'<li>{layout.mark_code(text)}</li>' for text in block.texts)}</ul>"
    if isinstance(block, Facts):
        return layout.facts_table(block.facts)
    return layout.html_table(list(block.head), [list(row) for row in block.rows])
