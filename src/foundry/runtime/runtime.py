"""The runtime of one process: it joins store, mailbox, topics, schedules, workflows and workers.

`ask` and `read` are what the edge uses; everything else happens automatically.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

import structlog
from sqlalchemy import Connection, select

from foundry.contracts.doors import Doors
from foundry.contracts.errors import Unavailable
from foundry.contracts.ids import WorkflowId, new_id
from foundry.contracts.inspection import Inspection
from foundry.contracts.issues import WorkflowEnded
from foundry.contracts.messages import Address, Command, ScopeId
from foundry.runtime.actor import Actor, RegistrationError, Registry
from foundry.runtime.async_tools import ended
from foundry.runtime.intervals import Pace
from foundry.runtime.mailbox.dispatcher import Dispatcher
from foundry.runtime.mailbox.notify import Notice, Notifier
from foundry.runtime.reader import Reader
from foundry.runtime.schedule import Timer
from foundry.runtime.store.base import Busy, Store, Transaction, Work
from foundry.runtime.store.postgres import PostgresStore
from foundry.runtime.store.tables import leases
from foundry.runtime.topic import Hub, Published
from foundry.runtime.transactions import After, AskWork, SystemWork
from foundry.runtime.turn import Ids
from foundry.runtime.upkeep.inspection import inspection
from foundry.runtime.upkeep.overdue_monitor import OverdueMonitor
from foundry.runtime.upkeep.retention import Upkeep
from foundry.runtime.worker.supervisor import Supervisor, WorkerKind
from foundry.runtime.workflow.ended import EndWork
from foundry.runtime.workflow.engine import WorkflowSystem
from foundry.runtime.workflow.flow import Workflows

R = TypeVar("R")
T = TypeVar("T")

READ_THREADS = 8  # reads at once

log = structlog.get_logger("foundry.runtime")


def _fresh_id(prefix: str, now_ms: int) -> str:
    return new_id(prefix, now_ms=now_ms)


@dataclass
class House:
    """What the composition root declares: the kinds, the workflows, the workers, and who coordinates a scope."""

    actors: Sequence[Actor]
    coordinator: Callable[[ScopeId], Address]
    workflows: Workflows = field(default_factory=Workflows)
    workers: Sequence[WorkerKind] = ()
    ids: Ids = _fresh_id


class Runtime:
    """Start it inside a running loop; stop it there too."""

    def __init__(
        self, house: House, store: Store, *, workflow_url: str | None = None, pace: Pace | None = None
    ) -> None:
        self.house = house
        self.store = store
        self.pace = pace or Pace()
        self.registry = Registry(house.actors)
        self.ids = house.ids
        self._kept = [name for name, kind in self.registry.kinds.items() if kind.actor.keeps_events]
        self.hub = Hub(store, self._kept, None if store.dialect == "sqlite" else self.pace.sweep)
        self.executor = new_id("run").replace("_", "-")
        house.workflows.check(self.registry)
        self.flows = WorkflowSystem(self, house.workflows, workflow_url, self.pace) if workflow_url else None
        if house.workflows.by_name and not self.flows:
            raise RegistrationError("there are workflows but no database for them")
        self._notifier = Notifier(self, store.url, self.pace.coalesce) if isinstance(store, PostgresStore) else None
        self._readers = ThreadPoolExecutor(READ_THREADS, thread_name_prefix="foundry-reader")
        self._background: list[asyncio.Task[None]] = []

    # life

    async def start(self, doors: Doors) -> None:
        """Begin to work. DBOS is launched last, as it runs workflows in this loop at once."""
        self._loop = asyncio.get_running_loop()
        self.dispatcher = Dispatcher(self, self.store, self.pace.sweep)
        self.timer = Timer(self, self.store)
        self.supervisor = Supervisor(self, self.house.workers, doors, self.pace)
        self.store.start(self._settled)
        if self.store.dialect == "sqlite":  # the directory's lock is the lease: whoever held these is gone
            await self.system(Address("Lease", "all"), lambda tx: tx.execute("UPDATE leases SET expires_at=0"))
        if self.flows:
            await self.flows.start(doors)
        upkeep = Upkeep(self._kept, self.system)
        overdue = OverdueMonitor(self, self.store, self.pace.overdue)
        for run in (self.dispatcher.run, self.hub.run, self.timer.run, self.supervisor.run, upkeep.run, overdue.run):
            self._background.append(asyncio.create_task(_forever(run), name=run.__qualname__))
        if self._notifier:
            self._notifier.start()

    async def stop(self) -> None:
        """Stop in bounded time. What was accepted is committed; long work goes on at the next start."""
        if self._notifier:
            await self._notifier.stop()
        await ended(self._background)
        await self.supervisor.stop()
        if self.flows:
            await self.flows.stop()
        await asyncio.to_thread(self.store.close)
        self._readers.shutdown(wait=False)

    # for the edge and for steps

    async def ask(self, address: Address, command: Command[R], *, key: str | None = None, caller: str = "",
                  workflow: WorkflowId | None = None, lease: tuple[str, int] | None = None) -> R:  # fmt: skip
        """Run a command's turn now and give its answer.

        Args:
            key: the idempotency key; a repeat under it gets the stored answer or refusal.
            caller: who asks, e.g. `user:4711`; keys of different callers never meet.
            workflow: keep the key until this workflow ends, instead of 24 hours.
            lease: a worker's (name, fencing number); refused once somebody else holds the lease.

        Raises:
            FoundryError: the actor refused; nothing was applied.
            Unavailable: the database was away; nothing was applied, asking again is right.
        """
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        work = AskWork(self, address, command, future, key, caller, workflow, lease)
        try:
            self.store.submit(work)
            return await future
        except Busy as error:
            raise Unavailable(f"the store did not take the command: {error}") from error

    async def read(self, function: Callable[..., T], *args: object) -> T:
        """Run a view on a reader thread, all of it in one snapshot: `await runtime.read(sidebar, organization)`.

        Raises:
            Unavailable: the database was away; asking again is right.
        """

        def run(connection: Connection) -> T:
            return function(Reader(connection), *args)

        try:
            return await asyncio.get_running_loop().run_in_executor(self._readers, self.store.read, run)
        except Busy as error:
            raise Unavailable(f"the store could not be read: {error}") from error

    async def system(self, address: Address, function: Callable[[Transaction], T]) -> T:
        """Change rows of the runtime's own under the actor's lock."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        try:
            self.store.submit(SystemWork(address, function, future))
            return await future
        except Busy as error:
            raise Unavailable(f"the store did not take the change: {error}") from error

    async def end_workflow(self, owner: Address, ended: WorkflowEnded, generation: int | None) -> None:
        """Delete a workflow's row and give its end to its owner, in one transaction; nothing if that was done before.

        Args:
            generation: only if the row still has this one; None: whichever it has.

        Raises:
            Unavailable: the database was away; nothing was applied, asking again is right.
        """
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        try:
            self.store.submit(EndWork(self, owner, ended, future, generation))
            await future
        except Busy as error:
            raise Unavailable(f"the store did not take the workflow's end: {error}") from error

    async def retry_message(self, mailbox_id: int) -> bool:
        """Retry a message that was set aside, as if its sender had sent it now. Return False if it no longer exists."""

        def retry(tx: Transaction) -> str | None:
            row = tx.execute("SELECT receiver FROM mailbox WHERE id=? AND set_aside_at IS NOT NULL", mailbox_id)
            tx.execute(
                "INSERT INTO mailbox (receiver, sender, seq, word, body, sent_at)"
                " SELECT receiver, ?, 1, word, body, ? FROM mailbox WHERE id=? AND set_aside_at IS NOT NULL",
                f"retried:{mailbox_id}",
                tx.now,
                mailbox_id,
            )
            tx.execute("DELETE FROM mailbox WHERE id=? AND set_aside_at IS NOT NULL", mailbox_id)
            return str(row[0][0]) if row else None

        receiver = await self.system(Address("Mailbox", str(mailbox_id)), retry)
        if receiver is not None:
            self.dispatcher.poke(Address.parse(receiver))
        return receiver is not None

    async def drop_message(self, mailbox_id: int) -> None:
        """Forget a message that was set aside."""

        def drop(tx: Transaction) -> None:
            tx.execute("DELETE FROM mailbox WHERE id=? AND set_aside_at IS NOT NULL", mailbox_id)

        await self.system(Address("Mailbox", str(mailbox_id)), drop)

    def stuck(self) -> str | None:
        """What hangs, for the health check; None if nothing does."""
        for task in self._background:
            if task.done():
                return f"{task.get_name()} has ended"
        return (self._notifier and self._notifier.stuck()) or self.store.stuck()

    async def alone(self) -> bool:
        """Return True if no other server uses the database now."""

        def run(connection: Connection) -> bool:
            others = (leases.c.name.like("replica:%"), leases.c.name != f"replica:{self.executor}")
            query = select(leases.c.name).where(*others, leases.c.expires_at > self.store.now(connection))
            return connection.execute(query).first() is None

        return await asyncio.get_running_loop().run_in_executor(self._readers, self.store.read, run)

    async def inspect(self) -> Inspection:
        """Everything the runtime holds, the workflows with their steps."""

        def run(connection: Connection) -> Inspection:
            return inspection(Reader(connection), self.store.now(connection), self.executor)

        found = await asyncio.get_running_loop().run_in_executor(self._readers, self.store.read, run)
        seen = [await self.flows.seen(workflow) for workflow in found.workflows] if self.flows else []
        return found.model_copy(update={"stuck": self.stuck() or "", "workflows": seen})

    # for works, on the loop after a commit

    def _settled(self, works: Sequence[Work], error: BaseException | None) -> None:
        try:
            self._loop.call_soon_threadsafe(self._settle, works, error)
        except RuntimeError:  # the loop has gone; nobody waits any more
            log.warning("a commit outlived the loop", works=len(works))

    def _settle(self, works: Sequence[Work], error: BaseException | None) -> None:
        if error is not None:
            log.error("a transaction did not commit", error=str(error), works=len(works))
        for work in works:
            if error is None:
                work.settle()
            else:
                work.fail(error)

    def committed(self, after: After) -> None:
        if after.events:
            self.hub.publish(after.address, [Published(*event) for event in after.events])
        for receiver in after.receivers:
            self.dispatcher.poke(Address.parse(receiver))
        if self.flows and (after.starts or after.cancels):
            self.flows.poke()
        if after.schedules:
            self.timer.poke()
        self.supervisor.poke(after.address)
        if self._notifier:
            topics = [str(after.address)] if after.events else []
            self._notifier.add(after.receivers, topics, workflows=after.starts or after.cancels)

    def heard(self, notice: Notice) -> None:
        """Another replica has committed something: look at the rows that it names."""
        if notice.everything:
            self.dispatcher.look_at_all()
            self.hub.look_at_all()
        else:
            self.dispatcher.look(map(Address.parse, notice.mail))
            self.hub.look(map(Address.parse, notice.topics))
        if self.flows and (notice.workflows or notice.everything):
            self.flows.poke()

    def coordinator(self, scope: ScopeId) -> Address:
        return self.house.coordinator(scope)

    def mail_later(self, address: Address, after: float | None) -> None:
        self.dispatcher.looked(address, after)


async def _forever(run: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Keep a background loop alive through errors; each is logged, none ends it."""
    while True:
        try:
            await run()
            return
        except asyncio.CancelledError:
            raise
        except Exception:
            log.exception("a background loop failed and starts again", loop=run.__qualname__)
            await asyncio.sleep(1.0)
