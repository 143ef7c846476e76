"""Why a partition has the content that it has."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any


@dataclass(frozen=True)
class Cause:
    """Everything that determines a partition; the same cause means that the work is already done.

    :param inputs: digest of every input, by a name that people recognise
    :param config: hash of the configuration
    :param code: version of the stage's code
    :param notes: what people want to know beside that, kept in the commit; the hash does not cover it
    """

    inputs: Mapping[str, str]
    config: str
    code: str
    notes: Mapping[str, Any] = field(default_factory=dict, compare=False)

    @cached_property
    def hash(self) -> str:
        """32 hex digits; the order of the inputs does not count."""
        return hashlib.sha256(json.dumps(self._parts(), sort_keys=True).encode()).hexdigest()[:32]

    def as_json(self) -> str:
        """The parts and the notes, as they are kept in the commit."""
        return json.dumps({**self._parts(), **({"notes": dict(self.notes)} if self.notes else {})}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Cause:
        """Inverse of :meth:`as_json`."""
        parts = json.loads(text)
        return cls(parts["inputs"], parts["config"], parts["code"], parts.get("notes", {}))

    def _parts(self) -> dict[str, Any]:
        return {"inputs": dict(self.inputs), "config": self.config, "code": self.code}
