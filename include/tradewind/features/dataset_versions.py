"""Which version of each dataset a call reads, decided before Feast sees it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from tradewind.errors import NotReady

if TYPE_CHECKING:
    from tradewind.core.runtime import Runtime
    from tradewind.spec.pipeline import Pipeline


def newest_versions(spec: Pipeline, runtime: Runtime, datasets: Iterable[str]) -> dict[str, int]:
    """Newest version of each of ``datasets``.

    :raises NotReady: nothing has been published to one of them yet
    """
    from tradewind.lake.dataset import Lake

    lake = Lake(runtime.lake, storage_options=runtime.storage_options)
    versions = {}
    for name in datasets:
        snapshot = lake.dataset(spec.pipeline, name).snapshot()
        if snapshot is None:
            raise NotReady(
                f"pipeline {spec.pipeline}: nothing has been published to dataset {name} yet; run its etl first"
            )
        versions[name] = snapshot.version
    return versions
