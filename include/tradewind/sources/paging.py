"""How one page of a web service's answer leads to the next, and when there is none."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tradewind.errors import MalformedInput
from tradewind.spec.source_http import Paging

MOST_PAGES = 10_000
"""A service that goes on after so many pages goes on for ever."""


@dataclass(frozen=True, slots=True)
class Page:
    """One answer.

    :param rows: how many rows it has
    :param digest: hash of its body
    :param body: the answer as JSON has it, where it is JSON
    :param link: address of the next page by the ``Link`` header, in full
    """

    rows: int
    digest: str
    body: Any = None
    link: str | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """What to ask for next.

    :param url: another address than the first page's, in full; None for the same
    :param parameters: query parameters beside those of the YAML
    """

    url: str | None = None
    parameters: Mapping[str, str] | None = None


class PageSequence:
    """Leads from page to page.

    :param paging: what the YAML says; None for a service that gives all in one answer
    :param what: the source, for messages
    """

    def __init__(self, paging: Paging | None, *, what: str) -> None:
        self._paging = paging
        self._what = what
        self._last: Page | None = None
        self._rows = 0
        self._number = 0
        self._full = False
        self._seen = set[str]()

    def first(self) -> Request:
        """The request that begins."""
        if self._paging is None or self._paging.by == "link":
            return Request(parameters=self._size())
        return Request(parameters={**self._size(), **self._position()})

    def after(self, page: Page) -> Request | None:
        """The next request; None where there is nothing more.

        Page numbers and offsets end with an empty page, or with one shorter than ``size`` after one that was not: where
        none was, the service may give fewer rows than it is asked for. Cursors and links end when the answer gives
        none.

        :raises MalformedInput: the service goes round in a circle
        """
        paging, last, self._last = self._paging, self._last, page
        self._rows += page.rows
        self._number += 1
        if paging is None:
            return None
        if self._number >= MOST_PAGES:
            raise MalformedInput(
                f"{self._what}: no end after {MOST_PAGES} pages; take a larger `size`, or see `paging`"
            )
        if paging.by == "link":
            return Request(url=self._new(page.link)) if page.link else None
        if paging.by == "cursor":
            cursor = self._cursor(page)
            return Request(parameters={**self._size(), self._parameter: self._new(cursor)}) if cursor else None
        if page.rows == 0 or (self._full and self._short(page)):
            return None
        self._full = paging.size is not None and not self._short(page)
        if last is not None and last.digest == page.digest:
            raise MalformedInput(
                f"{self._what}: two pages in a row are the same; does the service know the parameter {self._parameter}?"
            )
        return Request(parameters={**self._size(), **self._position()})

    def none_after(self, page: Page) -> bool:
        """Whether ``page`` may be the last one: a service may say of the next that there is none."""
        return self._paging is not None and self._paging.by in ("page", "offset") and self._short(page)

    def _short(self, page: Page) -> bool:
        assert self._paging is not None
        return self._paging.size is not None and page.rows < self._paging.size

    @property
    def _parameter(self) -> str:
        assert self._paging is not None
        return self._paging.parameter or self._paging.by

    def _size(self) -> dict[str, str]:
        paging = self._paging
        return {paging.size_parameter: str(paging.size)} if paging and paging.size and paging.size_parameter else {}

    def _position(self) -> dict[str, str]:
        paging = self._paging
        assert paging is not None
        if paging.by == "cursor":
            return {}
        return {self._parameter: str(paging.first + self._number if paging.by == "page" else self._rows)}

    def _cursor(self, page: Page) -> str | None:
        assert self._paging is not None
        found = value_at_path(page.body, self._paging.cursor or self._parameter)
        if found is None or found in ("", False):
            return None
        if isinstance(found, dict | list):
            raise MalformedInput(f"{self._what}: the cursor at `{self._paging.cursor}` is {json.dumps(found)[:80]}")
        return str(found)

    def _new(self, position: str) -> str:
        if position in self._seen:
            raise MalformedInput(f"{self._what}: the service gives the same next page twice ({position[:80]})")
        self._seen.add(position)
        return position


def value_at_path(body: Any, path: str) -> Any:
    """What lies at a dotted path of a JSON value; None where there is nothing."""
    for name in path.split("."):
        body = body.get(name) if isinstance(body, dict) else None
    return body


def answer_rows(body: Any, path: str | None, *, what: str) -> Iterator[Any]:
    """The rows of a JSON answer.

    :param path: where its list is; None: the answer is the list
    :raises MalformedInput: there is no list
    """
    found = value_at_path(body, path) if path else body
    if not isinstance(found, list):
        place = f"at `{path}` of the answer" if path else "the answer; say in `records` where it is"
        raise MalformedInput(f"{what}: expected a list of rows {place}, found {json.dumps(found)[:80]}")
    return iter(found)
