"""`$name` in a database's SQL becomes its driver's mark, and nothing else in it changes."""

from __future__ import annotations

from typing import Any

import pytest

from tradewind.errors import TransformError
from tradewind.sources.sql_parameters import bind_parameters

VALUES = {"partition": "2013-11-03T01", "partition_start": 1, "partition_end": 2}


def bound(sql: str, paramstyle: str = "format") -> tuple[str, Any]:
    return bind_parameters(sql, VALUES, paramstyle=paramstyle, what="q.sql")


@pytest.mark.parametrize(
    ("paramstyle", "text", "values"),
    [
        ("format", "at >= %s AND at < %s OR p = %s", [1, 2, VALUES["partition"]]),
        ("qmark", "at >= ? AND at < ? OR p = ?", [1, 2, VALUES["partition"]]),
        ("numeric", "at >= :1 AND at < :2 OR p = :3", [1, 2, VALUES["partition"]]),
        ("named", "at >= :partition_start AND at < :partition_end OR p = :partition", VALUES),
        ("pyformat", "at >= %(partition_start)s AND at < %(partition_end)s OR p = %(partition)s", VALUES),
    ],
)
def test_each_paramstyle_gets_its_marks(paramstyle: str, text: str, values: Any) -> None:
    assert bound("at >= $partition_start AND at < $partition_end OR p = $partition", paramstyle) == (text, values)


@pytest.mark.parametrize(
    "quoted",
    [
        "'costs $partition'",
        "'it''s $partition'",
        r"E'it\'s $partition'",
        '"$partition"',
        "`$partition`",
        "-- $partition\n1",
        "/* $partition */",
        "/* a /* nested */ $partition */",
        "$$ $partition $$",
        "$body$ $partition $$ $body$",
        "a$partition",
        "$1",
    ],
)
def test_text_names_and_comments_stay_as_they_are(quoted: str) -> None:
    assert bound(f"{quoted} = $partition") == (f"{quoted} = %s", [VALUES["partition"]])
    assert bound(quoted) == (quoted, None)


def test_a_percent_sign_stays_one_for_drivers_that_mark_with_it() -> None:
    assert bound("x LIKE 'a%' AND p = $partition") == ("x LIKE 'a%%' AND p = %s", [VALUES["partition"]])
    assert bound("x LIKE 'a%'") == ("x LIKE 'a%'", None)
    assert bound("x LIKE 'a%' AND p = $partition", "qmark")[0] == "x LIKE 'a%' AND p = ?"


def test_only_what_is_named_is_handed_over() -> None:
    assert bound("p = $partition", "pyformat")[1] == {"partition": VALUES["partition"]}


def test_an_unknown_parameter_is_named_with_its_line() -> None:
    with pytest.raises(TransformError, match=r"q\.sql, line 2: there is no parameter \$partiton; there are: \$parti"):
        bound("SELECT 1\nWHERE p = $partiton")
