"""Which rows of a dataset were known when: corrections cut time into slices with rows of their own."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow.dataset as pads

    from tradewind.lake.corrections import Revision
    from tradewind.lake.dataset import Dataset
    from tradewind.lake.snapshot import Snapshot
    from tradewind.spec.partitions import Partitioning


@dataclass(frozen=True, slots=True)
class KnownRows:
    """Rows as seen by a reader whose present lies in ``[since, until)``; None for no limit."""

    since: datetime | None
    until: datetime | None
    rows: pads.Dataset


def slice_known_rows(
    dataset: Dataset,
    snapshot: Snapshot,
    keys: Sequence[str],
    *,
    revisions: Mapping[str, Sequence[Revision]],
    partitioning: Partitioning,
) -> list[KnownRows]:
    """The rows of ``keys`` in slices of time, in order; one slice if nothing was ever corrected.

    :param revisions: publications of the partitions that were corrected
    :raises MissingInput: files of a version were removed: vacuumed or erased
    """
    # From when each publication counts; the first one's rows count from their own time.
    ends = {
        key: [partitioning.bounds(one.reached).end for one in revisions[key][1:]] for key in keys if key in revisions
    }
    cuts = sorted({moment for moments in ends.values() for moment in moments})
    slices = []
    for since, until in zip([None, *cuts], [*cuts, None], strict=True):
        versions = dict.fromkeys(keys, snapshot.version)
        for key, moments in ends.items():
            seen = bisect_right(moments, since) if since else 0
            if seen < len(moments):  # the newest publication is read from the pinned version, as all others are
                versions[key] = revisions[key][seen].version
        slices.append(KnownRows(since, until, _rows_at_versions(dataset, snapshot, versions)))
    return slices


def _rows_at_versions(dataset: Dataset, pinned: Snapshot, versions: Mapping[str, int]) -> pads.Dataset:
    import pyarrow.dataset as pads

    parts = []
    for version in sorted(set(versions.values()), reverse=True):
        snapshot = pinned if version == pinned.version else dataset.snapshot(version)
        assert snapshot is not None
        keys = [key for key, at in versions.items() if at == version]
        parts.append(snapshot.arrow(keys))
    if not parts:
        return pinned.arrow([])
    schema = pinned.schema
    return parts[0] if len(parts) == 1 else pads.dataset([part.replace_schema(schema) for part in parts])
