"""Conditions of expectations: which rows an expectation looks at (`row_condition`), as one SQL expression.

Great Expectations would have pandas evaluate the text of a condition, and such text can call any Python function. Here
it is SQL, evaluated by a DuckDB that reads the staged rows and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tradewind.engine.database import quote_identifier, quote_string

VIEW = "staged"
"""What a subquery of a condition calls the rows."""

_SIGNS = {"==": "=", "!=": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">=", "IN": "IN", "NOT_IN": "NOT IN"}


class InvalidCondition(ValueError):
    """A condition that cannot be used; knows the argument that is wrong, as pydantic's errors do."""

    def __init__(self, argument: str, message: str) -> None:
        super().__init__(message)
        self.argument = argument

    def errors(self) -> list[dict[str, Any]]:
        """One error, in pydantic's form."""
        return [{"loc": (self.argument,), "msg": str(self)}]


def split_condition(kwargs: Mapping[str, Any]) -> tuple[dict[str, Any], str | None]:
    """The arguments of an expectation without its condition, and the condition as SQL; None if it has none.

    :raises InvalidCondition: it is for another parser, or neither SQL nor an object of Great Expectations
    """
    rest = {name: value for name, value in kwargs.items() if name not in ("row_condition", "condition_parser")}
    parser = kwargs.get("condition_parser")
    if parser is not None:
        raise InvalidCondition(
            "condition_parser",
            f"conditions are evaluated as SQL by DuckDB, never by `{parser}`; leave `condition_parser` out and write "
            "`row_condition` as SQL, for example \"price > 0 AND town = 'Bonn'\"",
        )
    condition = kwargs.get("row_condition")
    return rest, None if condition is None else row_condition_sql(condition)


def row_condition_sql(condition: Any) -> str:
    """SQL of a condition: text is SQL already; an object as Great Expectations writes it to JSON is translated.

    :raises InvalidCondition: it is neither
    """
    if isinstance(condition, str):
        return condition
    if isinstance(condition, Mapping) and (build := _BUILDERS.get(str(condition.get("type")))) is not None:
        try:
            return build(condition)
        except (KeyError, TypeError) as exc:
            raise InvalidCondition("row_condition", f"{condition['type']} condition is incomplete: {exc}") from exc
    raise InvalidCondition("row_condition", f"expected an SQL expression, or an object of type {', '.join(_BUILDERS)}")


def _nullity(condition: Mapping[str, Any]) -> str:
    return f"{_column(condition)} IS {'NULL' if condition['is_null'] else 'NOT NULL'}"


def _comparison(condition: Mapping[str, Any]) -> str:
    sign, value = condition["operator"], condition["parameter"]
    if sign not in _SIGNS:
        raise InvalidCondition("row_condition", f"unknown operator `{sign}`; known: {', '.join(_SIGNS)}")
    if sign in ("IN", "NOT_IN"):
        return f"{_column(condition)} {_SIGNS[sign]} ({', '.join(map(_value, value)) or 'NULL'})"
    return f"{_column(condition)} {_SIGNS[sign]} {_value(value)}"


def _column(condition: Mapping[str, Any]) -> str:
    return quote_identifier(condition["column"]["name"])


def _value(value: Any) -> str:
    if isinstance(value, bool | int | float):
        return repr(value)
    if isinstance(value, str):
        return quote_string(value)
    raise InvalidCondition("row_condition", f"a value must be a number, text, true or false, and is {value}")


def _joined_conditions(condition: Mapping[str, Any], word: str) -> str:
    return "(" + f" {word} ".join(row_condition_sql(one) for one in condition["conditions"]) + ")"


_BUILDERS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "comparison": _comparison,
    "nullity": _nullity,
    "and": lambda condition: _joined_conditions(condition, "AND"),
    "or": lambda condition: _joined_conditions(condition, "OR"),
}
