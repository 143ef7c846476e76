"""Ports for one embedded Airflow, which no other one that starts at the same moment takes too."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from tradewind.core.file_lock import try_file_lock

PORTS: Mapping[str, int] = {"airflow": 8080, "mlflow": 5000}


@dataclass(frozen=True, slots=True)
class ReservedPorts:
    """Ports by service; they stay reserved among embedded Airflows until :meth:`release` or the process ends.

    A port is free until its server listens, which takes many seconds; a locked file in the machine's temporary folder
    bridges them.
    """

    numbers: Mapping[str, int]
    _locks: list[TextIO] = field(default_factory=list)

    @classmethod
    def take(cls, wanted: Mapping[str, int] = PORTS) -> ReservedPorts:
        """For each service the port that is wanted, or the next free one above it."""
        numbers: dict[str, int] = {}
        locks: list[TextIO] = []
        for name, port in wanted.items():
            while port in numbers.values() or (lock := _reserve_port(port)) is None:
                port += 1
            numbers[name] = port
            locks.append(lock)
        return cls(numbers, locks)

    def release(self) -> None:
        """Let others have them."""
        for lock in self._locks:
            lock.close()


def _reserve_port(port: int) -> TextIO | None:
    """The locked file of a free port; None if the port is not free."""
    try:
        lock = try_file_lock(Path(tempfile.gettempdir()) / f"tradewind-port-{port}.lock")
    except OSError:  # of another user
        return None
    if lock is None:
        return None
    try:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
    except OSError:
        lock.close()
        return None
    return lock
