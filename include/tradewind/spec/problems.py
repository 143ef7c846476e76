"""What is wrong in a YAML file, as data and in words."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong at a place of the data; a document turns it into a `Problem` with a position.

    :param path: keys and list indices from the root to the value
    :param message: what is wrong, without a full stop
    :param expected: what would be right, in words
    :param suggestion: the nearest right spelling
    :param on_key: the key is wrong and not its value
    :param at: place that is shown, where it is not ``path``; for what is missing
    """

    path: Path
    message: str
    expected: str | None = None
    suggestion: str | None = None
    on_key: bool = False
    at: Path | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong at a place of a file; lines and columns count from 1.

    :param file: path as the caller gave it
    :param field: where in the data, like ``gates[1].metric``; empty when the file cannot be read as YAML
    :param source_line: text of the line
    :param width: how many characters the caret line marks
    :param severity: a note is nothing wrong; it says what could not be checked, or what numbers lead to
    """

    file: str
    line: int
    column: int
    field: str
    message: str
    expected: str | None = None
    suggestion: str | None = None
    source_line: str = ""
    width: int = 1
    severity: Literal["error", "note"] = "error"

    @property
    def end_column(self) -> int:
        """The column behind what is marked; it lies in the same line."""
        return self.column + max(1, min(self.width, len(self.source_line) - self.column + 1))

    def text(self) -> str:
        """The problem in words, with the line and a caret under what is wrong."""
        what = f"{self.field}: {self.message}" if self.field else self.message
        what = f"note: {what}" if self.severity == "note" else what
        if self.suggestion:
            what += f"; did you mean `{self.suggestion}`?"
        if self.expected:
            what += f"\n    expected {self.expected}"
        source = self.source_line.replace("\t", " ")
        marks = " " * (self.column - 1) + "^" * (self.end_column - self.column)
        return f"{self.file}:{self.line}:{self.column}: {what}\n{self.line:>5} | {source}\n      | {marks}"


def format_path(path: Path) -> str:
    """Spell a path as ``train.label.dataset`` or ``gates[1].metric``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def nearest_word(word: object, choices: Iterable[str]) -> str | None:
    """The choice that ``word`` was probably meant to be, or None."""
    by_lower = {choice.lower(): choice for choice in choices}
    found = difflib.get_close_matches(str(word).lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[found[0]] if found else None


def join_words(words: Iterable[str], last: str = "or") -> str:
    """Join words as ``a, b or c``."""
    *head, tail = list(words)
    return f"{', '.join(head)} {last} {tail}" if head else tail
