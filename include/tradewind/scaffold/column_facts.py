"""What a person's files say of their columns: missing values, ranges, categories, and which columns name a row."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

from tradewind.engine.database import quote_identifier

if TYPE_CHECKING:
    import duckdb

ENOUGH = 20
"""Rows; with fewer, that values differ or repeat is taken for chance, and nothing is proposed."""
_CATEGORIES = 20
_REPEATS = 5
_WIDEST_KEY = 3
_CANDIDATES = 12
_NUMBERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "FLOAT", "DOUBLE", "DECIMAL")
_NAMES_A_ROW = ("id", "key", "no", "nr", "number", "code", "uuid")


@dataclass(frozen=True, slots=True)
class ColumnFacts:
    """One column.

    :param kind: DuckDB type
    :param rows: how many rows were read
    :param nulls: how many of them have no value
    :param distinct: number of different values
    :param low: smallest value of a column of numbers, else None
    :param high: largest, likewise
    :param values: the values of a text or truth column with few of them, else empty
    """

    name: str
    kind: str
    rows: int
    nulls: int
    distinct: int
    low: float | None = None
    high: float | None = None
    values: tuple[Any, ...] = ()

    @property
    def is_number(self) -> bool:
        """Whether its values are numbers."""
        return self.kind.split("(")[0] in _NUMBERS

    @property
    def is_category(self) -> bool:
        """Whether it has few values, each of them often."""
        return bool(self.values) and self.rows >= ENOUGH and self.distinct * _REPEATS <= self.rows - self.nulls


def describe_columns(
    connection: duckdb.DuckDBPyConnection, rows: str, columns: Mapping[str, str]
) -> dict[str, ColumnFacts]:
    """Facts about each column, in one pass over the rows and one more for those with few values.

    :param rows: SQL that stands behind FROM
    :param columns: DuckDB type by name
    """
    facts = {name: ColumnFacts(name, kind, 0, 0, 0) for name, kind in columns.items()}
    parts = ["count(*)"]
    for name, fact in facts.items():
        column = quote_identifier(name)
        # NaN and infinity are no ends of a range.
        finite = f"FILTER (WHERE isfinite({column}::DOUBLE))"
        ends = (
            [f"min({column}) {finite}::DOUBLE", f"max({column}) {finite}::DOUBLE"] if fact.is_number else ["NULL"] * 2
        )
        parts += [f"count(*) - count({column})", f"count(DISTINCT {column})", *ends]
    [(count, *found)] = connection.execute(f"SELECT {', '.join(parts)} FROM {rows}").fetchall()
    for number, name in enumerate(columns):
        nulls, distinct, low, high = found[4 * number : 4 * number + 4]
        values = _values(connection, rows, facts[name], distinct)
        facts[name] = ColumnFacts(name, columns[name], count, nulls, distinct, low, high, values)
    return facts


def _values(connection: duckdb.DuckDBPyConnection, rows: str, fact: ColumnFacts, distinct: int) -> tuple[Any, ...]:
    if fact.kind not in ("VARCHAR", "BOOLEAN") or not 0 < distinct <= _CATEGORIES:
        return ()
    column = quote_identifier(fact.name)
    query = f"SELECT DISTINCT {column} FROM {rows} WHERE {column} IS NOT NULL ORDER BY 1"
    return tuple(value for (value,) in connection.execute(query).fetchall())


def find_key(connection: duckdb.DuckDBPyConnection, rows: str, facts: Mapping[str, ColumnFacts]) -> tuple[str, ...]:
    """The fewest columns that together name each row; empty if there are none, or too few rows to tell.

    Columns that are called like an identifier come first; measured numbers are no part of a key.
    """
    whole = [fact for fact in facts.values() if not fact.nulls and fact.kind not in ("DOUBLE", "FLOAT")]
    if not whole or whole[0].rows < ENOUGH:
        return ()
    count = whole[0].rows
    candidates = sorted(whole, key=lambda fact: (not _is_identifier(fact.name), -fact.distinct))[:_CANDIDATES]
    for width in range(1, _WIDEST_KEY + 1):
        for some in combinations(candidates, width):
            if math.prod(fact.distinct for fact in some) < count:
                continue
            named = ", ".join(quote_identifier(fact.name) for fact in some)
            [(groups,)] = connection.execute(f"SELECT count(*) FROM (SELECT DISTINCT {named} FROM {rows})").fetchall()
            if groups == count:
                order = list(facts)
                return tuple(sorted((fact.name for fact in some), key=order.index))
    return ()


def _is_identifier(name: str) -> bool:
    words = name.lower().replace("-", "_").replace(" ", "_").split("_")
    return words[-1] in _NAMES_A_ROW or words[0] in _NAMES_A_ROW or name.lower().endswith("id")


def propose_expectations(facts: Sequence[ColumnFacts]) -> Iterator[dict[str, Any]]:
    """Expectations that the rows fulfil with a margin, as Great Expectations writes them to JSON."""
    yield {"type": "expect_table_row_count_to_be_between", "kwargs": {"min_value": 1}}
    for fact in facts:
        if fact.rows < ENOUGH:
            continue
        if (share := _share_of_values(fact)) is not None:
            yield {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": fact.name, **share}}
        if fact.is_category and fact.kind == "VARCHAR":
            kwargs = {"column": fact.name, "value_set": list(fact.values), "mostly": 0.99}
            yield {"type": "expect_column_values_to_be_in_set", "kwargs": kwargs}
        if fact.is_number and fact.low is not None and fact.high is not None and not _is_identifier(fact.name):
            low, high = _range(fact.low, fact.high)
            kwargs = {"column": fact.name, "min_value": low, "max_value": high, "mostly": 0.99}
            yield {"type": "expect_column_values_to_be_between", "kwargs": kwargs}


def _share_of_values(fact: ColumnFacts) -> dict[str, float] | None:
    """The share of rows that must have a value; None where nothing can be asked of a column that is mostly empty."""
    if not fact.nulls:
        return {}
    share = math.floor((1 - 2 * fact.nulls / fact.rows) * 100) / 100
    return {"mostly": share} if share > 0 else None


def _range(low: float, high: float) -> tuple[float, float]:
    """The range that was seen and half of it on both sides; what was never negative stays so."""
    margin = (high - low) / 2 or abs(high) / 2 or 1.0
    lower = 0.0 if low >= 0 else _rounded(low - margin, math.floor)
    return lower, _rounded(high + margin, math.ceil)


def _rounded(value: float, outwards: Any) -> float:
    """To two digits, away from the range."""
    if not value:
        return 0.0
    unit = 10.0 ** (math.floor(math.log10(abs(value))) - 1)
    return float(f"{outwards(value / unit) * unit:.6g}")
