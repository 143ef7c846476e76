"""How commands write lists of partitions and paragraphs: plain text, at most 100 columns wide."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

WIDTH = 100


def join_partition_spans(keys: Iterable[str], order: Sequence[str]) -> str:
    """Partition keys as text, runs of neighbours as ``first … last``.

    :param order: all keys, in order; what neighbours are
    """
    place = {key: number for number, key in enumerate(order)}
    runs: list[list[str]] = []
    for key in sorted(keys, key=lambda key: (place.get(key, -1), key)):
        if runs and key in place and place.get(runs[-1][-1], -2) == place[key] - 1:
            runs[-1].append(key)
        else:
            runs.append([key])
    lines = [run[0] if len(run) == 1 else f"{run[0]} … {run[-1]}" for run in runs]
    return ", ".join(lines)


def format_quantity(number: int, noun: str) -> str:
    """``1 partition``, ``2 partitions``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def shorten_list(names: Sequence[str], *, most: int = 3) -> str:
    """The first names, and how many more there are."""
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + rest


def wrap_paragraph(text: str, *, first: str = "", indent: int = 0) -> str:
    """Text wrapped at :data:`WIDTH` columns.

    :param first: what stands before the first line, within the indent
    :param indent: columns before every line
    """
    lines = [
        textwrap.fill(
            line,
            WIDTH,
            initial_indent=(first if number == 0 else "").ljust(indent),
            subsequent_indent=" " * indent,
            break_long_words=False,
            break_on_hyphens=False,
        )
        for number, line in enumerate(text.splitlines() or [""])
    ]
    return "\n".join(lines).rstrip()


def align_columns(cells: Sequence[Sequence[str]], *, indent: int = 2) -> str:
    """Cells in columns, each as wide as its widest; the last one is wrapped."""
    widths = [max(len(row[place]) for row in cells) for place in range(len(cells[0]) - 1)]
    lines = []
    for row in cells:
        head = " " * indent + "".join(cell.ljust(width + 2) for cell, width in zip(row, widths, strict=False))
        lines.append(wrap_paragraph(row[-1], first=head, indent=len(head)) or head.rstrip())
    return "\n".join(lines)
