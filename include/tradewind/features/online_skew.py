"""Ask the online store and the offline join for the same entities at the same moment, and report what differs."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from tradewind.alerting.incidents import open_incidents
from tradewind.alerting.lasting_conditions import LastingCondition, heal_condition, open_condition
from tradewind.core.skew import FeatureSkew, compare_feature
from tradewind.engine.database import quote_identifier
from tradewind.features.point_in_time import JoinedView, join_point_in_time, joined_view

if TYPE_CHECKING:
    import pyarrow as pa
    from feast import FeatureStore, FeatureView
    from feast.protos.feast.types.Value_pb2 import Value

    from tradewind.features.known_rows import KnownRows
    from tradewind.features.source import LakeSource
    from tradewind.ledger.journal import Ledger
    from tradewind.spec.pipeline import Pipeline

log = logging.getLogger(__name__)

STAGE = "skew"
ERROR = "Skew"
_PART = "tradewind_partition"
_REACH = 16  # partitions: looking at all that ever were would cost more with each of them
# What Feast's online stores keep for a moment that is NULL.
_NO_MOMENT = -(2**63)


@dataclass(frozen=True, slots=True)
class OnlinePartitions:
    """Whose rows the online store has.

    :param settled: partitions whose rows are there as they are in the lake
    :param outdated: partitions whose rows are there as they were: what replaced them is on its way
    """

    settled: frozenset[str]
    outdated: frozenset[str]

    def after(self, partition: str) -> OnlinePartitions:
        """After ``partition`` was materialised."""
        return OnlinePartitions(self.settled | {partition}, self.outdated - {partition})

    def answers(self, partition: str | None) -> bool:
        """Whether it can answer for an entity whose newest row is of ``partition`` (None: it has no row any more).

        Not if a later partition is outdated: the entity may have had a row there, which is what is still online.
        """
        newest = max(self.outdated, default="")
        return not newest if partition is None else partition in self.settled and partition > newest


def measure_view_skew(
    spec: Pipeline, store: FeatureStore, view: FeatureView, *, at: datetime, online: OnlinePartitions, seed: str
) -> dict[str, FeatureSkew]:
    """Compare a sample of a view's online values with what a training row of the moment ``at`` would get.

    It is drawn from the entities with a row in the last partitions, which is all that is read. Entities whose newest
    row is of a partition that waits to be materialised are left out: the online store cannot know it yet. So are those
    whose row may have been in a later partition that was corrected since, and rows that the ttl has taken out of force,
    on both sides.

    :param store: opened at the versions that were materialised
    :param at: end of the newest partition that is materialised
    :param online: which partitions' rows the online store has
    :param seed: another one draws another sample
    :return: by feature; empty if the view has nothing to compare
    """
    from tradewind.features.offline_store import known_rows_reader

    assert spec.features is not None
    asked = joined_view(view, {feature.name: feature.name for feature in view.features})
    first = spec.partitioning.shift(spec.partitioning.key_at(at), -_REACH)
    since = spec.partitioning.bounds(first).start

    def read(source: LakeSource, asked_since: datetime | None, until: datetime | None) -> Sequence[KnownRows]:
        return known_rows_reader(store.config)(source, max(since, asked_since or since), until)

    rows = read(asked.source, at - asked.ttl if asked.ttl else None, at)[-1].rows
    entities = _sample_entities(asked, rows, (since, at), size=spec.features.skew.sample, seed=seed)
    if not entities.num_rows or not asked.keys:
        return {}
    placed = JoinedView(asked.name, asked.source, asked.keys, {**asked.features, _PART: "partition"}, asked.ttl)
    given = entities.append_column("at", _repeat_moment(at, entities.num_rows))
    offline = join_point_in_time(given, [placed], time="at", read=read)
    keep = [n for n, key in enumerate(offline[_PART].to_pylist()) if online.answers(key)]
    if not keep:
        return {}
    answers = _read_online_values(store, view, entities.take(keep), at=at)
    return {name: compare_feature(answers[name], offline[name].take(keep).to_pylist()) for name in asked.features}


def skew_evidence(found: Mapping[str, Mapping[str, FeatureSkew]]) -> dict[str, dict[str, int]]:
    """What the journal keeps, by ``view:feature``: counts, no values."""
    return {
        f"{view}:{name}": {
            "compared": one.compared,
            "differing": one.differing,
            "only_offline": one.only_offline,
            "only_online": one.only_online,
        }
        for view, features in found.items()
        for name, one in features.items()
    }


def report_skew(
    spec: Pipeline, ledger: Ledger, found: Mapping[str, Mapping[str, FeatureSkew]], *, partition: str, run_id: str
) -> list[str]:
    """Log the numbers; open an incident for features that differ too often, or close it when they were compared again.

    :return: the features that do, as ``view:feature``
    """
    assert spec.features is not None
    limit = spec.features.skew.at_most
    bad = {}
    for view, features in found.items():
        for name, one in features.items():
            log.log(
                logging.WARNING if one.share > limit else logging.INFO,
                "%s at %s: skew of %s:%s: %s of %s entities differ, %s are missing online, %s offline",
                spec.pipeline, partition, view, name, one.differing, one.compared, one.only_offline, one.only_online,
            )  # fmt: skip
            if one.share > limit:
                bad[f"{view}:{name}"] = one
    if not bad:
        if any(found.values()) and _open_skew_features(ledger, spec) <= set(skew_evidence(found)):
            because = f"online and offline values agree at {partition}"
            heal_condition(ledger, spec, kind=ERROR, stage=STAGE, because=because, run_id=run_id)
        return []
    words = ", ".join(f"{name} ({one.share:.1%} of {one.compared})" for name, one in bad.items())
    message = (
        f"after partition {partition}, the online store does not answer what training would get: {words}, more "
        f"than {limit:.1%}; see who else writes to the online store, then materialise the partition again"
    )
    values = skew_evidence(found)
    condition = LastingCondition(ERROR, STAGE, message=message, evidence={name: values[name] for name in bad})
    open_condition(ledger, spec, condition, run_id=run_id)
    return list(bad)


def _open_skew_features(ledger: Ledger, spec: Pipeline) -> set[str]:
    """Features that the open incident is about."""
    found = [one for one in open_incidents(ledger, spec.pipeline) if (one.stage, one.error_type) == (STAGE, ERROR)]
    return {name for one in found for each in one.by_partition.values() for name in each.evidence}


def _repeat_moment(at: datetime, rows: int) -> pa.Array:
    import pyarrow as pa

    return pa.repeat(pa.scalar(at, pa.timestamp("us", "UTC")), rows)


def _sample_entities(
    asked: JoinedView, rows: Any, within: tuple[datetime, datetime], *, size: int, seed: str
) -> pa.Table:
    """Entities that have a row of then, each with the same chance, the same ones whenever it is asked."""
    import duckdb

    names = ", ".join(f"{quote_identifier(column)} AS {quote_identifier(key)}" for key, column in asked.keys.items())
    if not asked.keys:
        names = "1 AS nobody"
    keys = ", ".join(quote_identifier(key) for key in asked.keys) or "nobody"
    missing = " OR ".join(f"{quote_identifier(key)} IS NULL" for key in asked.keys) or "false"
    time = quote_identifier(asked.source.timestamp_field)
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.register("rows", rows)
        query = (
            f"SELECT * FROM (SELECT DISTINCT {names} FROM rows "
            f"WHERE {time} > $since AND {time} <= $until) "
            f"WHERE NOT ({missing}) ORDER BY hash({keys}, $seed), {keys} LIMIT {int(size)}"
        )
        return connection.sql(query, params={"since": within[0], "until": within[1], "seed": seed}).to_arrow_table()


def _read_online_values(
    store: FeatureStore, view: FeatureView, entities: pa.Table, *, at: datetime
) -> dict[str, list[Any]]:
    """Values by feature, as the online store has them; None where it has none or the ttl has passed.

    Not by ``get_online_features``, which looks at the clock on the wall.
    """
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey
    from feast.type_map import python_values_to_proto_values
    from feast.utils import make_tzaware

    columns = [column.name for column in view.entity_columns if column.name in entities.column_names]
    kinds = {column.name: column.dtype.to_value_type() for column in view.entity_columns}
    values = [python_values_to_proto_values(entities[name].to_pylist(), kinds[name]) for name in columns]
    keys = [EntityKey(join_keys=columns, entity_values=list(row)) for row in zip(*values, strict=True)]
    names = [feature.name for feature in view.features]
    answers = store._get_provider().online_read(store.config, view, keys, names) if keys else []
    found: dict[str, list[Any]] = {name: [] for name in names}
    for moment, row in answers:
        fresh = moment is not None and (not view.ttl or at - make_tzaware(moment) <= view.ttl)
        for name in names:
            value = row.get(name) if row and fresh else None
            found[name].append(None if value is None else _python_value(value))
    return found


def _python_value(value: Value) -> Any:
    from feast.type_map import feast_value_type_to_python_type

    if value.WhichOneof("val") == "unix_timestamp_val" and value.unix_timestamp_val == _NO_MOMENT:
        return None
    return feast_value_type_to_python_type(value)


def classify_online_partitions(causes: Mapping[str, str], materialised: Mapping[str, str]) -> OnlinePartitions:
    """Which partitions the online store has as they are by now, and which it has as they were.

    :param causes: what a materialisation of each partition would be caused by now
    :param materialised: cause of the newest materialisation of each partition
    """
    settled = frozenset(key for key, cause in materialised.items() if causes.get(key) == cause)
    return OnlinePartitions(settled, frozenset(materialised) - settled)


def newest_causes(entries: Sequence[Any]) -> dict[str, str]:
    """Cause of the newest of the journal's entries of each partition."""
    return {entry.partition: str(entry.evidence["cause"]) for entry in entries if entry.partition is not None}
