"""Rows that failed their audit and that a person let go: from quarantine back to be published."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tradewind.checks.bad_rows import bad_rows_condition
from tradewind.checks.row_conditions import VIEW
from tradewind.engine.database import connect_duckdb, restrict_access
from tradewind.errors import MalformedInput, UsageError
from tradewind.etl.inputs import Inputs
from tradewind.lake import storage
from tradewind.lake.cause import Cause
from tradewind.lake.dataset import Dataset
from tradewind.lake.staging import StagedPartition
from tradewind.ledger import releases
from tradewind.ledger.journal import Entry

if TYPE_CHECKING:
    import pyarrow as pa

    from tradewind.deployment import Deployment

CAUSE = "cause.json"
"""File beside quarantined rows: what they were made from."""
MALFORMED = "malformed"
"""What stands for a digest where rows could not be read: there is nothing to hash."""


@dataclass(frozen=True, slots=True)
class Quarantined:
    """Rows of one partition that failed their audit.

    :param folder: where they are
    :param cause: hash of what they were made from; empty where it was not recorded
    :param reasons: what failed, in words
    """

    folder: Path
    partition: str
    digest: str
    rows: int
    cause: str
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Release:
    """A person's word that quarantined rows may be published.

    :param entry: who, why, and which rows
    :param suite: expectations whose bad rows are dropped
    :param keys: columns that name a row; where one is NULL the row is bad
    """

    entry: Entry
    folder: Path
    suite: Path | None
    keys: tuple[str, ...]

    @property
    def of_malformed(self) -> bool:
        """Whether it is about rows that could not be read: then the delivery is read again without a limit."""
        return bool(self.entry.evidence["digest"] == MALFORMED)

    @property
    def drops(self) -> bool:
        """Whether bad rows are dropped: then what remains is audited again."""
        return self.entry.outcome == releases.WITHOUT_BAD_ROWS

    def __str__(self) -> str:
        return f"{self.entry.outcome}, released by {self.entry.actor}: {self.entry.reason}"

    def note(self) -> dict[str, str]:
        """What the commit says of it."""
        entry = self.entry
        return {"outcome": entry.outcome, "by": entry.actor, "reason": entry.reason, "at": entry.at.isoformat()}

    def stage(self, dataset: Dataset, *, base: frozenset[str]) -> StagedPartition:
        """Stage the released rows.

        :raises UsageError: the rows in quarantine are not those that were released
        """
        with self._rows() as rows:
            staged = dataset.stage(str(self.entry.partition), rows, base=base)
        if not self.drops and staged.digest != self.entry.evidence["digest"]:
            dataset.discard(staged)
            raise UsageError(
                f"dataset {dataset.name}, partition {staged.key}: the rows in {self.folder} are not those that "
                f"{self.entry.actor} released; run the partition again, then release what is in quarantine"
            )
        return staged

    @contextmanager
    def _rows(self) -> Iterator[pa.RecordBatchReader]:
        import pyarrow.dataset as pads

        rows = pads.dataset([str(path) for path in sorted(self.folder.glob("part-*.parquet"))], format="parquet")
        bad = bad_rows_condition(self.suite, self.keys, rows.schema) if self.drops else None
        if bad is None:
            yield rows.scanner(batch_readahead=2, fragment_readahead=1).to_reader()
            return
        with connect_duckdb() as connection:
            connection.register(VIEW, rows)
            restrict_access(connection)
            kept = connection.sql(f"SELECT * FROM {VIEW} WHERE NOT coalesce({bad}, false)")
            yield kept.to_arrow_reader(65_536)


def list_quarantined(dataset: Dataset, partition: str | None = None) -> list[Quarantined]:
    """What is in a dataset's quarantine, oldest first.

    :param partition: only of this partition
    """
    root = storage.local_path(dataset.uri) / storage.QUARANTINE
    found = sorted(root.glob(f"{partition or '*'}/*/reasons.json"), key=lambda path: path.stat().st_mtime)
    return [_read_quarantined(path.parent) for path in found]


def find_release(deployment: Deployment, dataset: Dataset, partition: str, *, cause: str) -> Release | None:
    """The release of rows that were made from this cause; None if they were not released.

    :raises UsageError: they were released, but are not in quarantine any more
    """
    entry = releases.granted_release(deployment.ledger, deployment.spec.pipeline, dataset.name, partition, cause=cause)
    if entry is None:
        return None
    digest = entry.evidence["digest"]
    folder = next((one.folder for one in list_quarantined(dataset, partition) if one.digest == digest), None)
    if folder is None:
        raise UsageError(
            f"dataset {dataset.name}, partition {partition}: {entry.actor} released rows that are not in quarantine "
            "any more; run the partition again after its input is repaired"
        )
    part = deployment.spec.datasets[dataset.name]
    return Release(
        entry, folder, deployment.runtime.project / part.expectations if part.expectations else None, part.keys
    )


@contextmanager
def record_malformed_cause(dataset: Dataset, partition: str, cause: Cause) -> Iterator[None]:
    """Write down, beside malformed rows that were more than may be, what they came from: then they can be released.

    :raises MalformedInput: as it was raised inside
    """
    try:
        yield
    except MalformedInput as exc:
        if exc.kept is None:
            raise
        import pyarrow.parquet as pq

        rows = pq.read_metadata(exc.kept).num_rows
        about = {"dataset": dataset.name, "partition": partition, "digest": MALFORMED, "rows": rows}
        about["reasons"] = [str(exc)]
        (exc.kept.parent / CAUSE).write_text(cause.as_json(), encoding="utf-8")
        (exc.kept.parent / "reasons.json").write_text(json.dumps(about, indent=2), encoding="utf-8")
        raise


def without_bad_row_limit(inputs: Inputs) -> Inputs:
    """The same inputs; of their deliveries any number of malformed rows may be put aside."""
    free = {"max_bad_rows": "100%"}
    deliveries = {
        view: replace(delivery, source=delivery.source.model_copy(update=free))
        for view, delivery in inputs.deliveries.items()
    }
    return replace(inputs, deliveries=deliveries)


def _read_quarantined(folder: Path) -> Quarantined:
    about = json.loads((folder / "reasons.json").read_text(encoding="utf-8"))
    cause = folder / CAUSE
    made_from = Cause.from_json(cause.read_text(encoding="utf-8")).hash if cause.exists() else ""
    return Quarantined(folder, about["partition"], about["digest"], about["rows"], made_from, tuple(about["reasons"]))
