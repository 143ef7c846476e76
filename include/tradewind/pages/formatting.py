"""Numbers and other people's text, as pages and forms say them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import timedelta

NOTHING = "–"


def format_number(value: float | None, *, sign: bool = False) -> str:
    """A number as every page says it: four digits that mean something.

    :param value: None is said as a dash
    :param sign: a plus before what is above zero, for differences
    """
    if value is None or value != value:
        return NOTHING
    size = abs(value)
    if size == 0:
        text = "0"
    elif 0.00005 <= size < 10:
        text = f"{value:.4f}"
    elif 10 <= size < 1000:
        text = f"{value:.2f}"
    elif size < 1:
        text = f"{value:.3g}"
    else:
        text = f"{value:,.0f}"
    return f"+{text}" if sign and value > 0 else text


def format_bound(value: float | None, *, sign: bool = False) -> str:
    """A number as it was written in the YAML."""
    return NOTHING if value is None else f"{value:{'+' if sign else ''}g}"


def format_count(many: int, what: str) -> str:
    """``1 row``, ``2,000 rows``."""
    return f"{many:,} {what}{'' if many == 1 else 's'}"


def describe_duration(time: timedelta) -> str:
    """``2 days``, ``36 hours``, ``10 minutes``: the largest unit that says it whole."""
    seconds = round(time.total_seconds())
    for length, unit in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds % length == 0 and seconds:
            return format_count(seconds // length, unit)
    return format_count(seconds, "second")


def first_few(texts: Iterable[str], *, most: int = 6) -> str:
    """The first few, and how many more there are."""
    found = list(texts)
    more = f" and {len(found) - most} more" if len(found) > most else ""
    return f"{', '.join(found[:most])}{more}"


def partition_span(keys: Iterable[str]) -> str:
    """A run of partitions: the first, the last, how many."""
    found = list(keys)
    if len(found) < 3:
        return ", ".join(found) or NOTHING
    return f"{found[0]} … {found[-1]} ({len(found)} partitions)"


def escape_markdown(text: str) -> str:
    """Other people's text inside Markdown: one line without characters that mean something to Markdown or HTML."""
    line = re.sub(r"\s+", " ", text).replace("&", "&amp;")
    escaped = re.sub(r"([\\`*{}\[\]|~]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9]))", r"\\\1", line)
    # What would begin a list, a heading or a rule, if it stands at the beginning.
    escaped = re.sub(r"^(\d+)([.)])(?=\s|$)", r"\1\\\2", escaped)
    escaped = re.sub(r"^(#{1,6}|[-+])(?=\s|$)|^(?=--|==)", r"\\\g<0>", escaped)
    return escaped.replace("<", "&lt;").replace(">", "&gt;")


def prose_markdown(text: str) -> str:
    """Text of ours about others' names inside Markdown: what stands between backticks is code, the rest is plain."""
    return "".join(
        code_markdown(part) if at % 2 else escape_markdown(part) for at, part in enumerate(re.split(r"`([^`]+)`", text))
    )


def code_markdown(text: str) -> str:
    """Other people's text as code inside Markdown, also in a table."""
    line = " ".join(text.split()).replace("`", "'").replace("|", "¦")
    return f"`{line}`" if line else NOTHING


def markdown_table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table in Markdown; the cells are Markdown already."""
    names = list(head)
    lines = [names, ["---"] * len(names), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
