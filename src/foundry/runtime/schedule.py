"""Schedule: a durable due time by (actor, name), with a generation; a stale one is ignored.

One timer per process looks at the earliest due time; on several replicas each may fire, and the actor's row lock
lets one of them through. What is due is said by the clock that due times are written by: on PostgreSQL the database's.
"""

from __future__ import annotations

import asyncio

from sqlalchemy import Connection, func, select

from foundry.contracts.words import Address
from foundry.runtime.store.base import Store
from foundry.runtime.store.tables import schedules
from foundry.runtime.turn import Reader
from foundry.runtime.waiting import woken
from foundry.runtime.works import DueWork, Host

SWEEP = 1.0  # seconds between two looks when nothing is known to be due earlier
FIRED_AT_ONCE = 256


class Timer:
    """Fires what is due."""

    def __init__(self, host: Host, store: Store) -> None:
        self._host = host
        self._store = store
        self._wake = asyncio.Event()

    def poke(self) -> None:
        """A schedule was set or changed: look now."""
        self._wake.set()

    async def run(self) -> None:
        while True:
            self._wake.clear()
            wait = await asyncio.to_thread(self._fire)
            await woken(self._wake, max(0.01, wait))

    def _fire(self) -> float:
        """Submit what is due; gives the seconds until the next look."""

        def look(connection: Connection) -> tuple[list[tuple[str, str, int]], float]:
            reader, now = Reader(connection), self._store.now(connection)
            query = select(schedules).where(schedules.c.due_at <= now).order_by(schedules.c.due_at)
            ready = [(r.actor, r.name, r.generation) for r in reader.all(query.limit(FIRED_AT_ONCE))]
            later = reader.first(select(func.min(schedules.c.due_at)).where(schedules.c.due_at > now))
            return ready, SWEEP if later is None or later[0] is None else min(SWEEP, (later[0] - now) / 1000)

        ready, wait = self._store.read(look)
        for actor, name, generation in ready:
            self._store.submit(DueWork(self._host, Address.parse(actor), name, generation))
        return wait
