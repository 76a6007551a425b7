"""Schedule: a durable due time by (actor, name), with a generation; a stale one is ignored.

A turn that fails leaves its schedule due, tried again later and later; from the third time on it is a runtime issue. A
name that this release does not know is left to newer replicas for as long as a message of an unknown type.

One timer per process waits for the earliest due time. With several replicas each may fire, and the actor's row lock
lets one through. The clock that writes due times also decides what is due: on PostgreSQL the database's clock.
"""

from __future__ import annotations

import asyncio
from functools import partial

import structlog
from sqlalchemy import Connection, func, or_, select

from foundry.contracts.issues import Failure, FailureEnded, FailureRaised, IssueKind
from foundry.contracts.messages import APP, Address, ScopeId, utc
from foundry.runtime.async_tools import woken
from foundry.runtime.host import Host
from foundry.runtime.reader import Reader
from foundry.runtime.store.base import Store, Transaction, Work
from foundry.runtime.store.tables import schedules
from foundry.runtime.transactions import NEWER, After, attempt, followed_by, take, tell

SWEEP = 1.0  # seconds between two looks when nothing is known to be due earlier
FIRED_AT_ONCE = 256  # schedules that one look fires, at most
BACKOFF = (1.0, 5.0, 30.0, 60.0)  # seconds until a schedule that failed is due again
TOLD_AT = 3  # failures in a row until it is a runtime issue

log = structlog.get_logger("foundry.schedule")


class Timer:
    """Fires what is due."""

    def __init__(self, host: Host, store: Store) -> None:
        self._host = host
        self._store = store
        self._known = {name for kind in host.registry.kinds.values() for name in kind.schedules}
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
        """Submit what is due. Return the seconds until the next look."""

        def look(connection: Connection) -> tuple[list[tuple[str, str, int]], float]:
            reader, now = Reader(connection), self._store.now(connection)
            old = schedules.c.due_at <= now - 1000 * NEWER
            query = select(schedules).where(schedules.c.due_at <= now, or_(schedules.c.name.in_(self._known), old))
            rows = reader.all(query.order_by(schedules.c.due_at).limit(FIRED_AT_ONCE))
            ready = [(r.actor, r.name, r.generation) for r in rows]
            later = reader.first(select(func.min(schedules.c.due_at)).where(schedules.c.due_at > now))
            return ready, SWEEP if later is None or later[0] is None else min(SWEEP, (later[0] - now) / 1000)

        ready, wait = self._store.read(look)
        for actor, name, generation in ready:
            address = Address.parse(actor)
            if address.kind in self._host.registry.kinds:  # else a newer replica's
                self._store.submit(DueWork(self._host, address, name, generation))
        return wait


class DueWork(Work):
    """Tell an actor that its schedule fell due, unless it has been replaced or cancelled meanwhile."""

    def __init__(self, host: Host, address: Address, name: str, generation: int) -> None:
        self.host, self.address, self.name, self.generation = host, address, name, generation
        self.kind = host.registry.kind(address)
        self.after: After | None = None

    def label(self) -> str:
        return f"schedule {self.name} of {self.address}"

    def run(self, tx: Transaction) -> None:
        attempt(tx, partial(self._turn, tx), partial(self._failed, tx))

    def _turn(self, tx: Transaction) -> None:
        opened = tx.open(str(self.address))
        row = tx.execute(
            "SELECT tries FROM schedules WHERE actor=? AND name=? AND generation=? AND due_at<=?",
            str(self.address), self.name, self.generation, tx.now,
        )  # fmt: skip
        if not row or not opened.exists or opened.deleted:
            return
        tx.execute("DELETE FROM schedules WHERE actor=? AND name=?", str(self.address), self.name)
        turn, _ = take(self.host, tx, self.kind, self.address, opened, self.kind.schedules[self.name])
        tx.close(str(self.address), opened, turn.effects)
        self.after = followed_by(self.address, turn.effects)
        tries = int(str(row[0][0]))
        if tries >= TOLD_AT:
            ended = FailureEnded(fingerprint=self.label())
            self.after.receivers.add(tell(self.host, tx, ScopeId(opened.scope), self._sender(), tries + 1, ended))

    def _failed(self, tx: Transaction, error: Exception) -> None:
        """It stays due, later each time up to a minute; from the third failure on it is a runtime issue."""
        log.warning("schedule failed", actor=str(self.address), name=self.name, exc_info=error)
        opened = tx.open(str(self.address))
        text = f"{type(error).__name__}: {error}"
        found = tx.execute(
            "UPDATE schedules SET tries=tries+1, error=? WHERE actor=? AND name=? AND generation=? RETURNING tries",
            text, str(self.address), self.name, self.generation,
        )  # fmt: skip
        self.after = After(self.address, schedules=True)
        if not found:
            return
        tries = int(str(found[0][0]))
        again = tx.now + round(1000 * BACKOFF[min(tries, len(BACKOFF)) - 1])
        tx.execute(
            "UPDATE schedules SET due_at=? WHERE actor=? AND name=? AND generation=?",
            again, str(self.address), self.name, self.generation,
        )  # fmt: skip
        if tries < TOLD_AT:
            return
        failure = Failure(
            kind=IssueKind.SCHEDULE_FAILING,
            actor=str(self.address),
            scope=ScopeId(opened.scope or APP),
            fingerprint=self.label(),
            step=self.name,
            attempt=tries,
            retry_at=utc(again),
            code=IssueKind.SCHEDULE_FAILING.value,
            message=text,
            remedy="Foundry retries automatically. If it fails again and again, the server's log shows where.",
        )
        raised = FailureRaised(failure=failure)
        self.after.receivers.add(tell(self.host, tx, failure.scope, self._sender(), tries, raised))

    def _sender(self) -> str:
        """Not the actor: what it sends in its own turns is numbered by it."""
        return f"schedule:{self.address}:{self.name}:{self.generation}"

    def settle(self) -> None:
        if self.after:
            self.host.committed(self.after)

    def fail(self, error: BaseException) -> None:
        pass  # the row is still there
