"""DBOS, as we use it: one generic workflow function, started from rows and recovered in one way.

A workflow's start is a row that a turn wrote; after the commit it is handed to DBOS, which drops a second start of
one id. At start-up and every minute the rows and DBOS are compared: unknown to DBOS -> started again; unknown to us
-> cancelled; ended in DBOS without our last step -> a runtime issue. A workflow that was running in a process that is
gone is resumed under a new generation; after `CRASHES` times in one step it becomes a runtime issue instead. A process
is gone when its heartbeat lease has expired; on SQLite the lock on the data directory says so at once.

One that brings its process down takes the others with it, and they are not to be given up for that: once one has been
interrupted `SUSPECT` times in one step, whatever was interrupted goes on one by one, the least suspect first. A
process that is stopped in order takes its own interruptions back.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, Protocol, TypeVar

import structlog
from dbos import DBOS, DBOSConfig, DBOSPortableJSONSerializer, SetWorkflowID
from sqlalchemy import select
from sqlalchemy.engine import make_url

from foundry.contracts.doors import Doors
from foundry.contracts.errors import FoundryError
from foundry.contracts.ids import WorkflowId
from foundry.contracts.issues import EndTrouble, IssueKind, RecordTrouble, Trouble, WorkflowTrouble
from foundry.contracts.words import Address, Command, ScopeId
from foundry.runtime.pace import Pace
from foundry.runtime.store.base import Store, Transaction
from foundry.runtime.store.tables import leases, workflows
from foundry.runtime.turn import Reader
from foundry.runtime.waiting import ended
from foundry.runtime.workflow import (
    Flow,
    Standing,
    StepFailed,
    Stopped,
    Workflow,
    Workflows,
    fingerprint,
    outlast,
    scope_of,
)

T = TypeVar("T")
R = TypeVar("R")

VERSION = "foundry-1"  # raised only with a drain of the older replicas; changes go through DBOS.patch
QUEUE = "foundry-resumed"
POLL = 0.2  # seconds between looks at the queue of resumed workflows
COMPARE = 60.0  # seconds between comparisons of our rows with DBOS
CRASHES = 5
SUSPECT = 3  # crashes in one step
TRIAL = 10.0  # seconds that a suspect has for getting further before the next one goes on as well

ACTIVE = ["PENDING", "ENQUEUED", "DELAYED"]

log = structlog.get_logger("foundry.workflow")

_current: WorkflowSystem | None = None  # DBOS is one per process, and so is this


class Host(Protocol):
    """What the engine needs of the runtime."""

    executor: str
    store: Store

    async def ask(
        self, address: Address, command: Command[R], *, key: str | None = None, caller: str = "",
        workflow: WorkflowId | None = None,
    ) -> R: ...  # fmt: skip

    async def read(self, function: Callable[..., T], *args: object) -> T: ...
    async def system(self, address: Address, function: Callable[[Transaction], T]) -> T: ...
    def coordinator(self, scope: ScopeId) -> Address: ...


class Started(NamedTuple):
    """A workflow's start row."""

    id: WorkflowId
    name: str
    owner: Address
    scope: ScopeId
    generation: int
    crashes: int
    job: str
    cancelled: bool


def start_rows(reader: Reader, workflow_id: str | None = None) -> list[Started]:
    """All start rows, or the one of this id."""
    query = select(workflows)
    if workflow_id is not None:
        query = query.where(workflows.c.id == workflow_id)
    return [
        Started(r.id, r.name, Address.parse(r.owner), r.scope, r.generation, r.crashes, r.job, bool(r.cancelled))
        for r in reader.all(query)
    ]


def _not_our_stop(record: logging.LogRecord) -> bool:
    """DBOS warns of every task we let go at a stop or after a take-over; both are meant."""
    return "Asyncio task cancelled" not in record.getMessage()


@DBOS.workflow(name="foundry")
async def _run(workflow_id: str) -> None:
    if _current is None:
        raise Stopped
    await _current.execute(WorkflowId(workflow_id))


