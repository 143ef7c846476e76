"""Which version of each dataset a call reads, decided before Feast sees it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from tradewind.errors import NotReady

if TYPE_CHECKING:
    from tradewind.deployment import Deployment


def newest_versions(deployment: Deployment, datasets: Iterable[str]) -> dict[str, int]:
    """Newest version of each of ``datasets``.

    :raises NotReady: nothing has been published to one of them yet
    """

    lake = deployment.lake
    versions = {}
    for name in datasets:
        snapshot = lake.dataset(deployment.spec.pipeline, name).snapshot()
        if snapshot is None:
            raise NotReady(
                f"pipeline {deployment.spec.pipeline}: nothing has been published to dataset {name} yet; "
                "run its etl first"
            )
        versions[name] = snapshot.version
    return versions
