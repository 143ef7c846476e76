"""Regular expressions of expectations, all of them for RE2, which DuckDB has and which reads a text once.

Python's own would try an expression like `(a+)+$` in more ways than there are atoms. Where RE2 can say exactly what
Python means, it does; else the expression means what it means to RE2; what RE2 does not know is refused.
"""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from tradewind.engine.database import connect_duckdb, quote_string

_MOST_REPEATS = 1000  # RE2 takes no more


class _Untranslatable(Exception):
    pass


class InvalidRegex(ValueError):
    """A regular expression that cannot be used; knows the argument that is wrong, as pydantic's errors do."""

    def __init__(self, argument: str, message: str) -> None:
        super().__init__(message)
        self.argument = argument

    def errors(self) -> list[dict[str, Any]]:
        """One error, in pydantic's form."""
        return [{"loc": (self.argument,), "msg": str(self)}]


def check_regexes(kwargs: Mapping[str, Any]) -> None:
    """See that every regular expression in an expectation's arguments is one of RE2.

    :raises InvalidRegex: one is not, or stands where only Python could evaluate it
    """
    patterns = [("regex", kwargs.get("regex")), *(("regex_list", each) for each in kwargs.get("regex_list") or ())]
    for argument, pattern in patterns:
        if isinstance(pattern, str) and re2_pattern(pattern) is None:
            raise InvalidRegex(
                argument,
                f"{pattern!r} is not a regular expression of RE2, with which DuckDB evaluates it: "
                f"{_re2_error(pattern)}. RE2 has no lookarounds, no back references and at most 1000 repeats",
            )
    if found := sorted(_PYTHON_ONLY & set(_names(kwargs.get("json_schema")))):
        raise InvalidRegex("json_schema", f"`{found[0]}` would be evaluated by Python; check it in SQL or with a regex")


_PYTHON_ONLY = frozenset({"pattern", "patternProperties", "$ref", "$dynamicRef"})


def _names(schema: Any) -> Iterator[str]:
    """Every name in a JSON schema, at any depth."""
    waiting = [schema]
    while waiting:
        part = waiting.pop()
        if isinstance(part, Mapping):
            yield from map(str, part)
            waiting += part.values()
        elif isinstance(part, list):
            waiting += part


@cache
def re2_pattern(pattern: str) -> str | None:
    """The pattern for RE2: what Python means where that can be said, else as it stands; None where RE2 refuses it."""
    exact = translate_regex(pattern)
    return next((each for each in (exact, pattern) if each is not None and not _re2_error(each)), None)


def _re2_error(pattern: str) -> str:
    """What RE2 says against a pattern; nothing if it reads it."""
    import duckdb

    with connect_duckdb() as connection:
        try:
            connection.execute(f"SELECT regexp_matches('', {quote_string(pattern)})")
        except duckdb.Error as exc:
            return str(exc).strip().splitlines()[0]
    return ""


def translate_regex(pattern: str) -> str | None:
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
