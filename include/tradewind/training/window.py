"""The window of a training: which partitions are learned from, which choose, which judge, and which are not there."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from tradewind.ledger import skipped_partitions
from tradewind.training.model_inputs import train_config

if TYPE_CHECKING:
    from tradewind.deployment import Deployment
    from tradewind.spec.pipeline import Pipeline
    from tradewind.spec.training import Train
    from tradewind.training.model_frame import ModelFrame

_TICK = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class TrainingWindow:
    """Partitions of a training's window by what they are for, each in the order of time.

    :param fit: learned from, also by what is only tried
    :param validation: what is tried is judged on them; the model itself is fitted on them too
    :param test: they judge and are never learned from
    :param absent: partitions of the window that nothing uses, with the reason
    :param missing: what the rule of the YAML lacks, in words; empty if the window is complete. If it is not, the
        other fields are what there is, and may be empty
    """

    fit: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]
    absent: Mapping[str, str]
    missing: tuple[str, ...] = ()

    @property
    def learned(self) -> tuple[str, ...]:
        """What the model is fitted on."""
        return (*self.fit, *self.validation)

    @property
    def keys(self) -> tuple[str, ...]:
        """Everything that is used."""
        return (*self.fit, *self.validation, *self.test)


def find_training_window(deployment: Deployment, partition: str) -> TrainingWindow:
    """The window that ends with ``partition``, as lake and ledger are now."""
    spec = deployment.spec
    lake = deployment.lake
    snapshot = lake.dataset(spec.pipeline, train_config(spec).label.dataset).snapshot()
    left_out = skipped_partitions.left_out(deployment.ledger, spec.pipeline)
    return split_window(spec, partition, published=snapshot.partitions if snapshot else (), left_out=left_out)


def split_window(
    spec: Pipeline, partition: str, *, published: Collection[str], left_out: Mapping[str, str]
) -> TrainingWindow:
    """Split the window that ends with ``partition``; of the partitions that are there, the last ones judge.

    With `complete: all` every partition that is not left out must be there, and enough must remain without those that
    are. With a number, so many must be there; what lies before the pipeline's start counts as not there.

    :param published: partitions that the label dataset has
    :param left_out: partitions without which later ones go on, with the reason
    """
    train = train_config(spec)
    keys = spec.partitioning.window(partition, train.window)
    absent = {key: why for key in keys if (why := _absence_reason(spec, key, published, left_out)) is not None}
    present = [key for key in keys if key not in absent]
    judging, choosing = len(present) - train.test, len(present) - train.test - train.validation
    return TrainingWindow(
        fit=tuple(present[: max(choosing, 0)]),
        validation=tuple(present[max(choosing, 0) : max(judging, 0)]),
        test=tuple(present[max(judging, 0) :]),
        absent=absent,
        missing=tuple(_describe_missing(spec, keys, absent, left_out)),
    )


def training_gap(train: Train) -> timedelta:
    """How long before the partitions that judge nothing is learned from."""
    return train.gap if train.gap is not None else train.label.available_after


def learned_until(spec: Pipeline, judging: Sequence[str]) -> datetime:
    """Time (aware) of the last rows that may be learned from to be judged on these partitions: `gap` before they begin.

    Without a gap it is the last moment before them, also for rows whose time lies outside their partition.
    """
    return spec.partitioning.bounds(judging[0]).start - max(training_gap(train_config(spec)), _TICK)


def last_moment(spec: Pipeline, keys: Sequence[str]) -> datetime:
    """The last moment (aware) of these partitions."""
    return spec.partitioning.bounds(keys[-1]).end - _TICK


def learnable_rows(rows: ModelFrame, *, until: datetime) -> ModelFrame:
    """The rows whose own time is at or before ``until``."""
    import pyarrow.compute as pc

    return replace(rows, table=rows.table.filter(pc.less_equal(rows.table[rows.timestamp], until)))


def _absence_reason(spec: Pipeline, key: str, published: Collection[str], left_out: Mapping[str, str]) -> str | None:
    if key < spec.start:
        return f"before the pipeline's start {spec.start}"
    if key in left_out:
        return f"left out: {left_out[key]}"
    return None if key in published else f"{train_config(spec).label.dataset} is not published"


def _describe_missing(
    spec: Pipeline, keys: Sequence[str], absent: Mapping[str, str], left_out: Mapping[str, str]
) -> list[str]:
    train = train_config(spec)
    early = sum(key < spec.start for key in keys)
    unpublished = [f"{key} ({why})" for key, why in absent.items() if key >= spec.start and key not in left_out]
    if train.complete != "all":
        there = len(keys) - len(absent)
        if there >= train.complete:
            return []
        known = [f"{key} ({why})" for key, why in absent.items()]
        return [f"{there} of {len(keys)} partitions are there, {train.complete} are needed", *known]
    found = [f"{early} of {len(keys)} partitions lie before the pipeline's start {spec.start}"] if early else []
    gone = sum(key in left_out for key in keys)
    if len(keys) - gone <= train.validation + train.test:
        found.append(f"{gone} of {len(keys)} partitions are left out")
    return found + unpublished
