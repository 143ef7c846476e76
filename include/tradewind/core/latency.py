"""How long one prediction takes, judged on a machine that has other work too."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy.typing as npt

    Seconds = npt.NDArray[Any]
    """Of each try of each batch, float64, shape (tries, batches)."""

ROUNDS = 5
"""A latency above its limit is measured so many times before it counts."""


@dataclass(frozen=True, slots=True)
class LatencyResult:
    """What all rounds found, in seconds.

    :param value: 95th percentile over batches of each batch's fastest try
    :param median: of all tries
    :param busy: 95th percentile of all tries: what callers saw on this machine with its other work
    :param batches: number of different batches
    :param tries: of each batch, over all rounds
    :param rounds: values after each round
    """

    value: float
    median: float
    busy: float
    batches: int
    tries: int
    rounds: tuple[float, ...]


def measure_latency(ask: Callable[[], Seconds], *, limit: float, rounds: int = ROUNDS) -> LatencyResult:
    """Measure until the latency keeps to the limit, or the rounds are over.

    The statistic is the 95th percentile over batches of the minimum over the tries of each. Tries of one batch do the
    same work, so what they differ by is the machine's: other processes add time and never take any, and the minimum is
    the try that they disturbed least (Python's ``timeit`` reports it for that reason). Batches have different rows, so
    what their minima differ by is the model's, and of that the 95th percentile is bounded. Another round can only lower
    a minimum towards the time that the work itself takes, and never below: a slow model does not pass by being asked
    again.

    :param ask: measures one round; every round has the same batches
    :param limit: seconds; at or below it nothing is measured again
    :param rounds: at most
    """
    import numpy as np

    taken: list[Seconds] = []
    values: list[float] = []
    while not values or (values[-1] > limit and len(values) < rounds):
        taken.append(ask())
        values.append(float(np.percentile(np.concatenate(taken).min(axis=0), 95)))
    every = np.concatenate(taken)
    tries, batches = every.shape
    return LatencyResult(
        values[-1], float(np.median(every)), float(np.percentile(every, 95)), batches, tries, tuple(values)
    )  # fmt: skip
