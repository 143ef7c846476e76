"""Rows of text files one by one: where they end, and that no file makes it slow."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradewind.sources import text_records
from tradewind.sources.text_records import LONGEST_ROW, CsvRecords, TextRecord, json_records

OPEN = "a quote is not closed, or stands in the wrong place"


def rows(text: str, fields: int = 2) -> list[TextRecord]:
    return list(CsvRecords(io.StringIO(f"{','.join('abcdefgh'[:fields])}\n{text}", newline=""), delimiter=","))


def looked_at(text: str, fields: int = 2) -> int:
    """Characters that are looked at while rows are taken apart, counted and not timed."""
    total = 0

    def count(frame: FrameType, event: str, _: Any) -> None:
        nonlocal total
        if event == "call" and frame.f_code is text_records._Row.take.__code__:
            total += len(frame.f_locals["text"])

    sys.setprofile(count)
    try:
        rows(text, fields)
    finally:
        sys.setprofile(None)
    return total


ATTACKS: dict[str, Callable[[int], str]] = {
    "a quote that is never closed": lambda lines: '1,"x\n' + "2,y\n" * lines,
    "one in each line": lambda lines: '1,"x\n' * lines,
    "with quotes inside": lambda lines: '1,"x\n' + '""\n' * lines,
    "opened anew by each line inside": lambda lines: 'a",b"c,"\n' * lines,
    "opened after blank lines": lambda lines: ('a",b"c,"\n' + "\n" * 9) * (lines // 10),
    "one line of quotes": lambda lines: '"' * lines + "\n",
    "an odd line of quotes": lambda lines: '1,"' + '"' * lines + "\n" + "1,2\n" * lines,
    "doubled with text": lambda lines: '1,"x ""y"" z\n' * lines,
}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_no_character_is_looked_at_often_whatever_is_in_the_file(attack: Callable[[int], str]) -> None:
    for lines in (1_000, 4_000, 16_000):
        text = attack(lines)
        assert looked_at(text) <= 4 * len(text)


def test_broken_rows_end_with_their_line() -> None:
    found = rows('1,"x\n2,y\n3,"a\nb"\n4,"p"q\n')
    assert [(row.line, row.values, row.reason) for row in found] == [
        (2, (), OPEN),
        (3, ("2", "y"), None),
        (4, ("3", "a\nb"), None),
        (6, (), OPEN),
    ]


@pytest.mark.parametrize("quoted", [True, False])
def test_a_row_of_any_place_is_as_long_as_any_other(quoted: bool) -> None:
    value = "x" * (LONGEST_ROW - 10)
    whole = f'"{value}"' if quoted else value
    longer = f'"{value}{"x" * 20}"' if quoted else f"{value}{'x' * 20}"
    found = rows(f"{whole},1\n{whole},2\n{longer},3\n1,4\n")
    assert [row.values[1] for row in found if not row.reason] == ["1", "2", "4"]
    assert [(row.line, row.reason) for row in found if row.reason] == [(4, "it is longer than 2,000,000 characters")]
    assert len(found[2].text) == 1000


def test_a_long_line_of_json_is_a_malformed_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_records, "LONGEST_LINE", 10)
    found = list(json_records(io.StringIO('{"a": 12345678}\n{"a": 1}\n', newline="\n")))
    assert [(row.line, row.reason) for row in found] == [(1, "it is longer than 10 characters"), (2, None)]


CELLS = st.text(st.sampled_from('a,"\n\r x'), max_size=8)


@given(st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=6))
def test_what_is_written_with_quotes_is_read_again(table: list[tuple[str, str]]) -> None:
    def spelled(cell: str) -> str:
        doubled = cell.replace('"', '""')
        return f'"{doubled}"' if set(cell) & set(',"\n\r') else cell

    found = rows("".join(f"{spelled(one)},{spelled(other)}\n" for one, other in table))
    assert [(row.values, row.reason) for row in found] == [(row, None) for row in table]


@pytest.mark.parametrize("text", ["1,2\n3,4\n", '1,"x\ny"\n\n3,4\n', '1,"x\n2,y\n', ""])
def test_rows_are_counted_without_being_taken_apart(text: str) -> None:
    count = CsvRecords(io.StringIO(f"a,b\n{text}", newline=""), delimiter=",").count()
    assert count == len(rows(text))
