"""Mailbox: the durable queue of messages to an actor.

Guarantee: messages of one sender apply in order and exactly once, because a message is removed in the transaction
that applies it, under the receiver's lock, and only while no earlier one of its sender waits. The dispatcher below
only decides when to look: right after a commit that sent something, when a retry is due, and once a second at
whatever is left (a message of a replica that died, one whose retry came due). Losing any of these hints delays, and
never loses, a message.
"""

from __future__ import annotations

import asyncio
import time

from sqlalchemy import select

from foundry.contracts.words import Address
from foundry.runtime.store.base import Busy, Store
from foundry.runtime.store.tables import mailbox
from foundry.runtime.turn import Reader
from foundry.runtime.works import Host, MailWork

SWEEP = 1.0  # seconds
SWEPT_AT_ONCE = 1_000  # receivers


class Dispatcher:
    """Sends each receiver's due messages to the store, one work at a time per receiver."""

    def __init__(self, host: Host, store: Store) -> None:
        self._host = host
        self._store = store
        self._looking: dict[Address, bool] = {}  # being looked at; True: look once more afterwards
        self._loop = asyncio.get_running_loop()

    def poke(self, address: Address) -> None:
        """There may be something for this actor."""
        if address in self._looking:
            self._looking[address] = True
            return
        self._looking[address] = False
        try:
            self._store.submit(MailWork(self._host, address))
        except Busy:  # shutting down; the rows stay
            del self._looking[address]

    def looked(self, address: Address, again: int | None) -> None:
        """A work for this actor is over; look again at `again` (Unix milliseconds), at once if it is 0."""
        once_more = self._looking.pop(address, False)
        if once_more or again == 0:
            self.poke(address)
        elif again is not None:
            delay = max(0.0, again / 1000 - time.time())
            self._loop.call_later(delay, self.poke, address)

    async def run(self) -> None:
        """The sweep."""
        while True:
            for address in await asyncio.to_thread(self._store.read, lambda c: self._due(Reader(c))):
                self.poke(address)
            await asyncio.sleep(SWEEP)

    def _due(self, reader: Reader) -> list[Address]:
        now = int(time.time() * 1000)
        query = (
            select(mailbox.c.receiver)
            .distinct()
            .where(mailbox.c.set_aside_at.is_(None), mailbox.c.next_try_at <= now)
            .limit(SWEPT_AT_ONCE)
        )
        known = self._host.registry.kinds
        return [address for row in reader.all(query) if (address := Address.parse(row[0])).kind in known]
