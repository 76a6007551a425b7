"""Upkeep: removes what has had its time (idempotency keys, events nobody can catch up with)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection
from typing import Any

from foundry.contracts.words import Address
from foundry.runtime.store.base import Transaction
from foundry.runtime.topic import KEEP_EVENTS, KEEP_HOURS

PURGE = 60.0  # seconds between purges
KEEP_ASKS = 24 * 3600  # seconds


class Upkeep:
    """One per process; the purges of several replicas do each other no harm.

    Args:
        kept: actor kinds whose events are their state.
    """

    def __init__(
        self, kept: Collection[str], system: Callable[[Address, Callable[[Transaction], Any]], Awaitable[Any]]
    ) -> None:
        self._kept, self._system = kept, system

    async def run(self) -> None:
        while True:
            await asyncio.sleep(PURGE)
            await self._system(Address("Upkeep", ""), self.purge)

    def purge(self, tx: Transaction) -> None:
        now = tx.now or int(time.time() * 1000)
        tx.execute("DELETE FROM asks WHERE workflow IS NULL AND created_at < ?", now - KEEP_ASKS * 1000)
        kept = " AND ".join(["actor NOT LIKE ?"] * len(self._kept)) or "1=1"
        tx.execute(
            f"DELETE FROM events WHERE at < ? AND {kept}",
            now - KEEP_HOURS * 3_600_000,
            *[f"{kind}:%" for kind in self._kept],
        )
        tx.execute(
            "DELETE FROM events WHERE version <="
            " (SELECT a.version - ? FROM actors a WHERE a.actor = events.actor)"
            f" AND {kept}",
            KEEP_EVENTS,
            *[f"{kind}:%" for kind in self._kept],
        )
