from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tradewind.errors import Unavailable, UsageError
from tradewind.features.registry_lock import hold_registry_lock


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.services)])
def registry(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/feast/registry.db"
    return str(request.getfixturevalue("postgres_url"))


def test_a_lock_that_is_held_is_not_given_twice(registry: str) -> None:
    with (
        hold_registry_lock(registry, "flights"),
        pytest.raises(Unavailable, match="another run still holds the lock flights"),
        hold_registry_lock(registry, "flights", wait_seconds=0),
    ):
        pass


def test_it_is_free_again_afterwards(registry: str) -> None:
    with pytest.raises(RuntimeError), hold_registry_lock(registry, "flights"):
        raise RuntimeError
    with hold_registry_lock(registry, "flights", wait_seconds=0):
        pass


def test_locks_of_other_names_do_no_harm(registry: str) -> None:
    with hold_registry_lock(registry, "flights"), hold_registry_lock(registry, "trains", wait_seconds=0):
        pass


def test_a_killed_process_keeps_no_lock(registry: str, project: Path) -> None:
    code = (
        "import sys; from tradewind.features.registry_lock import hold_registry_lock\n"
        f"with hold_registry_lock({registry!r}, 'flights'): print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={"PYTHONPATH": str(project / "include")},
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(Unavailable), hold_registry_lock(registry, "flights", wait_seconds=0):
            pass
        holder.kill()
        holder.wait()
    with hold_registry_lock(registry, "flights", wait_seconds=30):
        pass


def test_other_databases_are_refused() -> None:
    with (
        pytest.raises(UsageError, match="SQLite file or PostgreSQL"),
        hold_registry_lock("mysql://x:secret@h/d", "flights"),
    ):
        pass
