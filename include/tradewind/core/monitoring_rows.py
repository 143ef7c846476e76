"""Rows of the tables that monitoring writes, typed: what other rooms read of drift and performance.

The rooms that read them lie above and below `monitoring`, so the rows stand here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

DRIFT_TABLE, PERFORMANCE_TABLE = "drift", "performance"
_FIRST_TEST = "psi"


@dataclass(frozen=True, slots=True)
class DriftRow:
    """One judgement of drift: of a feature, over a horizon, by a test.

    :param partition: key; empty where the row is not read from the table
    :param outcome: ``ok``, ``drift``, ``insufficient`` or ``no champion``
    :param alarm: whether it drifted; None where that could not be judged
    :param test: name of the drift test
    :param statistic: of the test; None if it was not computed
    :param null_high: the largest usual value of the statistic; None where it is not known
    :param rows: rows that were judged
    """

    partition: str
    feature: str
    horizon: int
    outcome: str
    alarm: bool | None
    test: str
    statistic: float | None = None
    null_mean: float | None = None
    null_high: float | None = None
    p: float | None = None
    q: float | None = None
    rows: int = 0
    model_version: str | None = None
    reason: str = ""

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> DriftRow:
        """The row of a table or of the journal; one without a test is by PSI and has it in `psi`."""
        statistic = record.get("statistic")
        return cls(
            partition=str(record.get("partition") or ""),
            feature=str(record["feature"]),
            horizon=int(record["horizon"]),
            outcome=str(record.get("outcome") or ""),
            alarm=record.get("alarm"),
            test=str(record.get("test") or _FIRST_TEST),
            statistic=record.get("psi") if statistic is None else statistic,
            rows=int(record.get("rows") or 0),
            reason=str(record.get("reason") or ""),
            **{name: record.get(name) for name in ("null_mean", "null_high", "p", "q", "model_version")},
        )

    def as_record(self) -> dict[str, Any]:
        """The row as the table has it, without its partition.

        The column `psi` was there before other tests were possible. It stays, so that queries which name it go on.
        """
        record = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "partition"}
        return {**record, "psi": self.statistic if self.test == _FIRST_TEST else None}

    def as_evidence(self) -> dict[str, Any]:
        """What a decision journals of an alarm."""
        names = ("feature", "horizon", "test", "statistic", "null_high")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, slots=True)
class PerformanceRow:
    """How one population was judged when its labels had fallen due.

    :param partition: key of the partition in which they fell due
    :param below: whether it is worse than the limit, whichever side that is; None where that could not be judged
    :param rows: rows with a label
    """

    partition: str
    population: str
    metric: str
    value: float | None
    low: float | None
    high: float | None
    below: bool | None
    rows: int
    model_version: str | None
    in_sample: bool
    outcome: str = ""

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> PerformanceRow:
        """The row of a table or of the journal."""
        return cls(
            partition=str(record.get("partition") or ""),
            population=str(record.get("population") or ""),
            metric=str(record["metric"]),
            rows=int(record.get("rows") or 0),
            in_sample=bool(record.get("in_sample")),
            outcome=str(record.get("outcome") or ""),
            **{name: record.get(name) for name in ("value", "low", "high", "below", "model_version")},
        )

    def as_evidence(self) -> dict[str, Any]:
        """What a decision journals of it."""
        names = ("model_version", "metric", "value", "low", "high", "rows", "below")
        return {name: getattr(self, name) for name in names}
