"""The list of all kinds of source. A new one is a class beside these, and an entry here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Union

from pydantic import Discriminator, Tag

from tradewind.spec.source_files import Files
from tradewind.spec.source_http import Http
from tradewind.spec.source_query import Query
from tradewind.spec.sources import Source

SOURCE_KINDS: tuple[type[Source], ...] = (
    Files,
    Query,
    Http,
)
"""What names none of the fields by which kinds are known counts as the first."""


def _tag_kind(value: Any) -> str:
    if isinstance(value, Source):
        return f"<{value.kind}>"
    named = value if isinstance(value, dict) else {}
    known = [one.kind for one in SOURCE_KINDS[1:] if one.kind in named]
    return f"<{known[0] if known else SOURCE_KINDS[0].kind}>"


if TYPE_CHECKING:
    AnySource = Source
else:
    # In angle brackets, so that the place of an error can be told from the fields around it.
    AnySource = Annotated[
        Union[tuple(Annotated[one, Tag(f"<{one.kind}>")] for one in SOURCE_KINDS)],  # noqa: UP007  # made of the list
        Discriminator(_tag_kind),
    ]
