"""Recovery: start rows and DBOS brought together, what a dead process left resumed; there is no other way to that.

At start-up and every minute the rows and DBOS are compared: unknown to DBOS -> started again; unknown to us ->
cancelled; ended in DBOS without our last step -> a runtime issue. A workflow that was running in a process that is gone
is resumed under a new generation; after `CRASHES` times in one step it becomes a runtime issue instead. A process is
gone when its heartbeat lease has expired; on SQLite the lock on the data directory says so at once.

One that brings its process down takes the others with it, and they are not to be given up for that: once one has been
interrupted `SUSPECT` times in one step, whatever was interrupted goes on one by one, the least suspect first. A
process that is stopped in order takes its own interruptions back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING

import structlog
from dbos import DBOS
from sqlalchemy import select

from foundry import RELEASE
from foundry.contracts.ids import WorkflowId
from foundry.contracts.issues import IssueKind
from foundry.contracts.messages import Address
from foundry.runtime.host import Host
from foundry.runtime.intervals import Pace
from foundry.runtime.reader import Reader
from foundry.runtime.store.base import Transaction
from foundry.runtime.store.tables import leases
from foundry.runtime.worker.lease import acquire, release
from foundry.runtime.workflow.workflow_rows import Started, start_rows

if TYPE_CHECKING:
    from foundry.runtime.workflow.engine import WorkflowSystem

COMPARE = 60.0  # seconds between comparisons of our rows with DBOS
CRASHES = 5  # resumptions in one step, then it becomes a runtime issue
SUSPECT = 3  # crashes in one step
TRIAL = 3.0  # seconds that a suspect has for getting further before the next one goes on as well
LOOK = 0.2  # seconds between looks whether a suspect got further

ACTIVE = ["PENDING", "ENQUEUED", "DELAYED"]
REPLICA = Address("Lease", "replica")
HEALING = "healer"
HEALER = Address("Lease", HEALING)
HEAL_LIMIT = 5.0  # seconds after which one that died while it compared is not waited for

log = structlog.get_logger("foundry.workflow")


class Recovery:
    """Of one process."""

    def __init__(self, host: Host, engine: WorkflowSystem, pace: Pace, *, one_process: bool) -> None:
        self._host = host
        self._engine = engine
        self._pace = pace
        self._one_process = one_process
        self._comparing = asyncio.Lock()
        self._on_trial: tuple[WorkflowId, float] | None = None  # and until when, by the loop's clock
        self._held_back = asyncio.Event()  # some wait until the trial is over

    async def watch(self) -> None:
        """Heartbeat; comparison at start-up and every minute; on several replicas, a look for silent ones."""
        rounds = max(1, round(COMPARE / self._pace.renew))
        for number in range(1, rounds + 1):
            await asyncio.sleep(self._pace.renew)
            await self.beat()
            if number == rounds or not self._one_process:
                await self.compare()

    async def beat(self) -> None:
        """Say that this process lives."""
        await self._beat(int(self._pace.term * 1000))

    async def leave(self) -> None:
        """This process ends now. Release its leases, so that others need not wait until they expire."""
        await self._beat(0)

    async def put_down(self, running: Iterable[Started]) -> None:
        """Mark what runs here as interrupted by a graceful stop, so that it does not count as a crash."""

        def uncount(tx: Transaction) -> None:
            for row in running:
                taken_back = "UPDATE workflows SET crashes=crashes-1 WHERE id=? AND generation=?"
                tx.execute(taken_back, row.id, row.generation)

        await self._host.system(REPLICA, uncount)

    async def _beat(self, term: int) -> None:
        def beat(tx: Transaction) -> None:
            tx.execute(
                "INSERT INTO leases (name, holder, fencing, expires_at) VALUES (?,?,1,?)"
                " ON CONFLICT (name) DO UPDATE SET expires_at=excluded.expires_at",
                f"replica:{self._host.executor}",
                self._host.executor,
                tx.now + term,
            )
            tx.execute(
                "INSERT INTO leases (name, holder, fencing, expires_at) VALUES (?,?,1,?)"
                " ON CONFLICT (name) DO UPDATE SET expires_at=excluded.expires_at",
                f"release:{RELEASE}:{self._host.executor}",
                self._host.executor,
                tx.now + term,
            )
            for kind in ("replica:%", "release:%"):
                tx.execute("DELETE FROM leases WHERE name LIKE ? AND expires_at < ?", kind, tx.now - 3_600_000)

        await self._host.system(REPLICA, beat)

    async def _living(self) -> set[str]:
        """Return the executors whose leases have not expired."""

        def living(reader: Reader, now: int) -> set[str]:
            query = select(leases.c.holder).where(leases.c.name.like("replica:%"), leases.c.expires_at > now)
            return {row.holder for row in reader.all(query)}

        if self._one_process:
            return {self._host.executor}
        now = await self._host.system(REPLICA, lambda tx: tx.now)
        return await self._host.read(living, now)

    async def runs_elsewhere(self, executor: str | None) -> bool:
        """Return True if this executor is another process that is alive."""
        return executor != self._host.executor and executor in await self._living()

    async def alone(self) -> bool:
        """Return True if there are no other replicas."""
        return not await self._living() - {self._host.executor}

    async def compare(self) -> None:
        """Bring our rows and DBOS together. One process at a time: who looked while another one was at it would see a
        workflow that has been resumed and not yet handed over, and resume it, and count a crash, once more."""
        async with self._comparing:
            if self._one_process:
                await self._compare()
                return
            fencing = await self._host.system(HEALER, lambda tx: acquire(tx, HEALING, self._host.executor, HEAL_LIMIT))
            if fencing is None:
                return
            try:
                await self._compare()
            finally:
                await self._host.system(HEALER, lambda tx: release(tx, HEALING, fencing))

    async def _compare(self) -> None:
        rows = {row.id: row for row in await self._host.read(start_rows)}
        known = {
            status.workflow_id: status
            for status in await DBOS.list_workflows_async(status=ACTIVE, load_input=False, load_output=False)
        }
        living = await self._living()
        for workflow_id in known.keys() - rows.keys():
            if not await self._host.read(start_rows, workflow_id):
                await DBOS.cancel_workflow_async(workflow_id)
        interrupted: list[Started] = []
        for row in rows.values():
            status = known.get(row.id)
            if row.cancelled:
                await self._engine.cancelled(row)
            elif status is None:
                await self._missing(row)
            elif status.status == "PENDING" and status.executor_id not in living:
                interrupted.append(row)
        await self._go_on(interrupted)

    async def _missing(self, row: Started) -> None:
        """Not active in DBOS: never handed over, or ended without our last step."""
        status = await DBOS.get_workflow_status_async(row.id)
        if status is None:
            if await self._engine.ours(row):
                await self._engine.hand(row.id)
        elif status.status in ACTIVE:
            return
        elif await self._host.read(start_rows, row.id):
            await self._engine.refuse(row, IssueKind.WORKFLOW_LOST, f"it ended in DBOS as {status.status} unseen")

    async def _go_on(self, interrupted: list[Started]) -> None:
        """All of them; with a suspect among them, the least suspect one alone."""
        if max((row.crashes for row in interrupted), default=0) < SUSPECT:
            self._held_back.clear()
            for row in interrupted:
                await self._resume(row)
            return
        self._held_back.set()
        if not await self._trial_lasts():
            row = min(interrupted, key=lambda row: (row.crashes, row.id))
            await self._resume(row)
            self._on_trial = row.id, asyncio.get_running_loop().time() + TRIAL

    async def _trial_lasts(self) -> bool:
        """Return True if the suspect has neither reached another step nor ended."""
        if self._on_trial is None or asyncio.get_running_loop().time() > self._on_trial[1]:
            return False
        return any(row.crashes for row in await self._host.read(start_rows, self._on_trial[0]))

    async def try_suspects(self) -> None:
        await self._held_back.wait()
        await asyncio.sleep(LOOK)
        if not await self._trial_lasts():
            await self.compare()

    async def _resume(self, row: Started) -> None:
        def raised(tx: Transaction) -> int | None:
            found = tx.execute(
                "UPDATE workflows SET generation=generation+1, crashes=crashes+1"
                " WHERE id=? AND generation=? RETURNING crashes",
                row.id, row.generation,
            )  # fmt: skip
            return int(str(found[0][0])) if found else None

        crashes = await self._host.system(row.owner, raised)
        if crashes is None:  # another replica was faster
            return
        if crashes > CRASHES:
            await DBOS.cancel_workflow_async(row.id)
            died = f"the process died {crashes} times in the same step"
            await self._engine.refuse(row, IssueKind.WORKFLOW_CRASHED, died)
        else:
            log.info("workflow resumed", workflow=row.name, id=row.id, crashes=crashes)
            await self._engine.hand_again(row.id)
