"""Text files row by row, each with its line: what DuckDB's reader cannot tell once a quote is left open.

After a quote that is never closed it goes on in the middle of a later line, with wrong line numbers and rows that are
neither read nor rejected. Here a row that is broken ends with its line, and the next line is a row again.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import IO

_LONGEST = 2_000_000
"""Characters of one row, as in DuckDB."""


@dataclass(frozen=True, slots=True)
class Record:
    """One row as it stands in the file.

    :param line: its first line, from 1
    :param values: its fields; empty if it is broken
    :param reason: why it is broken
    """

    line: int
    text: str
    values: tuple[str, ...] = ()
    reason: str | None = None


class CsvRecords:
    """Rows of CSV text behind its header.

    :param file: read with universal line ends that are kept, bytes that are not UTF-8 as surrogates
    """

    def __init__(self, file: IO[str], *, delimiter: str, fields: int) -> None:
        self._delimiter = delimiter
        self._fields = fields
        other = re.escape(delimiter)
        value = rf'"(?:[^"]|"")*"|(?!")[^{other}\r\n]*'
        self._value = re.compile(rf"({value})(?:{other}|\Z)")
        self._row = re.compile(rf"(?:{value})(?:{other}(?:{value}))*")
        self._open = re.compile(rf'(?:(?:{value}){other})*"(?:[^"]|"")*')
        self._file = enumerate(file, 1)
        self._given_back: deque[tuple[int, str]] = deque()

    def __iter__(self) -> Iterator[Record]:
        for line, text in islice(self._lines(), 1):
            self._record(line, text)  # the header
        for line, text in self._lines():
            if self._fields == 1 or text.strip("\r\n"):
                yield self._record(line, text)

    def _lines(self) -> Iterator[tuple[int, str]]:
        while line := self._given_back.popleft() if self._given_back else next(self._file, None):
            yield line

    def _record(self, line: int, text: str) -> Record:
        if '"' not in text:
            return self._checked(line, text, tuple(_bare(text).split(self._delimiter)))
        whole = self._closed(text)
        if whole is None:
            return Record(line, _clean(_bare(text)), reason="a quote is not closed, or stands in the wrong place")
        fields = self._value.findall(_bare(whole))
        # After the last delimiter there is one more field, after anything else an empty match.
        fields = fields if _bare(whole).endswith(self._delimiter) else fields[:-1] or [""]
        return self._checked(line, whole, tuple(map(_unquoted, fields)))

    def _closed(self, text: str) -> str | None:
        """The whole row, further lines included; None, with those lines given back, if its quotes are broken."""
        taken: list[tuple[int, str]] = []
        whole, size = text, len(text)
        while not self._row.fullmatch(_bare(whole)):
            if not self._open.fullmatch(whole) or (following := self._until_quote(taken, _LONGEST - size)) is None:
                self._given_back.extendleft(reversed(taken))
                return None
            whole, size = whole + following, size + len(following)
        return whole

    def _until_quote(self, taken: list[tuple[int, str]], most: int) -> str | None:
        """The following lines up to one with a quote, for only that can close a value."""
        lines, size = [], 0
        for line, text in self._lines():
            taken.append((line, text))
            lines.append(text)
            size += len(text)
            if '"' in text or size > most:
                return "".join(lines) if size <= most else None
        return None

    def _checked(self, line: int, text: str, values: tuple[str, ...]) -> Record:
        if not is_utf8(text):
            return Record(line, _clean(_bare(text)), reason="it is not UTF-8")
        if len(values) != self._fields:
            reason = f"{len(values)} fields where the header has {self._fields}"
            return Record(line, _bare(text), reason=reason)
        return Record(line, _bare(text), values)


def json_records(file: IO[str]) -> Iterator[Record]:
    """Lines of JSON, blank ones left out; whether they are JSON is not looked at.

    :param file: read with line feeds as the only line ends, bytes that are not UTF-8 as surrogates
    """
    for line, text in enumerate(file, 1):
        if text.strip():
            good = is_utf8(text)
            yield Record(line, _clean(_bare(text)), reason=None if good else "it is not UTF-8")


def _bare(text: str) -> str:
    return text.removesuffix("\n").removesuffix("\r")


def _unquoted(field: str) -> str:
    return field[1:-1].replace('""', '"') if field.startswith('"') else field


def is_utf8(text: str) -> bool:
    """Whether text that was read with bytes that are not UTF-8 as surrogates has none."""
    return text.isascii() or not re.search("[\udc80-\udcff]", text)


def _clean(text: str) -> str:
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
