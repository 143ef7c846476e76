"""Waiting, without a worker slot, until a stage of an earlier partition is complete."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent


class ReadyTrigger(BaseTrigger):
    """Fires when the ledger shows a stage complete or the partition left out, or when the deadline has passed.

    :param tradewind_conn_id: connection that names the ledger
    :param pipeline: whose stage
    :param stage: which stage
    :param partition: of which partition
    :param deadline: ISO time with zone after which it gives up
    :param poll: seconds between looks
    """

    def __init__(
        self, *, tradewind_conn_id: str, pipeline: str, stage: str, partition: str, deadline: str, poll: float = 2.0
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow's base is not annotated
        self.tradewind_conn_id = tradewind_conn_id
        self.pipeline = pipeline
        self.stage = stage
        self.partition = partition
        self.deadline = deadline
        self.poll = poll

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Class path and the constructor's parameters."""
        fields = ("tradewind_conn_id", "pipeline", "stage", "partition", "deadline", "poll")
        return f"{type(self).__module__}.{type(self).__qualname__}", {name: getattr(self, name) for name in fields}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look at the ledger until the stage is complete."""
        url = await asyncio.to_thread(self._ledger_url)
        deadline = datetime.fromisoformat(self.deadline)
        # Not at once: Airflow 3.3.2 takes a task that is resumed before its executor's report of the deferral has been
        # read for one whose state was changed, and tries it again.
        await asyncio.sleep(self.poll)
        while not (ready := await asyncio.to_thread(self._ready, url)) and datetime.now(UTC) < deadline:
            await asyncio.sleep(self.poll)
        seen = {"ready": ready, "stage": self.stage, "partition": self.partition}
        yield TriggerEvent(seen)  # type: ignore[no-untyped-call]  # Airflow's class is not annotated

    def _ledger_url(self) -> str:
        from tradewind.hooks.tradewind import TradewindHook

        return TradewindHook(self.tradewind_conn_id).ledger_url()

    def _ready(self, url: str) -> bool:
        from tradewind.ledger import skipped_partitions
        from tradewind.ledger.journal import Ledger

        return skipped_partitions.is_settled(Ledger(url), self.pipeline, self.stage, self.partition)
