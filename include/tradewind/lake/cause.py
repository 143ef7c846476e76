"""Why a partition has the content that it has."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Cause:
    """Everything that determines a partition; the same cause means that the work is already done.

    :param inputs: digest of every input, by a name that people recognise
    :param config: hash of the configuration
    :param code: version of the stage's code
    """

    inputs: Mapping[str, str]
    config: str
    code: str

    @cached_property
    def hash(self) -> str:
        """32 hex digits; the order of the inputs does not count."""
        return hashlib.sha256(self.as_json().encode()).hexdigest()[:32]

    def as_json(self) -> str:
        """The parts, as they are kept in the commit."""
        return json.dumps({"inputs": dict(self.inputs), "config": self.config, "code": self.code}, sort_keys=True)
