"""Mailbox: the durable queue of messages to an actor.

Guarantee: messages of one sender apply in order and exactly once, because a message is removed in the transaction
that applies it, under the receiver's lock, and only while no earlier one of its sender waits. The dispatcher below
only decides when to look: right after a commit that sent something, when a retry is due, when another replica said
that it sent something which still waits, and once a second at whatever is left (a message of a replica that died).
Losing any of these hints delays, and never loses, a message.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from functools import partial

from sqlalchemy import Connection, select

from foundry.contracts.messages import Address
from foundry.runtime.async_tools import Looks
from foundry.runtime.host import Host
from foundry.runtime.reader import Reader
from foundry.runtime.store.base import Busy, Store
from foundry.runtime.store.tables import mailbox
from foundry.runtime.transactions import MailWork

SWEPT_AT_ONCE = 1_000  # receivers


class Dispatcher:
    """Sends each receiver's due messages to the store, one work at a time per receiver."""

    def __init__(self, host: Host, store: Store, sweep: float) -> None:
        self._host = host
        self._store = store
        self._looks: Looks[Address] = Looks(sweep)
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

    def looked(self, address: Address, again: float | None) -> None:
        """A work for this actor is over; look again in `again` seconds, if that is anything."""
        once_more = self._looking.pop(address, False)
        if once_more or again == 0:
            self.poke(address)
        elif again is not None:
            self._loop.call_later(again, self.poke, address)

    def look(self, addresses: Iterable[Address]) -> None:
        """Another replica sent these something. It will have applied it already, unless it is busy or gone."""
        self._looks.name(addresses)

    def look_at_all(self) -> None:
        """Other replicas may have sent anything."""
        self._looks.all()

    async def run(self) -> None:
        """The sweep, and what other replicas named."""
        self._looks.all()
        while True:
            named = await self._looks.next()
            for address in await asyncio.to_thread(self._store.read, partial(self._due, named)):
                self.poke(address)

    def _due(self, named: set[Address] | None, connection: Connection) -> list[Address]:
        """Whose mail is due, of those named or of all."""
        query = (
            select(mailbox.c.receiver)
            .distinct()
            .where(mailbox.c.set_aside_at.is_(None), mailbox.c.next_try_at <= self._store.now(connection))
            .limit(SWEPT_AT_ONCE)
        )
        if named is not None:
            query = query.where(mailbox.c.receiver.in_([str(address) for address in named]))
        known = self._host.registry.kinds
        return [address for row in Reader(connection).all(query) if (address := Address.parse(row[0])).kind in known]
