"""The models of a pipeline that has ended: nothing serves any more, and everything stays to be looked at."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tradewind.models.registry import ALIAS, answering, client

if TYPE_CHECKING:
    from tradewind.core.runtime import Runtime

ARCHIVED = "tradewind.archived"
"""Tag of a model version: when and why it was archived."""


def archive(name: str, runtime: Runtime, *, reason: str) -> list[str]:
    """Tag every version of a registered model as archived and take the alias ``champion`` away.

    Versions, runs and evidence stay. What is archived already is left as it is.

    :param name: of the registered model
    :return: the versions that there are, oldest first; empty if nothing was ever registered
    :raises Unavailable: the registry does not answer
    """
    registry = client(runtime)
    with answering(f"the versions of {name} cannot be archived"):
        if not registry.search_registered_models(f"name = '{name}'"):
            return []
        versions = sorted(registry.search_model_versions(f"name = '{name}'"), key=lambda found: int(found.version))
        told = f"{datetime.now(UTC):%Y-%m-%d}: {reason}"
        for version in versions:
            if ARCHIVED not in version.tags:
                registry.set_model_version_tag(name, version.version, ARCHIVED, told)
        if ALIAS in registry.get_registered_model(name).aliases:
            registry.delete_registered_model_alias(name, ALIAS)
    return [str(version.version) for version in versions]


def versions(name: str, runtime: Runtime) -> list[str]:
    """Versions of a registered model, oldest first.

    :raises Unavailable: the registry does not answer
    """
    with answering(f"the versions of {name} cannot be looked up"):
        found = client(runtime).search_model_versions(f"name = '{name}'")
    return [str(number) for number in sorted(int(version.version) for version in found)]
