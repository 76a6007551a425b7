"""Upkeep: removes what has had its time (idempotency keys, events nobody can catch up with) and, on several
replicas, finds events that no fan-out of this process brought."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from foundry.contracts.words import Address
from foundry.runtime.actor import Registry
from foundry.runtime.store.base import Store, Transaction
from foundry.runtime.topic import KEEP_EVENTS, KEEP_HOURS, Hub, Published
from foundry.runtime.turn import Reader

SWEEP = 1.0  # seconds between looks for events of other replicas
PURGE = 60.0  # seconds between purges
KEEP_ASKS = 24 * 3600  # seconds


class Upkeep:
    """One per process; the purges of several replicas do each other no harm."""

    def __init__(
        self,
        store: Store,
        hub: Hub,
        registry: Registry,
        system: Callable[[Address, Callable[[Transaction], Any]], Awaitable[Any]],
    ) -> None:
        self._store, self._hub, self._system = store, hub, system
        self._kept = [name for name, kind in registry.kinds.items() if kind.actor.keeps_events]

    async def run(self) -> None:
        purged = time.monotonic()
        while True:
            await asyncio.sleep(SWEEP)
            if self._store.dialect != "sqlite":
                await self.catch_up()
            if time.monotonic() - purged > PURGE:
                purged = time.monotonic()
                await self._system(Address("Upkeep", ""), self.purge)

    async def catch_up(self) -> None:
        """Fan out what other replicas published on the topics watched here."""
        for address, seen in self._hub.watched().items():
            rows = await asyncio.to_thread(self._store.read, lambda c, a=address, s=seen: Reader(c).events(a, after=s))
            if rows:
                self._hub.publish(
                    address,
                    [Published(r.version, r.word, r.entity, r.body, r.repository, r.person) for r in rows],
                )

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
