"""Declared columns: the type of each, and whether NULL is malformed in it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_NOT_NULL = re.compile(r"\s+NOT\s+NULL\s*$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class DeclaredColumn:
    """One declared column.

    :param kind: DuckDB type, as it was written
    :param required: NULL is malformed
    """

    name: str
    kind: str
    required: bool = False


def declared_columns(columns: Mapping[str, str]) -> dict[str, DeclaredColumn]:
    """The columns of a YAML's `columns` by name: ``{id: BIGINT NOT NULL}``."""
    return {name: parse_column(name, text) for name, text in columns.items()}


def parse_column(name: str, text: str) -> DeclaredColumn:
    """One column; ``text`` is a DuckDB type with or without NOT NULL behind it."""
    kind = _NOT_NULL.sub("", f" {text}").strip()
    return DeclaredColumn(name, kind, required=_NOT_NULL.search(f" {text}") is not None)
