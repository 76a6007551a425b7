"""Upkeep: removes what has had its time (idempotency keys, events nobody can catch up with).

It runs where turns run, so it costs what there is to look at of the actors whose events pass, and nothing for what
is kept: a million transcript events do not make it slower.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection
from typing import Any

from foundry.contracts.messages import Address
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
        self._kept, self._system = tuple(kept), system

    async def run(self) -> None:
        while True:
            await asyncio.sleep(PURGE)
            await self._system(Address("Upkeep", ""), self.purge)

    def purge(self, tx: Transaction) -> None:
        for sql, values in self.statements(tx.now or int(time.time() * 1000)):
            tx.execute(sql, *values)

    def statements(self, now: int) -> list[tuple[str, tuple[object, ...]]]:
        """Each with its values. Whose events pass is decided before any event is looked at."""
        passing = f"a.kind NOT IN ({', '.join('?' * len(self._kept))})" if self._kept else "1=1"
        return [
            ("DELETE FROM asks WHERE workflow IS NULL AND created_at < ?", (now - KEEP_ASKS * 1000,)),
            (
                f"DELETE FROM events WHERE actor IN (SELECT a.actor FROM actors a WHERE {passing} AND a.version > 0)"
                " AND at < ?",
                (*self._kept, now - KEEP_HOURS * 3_600_000),
            ),
            (
                "DELETE FROM events WHERE (actor, version) IN (SELECT e.actor, e.version"
                f" FROM actors a JOIN events e ON e.actor = a.actor WHERE {passing}"
                " AND a.version > ? AND e.version <= a.version - ?)",
                (*self._kept, KEEP_EVENTS, KEEP_EVENTS),
            ),
        ]