class WorkflowSystem:
    """Starts, runs, recovers and ends workflows."""

    def __init__(self, host: Host, declared: Workflows, url: str, pace: Pace) -> None:
        self._host = host
        self._declared = declared
        self._url = url
        self._pace = pace
        self._tasks: dict[asyncio.Task[Any], Started] = {}
        self._background: list[asyncio.Task[None]] = []
        self._wake = asyncio.Event()
        self._handed: set[str] = set()
        self._one_process = url.startswith("sqlite")
        self._comparing = asyncio.Lock()
        self._on_trial: tuple[WorkflowId, float] | None = None  # and until when, by the loop's clock
        self._held_back = asyncio.Event()  # some wait until the trial is over

    # life

    async def start(self, doors: Doors) -> None:
        global _current
        if _current is not None:
            raise RuntimeError("one process has one runtime with workflows")
        self._doors = doors
        _current = self
        try:
            await self._launch()
        except BaseException:
            _current = None
            raise

    async def _launch(self) -> None:
        if self._one_process:
            path = make_url(self._url).database
            assert path
            sqlite3.connect(path).execute("PRAGMA journal_mode=WAL").connection.close()
        logging.getLogger("dbos").addFilter(_not_our_stop)
        config = DBOSConfig(
            name="foundry",
            system_database_url=self._url,
            application_version=VERSION,
            executor_id=self._host.executor,
            serializer=DBOSPortableJSONSerializer(),
            enable_otlp=False,
            log_level="WARNING",
            sys_db_pool_size=10,
        )
        DBOS(config=config)
        await self.beat()
        DBOS.launch()  # on the loop's thread: DBOS runs resumed workflows in the loop it was launched in
        await DBOS.register_queue_async(QUEUE, polling_interval_sec=POLL)
        await self.compare()
        self._background = [
            asyncio.create_task(self._forever(self._dispatch), name="workflow dispatcher"),
            asyncio.create_task(self._forever(self._recover), name="workflow recovery"),
            asyncio.create_task(self._forever(self._try_suspects), name="workflows on trial"),
        ]

    async def stop(self) -> None:
        """Let go of running steps without an outcome; they go on at the next start."""
        global _current
        await ended(set(self._background))
        await self._put_down()
        await ended(set(self._tasks))
        await self._host.system(Address("Lease", "replica"), self._beat(0))
        await asyncio.to_thread(DBOS.destroy, workflow_completion_timeout_sec=0)
        # DBOS made its own pool the loop's default one and has now shut it down.
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(thread_name_prefix="foundry"))
        _current = None

    async def _put_down(self) -> None:
        """What runs here is interrupted in order: that is no crash of its."""
        running = list(self._tasks.values())

        def uncount(tx: Transaction) -> None:
            for row in running:
                taken_back = "UPDATE workflows SET crashes=crashes-1 WHERE id=? AND generation=?"
                tx.execute(taken_back, row.id, row.generation)

        await self._host.system(Address("Lease", "replica"), uncount)

    def poke(self) -> None:
        """A workflow was started or cancelled."""
        self._wake.set()

    async def _forever(self, run: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await run()
            except asyncio.CancelledError:
                raise
            except Exception:
                log.exception("workflow upkeep failed and goes on")
                await asyncio.sleep(1.0)

    # starting

    async def _dispatch(self) -> None:
        await self._wake.wait()
        self._wake.clear()
        rows = await self._host.read(start_rows)
        self._handed &= {row.id for row in rows}  # other replicas end some of those handed over here
        for row in rows:
            if row.cancelled:
                await self._cancelled(row)
            elif row.id not in self._handed:
                await self._hand(row.id)

    async def _hand(self, workflow_id: str) -> None:
        self._handed.add(workflow_id)
        with SetWorkflowID(workflow_id):
            await DBOS.start_workflow_async(_run, workflow_id)

    async def _cancelled(self, row: Started) -> None:
        """Whoever cancelled it needs no issue about it: one that says it will be retried would never end."""
        if row.id in self._handed:
            await DBOS.cancel_workflow_async(row.id)
        ended, coordinator = EndTrouble(fingerprint=fingerprint(row.id)), self._host.coordinator(self._scope(row))
        try:
            await outlast(lambda: self._host.ask(coordinator, ended))
        except FoundryError as refusal:  # there is no such coordinator any more, so no issue of its
            log.warning("the issue of a cancelled workflow was not ended", id=row.id, error=refusal.detail)
        await self._forget(row)

    # running

    async def execute(self, workflow_id: WorkflowId) -> None:
        """One execution, from the first step on; recorded steps are replayed."""
        task = asyncio.current_task()
        assert task
        self._handed.add(workflow_id)
        rows = await self._host.read(start_rows, workflow_id)
        if not rows or rows[0].cancelled:
            raise Stopped
        row = self._tasks[task] = rows[0]
        task.add_done_callback(lambda done: self._tasks.pop(done, None))
        declared = self._declared.by_name.get(row.name)
        if declared is None:
            await self._refuse(row, IssueKind.WORKFLOW_LOST, f"this version knows no workflow {row.name}")
            return
        flow = self._flow(declared, row)
        try:
            await declared.run(flow, declared.job.model_validate_json(row.job))
        except StepFailed as failed:
            log.info("workflow failed", workflow=row.name, id=row.id, step=failed.trouble.step)
        except Exception as error:
            log.exception("workflow raised", workflow=row.name, id=row.id)
            trouble = flow.trouble("", 1, error, None)
            await DBOS.run_step_async({"name": "on-error"}, flow.report, trouble)
        else:
            await flow.went_on()
        await flow.check()
        await DBOS.run_step_async({"name": "end"}, self._forget, row)

    def _flow(self, declared: Workflow, row: Started) -> Flow:
        async def standing() -> Standing:
            found = await self._host.read(start_rows, row.id)
            if not found or found[0].cancelled:
                return Standing.OVER
            return Standing.LIVE if found[0].generation == row.generation else Standing.OLD

        async def resumed() -> None:
            clear = "UPDATE workflows SET crashes=0 WHERE id=? AND generation=?"
            await self._host.system(row.owner, lambda tx: tx.execute(clear, row.id, row.generation))

        resume = resumed if row.generation else None
        return Flow(self._host, self._doors, declared, row.id, row.owner, self._scope(row), standing, resume)

    def _scope(self, row: Started) -> ScopeId:
        """Where its issues are."""
        declared = self._declared.by_name.get(row.name)
        return scope_of(declared, row.scope) if declared else row.scope

    async def _forget(self, row: Started) -> None:
        """The workflow has ended: its row and the answers its steps remembered go."""

        def forget(tx: Transaction) -> None:
            tx.execute("DELETE FROM asks WHERE workflow=?", row.id)
            tx.execute("DELETE FROM workflows WHERE id=?", row.id)

        await outlast(lambda: self._host.system(row.owner, forget))
        self._handed.discard(row.id)

    # recovery

    async def _recover(self) -> None:
        """Heartbeat; comparison at start-up and every minute; on several replicas, a look for silent ones."""
        rounds = max(1, round(COMPARE / self._pace.renew))
        for number in range(1, rounds + 1):
            await asyncio.sleep(self._pace.renew)
            await self.beat()
            if number == rounds or not self._one_process:
                await self.compare()

    async def beat(self) -> None:
        """Say that this process lives."""
        await self._host.system(Address("Lease", "replica"), self._beat(int(self._pace.term * 1000)))

    def _beat(self, term: int) -> Callable[[Transaction], None]:
        def beat(tx: Transaction) -> None:
            tx.execute(
                "INSERT INTO leases (name, holder, fencing, expires_at) VALUES (?,?,1,?)"
                " ON CONFLICT (name) DO UPDATE SET expires_at=excluded.expires_at",
                f"replica:{self._host.executor}",
                self._host.executor,
                tx.now + term,
            )
            tx.execute("DELETE FROM leases WHERE name LIKE 'replica:%' AND expires_at < ?", tx.now - 3_600_000)

        return beat

    async def _silent(self) -> Callable[[str | None], bool]:
        """Which executors are gone."""

        def living(reader: Reader, now: int) -> set[str]:
            query = select(leases.c.holder).where(leases.c.name.like("replica:%"), leases.c.expires_at > now)
            return {row.holder for row in reader.all(query)}

        if self._one_process:
            alive = {self._host.executor}
        else:
            now = await self._host.system(Address("Lease", "replica"), lambda tx: tx.now)
            alive = await self._host.read(living, now)
        return lambda executor: executor not in alive

    async def compare(self) -> None:
        """Bring our rows and DBOS together."""
        async with self._comparing:
            await self._compare()

    async def _compare(self) -> None:
        rows = {row.id: row for row in await self._host.read(start_rows)}
        known = {
            status.workflow_id: status
            for status in await DBOS.list_workflows_async(status=ACTIVE, load_input=False, load_output=False)
        }
        gone = await self._silent()
        for workflow_id in known.keys() - rows.keys():
            if not await self._host.read(start_rows, workflow_id):
                await DBOS.cancel_workflow_async(workflow_id)
        interrupted: list[Started] = []
        for row in rows.values():
            status = known.get(row.id)
            if row.cancelled:
                await self._cancelled(row)
            elif status is None:
                await self._missing(row)
            elif status.status == "PENDING" and gone(status.executor_id):
                interrupted.append(row)
        await self._go_on(interrupted)

    async def _missing(self, row: Started) -> None:
        """Not active in DBOS: never handed over, or ended without our last step."""
        status = await DBOS.get_workflow_status_async(row.id)
        if status is None:
            await self._hand(row.id)
        elif status.status in ACTIVE:
            return
        elif await self._host.read(start_rows, row.id):
            await self._refuse(row, IssueKind.WORKFLOW_LOST, f"it ended in DBOS as {status.status} unseen")

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
        """Whether the one on trial has neither got further nor ended."""
        if self._on_trial is None or asyncio.get_running_loop().time() > self._on_trial[1]:
            return False
        return any(row.crashes for row in await self._host.read(start_rows, self._on_trial[0]))

    async def _try_suspects(self) -> None:
        await self._held_back.wait()
        await asyncio.sleep(POLL)
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
            await self._refuse(row, IssueKind.WORKFLOW_CRASHED, f"the process died {crashes} times in the same step")
        else:
            log.info("workflow resumed", workflow=row.name, id=row.id, crashes=crashes)
            self._handed.add(row.id)
            await DBOS.resume_workflow_async(row.id, queue_name=QUEUE)

    async def _refuse(self, row: Started, kind: IssueKind, message: str) -> None:
        trouble = Trouble(
            kind=kind,
            actor=str(row.owner),
            scope=self._scope(row),
            fingerprint=fingerprint(row.id),
            workflow=row.name,
            workflow_id=row.id,
            code=kind.value,
            message=message,
            remedy="Retry it from the thing it worked for; the server's log says what happened.",
        )
        await outlast(lambda: self._host.ask(row.owner, WorkflowTrouble(trouble=trouble)))
        await outlast(lambda: self._host.ask(self._host.coordinator(trouble.scope), RecordTrouble(trouble=trouble)))
        await self._forget(row)
