"""A web service, as a source."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from tradewind.spec.base import Model, says_something
from tradewind.spec.partitions import Kind
from tradewind.spec.placeholders import placeholder_findings
from tradewind.spec.problems import Finding, Path, join_words
from tradewind.spec.scalars import Integer, Text
from tradewind.spec.sources import Source

HTTP_PLACEHOLDERS = ("partition", "partition_start", "partition_end")


class Paging(Model):
    """How a web service hands out more than fits in one answer."""

    by: Literal["page", "offset", "cursor", "link"] = Field(
        description="A page number, a row offset, a cursor that each answer gives for the next, or the `Link` header."
    )
    parameter: Text | None = Field(default=None, description="Query parameter that carries the page, offset or cursor.")
    size: Integer | None = Field(default=None, ge=1, description="Rows a page.")
    size_parameter: Text | None = Field(default=None, description="Query parameter that carries `size`.")
    cursor: Text | None = Field(
        default=None, description="With `by: cursor`: where the answer has the next cursor, like `meta.next`."
    )
    first: Integer = Field(default=1, ge=0, description="With `by: page`: number of the first page.")


class Http(Source):
    """A web service that answers with JSON or CSV."""

    kind = "http"
    fetcher = "tradewind.sources.http:fetch_http"
    variable_fields = ("http", "parameters")

    http: Text = Field(
        description="Path below the connection's address, with {partition}, {partition_start} and {partition_end}."
    )
    connection: Text = Field(description="Airflow connection of type http.")
    parameters: dict[str, str] = Field(
        default={}, description="Query parameters; the same placeholders may stand in their values."
    )
    format: Literal["json", "jsonl", "csv"] = Field(default="json", description="What the service answers with.")
    records: Text | None = Field(
        default=None, description="With `format: json`: where the answer has its list of rows, like `data.items`."
    )
    paging: Paging | None = Field(default=None, description="How to ask for what did not fit in one answer.")

    def description(self) -> str:
        """See :meth:`Source.description`."""
        return f"web service `{self.connection}` at `{self.http}` ({self.format})"

    def findings(self, path: Path, partition: Kind) -> Iterator[Finding]:
        """See :meth:`Source.findings`."""
        if "://" in self.http:
            expected = "the path below the address that the connection has"
            yield Finding((*path, "http"), "the address stands in the connection", expected=expected)
        yield from placeholder_findings(self.http, (*path, "http"), HTTP_PLACEHOLDERS)
        for name, value in self.parameters.items():
            yield from placeholder_findings(value, (*path, "parameters", name), HTTP_PLACEHOLDERS)
        if self.records is not None and self.format != "json":
            yield Finding((*path, "records"), f"means nothing with `format: {self.format}`", on_key=True)
        if self.paging:
            yield from _paging_findings(self.paging, self.format, (*path, "paging"))


def _paging_findings(paging: Paging, form: str, path: Path) -> Iterator[Finding]:
    homes = {"cursor": ("cursor",), "first": ("page",), "parameter": ("page", "offset", "cursor")}
    for field, kinds in homes.items():
        if says_something(paging, field) and paging.by not in kinds:
            expected = f"`by: {join_words(kinds)}`, or no `{field}`"
            yield Finding((*path, field), f"means nothing with `by: {paging.by}`", expected=expected, on_key=True)
    if paging.by == "cursor" and form != "json":
        yield Finding((*path, "by"), f"an answer in {form} has no cursor", expected="`format: json`")
    if paging.size_parameter is not None and paging.size is None:
        yield Finding((*path, "size"), "is missing: `size_parameter` carries it", at=(*path, "size_parameter"))
    if paging.size is not None and paging.size_parameter is None and paging.by in ("cursor", "link"):
        yield Finding((*path, "size"), "is not sent: there is no `size_parameter`", on_key=True)
