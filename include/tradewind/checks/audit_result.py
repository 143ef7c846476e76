"""What came out of one check, and of all checks of one partition."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

CheckOutcome = Literal["passed", "failed", "error", "insufficient"]


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One check.

    :param name: the expectation's type, or the name of a check that is always made
    :param text: what was expected, in words
    :param outcome: ``error``: it could not be evaluated, so nothing is known; that is not ``failed``.
        ``insufficient``: there is too little to compare with, which does not stop the partition
    :param observed: what was found, or why it could not be evaluated
    :param trailing: it compares with earlier partitions
    :param wrong: what is wrong, as a sentence that begins with it; empty where ``text`` and ``observed`` make one
    """

    name: str
    text: str
    outcome: CheckOutcome
    observed: str
    trailing: bool = False
    wrong: str = ""

    @property
    def stops(self) -> bool:
        """Whether the partition is not published because of it."""
        return self.outcome in ("failed", "error")

    @property
    def problem(self) -> str:
        """What is wrong and what was expected, in one sentence without a full stop."""
        expected = self.text.rstrip(".")
        if self.outcome == "error":
            return f"{expected}: this could not be evaluated: {self.observed}"
        return self.wrong or f"{expected}, but {self.observed or 'that does not hold'}"


@dataclass(frozen=True, slots=True)
class AuditResult:
    """All checks of one staged partition.

    :param success: no check stops the partition
    :param report: the report as one HTML file
    """

    success: bool
    results: tuple[CheckResult, ...]
    report: Path

    @property
    def problems(self) -> tuple[CheckResult, ...]:
        """The checks that stop the partition."""
        return tuple(result for result in self.results if result.stops)
