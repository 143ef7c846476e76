"""The scalar values of the YAML: how each is spelled, what it becomes, and what is said of a wrong one."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer
from pydantic_core import PydanticCustomError

DURATION = r"^[1-9]\d*[mhdw]$"
NAME = r"^[a-z][a-z0-9]*(_[a-z0-9]+)*$"
QUORUM = r"^[1-9]\d* of [1-9]\d*$"
FUNCTION = r"^[^:]+\.py:[A-Za-z_]\w*$"
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def value_error(message: str, *, field: str | None = None) -> PydanticCustomError:
    """An error of a model or value in the words that the user reads.

    :param message: the whole sentence
    :param field: for an error of a model: the field that it is about
    """
    return PydanticCustomError("tradewind", "{message}", {"message": message, "field": field})


def format_duration(duration: timedelta) -> str:
    """Spell a duration as the YAML does, in the largest unit that fits."""
    for letter in "wdhm":
        unit = timedelta(**{_UNITS[letter]: 1})
        if duration % unit == timedelta(0):
            return f"{duration // unit}{letter}"
    return f"{duration.total_seconds():g}s"


def _duration(value: object) -> object:
    if isinstance(value, timedelta):
        return value
    match = re.fullmatch(r"(\d+)([mhdw])", value) if isinstance(value, str) else None
    if not match or int(match[1]) == 0:
        raise value_error("expected a duration: a whole number and a unit, like 90m, 2h, 1d or 1w")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def _bad_rows(value: object) -> object:
    share = re.fullmatch(r"(\d+(?:\.\d+)?)%", value) if isinstance(value, str) else None
    whole = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    if not whole and not (share and float(share[1]) <= 100):
        raise value_error("expected a number of rows, like 10, or a share of all rows, like 0.5%")
    return value


def _whole_or_all(value: object) -> object:
    if value != "all" and (isinstance(value, bool) or not isinstance(value, int)):
        found = f"the text {value!r}" if isinstance(value, str) else f"{value!r}"
        raise value_error(f"expected a whole number or `all`, found {found}")
    return value


def _name(value: str) -> str:
    if not re.fullmatch(NAME, value):
        raise value_error(
            "a name is lower case letters, digits and single underscores between them; it starts with a letter"
        )
    if len(value) > 64:
        raise value_error("a name has at most 64 characters")
    return value


def _quorum(value: str) -> str:
    match = re.fullmatch(QUORUM, value)
    if not match:
        raise value_error('expected "m of n", for example "2 of 4"')
    needed, last = map(int, value.split(" of "))
    if needed > last:
        raise value_error(f"{needed} of {last} can never happen: the first number is at most the second")
    return value


def _function(value: str) -> str:
    if not re.fullmatch(FUNCTION, value):
        raise value_error("expected file.py:function, for example include/flight_delay/model.py:build_model")
    return value


Duration = Annotated[
    timedelta,
    BeforeValidator(_duration, json_schema_input_type=str),
    PlainSerializer(format_duration, return_type=str, when_used="json"),
    Field(json_schema_extra={"pattern": DURATION, "examples": ["90m", "2h", "1d", "1w"]}),
]
BadRows = Annotated[
    int | str,
    BeforeValidator(_bad_rows),
    Field(json_schema_extra={"minimum": 0, "pattern": r"^\d+(\.\d+)?%$", "examples": [0, 10, "0.5%"]}),
]
Name = Annotated[str, AfterValidator(_name), Field(json_schema_extra={"pattern": NAME, "maxLength": 64})]
Quorum = Annotated[str, AfterValidator(_quorum), Field(json_schema_extra={"pattern": QUORUM, "examples": ["2 of 4"]})]
FunctionPath = Annotated[str, AfterValidator(_function), Field(json_schema_extra={"pattern": FUNCTION})]
Key = Annotated[str, Field(json_schema_extra={"pattern": r"^\d{4}-\d\d-\d\d(T\d\d)?$"})]
Text = Annotated[str, Field(min_length=1)]
# Strict: without it pydantic reads `yes` as 1, "8" as 8, and "no" and 0 as false.
Integer = Annotated[int, Field(strict=True)]
Boolean = Annotated[bool, Field(strict=True)]
WholeOrAll = Annotated[
    int | Literal["all"],
    BeforeValidator(_whole_or_all),
    Field(json_schema_extra={"minimum": 2, "examples": ["all", 7]}),
]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
