"""One thing that a plan says: how a dataset or a stage of one partition stands, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ItemState = Literal[
    "current",
    "missing",
    "failed",
    "stale",
    "possibly stale",
    "outdated",
    "waiting",
    "quarantined",
    "left out",
    "skipped",
]

RUN_AGAIN: frozenset[ItemState] = frozenset({"stale", "possibly stale"})
"""States that `--stale` runs: also what only looks again, since nothing is computed without a cause."""


UNSURE: frozenset[ItemState] = RUN_AGAIN | {"missing"}
"""States of what will or may change: what reads it is possibly stale."""

NOT_DETERMINISTIC = "`deterministic: false`: another run of the same inputs may give other rows"
DOUBT = "it reads what is stale or missing; stale too if that changes"
"""Why something is possibly stale."""


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason.

    :param kind: ``input``, ``dataset``, ``configuration``, ``code``, ``upstream``, ``note``…
    :param text: in words; the same for all partitions that have this reason
    :param about: what of this partition it is about: files, partitions of other datasets
    """

    kind: str
    text: str
    about: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PlanItem:
    """How one dataset, or one later stage, of one partition stands.

    ``current``: as it would be made now. ``missing``: not there, and it could be made. ``stale``: made from something
    else than there is now. ``possibly stale``: something that it reads is stale; whether it is too depends on what that
    becomes. ``failed``: a training that was wanted, and whose run failed. ``outdated``: a model that serves, or the
    newest one, whose code, features, parameters, label or data have changed since; that alone trains nothing.
    ``waiting``: not there, and what it is made from is not there either. ``quarantined``: its rows failed their audit.
    ``left out``, ``skipped``: it stays out, by the YAML or by a person.

    :param stage: ``etl`` or a later one
    :param name: of the dataset, or of the stage
    """

    stage: str
    name: str
    partition: str
    state: ItemState
    why: tuple[Reason, ...] = ()
