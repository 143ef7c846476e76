"""The drift tests that the YAML may name; `docs/extending.md` shows how one is added."""

from __future__ import annotations

from collections.abc import Mapping

# By name: the module that holds the test, and its name there. It is imported by what applies it, not here.
DRIFT_TESTS: Mapping[str, str] = {
    "psi": "tradewind.core.drift_psi:PSI",
}
