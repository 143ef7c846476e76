"""The list of online stores that Tradewind knows more of than Feast. A new one is a module, and an entry here."""

from __future__ import annotations

from tradewind.features.online.online_store import OnlineStore
from tradewind.features.online.postgres import POSTGRES_STORE
from tradewind.features.online.redis import REDIS_STORE
from tradewind.features.online.sqlite import SQLITE_STORE

ONLINE_STORES: tuple[OnlineStore, ...] = (
    SQLITE_STORE,
    POSTGRES_STORE,
    REDIS_STORE,
)


def find_online_store(kind: str) -> OnlineStore:
    """The online store of that kind; one that is not listed is left to Feast altogether."""
    return next((one for one in ONLINE_STORES if one.kind == kind), OnlineStore(kind))
