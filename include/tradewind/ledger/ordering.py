"""Whose turn it is: a stage waits for an earlier partition, but not for ever for one on which no run works.

Order needs that an earlier partition is done before a later one goes on. One that was quarantined, never came or failed
for good is never done, so the wait ends: when the later partition has waited for longer than `train.patience`, and
nothing was started or completed for the earlier one in that time. That it went on without it is journalled.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tradewind.ledger import completion, skipped_partitions
from tradewind.ledger.journal import Entry

if TYPE_CHECKING:
    from tradewind.ledger.journal import Ledger
    from tradewind.spec.pipeline import Pipeline

log = logging.getLogger(__name__)

MOST = 50
"""After so many partitions in a row for which there is nothing to wait, no earlier one is looked at."""


def require_stage_complete(
    spec: Pipeline, ledger: Ledger, partition: str, *, stage: str, of: str, now: datetime | None = None,
    alone: bool = False,
) -> Mapping[str, str]:  # fmt: skip
    """Go on only when a stage is complete for the nearest earlier partition that there is anything to wait for.

    Partitions that are left out are passed over, and so are those on which no run works any more.

    :param stage: the stage that waits, of ``partition``
    :param of: the stage that must be complete
    :param now: the present, aware; for tests
    :param alone: no other run works on the pipeline: what is not complete by now is given up at once
    :return: the partitions that it goes on without, with the reason
    :raises NotReady: it is not complete, and not yet given up
    """
    passed: dict[str, str] = {}
    for key in _backwards(spec, ledger, partition):
        if completion.is_complete(ledger, spec.pipeline, of, key):
            break
        passed[key] = _given_up(
            spec, ledger, key, waiting=partition, stage=stage, of=of, now=now or datetime.now(UTC), alone=alone
        )
        if len(passed) >= MOST:
            break
    _note(spec, ledger, partition, stage=stage, passed=passed)
    return passed


def require_earlier_partition(
    spec: Pipeline, ledger: Ledger, partition: str, *, stage: str, of: str, key: str, now: datetime | None = None,
    alone: bool = False,
) -> Mapping[str, str]:  # fmt: skip
    """As :func:`require_stage_complete`, for one partition that is named.

    :param key: the partition for which ``of`` must be complete
    :raises NotReady: it is not complete, and not yet given up
    """
    if completion.is_complete(ledger, spec.pipeline, of, key):
        return {}
    why = _given_up(spec, ledger, key, waiting=partition, stage=stage, of=of, now=now or datetime.now(UTC), alone=alone)
    _note(spec, ledger, partition, stage=stage, passed={key: why})
    return {key: why}


def _backwards(spec: Pipeline, ledger: Ledger, partition: str) -> Iterator[str]:
    key = skipped_partitions.previous_partition(ledger, spec.pipeline, partition, partitioning=spec.partitioning)
    while key is not None:
        yield key
        key = skipped_partitions.previous_partition(ledger, spec.pipeline, key, partitioning=spec.partitioning)


def _given_up(
    spec: Pipeline, ledger: Ledger, key: str, *, waiting: str, stage: str, of: str, now: datetime, alone: bool
) -> str:
    """Why a partition is no longer waited for.

    :raises NotReady: a run still works on it
    """
    begun = [entry.at for entry in ledger.find(spec.pipeline, "started", subject=stage, partition=waiting)][:1]
    resumed = [entry.at for entry in ledger.find(spec.pipeline, "resume")][-1:]
    seen = [
        *ledger.find(spec.pipeline, "started", partition=key),
        *ledger.find(spec.pipeline, "complete", partition=key),
    ]
    last = max([*begun, *resumed, spec.partitioning.bounds(key).end, *(entry.at for entry in seen)])
    patient = spec.train is None or not begun or now - last <= spec.train.patience
    if patient and not alone:
        raise completion.not_ready(spec.pipeline, of, key)
    newest = max(seen, key=lambda entry: entry.id or 0, default=None)
    done = f"the last that was done for it is: {newest.subject} {newest.kind}" if newest else "nothing of it ever ran"
    return f"{of} of partition {key} is not complete; {done}"


def _note(spec: Pipeline, ledger: Ledger, partition: str, *, stage: str, passed: Mapping[str, str]) -> None:
    for key, why in passed.items():
        reason = f"went on without partition {key}: {why}"
        entry = Entry(spec.pipeline, "note", stage, partition, f"went-on/{stage}/{partition}/{key}",
                      outcome="went on", reason=reason)  # fmt: skip
        if ledger.append(entry):
            log.warning("%s: %s of %s %s", spec.pipeline, stage, partition, reason)
