"""A delivery: what a source gave for one partition, held against what the YAML declares."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, replace
from pathlib import Path

from tradewind.engine.database import connect_duckdb
from tradewind.engine.query import FileView
from tradewind.errors import InputError, Unavailable
from tradewind.lake.parquet import select_files
from tradewind.sources import file_headers, reader_sql, rejected_rows
from tradewind.sources.decompression import explain_file_errors
from tradewind.sources.delivered_columns import agree_columns
from tradewind.sources.fetched import Fetched
from tradewind.sources.reader_sql import ViewShape
from tradewind.sources.rejected_rows import RejectedRows
from tradewind.spec.sources import Source

_YOUNG = 2 * 10**9
"""Nanoseconds: within them two changes of a file may have the same time."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """Files as they were when they were hashed.

    :param source: what the YAML says of them
    :param digest: content hash of the files in their order, 32 hex digits; their names and places do not count
    :param marks: of each file what changes when it is written or replaced
    :param young: a file was written so shortly before it was hashed that its mark may not tell another change
    :param bad: malformed rows that :meth:`sift` took out; None while there was no reason to look for them
    :param good: files of the rows that are left then
    :param large: its whole numbers have more digits than the fast way of reading them takes
    """

    source: Source
    fetched: Fetched
    digest: str
    marks: tuple[tuple[int, ...], ...]
    young: bool
    bad: RejectedRows | None = None
    good: tuple[Path, ...] = ()
    large: bool = False

    def view(self) -> FileView:
        """What :func:`tradewind.engine.query.run_select` reads.

        :raises MalformedInput: a file is not whole, or its columns are not those declared
        """
        if self.good:
            return FileView(f"SELECT * FROM {select_files(self.good)}", self.good, ordered=False)
        query = reader_sql.strict_select(self.source, self.fetched, self._shape(), large=self.large)
        paths = [path.absolute() for path in self.fetched.paths]
        return FileView(query, paths, ordered=self.source.ordered)

    def confirm(self) -> None:
        """See that the files are still those that were hashed.

        :raises Unavailable: a file changed or disappeared while it was read
        """
        marks = tuple(
            _file_state(path, name) for path, name in zip(self.fetched.paths, self.fetched.names, strict=True)
        )
        if (marks == self.marks and not self.young) or digest_files(self.fetched) == self.digest:
            return
        pairs = zip(self.fetched.names, self.marks, marks, strict=True)
        changed = [name for name, before, after in pairs if before != after] or self.fetched.names
        raise Unavailable(f"{', '.join(changed)} changed while it was read; try again when the delivery is whole")

    def sift(self, view: str, *, scratch: Path, quarantine: Path) -> Delivery:
        """Put malformed rows aside, after reading :meth:`view` failed with a `TransformError` while rows were computed.

        Good rows are copied into ``scratch``; what comes back reads them and has :attr:`bad`. It is the same delivery
        if that can be read as it is: then the failure is not its fault.

        :param view: what the SQL calls it
        :param scratch: a folder that lives until the returned delivery has been read
        :param quarantine: folder that malformed rows are kept in; the same rows are kept once
        :raises MalformedInput: there are more than `max_bad_rows`; names the first with file, line and reason
        :raises Unavailable: a file changed while it was read
        """
        shape = self._shape()
        if self.good or self._reads(shape, large=self.large):
            return self
        if self._reads(shape, large=True):
            return replace(self, large=True)
        try:
            sifted = rejected_rows.sift_rows(
                self.source, self.fetched, shape, view=view, scratch=scratch, quarantine=quarantine
            )
        except InputError:
            self.confirm()
            raise
        return replace(self, bad=sifted.bad, good=sifted.good)

    def _shape(self) -> ViewShape:
        found = file_headers.read_file_columns(self.source, self.fetched)
        return ViewShape(agree_columns(self.source, found), found)

    def _reads(self, shape: ViewShape, *, large: bool) -> bool:
        import duckdb

        with connect_duckdb() as connection:
            try:
                connection.execute(
                    f"SELECT count(*) FROM ({reader_sql.strict_select(self.source, self.fetched, shape, large=large)})"
                )
            except duckdb.Error:
                return False
        return True


def hash_delivery(source: Source, fetched: Fetched) -> Delivery:
    """Hash what was fetched.

    :raises Unavailable: a file disappeared
    :raises MalformedInput: a file cannot be read
    """
    now = time.time_ns()
    marks = tuple(_file_state(path, name) for path, name in zip(fetched.paths, fetched.names, strict=True))
    young = any(now - changed < _YOUNG for *_, changed in marks)
    return Delivery(source, fetched, digest_files(fetched), marks, young)


def digest_files(fetched: Fetched) -> str:
    """Content hash of files in the order given, as 32 hex digits; their names and places do not count."""
    total = hashlib.sha256()
    for path, name in zip(fetched.paths, fetched.names, strict=True):
        with explain_file_errors(name), path.open("rb") as file:
            total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()[:32]


def _file_state(path: Path, name: str) -> tuple[int, ...]:
    try:
        found = path.stat()
    except FileNotFoundError as exc:
        raise Unavailable(f"{name} disappeared while it was read; try again when it is there") from exc
    # A writer of a file may set its time back, but not the time of its last change (ctime).
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
