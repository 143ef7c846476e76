"""The plan of a pipeline: how every dataset and stage of every partition stands, before anything runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tradewind.errors import UsageError
from tradewind.ledger import holds, skipped_partitions
from tradewind.planning import dataset_items, stage_items, training_status
from tradewind.planning.delivery_digests import DeliveryDigests
from tradewind.planning.plan_item import PlanItem
from tradewind.planning.training_status import TrainingStatus

if TYPE_CHECKING:
    from tradewind.deployment import Deployment
    from tradewind.spec.pipeline import Pipeline


@dataclass(frozen=True, slots=True)
class PipelinePlan:
    """What was found.

    :param partitions: keys that were looked at, in order
    :param items: datasets in the order in which they are built, then the later stages; each partition by partition
    :param held: why nothing of the pipeline runs now; None if it does
    :param training: how training stands; None where nothing is trained
    """

    pipeline: str
    partitions: tuple[str, ...]
    items: tuple[PlanItem, ...]
    held: str | None = None
    training: TrainingStatus | None = None


def make_plan(
    deployment: Deployment,
    *,
    first: str | None = None,
    last: str | None = None,
    deliveries: DeliveryDigests | None = None,
    now: datetime | None = None,
) -> PipelinePlan:
    """Compare what is published with what would be made from the working tree and the inputs as they are now.

    Nothing is fetched, written or started. The cost grows with the partitions that are looked at.

    :param first: first partition to look at; None for the pipeline's first
    :param last: last one; None for the newest that is over
    :param deliveries: remembers digests of files; None to read every file
    :param now: the present, aware; for tests
    :raises InvalidPartitionKey: a key is malformed or outside the pipeline's range
    :raises SpecError: a file that the YAML names cannot be read
    """
    spec = deployment.spec
    ledger, deliveries = deployment.ledger, deliveries or DeliveryDigests()
    keys = ended_partitions(spec, first=first, last=last, now=now or datetime.now(UTC))
    left_out = skipped_partitions.left_out(ledger, spec.pipeline)
    skipped = skipped_partitions.skipped_partitions(ledger, spec.pipeline)
    found = dataset_items.examine_datasets(deployment, keys, deliveries=deliveries, left_out=left_out, skipped=skipped)
    run = [key for key in keys if key not in skipped]
    later = stage_items.examine_stages(deployment, run, datasets=found, deliveries=deliveries)
    deliveries.remember()
    if (training := training_status.examine_training(deployment)) is not None:
        later = training_status.add_training_status(later, training)
    return PipelinePlan(
        spec.pipeline, tuple(keys), (*found, *later), holds.describe_stop(ledger, spec.pipeline), training
    )


def ended_partitions(spec: Pipeline, *, first: str | None, last: str | None, now: datetime) -> Sequence[str]:
    """Keys of the partitions that are over at ``now``, in order; empty while the first is not.

    :raises InvalidPartitionKey: a key is malformed or outside the pipeline's range
    :raises UsageError: ``first`` is later than ``last``
    """
    slicing = spec.partitioning
    for key in (first, last):
        if key is not None:
            slicing.check(key)
    if first is not None and last is not None and first > last:
        raise UsageError(f"no partition is between {first} and {last}: the first one is the later")
    newest = slicing.shift(slicing.key_at(now), -1)
    if spec.end is not None:
        newest = min(newest, slicing.shift(spec.end, -1))
    return slicing.between(first or spec.start, min(last or newest, newest))
