"""Declared columns: the type of each, and whether NULL is malformed in it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_NOT_NULL = re.compile(r"\s+NOT\s+NULL\s*$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Column:
    """One declared column.

    :param kind: DuckDB type, as it was written
    :param required: NULL is malformed
    """

    name: str
    kind: str
    required: bool = False


def declared(columns: Mapping[str, str]) -> dict[str, Column]:
    """The columns of a YAML's `columns` by name: ``{id: BIGINT NOT NULL}``."""
    return {name: column(name, text) for name, text in columns.items()}


def column(name: str, text: str) -> Column:
    """One column; ``text`` is a DuckDB type with or without NOT NULL behind it."""
    kind = _NOT_NULL.sub("", f" {text}").strip()
    return Column(name, kind, required=_NOT_NULL.search(f" {text}") is not None)
