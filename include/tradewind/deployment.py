"""What belongs to the work on one pipeline: its YAML, its places, and what is opened or loaded once for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar, cast

if TYPE_CHECKING:
    from tradewind.core.runtime import Runtime
    from tradewind.lake.dataset import Lake
    from tradewind.ledger.journal import Ledger
    from tradewind.spec.pipeline import Pipeline

Loaded = TypeVar("Loaded")


@dataclass(frozen=True, eq=False)
class Deployment:
    """A pipeline in the places where it is deployed. A task builds one and hands it down.

    Whatever belongs to a higher room and is needed again and again (feature definitions, the model registry) is kept
    here by :meth:`load_once`, so a task pays for it once. Not for two threads at once.

    :param spec: the pipeline, from its YAML
    :param runtime: the places, and who works for which run
    """

    spec: Pipeline
    runtime: Runtime
    _loaded: dict[Callable[[Deployment], Any], Any] = field(default_factory=dict, init=False, repr=False)

    @cached_property
    def lake(self) -> Lake:
        """The datasets of all pipelines."""
        from tradewind.lake.dataset import Lake

        return Lake(self.runtime.lake, storage_options=self.runtime.storage_options)

    @cached_property
    def ledger(self) -> Ledger:
        """The journal and the champions; the first use in a process connects."""
        from tradewind.ledger.journal import Ledger

        return Ledger(self.runtime.ledger)

    def load_once(self, load: Callable[[Deployment], Loaded]) -> Loaded:
        """What ``load`` makes of this deployment; the second time the same object.

        :param load: a module-level function; an error that it raises is not kept
        """
        if load not in self._loaded:
            self._loaded[load] = load(self)
        return cast("Loaded", self._loaded[load])
