"""Partition keys, where the decisions look for them; they live in `spec`, which must not import upwards."""

from __future__ import annotations

from tradewind.spec.partitions import Bounds, Kind, Partitioning, key_of

__all__ = ["Bounds", "Kind", "Partitioning", "key_of"]
