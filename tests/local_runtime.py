"""The places of a deployment in one folder, as tests use them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tradewind.core.runtime import Runtime
from tradewind.deployment import Deployment
from tradewind.spec.pipeline import Pipeline


def local_runtime(folder: Path, **changes: Any) -> Runtime:
    """A lake, a ledger, a registry and the rest, all below one folder.

    :param changes: fields of :class:`Runtime` that a test wants otherwise
    """
    places: dict[str, Any] = {
        "project": folder,
        "lake": str(folder / "lake"),
        "landing": str(folder / "landing"),
        "ledger": f"sqlite:///{folder}/ledger.db",
        "mlflow": f"sqlite:///{folder}/mlflow.db",
        "feast_registry": f"sqlite:///{folder}/feast.db",
        "feast_online": {"type": "sqlite", "path": str(folder / "online.db")},
        "reports": folder / "reports",
    }
    return Runtime(**{**places, **changes})


class Deployed:
    """Base of what tests hold: a pipeline and its places. Its deployment is made anew, as by a task."""

    spec: Pipeline
    runtime: Runtime

    @property
    def deployment(self) -> Deployment:
        """What a task would hand down now."""
        return Deployment(self.spec, self.runtime)
