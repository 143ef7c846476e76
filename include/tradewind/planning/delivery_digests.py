"""What has been delivered for a partition, as a digest, without fetching anything."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import gettempdir
from typing import TYPE_CHECKING

from tradewind import __version__
from tradewind.errors import InputError, MissingInput, Unavailable
from tradewind.sources.delivery import hash_delivery
from tradewind.sources.fetched import fetch_source
from tradewind.spec.sources import Source

if TYPE_CHECKING:
    from tradewind.deployment import Deployment

log = logging.getLogger(__name__)

_MOST = 100_000
_YOUNG_SECONDS = 2.0


class DeliveryDigests:
    """Digests of delivered files; a file that has not changed since it was hashed is not read again.

    A file counts as unchanged while path, size, inode and both times are the same. Files that changed within the last
    two seconds are not remembered: a change within the resolution of a clock would not show.

    :param memory: file that remembers digests between two looks; None for none
    """

    def __init__(self, memory: Path | None = None) -> None:
        self._memory = memory
        self._known: dict[str, str] = _read_memory(memory) if memory else {}
        self._new = False

    @classmethod
    def of_user(cls) -> DeliveryDigests:
        """With a memory in the cache folder of the user."""
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        return cls(cache / "tradewind" / "deliveries.json")

    def digest(self, source: Source, partition: str, *, deployment: Deployment) -> str:
        """Digest of the files of one partition, as `etl` computes it.

        :raises MissingInput: they are not there, or the landing zone is away
        """
        try:
            fetched = fetch_source(source, partition, deployment=deployment, scratch=Path(gettempdir()))
        except Unavailable as exc:
            raise MissingInput(str(exc)) from exc
        seen = _fingerprint_files(fetched.paths)
        if seen is not None and seen in self._known:
            return self._known[seen]
        digest = hash_delivery(source, fetched).digest
        if seen is not None and seen == _fingerprint_files(fetched.paths):
            self._known[seen], self._new = digest, True
        return digest

    def changed(self, source: Source, partition: str, before: str, *, deployment: Deployment) -> bool:
        """Whether what is delivered is not what had the digest ``before``; of what cannot be looked at: no."""
        if not source.is_local(deployment.runtime.landing):
            return False
        try:
            return self.digest(source, partition, deployment=deployment) != before
        except MissingInput:
            return False
        except InputError:
            return True

    def remember(self) -> None:
        """Write down what was hashed; a memory that cannot be written costs time and nothing else."""
        if self._memory is None or not self._new:
            return
        kept = dict(list(self._known.items())[-_MOST:])
        unfinished = self._memory.with_suffix(f".{os.getpid()}")
        try:
            self._memory.parent.mkdir(parents=True, exist_ok=True)
            unfinished.write_text(json.dumps(kept), encoding="utf-8")
            unfinished.replace(self._memory)
        except OSError as exc:
            log.info("digests of files are not remembered: %s", exc)


def _read_memory(memory: Path) -> dict[str, str]:
    try:
        known: dict[str, str] = json.loads(memory.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known


def _fingerprint_files(paths: Sequence[Path]) -> str | None:
    """Names files as they are now; None while one of them is too young to tell."""
    about: list[object] = [__version__]
    for path in paths:
        stat = path.stat()
        if time.time() - max(stat.st_mtime, stat.st_ctime) < _YOUNG_SECONDS:
            return None
        about.append([str(path.absolute()), stat.st_size, stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns])
    return hashlib.sha256(json.dumps(about).encode()).hexdigest()
