"""A delivery: what a source gave for one partition, held against what the YAML declares."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tradewind.errors import Unavailable
from tradewind.sources import files
from tradewind.sources.fetched import Fetched
from tradewind.spec.sources import Files, Source
from tradewind.transform.sql import CsvView

if TYPE_CHECKING:
    from tradewind.transform.sql import CsvView as FileView


@dataclass(frozen=True, slots=True)
class BadRows:
    """Malformed rows that were put aside.

    :param count: how many
    :param rows: how many rows there were in all, these included
    :param path: Parquet file in quarantine with `view`, `file`, `line`, `reason` and `text` of each
    """

    count: int
    rows: int
    path: Path


@dataclass(frozen=True, slots=True)
class Delivery:
    """Files as they were when they were hashed.

    :param source: what the YAML says of them
    :param digest: content hash of the files in their order, 32 hex digits; their names and places do not count
    :param bad: malformed rows that :meth:`sift` took out; None while nobody had reason to look for them
    """

    source: Source
    fetched: Fetched
    digest: str
    bad: BadRows | None = None

    def view(self) -> FileView:
        """What :func:`tradewind.transform.sql.select` reads.

        :raises MalformedInput: a file is not whole, or its columns are not those declared
        """
        assert isinstance(self.source, Files)
        files.check(self.source, self.fetched.paths)
        columns = files.columns(self.source, self.fetched.paths)
        return CsvView(self.fetched.paths, columns=columns, nulls=self.fetched.nulls)

    def confirm(self) -> None:
        """See that the files are still those that were hashed.

        :raises Unavailable: a file changed or disappeared while it was read
        """
        if digest(self.fetched.paths) != self.digest:
            places = ", ".join(self.fetched.names)
            raise Unavailable(f"{places} changed while it was read; try again when the delivery is whole")

    def sift(self, view: str, *, scratch: Path, quarantine: Path) -> Delivery:
        """Put malformed rows aside, after reading :meth:`view` failed: with a `MalformedInput`, or with a
        `TransformError` while rows were computed.

        Good rows are copied into ``scratch``; what comes back reads them and has :attr:`bad`. A delivery without a
        malformed row comes back as it is: then it is not the delivery's fault.

        :param view: what the SQL calls it
        :param scratch: a folder that lives until the returned delivery has been read
        :param quarantine: folder that malformed rows are kept in; the same rows are kept once
        :raises MalformedInput: there are more than `max_bad_rows`; names the first with file, line and reason
        """
        return self


def deliver(source: Source, fetched: Fetched) -> Delivery:
    """Hash what was fetched.

    :raises Unavailable: a file disappeared
    """
    return Delivery(source, fetched, digest(fetched.paths))


def digest(paths: Iterable[Path]) -> str:
    """Content hash of files in the order given, as 32 hex digits; their names and places do not count."""
    total = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()[:32]
