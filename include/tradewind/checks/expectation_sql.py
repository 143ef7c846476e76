"""Which rows an expectation does not like, as SQL: what Great Expectations says on pandas, said to DuckDB.

None stands for "not known to be the same": then the expectation runs in Great Expectations on a frame.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tradewind.checks.regexes import re2_pattern
from tradewind.engine.database import quote_identifier, quote_string

if TYPE_CHECKING:
    import pyarrow as pa

_EXACT = 2**53  # below, a whole number and its float are the same


@dataclass(frozen=True, slots=True)
class ExpectationSql:
    """Rows that are considered, and those of them that are unexpected.

    :param considered: SQL of the rows that count at all
    :param unexpected: SQL of the rows that are not as expected; empty: those whose ``columns`` come more than once
    :param columns: what an example shows
    :param pair: an example is a pair of values, and not values by their columns
    :param keys: SQL of what must not come more than once; empty: ``columns`` as they are
    """

    considered: str
    unexpected: str
    columns: tuple[str, ...]
    pair: bool = False
    keys: tuple[str, ...] = ()


def comparison_kind(kind: pa.DataType) -> str:
    """What comparisons need to know of a type: int, float, single, bool, text, date, time or other."""
    import pyarrow as pa

    types = pa.types
    named = {
        "int": types.is_integer, "float": types.is_float64, "single": types.is_float32, "bool": types.is_boolean,
        "text": types.is_string, "date": types.is_date32, "time": types.is_timestamp,
    }  # fmt: skip
    return next((name for name, is_it in named.items() if is_it(kind)), "other")


def missing_condition(column: str, kind: str) -> str:
    """SQL of the rows in which pandas sees no value."""
    name = quote_identifier(column)
    return f"({name} IS NULL OR isnan({name}))" if kind in ("float", "single") else f"({name} IS NULL)"


def column_condition(
    metric: str, column: str, kind: str, given: Mapping[str, Any], *, nan_counts: bool = False
) -> ExpectationSql | None:
    """The condition of a metric of one column, like ``column_values.between``.

    :param nan_counts: NaN is a value, and not as expected; else it is missing, as pandas has it
    """
    nan_counts = nan_counts and kind in ("float", "single")
    absent = f"({quote_identifier(column)} IS NULL)" if nan_counts else missing_condition(column, kind)
    if metric == "column_values.nonnull":
        return ExpectationSql("true", absent, (column,))
    if metric == "column_values.null":
        return ExpectationSql("true", f"(NOT {absent})", (column,))
    if metric == "column_values.unique":
        return ExpectationSql(f"(NOT {absent})", "", (column,)) if kind != "other" else None
    build = _CONDITIONS.get(metric)
    meets = build(quote_identifier(column), kind, given) if build else None
    if meets is None:
        return None
    if nan_counts:
        meets = f"NOT isnan({quote_identifier(column)}) AND {meets}"
    return ExpectationSql(f"(NOT {absent})", f"(NOT {absent} AND NOT ({meets}))", (column,))


def column_pair_condition(
    metric: str, pair: tuple[str, str], kinds: tuple[str, str], given: Mapping[str, Any]
) -> ExpectationSql | None:
    """The condition of a metric of two columns, like ``column_pair_values.a_greater_than_b``."""
    signs = {
        "column_pair_values.a_greater_than_b": ">=" if given.get("or_equal") else ">",
        "column_pair_values.equal": "=",
    }
    comparable = all(kind in ("int", "float") for kind in kinds) or kinds == ("time", "time")
    if metric not in signs or not comparable:
        return None
    gone = [missing_condition(column, kind) for column, kind in zip(pair, kinds, strict=True)]
    rules = {
        "both_values_are_missing": f"(NOT ({' AND '.join(gone)}))",
        "either_value_is_missing": f"(NOT ({' OR '.join(gone)}))",
        "neither": "true",
    }
    considered = rules.get(given["ignore_row_if"])
    one, other = map(quote_identifier, pair)
    meets = f"NOT {gone[0]} AND NOT {gone[1]} AND {one} {signs[metric]} {other}"
    return ExpectationSql(considered, f"({considered} AND NOT ({meets}))", pair, pair=True) if considered else None


def multicolumn_condition(
    metric: str, columns: Sequence[str], kinds: Sequence[str], given: Mapping[str, Any]
) -> ExpectationSql | None:
    """The condition of a metric of several columns, like ``compound_columns.unique``."""
    gone = [missing_condition(column, kind) for column, kind in zip(columns, kinds, strict=True)]
    rules = {
        "all_values_are_missing": f"(NOT ({' AND '.join(gone)}))",
        "any_value_is_missing": f"(NOT ({' OR '.join(gone)}))",
        "never": "true",
    }
    considered = rules.get(given["ignore_row_if"])
    if considered is None or "other" in kinds:
        return None
    if metric == "compound_columns.unique":
        # To pandas NaN and NULL are the same: two rows that differ in nothing else are equal.
        keys = [
            f"(CASE WHEN NOT {absent} THEN {quote_identifier(column)} END)"
            for column, absent in zip(columns, gone, strict=True)
        ]
        return ExpectationSql(considered, "", tuple(columns), keys=tuple(keys))
    if metric == "multicolumn_sum.equal" and set(kinds) == {"int"}:
        total = " + ".join(f"coalesce({quote_identifier(column)}, 0)::HUGEINT" for column in columns)
        return ExpectationSql(
            considered, f"({considered} AND {total} <> {float(given['sum_total'])!r})", tuple(columns)
        )
    return None


def _between(name: str, kind: str, given: Mapping[str, Any]) -> str | None:
    low, high = given.get("min_value"), given.get("max_value")
    bounds = [_bound(value, kind) for value in (low, high) if value is not None]
    if not bounds or None in bounds or (low is not None and high is not None and not low <= high):
        return None
    value = f"CAST({name} AS DOUBLE)" if kind in ("int", "float", "single", "bool") else name
    meets = []
    if low is not None:
        meets.append(f"{value} {'>' if given.get('strict_min') else '>='} {bounds[0]}")
    if high is not None:
        meets.append(f"{value} {'<' if given.get('strict_max') else '<='} {bounds[-1]}")
    return " AND ".join(meets)


def _bound(value: Any, kind: str) -> str | None:
    if kind in ("int", "float", "single", "bool") and _is_number(value):
        return _number(value) if kind != "int" or abs(value) < _EXACT or abs(value) == float("inf") else None
    if kind == "date" and isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        return f"DATE {quote_string(value.isoformat())}"
    if kind == "time" and isinstance(value, dt.datetime) and value.tzinfo is not None:
        return f"TIMESTAMPTZ {quote_string(value.astimezone(dt.UTC).isoformat())}"
    return None


def _in_set(name: str, kind: str, given: Mapping[str, Any]) -> str | None:
    values = given.get("value_set")
    if values is None:
        return "true"
    if kind in ("int", "float", "single") and all(_is_number(value) and abs(value) < _EXACT for value in values):
        spelled = [_number(value) for value in values]
        name = f"CAST({name} AS DOUBLE)"
    elif kind == "text" and all(isinstance(value, str) for value in values):
        spelled = [quote_string(value) for value in values]
    elif kind == "bool" and all(isinstance(value, bool) for value in values):
        spelled = [str(value) for value in values]
    else:
        return None
    return f"{name} IN ({', '.join(spelled)})" if spelled else "false"


def _not_in_set(name: str, kind: str, given: Mapping[str, Any]) -> str | None:
    within = None if given.get("value_set") is None else _in_set(name, kind, given)
    return "true" if given.get("value_set") is None else None if within is None else f"NOT ({within})"


def _matches(name: str, kind: str, given: Mapping[str, Any]) -> str | None:
    pattern = re2_pattern(given["regex"]) if kind in ("text", "int") and isinstance(given.get("regex"), str) else None
    return None if pattern is None else f"regexp_matches(CAST({name} AS VARCHAR), {quote_string(pattern)})"


def _matches_not(name: str, kind: str, given: Mapping[str, Any]) -> str | None:
    matches = _matches(name, kind, given)
    return None if matches is None else f"NOT {matches}"


def _matches_list(name: str, kind: str, given: Mapping[str, Any]) -> str | None:
    found = [_matches(name, kind, {"regex": regex}) for regex in given.get("regex_list") or ()]
    words = {"any": " OR ", "all": " AND "}
    if not found or None in found or given.get("match_on") not in words:
        return None
    return words[given["match_on"]].join(str(one) for one in found)


def _matches_none(name: str, kind: str, given: Mapping[str, Any]) -> str | None:
    matches = _matches_list(name, kind, {**given, "match_on": "any"})
    return None if matches is None else f"NOT ({matches})"


def _length_between(name: str, kind: str, given: Mapping[str, Any]) -> str | None:
    return _between(f"length({name})", "int", given) if kind == "text" else None


def _length_equals(name: str, kind: str, given: Mapping[str, Any]) -> str | None:
    value = given.get("value")
    return f"length({name}) = {_number(value)}" if kind == "text" and _is_number(value) else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value


def _number(value: Any) -> str:
    return f"CAST({quote_string(repr(float(value)))} AS DOUBLE)"


_CONDITIONS = {
    "column_values.between": _between,
    "column_values.in_set": _in_set,
    "column_values.not_in_set": _not_in_set,
    "column_values.match_regex": _matches,
    "column_values.not_match_regex": _matches_not,
    "column_values.match_regex_list": _matches_list,
    "column_values.not_match_regex_list": _matches_none,
    "column_values.value_length.between": _length_between,
    "column_values.value_length.equals": _length_equals,
}
