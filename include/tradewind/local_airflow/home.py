"""The folder of the embedded Airflow: where everything of it is, and the secrets that are made for it."""

from __future__ import annotations

import base64
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tradewind.core.runtime import Runtime
from tradewind.errors import UsageError

USER = "admin"


@dataclass(frozen=True, slots=True)
class Home:
    """One embedded Airflow and all that belongs to it.

    :param root: the folder, usually ``.tradewind/`` in the project root; everything is written below it
    :param project: the project root, with ``dags/`` and ``include/``
    """

    root: Path
    project: Path

    @classmethod
    def of(cls, project: Path) -> Home:
        """The home of the project in ``project``: ``.tradewind/`` in it, or where ``TRADEWIND_HOME`` points.

        :raises UsageError: ``project`` is not a project root
        """
        project = project.resolve()
        if not (project / "dags").is_dir():
            raise UsageError(f"{project} has no dags/ folder; run this in the root of a Tradewind project")
        return cls.at(project)

    @classmethod
    def at(cls, project: Path) -> Home:
        """As :meth:`of`, also for a folder that is no project yet."""
        project = project.resolve()
        moved = os.environ.get("TRADEWIND_HOME")
        return cls(root=Path(moved).resolve() if moved else project / ".tradewind", project=project)

    @property
    def airflow(self) -> Path:
        """``AIRFLOW_HOME``."""
        return self.root / "airflow"

    @property
    def landing(self) -> Path:
        """The landing zone."""
        return self.root / "landing"

    @property
    def logs(self) -> Path:
        """Output of the processes, one file each."""
        return self.root / "logs"

    @property
    def state(self) -> Path:
        """What runs now, as JSON; written by the process that starts the others."""
        return self.root / "processes.json"

    @property
    def lock(self) -> Path:
        """Locked while an Airflow runs in this home."""
        return self.root / "lock"

    def lay_out(self) -> None:
        """Create the folders and the secrets that are not there yet."""
        self.make_private()
        for name in ("airflow/plugins", "mlflow/artifacts", "lake", "landing", "feast", "reports", "logs", "cache"):
            (self.root / name).mkdir(parents=True, exist_ok=True)
        if not self._secrets.exists():
            _write_private(self._secrets, _new_secrets())
        _write_private(self.passwords, {USER: self.secrets()["password"]})

    def make_private(self) -> None:
        """Create the root, and close it to other users of the machine, also one that was made before.

        Passwords, data and logs are in it.
        """
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.root.chmod(0o700)

    def read_deliveries_from(self, landing: str) -> None:
        """Let deliveries be read from another landing zone, now and by later users of this home."""
        self._landing.write_text(landing, encoding="utf-8")

    @property
    def is_of_rehearsal(self) -> bool:
        """Whether this is what a rehearsal left, so that no Airflow works on it."""
        return self._landing.exists()

    @property
    def _landing(self) -> Path:
        """Names the landing zone where that is not the one in the home: a rehearsal reads its project's."""
        return self.root / "landing.txt"

    @property
    def passwords(self) -> Path:
        """File with the passwords of Airflow's simple auth manager."""
        return self.airflow / "passwords.json"

    @property
    def _secrets(self) -> Path:
        return self.airflow / "secrets.json"

    def secrets(self) -> dict[str, str]:
        """The password of ``admin`` and the keys that Airflow's processes share."""
        found: dict[str, str] = json.loads(self._secrets.read_text(encoding="utf-8"))
        return found

    def places(self) -> dict[str, Any]:
        """The extra of the ``tradewind_default`` connection."""
        return {
            "project": str(self.project),
            "lake": str(self.root / "lake"),
            "landing": self._landing.read_text(encoding="utf-8") if self._landing.exists() else str(self.landing),
            "ledger": f"sqlite:///{self.root / 'ledger.db'}",
            "feast_registry": f"sqlite:///{self.root / 'feast' / 'registry.db'}",
            "feast_online": {"type": "sqlite", "path": str(self.root / "feast" / "online.db")},
            "reports": str(self.root / "reports"),
        }

    @property
    def tracking_uri(self) -> str:
        """MLflow's tracking and registry URI. A file, so that no server needs to run."""
        return f"sqlite:///{self.root / 'mlflow' / 'mlflow.db'}"

    def runtime(self) -> Runtime:
        """The runtime of work that no Airflow task does."""
        places = self.places()
        project, reports = Path(places.pop("project")), Path(places.pop("reports"))
        return Runtime(project=project, reports=reports, mlflow=self.tracking_uri, **places)


def _new_secrets() -> dict[str, str]:
    return {
        "password": secrets.token_urlsafe(9),
        "jwt": secrets.token_urlsafe(64),
        "api": secrets.token_urlsafe(32),
        "fernet": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
    }


def _write_private(path: Path, content: Mapping[str, str]) -> None:
    path.touch(mode=0o600)
    path.write_text(json.dumps(content), encoding="utf-8")
