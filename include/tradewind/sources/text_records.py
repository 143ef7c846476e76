"""Text files row by row, each with its line: what DuckDB's reader cannot tell once a quote is left open.

After a quote that is never closed it goes on in the middle of a later line, with wrong line numbers and rows that are
neither read nor rejected. Here a row that is broken ends with its line, and the next line is a row again. Each
character is looked at a bounded number of times, whatever a file holds.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

LONGEST_ROW = 2_000_000
"""Characters of one row of CSV, the header included, as in DuckDB; so no field is longer either."""
LONGEST_LINE = 16 * 2**20
"""Characters of one line of JSON, as in DuckDB."""
_EXCERPT = 1000
_OPEN = "a quote is not closed, or stands in the wrong place"


@dataclass(frozen=True, slots=True)
class TextRecord:
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
    :param fields: how many fields a row must have; None: as many as the header
    """

    def __init__(self, file: IO[str], *, delimiter: str, fields: int | None = None) -> None:
        self._delimiter = delimiter
        self._bare_value = re.compile(rf"[^{re.escape(delimiter)}\r\n]*")
        self._fields = fields
        self._file = _bounded_lines(file, LONGEST_ROW)
        self._given_back: deque[tuple[int, str]] = deque()
        self._hopeless = 0

    def header(self) -> TextRecord | None:
        """The first row; None in a file without a byte. To be asked for once, before the others."""
        for line, text in self._lines():
            found = self._record(line, text)
            self._fields = self._fields or len(found.values)
            return found
        return None

    def __iter__(self) -> Iterator[TextRecord]:
        self.header()
        for line, text in self._lines():
            if self._fields == 1 or text.strip("\r\n"):
                yield self._checked(self._record(line, text))

    def count(self) -> int:
        """How many rows there are behind the header, malformed ones included."""
        self.header()
        total = 0
        for line, text in self._lines():
            if '"' in text:
                self._record(line, text)  # which may go on in the next lines
            total += bool(text.strip("\r\n"))
        return total

    def _lines(self) -> Iterator[tuple[int, str]]:
        while line := self._given_back.popleft() if self._given_back else next(self._file, None):
            yield line

    def _record(self, line: int, text: str) -> TextRecord:
        if len(text) > LONGEST_ROW:
            return TextRecord(line, _valid_text(text[:_EXCERPT]), reason=_too_long(LONGEST_ROW))
        if '"' not in text:
            bare = _without_line_end(text)
            return TextRecord(line, bare, tuple(bare.split(self._delimiter)))
        row = _Row(self._delimiter, self._bare_value)
        row.take(text)
        texts = self._rest(line, row, len(text)) if row.open else []
        if texts is None or row.open or row.broken:
            return TextRecord(line, _valid_text(_without_line_end(text)), reason=_OPEN)
        return TextRecord(line, _without_line_end("".join([text, *texts])), tuple(row.values))

    def _rest(self, line: int, row: _Row, size: int) -> list[str] | None:
        """The lines that a row with an open quote goes on with; None, with all given back, if it does not end well.

        What follows a line break inside a quote is the same whichever line opened the quote: if a row fails there, each
        that comes to the same place fails too, and is not tried.
        """
        taken: list[tuple[int, str]] = []
        while row.open and line >= self._hopeless and (found := next(self._lines(), None)):
            taken.append(found)
            size += len(found[1])
            if size > LONGEST_ROW:
                break
            row.take(found[1])
        if row.open or row.broken:
            self._hopeless = max(self._hopeless, taken[-1][0] if taken else 0)
            self._given_back.extendleft(reversed(taken))
            return None
        return [text for _, text in taken]

    def _checked(self, record: TextRecord) -> TextRecord:
        if record.reason is not None:
            return record
        if not is_utf8(record.text):
            return TextRecord(record.line, _valid_text(record.text), reason="it is not UTF-8")
        if len(record.values) != self._fields:
            reason = f"{len(record.values)} fields where the header has {self._fields}"
            return TextRecord(record.line, record.text, reason=reason)
        return record


class _Row:
    """The fields of a row, taken line by line; knows whether it is inside a quote."""

    _QUOTED = re.compile(r'[^"]*(?:""[^"]*)*')

    def __init__(self, delimiter: str, bare_value: re.Pattern[str]) -> None:
        self.values: list[str] = []
        self.open = False
        self.broken = False
        self._delimiter = delimiter
        self._bare_value = bare_value
        self._pieces: list[str] = []

    def take(self, text: str) -> None:
        """Go on with the next line, its end included."""
        end, place = len(_without_line_end(text)), 0
        while not self.broken:
            place = self._quoted(text, place, end) if self.open else self._value(text, place)
            if place < 0:
                return
            if place == end:
                return
            if text[place] != self._delimiter:
                self.broken = True
                return
            place += 1

    def _value(self, text: str, place: int) -> int:
        """The place behind a field that begins here; below 0 where the line ends inside its quote."""
        if text.startswith('"', place):
            self.open = True
            return self._quoted(text, place + 1, len(_without_line_end(text)))
        found = self._bare_value.match(text, place)
        assert found
        self.values.append(found[0])
        return found.end()

    def _quoted(self, text: str, place: int, end: int) -> int:
        found = self._QUOTED.match(text, place)
        assert found
        if found.end() == len(text):
            self._pieces.append(found[0])
            return -1
        self._pieces.append(found[0])
        self.values.append("".join(self._pieces).replace('""', '"'))
        self._pieces.clear()
        self.open = False
        return found.end() + 1


def json_records(file: IO[str]) -> Iterator[TextRecord]:
    """Lines of JSON, blank ones left out; whether they are JSON is not looked at.

    :param file: read with line feeds as the only line ends, bytes that are not UTF-8 as surrogates
    """
    for line, text in _bounded_lines(file, LONGEST_LINE):
        if len(text) > LONGEST_LINE:
            yield TextRecord(line, _valid_text(text[:_EXCERPT]), reason=_too_long(LONGEST_LINE))
        elif text.strip():
            good = is_utf8(text)
            yield TextRecord(line, _valid_text(_without_line_end(text)), reason=None if good else "it is not UTF-8")


def _bounded_lines(file: IO[str], most: int) -> Iterator[tuple[int, str]]:
    """Lines with their numbers; of a longer one than ``most`` only so much, and one character, is kept."""
    number = 0
    while text := file.readline(most + 1):
        number += 1
        if len(text) > most and not text.endswith(("\r", "\n")):
            while (rest := file.readline(most)) and not rest.endswith(("\r", "\n")):
                pass
        yield number, text


def _too_long(most: int) -> str:
    return f"it is longer than {most:,} characters"


def _without_line_end(text: str) -> str:
    return text.removesuffix("\n").removesuffix("\r")


def is_utf8(text: str) -> bool:
    """Whether text that was read with bytes that are not UTF-8 as surrogates has none."""
    return text.isascii() or not re.search("[\udc80-\udcff]", text)


def _valid_text(text: str) -> str:
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
