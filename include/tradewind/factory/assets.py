"""The assets that wire the stages of a pipeline, one event a partition."""

from __future__ import annotations

from airflow.sdk import Asset, IdentityMapper, PartitionedAssetTimetable


def stage_asset(pipeline: str, stage: str) -> Asset:
    """The asset whose event says that ``stage`` of a partition is complete, or that there is a new ``model``."""
    return Asset(name=f"{pipeline}/{stage}", uri=f"tradewind://{pipeline}/{stage}")


def schedule_after(pipeline: str, stage: str) -> PartitionedAssetTimetable:
    """The schedule of a stage that follows ``stage``, partition by partition."""
    return PartitionedAssetTimetable(assets=stage_asset(pipeline, stage), default_partition_mapper=IdentityMapper())
