"""Python's regular expressions as RE2's, which DuckDB has: only where both find the same."""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Iterator
from functools import cache
from typing import Any

_MOST_REPEATS = 1000  # RE2 takes no more


class _Untranslatable(Exception):
    pass


def translate(pattern: str) -> str | None:
    """A pattern for which RE2 finds something in exactly the texts in which ``re.search`` does.

    Classes such as ``\\d`` are written out as Python knows them; ``$`` also stands before a last line break.

    :returns: None where there is none, or where it is not known: back references, lookarounds, flags, word boundaries
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # sre is deprecated as a module of its own, and hidden in re
        try:
            parsed = re._parser.parse(pattern)  # type: ignore[attr-defined] # no public way to the parts
        except re.error:
            return None
    if parsed.state.flags & ~re.UNICODE:
        return None
    items = list(parsed)
    try:
        end = ""
        if items and _name(items[-1][0]) == "AT" and _name(items[-1][1]) == "AT_END":
            items, end = items[:-1], r"\n?\z"
        return "(?s)" + "".join(_item(kind, value) for kind, value in items) + end
    except _Untranslatable:
        return None


def _item(kind: Any, value: Any) -> str:
    match _name(kind):
        case "LITERAL":
            return _literal(value)
        case "NOT_LITERAL":
            return f"[^{_literal(value)}]"
        case "ANY":
            return r"[^\n]"
        case "IN":
            return _set(value)
        case "AT" if _name(value) in ("AT_BEGINNING", "AT_BEGINNING_STRING"):
            return r"\A"
        case "AT" if _name(value) == "AT_END_STRING":
            return r"\z"
        case "BRANCH":
            return f"(?:{'|'.join(''.join(_item(*item) for item in branch) for branch in value[1])})"
        case "SUBPATTERN" if not value[1] and not value[2]:
            return f"(?:{''.join(_item(*item) for item in value[3])})"
        case "MAX_REPEAT" | "MIN_REPEAT":
            return _repeat(value)
        case _:
            raise _Untranslatable


def _repeat(value: Any) -> str:
    least, most, items = value
    unbounded = _name(most) == "MAXREPEAT"
    if least > _MOST_REPEATS or (not unbounded and most > _MOST_REPEATS):
        raise _Untranslatable
    return f"(?:{''.join(_item(*item) for item in items)}){{{least},{'' if unbounded else most}}}"


def _set(items: Any) -> str:
    inner, negated = "", ""
    for kind, value in items:
        match _name(kind):
            case "NEGATE":
                negated = "^"
            case "LITERAL":
                inner += _literal(value)
            case "RANGE":
                inner += f"{_literal(value[0])}-{_literal(value[1])}"
            case "CATEGORY":
                inner += _category(_name(value))
            case _:
                raise _Untranslatable
    return f"[{negated}{inner}]"


def _literal(code: int) -> str:
    if 0xD800 <= code <= 0xDFFF:
        raise _Untranslatable
    return f"\\x{{{code:x}}}"


@cache
def _category(name: str) -> str:
    """Every character of a class, as ranges; Python's Unicode is not RE2's."""
    kind = {"DIGIT": r"\d", "SPACE": r"\s", "WORD": r"\w"}.get(name.removeprefix("CATEGORY_"))
    if kind is None:
        raise _Untranslatable
    return "".join(f"{_literal(first)}-{_literal(last)}" for first, last in _ranges(re.compile(kind)))


def _ranges(one: re.Pattern[str]) -> Iterator[tuple[int, int]]:
    first = None
    for code in range(sys.maxunicode + 2):
        found = code <= sys.maxunicode and not 0xD800 <= code <= 0xDFFF and one.match(chr(code))
        if found and first is None:
            first = code
        elif not found and first is not None:
            yield first, code - 1
            first = None


def _name(constant: Any) -> str:
    return str(constant)
