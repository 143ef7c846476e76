"""What Tradewind knows of one kind of online store."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from feast import FeatureStore, FeatureView
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey

    from tradewind.features.online.encoded_rows import EncodedChunk, WriteLayout

    Write = Callable[[FeatureStore, FeatureView, WriteLayout, Iterable[EncodedChunk]], int]
    Erase = Callable[[FeatureStore, FeatureView, Sequence[EntityKey]], int]

Given = Mapping[str, Any]
"""The configuration of the online store, as the connection has it."""


def refuse_vectors(online: Any) -> str | None:
    """Why a store that keeps vectors is left to Feast; None if it keeps none.

    :param online: Feast's configuration of it
    """
    vectors = getattr(online, "vector_enabled", False) or getattr(online, "enable_openai_compatible_store", False)
    return f"vectors in online store {online.type}" if vectors else None


@dataclass(frozen=True, slots=True)
class FastWriter:
    """Writes a view by Arrow columns, where Feast would write row by row.

    :param write: writes encoded rows; returns how many entities were left because what the store holds is newer
    :param most_features: what one statement, one staging table or one call can hold
    :param refuse: why the store is left to Feast as it is configured (Feast's configuration of it); None: it is not
    :param ordered: the rows must come in the order of the keys
    :param texts: the store holds texts a second time, readable
    :param suffixed: the project's name is part of each key
    """

    write: Write
    most_features: int
    refuse: Callable[[Any], str | None] = refuse_vectors
    ordered: bool = True
    texts: bool = True
    suffixed: bool = False


@dataclass(frozen=True, slots=True)
class OnlineStore:
    """One kind of online store. All but ``kind`` may be left out: Feast does what is not said here.

    :param kind: its ``type`` in Feast's configuration
    :param drivers: modules that it needs, installed by Tradewind's extra of the same name
    :param describe: where it is, for messages: without passwords
    :param configure: Feast's configuration, with what Tradewind adds
    :param folders: folders of this machine that it writes to
    :param failures: exceptions by which its driver says that it is away, full or busy
    :param limit: sets time limits on what Feast itself asks of it
    :param writer: the fast writer; None: Feast writes
    :param erase: removes entities, and says how many it had; None: a person must
    """

    kind: str
    drivers: tuple[str, ...] = ()
    describe: Callable[[Given], str] = lambda given: str(given.get("path", "its default place"))
    configure: Callable[[Given], dict[str, Any]] = dict
    folders: Callable[[Given], list[Path]] = lambda given: []
    failures: Callable[[], tuple[type[Exception], ...]] = lambda: ()
    limit: Callable[[FeatureStore], None] = lambda store: None
    writer: FastWriter | None = None
    erase: Erase | None = None
