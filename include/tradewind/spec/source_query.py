"""A database, as a source."""

from __future__ import annotations

from pydantic import Field

from tradewind.spec.scalars import Text
from tradewind.spec.sources import Source


class Query(Source):
    """A query against a database."""

    kind = "query"
    fetcher = "tradewind.sources.query:fetch_query"
    ordered = False

    query: Text = Field(
        description="SQL file, from the project root, that the database runs: one SELECT in its own dialect. It may "
        "use $partition, $partition_start and $partition_end."
    )
    connection: Text = Field(description="Airflow connection of the database.")

    def description(self) -> str:
        """See :meth:`Source.description`."""
        return f"query `{self.query}` to database `{self.connection}`"

    def sql_files(self) -> dict[str, str]:
        """See :meth:`Source.sql_files`."""
        return {"query": self.query}
