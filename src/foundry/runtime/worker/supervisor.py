"""Worker: leased, async, unbounded I/O (a stream reader, a log tail). It changes state only by ask.

Guarantee: a worker holds a lease with a fencing number; its asks carry the number and are refused once somebody
else holds the lease. A replica that dies loses its leases within `Pace.term` seconds, and another one goes on.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import structlog

from foundry.contracts.doors import Doors
from foundry.contracts.errors import Unavailable
from foundry.contracts.messages import Address, Command
from foundry.runtime.async_tools import ended, woken
from foundry.runtime.host import Host
from foundry.runtime.intervals import Pace
from foundry.runtime.reader import Reader
from foundry.runtime.store.base import Fenced, Transaction
from foundry.runtime.worker.lease import acquire, release, renew

T = TypeVar("T")
R = TypeVar("R")

PAUSE = (0.5, 1.0, 2.0, 5.0, 10.0)  # seconds before a worker that failed is tried again

log = structlog.get_logger("foundry.worker")


class Job:
    """One actor's work under one lease: what a worker's `run` is given."""

    def __init__(self, host: Host, doors: Doors, address: Address, lease: str, fencing: int) -> None:
        self.address = address
        self.key = address.key
        self.doors = doors
        self.fencing = fencing
        self._lease = (lease, fencing)
        self._host = host

    async def ask(self, address: Address, command: Command[R]) -> R:
        """Ask under the lease.

        Raises:
            Fenced: somebody else holds the lease now; stop.
        """
        return await self._host.ask(address, command, lease=self._lease)

    async def read(self, function: Callable[..., T], *args: object) -> T:
        return await self._host.read(function, *args)


@dataclass(frozen=True)
class WorkerKind:
    """A worker for actors of one kind: which of them want one now, and what it does for one until it is done."""

    kind: str
    wanted: Callable[[Reader], Sequence[str]]
    run: Callable[[Job], Awaitable[None]]
    name: str = ""  # tells it from other workers for the same kind

    def lease(self, address: Address) -> str:
        return f"worker:{self.name}:{address}" if self.name else f"worker:{address}"


def once(address: Address) -> Callable[[Reader], Sequence[str]]:
    """`wanted`, of a worker that there is one of: by this actor, from when it exists."""

    def wanted(reader: Reader) -> Sequence[str]:
        return [address.key] if reader.exists(address) else []

    return wanted


class Supervisor:
    """Runs the workers this replica can get a lease for."""

    def __init__(self, host: Host, kinds: Sequence[WorkerKind], doors: Doors, pace: Pace) -> None:
        self._host = host
        self._pace = pace
        self._doors = doors
        self._workers = tuple(kinds)
        self._kinds = {worker.kind for worker in kinds}
        self._running: dict[str, asyncio.Task[None]] = {}  # by the lease's name
        self._leaving: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()

    def poke(self, address: Address) -> None:
        """This actor's state changed: whether it wants a worker may have changed too."""
        if address.kind in self._kinds:
            self._wake.set()

    async def run(self) -> None:
        while True:
            self._wake.clear()
            wanted: set[str] = set()
            for kind in self._workers:
                for address in [Address(kind.kind, key) for key in await self._host.read(kind.wanted)]:
                    lease = kind.lease(address)
                    wanted.add(lease)
                    if lease not in self._running:
                        self._running[lease] = asyncio.create_task(self._keep(kind, address), name=lease)
            for lease in self._running.keys() - wanted:
                self._leave(self._running.pop(lease))
            await woken(self._wake, self._pace.look)

    def _leave(self, task: asyncio.Task[None]) -> None:
        task.cancel()
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    async def stop(self) -> None:
        """Cancel all workers and give their leases back, so that another replica need not wait."""
        await ended({*self._running.values(), *self._leaving})
        self._running.clear()

    async def _keep(self, kind: WorkerKind, address: Address) -> None:
        """Until the work is no longer wanted; then the supervisor cancels this."""
        failures = 0
        while True:
            began = time.monotonic()
            try:
                ran = await self._once(kind, address)
                await asyncio.sleep(self._pace.look if ran else self._pace.renew)
            except Fenced:
                log.info("lease lost", worker=str(address))
            except Exception as error:
                if isinstance(error, Unavailable):
                    log.warning("worker waits for the database", worker=str(address), error=error.detail)
                else:
                    log.exception("worker failed", worker=str(address))
                failures = 0 if time.monotonic() - began > self._pace.term else failures
                await asyncio.sleep(PAUSE[min(failures, len(PAUSE) - 1)])
                failures += 1

    async def _once(self, kind: WorkerKind, address: Address) -> bool:
        """Take the lease, hold it while the work lasts, and release it. Return False if another process has it."""
        name = kind.lease(address)
        fencing = await self._lease(name, lambda tx: acquire(tx, name, self._host.executor, self._pace.term))
        if fencing is None:
            return False
        work = asyncio.ensure_future(kind.run(Job(self._host, self._doors, address, name, fencing)))
        try:
            await self._hold(name, fencing, work)
            return True
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
            await asyncio.shield(self._lease(name, lambda tx: release(tx, name, fencing)))

    async def _hold(self, name: str, fencing: int, work: asyncio.Future[None]) -> None:
        while not work.done():
            await asyncio.wait({work}, timeout=self._pace.renew)
            if work.done():
                break
            if not await self._lease(name, lambda tx: renew(tx, name, fencing, self._pace.term)):
                raise Fenced(name)
        work.result()

    async def _lease(self, name: str, function: Callable[[Transaction], T]) -> T:
        return await self._host.system(Address("Lease", name), function)
