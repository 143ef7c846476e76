"""What the log says about earlier partitions: rows and NULLs, without reading a row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tradewind.lake.snapshot import Snapshot

_NULLS = "null_count."


@dataclass(frozen=True, slots=True)
class EarlierPartition:
    """One published partition.

    :param nulls: number of NULLs of each column for which the log has it
    """

    key: str
    rows: int
    nulls: Mapping[str, int]


def earlier_partitions(snapshot: Snapshot | None, key: str, *, window: int) -> list[EarlierPartition]:
    """The last ``window`` partitions before ``key`` by their keys, in order; later ones do not count."""
    keys = [found for found in snapshot.partitions if found < key][-window:] if snapshot else []
    if snapshot is None or not keys:
        return []
    import pyarrow as pa
    import pyarrow.compute as pc

    actions = pa.table(snapshot.table.get_add_actions(flatten=True))
    actions = actions.filter(pc.is_in(actions["partition.partition"], pa.array(keys, pa.string())))
    found: dict[str, list[dict[str, int | None]]] = {key: [] for key in keys}
    counts = [name for name in actions.column_names if name.startswith(_NULLS)]
    for row in actions.select(["partition.partition", *counts]).to_pylist():
        found[row.pop("partition.partition")].append({name.removeprefix(_NULLS): row[name] for name in counts})
    return [EarlierPartition(key, snapshot.partitions[key].rows, _summed(found[key])) for key in keys]


def _summed(files: list[dict[str, int | None]]) -> dict[str, int]:
    """NULLs of the columns that are counted in every file."""
    names = set.intersection(*({name for name, count in file.items() if count is not None} for file in files))
    return {name: sum(file[name] or 0 for file in files) for name in names}
