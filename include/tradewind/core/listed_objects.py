"""What a list names by module and name, such as a drift test: imported when it is used."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TypeVar

from tradewind.errors import UsageError

T = TypeVar("T")


def load_listed_object(listed: Mapping[str, str], name: str, *, kind: type[T], what: str) -> T:
    """The object that a list has under a name.

    :param listed: ``module:name`` of each
    :param kind: its class
    :param what: what is listed, for the error
    :raises UsageError: the list does not have the name
    """
    if name not in listed:
        raise UsageError(f"unknown {what} `{name}`; valid are {', '.join(sorted(listed))}")
    module, _, attribute = listed[name].partition(":")
    found = getattr(import_module(module), attribute)
    if not isinstance(found, kind):
        raise TypeError(f"{listed[name]} is listed as {what} and is not a {kind.__name__}")
    return found
