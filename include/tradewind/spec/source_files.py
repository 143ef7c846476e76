"""Files that are delivered, as a source."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Annotated, Literal

from pydantic import Field

from tradewind.spec.base import says_something
from tradewind.spec.partitions import Kind
from tradewind.spec.placeholders import placeholder_findings
from tradewind.spec.problems import Finding, Path, join_words
from tradewind.spec.scalars import Text
from tradewind.spec.sources import Source

_DAY = re.compile(r"\{day:([^{}]*)\}")
_DAYS = (date(2013, 1, 2), date(2013, 1, 3), date(2013, 2, 2), date(2014, 1, 2))
_WEEKS = (date(2013, 1, 7), date(2013, 1, 14), date(2013, 10, 7), date(2014, 1, 6))
_MONTHS = (date(2013, 1, 1), date(2013, 2, 1), date(2014, 1, 1))
_OTHER_DAYS: Mapping[Kind, tuple[date, ...]] = {"hour": _DAYS, "day": _DAYS, "week": _WEEKS, "month": _MONTHS}
"""Days of different partitions, which a path must not name alike."""
_EXAMPLES: Mapping[Kind, str] = {
    "hour": "year, month and day, like {day:%Y%m%d} or {day:%Y/%m/%d}",
    "day": "year, month and day, like {day:%Y%m%d} or {day:%Y/%m/%d}",
    "week": "year and week, like {day:%G-W%V}, or year, month and day, like {day:%Y%m%d}",
    "month": "year and month, like {day:%Y-%m}, or year, month and day, like {day:%Y%m%d}",
}
FILE_PLACEHOLDERS = ("landing", "partition", "day")
_FORMATS = {"delimiter": ("csv",), "nulls": ("csv",)}


class Files(Source):
    """Files that are delivered."""

    kind = "files"
    fetcher = "tradewind.sources.files:fetch_files"
    variable_fields = ("files",)

    files: Text = Field(
        description="Path or s3:// URI of the files, with {landing} for the landing zone and {partition} for the "
        "partition key or {day} ({day:%Y%m%d} for 20130228) for every local day of the partition; each is required. "
        "`*` and `?` match any number of files."
    )
    connection: Text | None = Field(
        default=None,
        description="Airflow connection of the amazon provider, for files on s3://; where {landing} is on S3, "
        "aws_default unless this names another.",
    )
    format: Literal["csv", "jsonl", "parquet"] = Field(
        default="csv", description="How the files are written; .gz and .zst are unpacked."
    )
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = Field(
        default=",", description="With `format: csv`: what stands between two values."
    )
    nulls: tuple[str, ...] = Field(
        default=(), description="With `format: csv`: spellings of a missing value, for example NA."
    )

    def description(self) -> str:
        """See :meth:`Source.description`."""
        where = f"files `{self.files}` ({self.format})"
        return where + (f" through connection `{self.connection}`" if self.connection else "")

    def is_local(self, landing: str) -> bool:
        """See :meth:`Source.is_local`."""
        return "://" not in self.files.replace("{landing}", landing)

    def findings(self, path: Path, partition: Kind) -> Iterator[Finding]:
        """See :meth:`Source.findings`."""
        yield from placeholder_findings(_DAY.sub("{day}", self.files), (*path, "files"), FILE_PLACEHOLDERS)
        yield from _day_formats(self.files, (*path, "files"), partition)
        yield from _other_format_findings(self, path)
        scheme = re.match(r"([A-Za-z][\w+.-]*)://", self.files)
        if scheme and scheme[1] != "s3":
            expected = "a local path, or s3://; for a web service `http`"
            yield Finding((*path, "files"), f"files at {scheme[1]}:// cannot be read", expected=expected)
        elif scheme and not self.connection:
            expected = (
                "`connection`: an Airflow connection of type aws; without a login it takes the machine's own role"
            )
            missing = "is missing: the files are on S3"
            yield Finding((*path, "connection"), missing, at=(*path, "files"), expected=expected)
        elif not scheme and self.connection and not self.files.startswith("{landing}"):
            # Said of the files: where these are missing or guessed, nothing follows for the connection.
            message = "are local, so nothing is connected to: leave `connection` out"
            yield Finding((*path, "files"), message, at=(*path, "connection"))


def _other_format_findings(source: Files, path: Path) -> Iterator[Finding]:
    for field, formats in _FORMATS.items():
        if says_something(source, field) and source.format not in formats:
            expected = f"`format: {join_words(formats)}`, or no `{field}`"
            message = f"means nothing with `format: {source.format}`"
            yield Finding((*path, field), message, expected=expected, on_key=True)


def _day_formats(text: str, path: Path, kind: Kind) -> Iterator[Finding]:
    days = _OTHER_DAYS[kind]
    for spelling in _DAY.findall(text):
        if len({format(day, spelling) for day in days}) < len(days):
            message = f"{{day:{spelling}}} is the same for different {kind if kind in ('week', 'month') else 'day'}s"
            yield Finding(path, message, expected=_EXAMPLES[kind])
