"""SQL as text: what in it is quoted, commented or white space."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime

from tradewind.engine.database import quote_string

_QUOTED = r"""[eE]'(?:\\.|''|[^'\\])*'|'(?:[^']|'')*'|"(?:[^"]|"")*"|\$(?P<tag>\w*)\$.*?\$(?P=tag)\$"""
_COMMENT = r"--[^\n]*|/\*.*?\*/"
_PARTS = re.compile(rf"(?P<quoted>{_QUOTED})|(?P<space>(?:\s|{_COMMENT})+)|\$(?P<parameter>[A-Za-z_]\w*)", re.DOTALL)
_NESTED = re.compile(r"/\*(?:(?!\*/).)*/\*", re.DOTALL)


def canonical_text(sql: str) -> str:
    """The text without comments, and with one space where there was white space: equal for SQL that says the same.

    Comments within comments are left as they are: where such a one ends, only a parser knows.
    """
    if _NESTED.search(sql):
        return sql
    return _PARTS.sub(lambda part: " " if part["space"] else part[0], sql).strip().removesuffix(";").rstrip()


def find_words(pattern: str, sql: str) -> tuple[int, int]:
    """Where the first words that ``pattern`` matches stand, what is quoted or commented left out, and their length.

    Where there are none, it is the first word of the text.
    """
    shown = _PARTS.sub(lambda part: part[0] if part["parameter"] else " " * len(part[0]), sql)
    found = re.search(rf"(?<!\w)(?:{pattern})(?!\w)", shown, re.IGNORECASE) or re.search(r"\S+", shown)
    return (found.start(), len(found[0])) if found else (0, 1)


def with_literals(sql: str, parameters: Mapping[str, object]) -> str:
    """The text with the values of its parameters in their places.

    :param parameters: values of ``$name``: texts, and moments (aware)
    """
    return _PARTS.sub(
        lambda part: _typed(parameters[part["parameter"]]) if part["parameter"] in parameters else part[0], sql
    )


def _typed(value: object) -> str:
    kind = "TIMESTAMPTZ" if isinstance(value, datetime) else "BIGINT" if isinstance(value, int) else "VARCHAR"
    return f"CAST({quote_string(str(value))} AS {kind})"
