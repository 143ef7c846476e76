"""Where the rows of a partition come from: delivered files, a database, a web service."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from tradewind.spec.base import Model
from tradewind.spec.scalars import BadRows, Duration, Integer, Text

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
    """What every source says."""

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


class Files(Source):
    """Files that are delivered."""

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


class Query(Source):
    """A query against a database."""

    query: Text = Field(
        description="SQL file, from the project root, that the database runs: one SELECT in its own dialect. It may "
        "use $partition, $partition_start and $partition_end."
    )
    connection: Text = Field(description="Airflow connection of the database.")


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


def _kind(value: Any) -> str:
    if isinstance(value, Source):
        return f"<{type(value).__name__.lower()}>"
    named = value if isinstance(value, dict) else {}
    return "<query>" if "query" in named else "<http>" if "http" in named else "<files>"


# In angle brackets, so that the place of an error can be told from the fields around it.
AnySource = Annotated[
    Annotated[Files, Tag("<files>")] | Annotated[Query, Tag("<query>")] | Annotated[Http, Tag("<http>")],
    Discriminator(_kind),
]
"""A source; which kind it is, one of `files`, `query` and `http` in it says."""
