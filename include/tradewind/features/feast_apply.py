"""Bring the Feast registry and the online tables to what the definitions say."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tradewind.core.disk import translate_disk_errors
from tradewind.features.dataset_versions import newest_versions
from tradewind.features.definitions import Definitions, load_definitions
from tradewind.features.feature_store import (
    close_feature_store,
    feature_store_folders,
    make_store_unlocked,
    sql_registry,
)
from tradewind.features.online.store_config import explain_online_errors
from tradewind.features.registry_lock import hold_registry_lock

if TYPE_CHECKING:
    from feast import FeatureStore

    from tradewind.deployment import Deployment

log = logging.getLogger(__name__)
_APPLIED = "tradewind_definitions_digest"


def apply_definitions(deployment: Deployment) -> bool:
    """Apply the definitions if the registry does not hold just these; one process at a time.

    What the definitions no longer name is deleted, with its online table.

    :returns: whether anything was applied
    :raises NotReady: a dataset of the definitions has not been published yet
    """
    definitions = load_definitions(deployment)
    return apply_loaded_definitions(
        deployment, definitions, versions=newest_versions(deployment, definitions.datasets())
    )


def apply_loaded_definitions(deployment: Deployment, definitions: Definitions, *, versions: Mapping[str, int]) -> bool:
    """As :func:`apply_definitions`, for definitions that are loaded already; columns are looked up in ``versions``."""
    spec, runtime = deployment.spec, deployment.runtime
    cannot = f"{spec.pipeline}: the definitions of features cannot be written"
    with (
        translate_disk_errors(cannot, *feature_store_folders(runtime)),
        hold_registry_lock(runtime.feast_registry, "registry"),
    ):
        made = make_store_unlocked(deployment, versions=versions)
        try:
            if sql_registry(made).get_project_metadata(spec.pipeline, _APPLIED) == definitions.digest:
                return False
            gone = _removed_objects(made, definitions)
            with explain_online_errors(spec.pipeline, runtime.feast_online):  # its tables are made and dropped
                made.apply(list(definitions.objects), objects_to_delete=gone, partial=False)
            # last: a run that is killed before applies again
            sql_registry(made).set_project_metadata(spec.pipeline, _APPLIED, definitions.digest)
        finally:
            close_feature_store(made)
    names = ", ".join(str(o.name) for o in gone) or "none"
    log.info("%s: applied %d feature objects, deleted: %s", spec.pipeline, len(definitions.objects), names)
    return True


def _removed_objects(made: FeatureStore, definitions: Definitions) -> list[Any]:
    """Objects that the registry holds and the definitions no longer name."""
    from feast.feature_view import DUMMY_ENTITY_NAME

    kept = {(type(o).__name__, o.name) for o in definitions.objects}
    kept |= {
        (type(view.batch_source).__name__, view.batch_source.name) for view in definitions.views if view.batch_source
    }
    kept.add(("Entity", DUMMY_ENTITY_NAME))
    held: list[Any] = [
        *made.list_feature_services(),
        *made.list_all_feature_views(),
        *made.list_entities(),
        *made.list_data_sources(),
    ]
    return [o for o in held if (type(o).__name__, o.name) not in kept]
