"""What every source of a partition's rows has in common; its kinds are in `source_kinds`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import ClassVar, Literal

from pydantic import Field

from tradewind.spec.base import Model
from tradewind.spec.partitions import Kind
from tradewind.spec.problems import Finding, Path
from tradewind.spec.scalars import BadRows, Duration, Integer

COLUMNS = (
    "DuckDB type of each column, NOT NULL behind it where NULL is malformed: `{id: BIGINT NOT NULL, price: DOUBLE}`. "
    "Columns are found by their names, in any order."
)


class Limits(Model):
    """How large one delivery may be; a mistake of who delivers must not occupy a worker for hours."""

    columns: Integer = Field(default=4096, ge=1, description="Columns, or keys of JSON lines.")
    unpacked: Integer = Field(
        default=200,
        ge=1,
        description="How many times as large as delivered a .gz or .zst file may become; 64 MB always are.",
    )
    size: Integer = Field(
        default=2000,
        ge=1,
        description="Megabytes of all answers of a web service together.",
    )
    time: Duration = Field(
        default=timedelta(hours=1), description="How long fetching one delivery over the network may take."
    )
    page_time: Duration = Field(
        default=timedelta(minutes=10), description="How long one answer of a web service may take."
    )


class Source(Model):
    """What every source says. Each kind is a class of its own, in a file of its own, listed in `source_kinds`."""

    kind: ClassVar[str]
    """The field that only this kind has, and by which it is known."""
    fetcher: ClassVar[str]
    """``module:function`` that fetches one partition: ``(source, partition, *, deployment, scratch) -> Fetched``."""
    ordered: ClassVar[bool] = True
    """Whether the same delivery has its rows in the same order whenever it is fetched."""
    variable_fields: ClassVar[tuple[str, ...]] = ()
    """Fields in which ``${VAR}`` may stand, beside `connection`."""

    columns: dict[str, str] = Field(default={}, description=COLUMNS)
    new_columns: Literal["refuse", "take"] = Field(
        default="refuse",
        description="What a column means that `columns` does not name: an error, or it is taken as it comes.",
    )
    max_bad_rows: BadRows = Field(
        default=0,
        description="How many malformed rows, as a number or as a share of all rows like 0.5%, may go to quarantine "
        "while the rest is still published.",
    )
    missing: Literal["fail", "wait", "skip"] = Field(
        default="fail",
        description="What it means that the input is not there: an error, wait for it without holding a worker slot, "
        "or leave the partition out, which is written down in the ledger.",
    )
    empty: Literal["fail", "wait", "skip"] = Field(
        default="fail", description="What it means that the input is there and has no row."
    )
    wait_for: Duration = Field(
        default=timedelta(hours=6), description="How long `wait` waits, counted from the run's start."
    )
    late: Literal["fail", "skip"] = Field(
        default="fail", description="What it means that the input has not come when `wait_for` is over."
    )
    limits: Limits = Field(
        default=Limits(), description="How large a delivery may be, and how long fetching it may take."
    )

    def description(self) -> str:
        """Where the rows come from, in Markdown, as the documentation of the DAG says it."""
        raise NotImplementedError

    def sql_files(self) -> dict[str, str]:
        """Files of the project that are part of what is asked for, by the field that names them."""
        return {}

    def findings(self, path: Path, partition: Kind) -> Iterator[Finding]:
        """What its fields demand of each other.

        :param path: its place in the YAML
        :param partition: how the pipeline slices time
        """
        return iter(())

    def is_local(self, landing: str) -> bool:
        """Whether it can be told without fetching if a delivery has changed: where it is files of this machine."""
        return False
