"""DBOS, as we use it: one generic workflow function, started from rows and recovered in one way.

A workflow's start is a row that a turn wrote; after the commit it is handed to DBOS, which drops a second start of
one id. What a dead process leaves is `Recovery`'s.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import sqlite3
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import structlog
from dbos import DBOS, DBOSConfig, DBOSPortableJSONSerializer, SetWorkflowID, StepInfo
from dbos import error as dbos_error
from sqlalchemy.engine import make_url

from foundry.contracts.doors import Doors
from foundry.contracts.errors import FoundryError, Unavailable
from foundry.contracts.ids import WorkflowId
from foundry.contracts.inspection import StepSeen, WorkflowSeen
from foundry.contracts.issues import EndFailure, Failure, IssueKind, Outcome, RecordFailure, WorkflowEnded
from foundry.contracts.messages import ScopeId
from foundry.runtime.async_tools import ended, woken
from foundry.runtime.host import Host
from foundry.runtime.intervals import Pace
from foundry.runtime.transactions import NEWER
from foundry.runtime.workflow.flow import (
    ExecutionStopped,
    Flow,
    Standing,
    StepFailed,
    Workflow,
    Workflows,
    fingerprint,
    outlast,
    scope_of,
)
from foundry.runtime.workflow.recovery import Recovery
from foundry.runtime.workflow.workflow_rows import Started, start_rows

VERSION = "foundry-1"  # of all versions: changed workflows go through `flow.patched` (docs/decisions/0010)
QUEUE = "foundry-resumed"
LAST_WORDS = 2.0  # seconds
POLL = 0.2  # seconds between looks at the queue of resumed workflows

log = structlog.get_logger("foundry.workflow")

_current: WorkflowSystem | None = None  # DBOS is one per process, and so is this


def _not_our_stop(record: logging.LogRecord) -> bool:
    """DBOS warns of every task we let go at a stop or after a take-over; both are meant."""
    return "Asyncio task cancelled" not in record.getMessage()


def _step(info: StepInfo) -> StepSeen:
    began, over = info["started_at_epoch_ms"], info["completed_at_epoch_ms"]
    return StepSeen(
        name=info["function_name"], seconds=None if began is None or over is None else (over - began) / 1000
    )


@DBOS.workflow(name="foundry")
async def _run(workflow_id: str) -> None:
    if _current is None:
        raise ExecutionStopped
    await _current.execute(WorkflowId(workflow_id))


async def _if_it_can(last_words: Awaitable[None]) -> None:
    """Write at a stop. If the database is unavailable, other replicas find out by the lease."""
    try:
        async with asyncio.timeout(LAST_WORDS):
            await last_words
    except (Unavailable, TimeoutError) as error:
        log.warning("stopped without a word to the database", error=str(error) or "it does not answer")


@dataclass(eq=False)
class Execution:
    """A workflow that runs in this process."""

    row: Started
    flow: Flow | None = None
    cut_off: asyncio.TimerHandle | None = None  # set once it is cancelled


class WorkflowSystem:
    """Starts, runs, recovers and ends workflows."""

    def __init__(self, host: Host, declared: Workflows, url: str, pace: Pace) -> None:
        self._host = host
        self._declared = declared
        self._url = url
        self._tasks: dict[asyncio.Task[Any], Execution] = {}
        self._cut_off = pace.cut_off
        self._background: list[asyncio.Task[None]] = []
        self._wake = asyncio.Event()
        self._handed: set[str] = set()
        self._one_process = url.startswith("sqlite")
        self._sweep = pace.sweep
        self.recovery = Recovery(host, self, pace, one_process=self._one_process)

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
        await self.recovery.beat()
        DBOS.launch()  # on the loop's thread: DBOS runs resumed workflows in the loop it was launched in
        await DBOS.register_queue_async(QUEUE, polling_interval_sec=POLL)
        await self.recovery.compare()
        self._background = [
            asyncio.create_task(self._forever(self._dispatch), name="workflow dispatcher"),
            asyncio.create_task(self._forever(self.recovery.watch), name="workflow recovery"),
            asyncio.create_task(self._forever(self.recovery.try_suspects), name="workflows on trial"),
        ]

    async def stop(self) -> None:
        """Let go of running steps without an outcome; they go on at the next start."""
        global _current
        await ended(set(self._background))
        await _if_it_can(self.recovery.put_down([one.row for one in self._tasks.values()]))
        await ended(set(self._tasks))
        await _if_it_can(self.recovery.leave())
        await asyncio.to_thread(DBOS.destroy, workflow_completion_timeout_sec=0)
        # DBOS made its own pool the loop's default one and has now shut it down.
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(thread_name_prefix="foundry"))
        _current = None

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
        if self._one_process:
            await self._wake.wait()
        else:  # what a replica has started that died before it could say so
            await woken(self._wake, self._sweep)
        self._wake.clear()
        rows = await self._host.read(start_rows)
        self._handed &= {row.id for row in rows}  # other replicas end some of those handed over here
        for row in rows:
            if row.cancelled:
                await self.cancelled(row)
            elif row.id not in self._handed and await self.ours(row):
                await self.hand(row.id)

    async def ours(self, row: Started) -> bool:
        """Return True if this process should start it. An unknown workflow may belong to a newer replica."""
        return row.name in self._declared.by_name or await self.recovery.alone()

    async def hand(self, workflow_id: str) -> None:
        self._handed.add(workflow_id)
        with SetWorkflowID(workflow_id):
            await DBOS.start_workflow_async(_run, workflow_id)

    async def hand_again(self, workflow_id: str) -> None:
        """It goes on from its last recorded step, in whichever process is the first."""
        self._handed.add(workflow_id)
        await DBOS.resume_workflow_async(workflow_id, queue_name=QUEUE)

    async def cancelled(self, row: Started) -> None:
        """Cancel it. It ends once its running step is over; after a time limit the step is cancelled.

        Whoever cancelled it needs no issue about it: one that says it will be retried would never end.
        """
        if self._runs_here(row):
            return  # called again at its end
        status = await DBOS.get_workflow_status_async(row.id)
        if status is not None:
            if status.status == "PENDING" and await self.recovery.runs_elsewhere(status.executor_id):
                return  # that one ends it
            await DBOS.cancel_workflow_async(row.id)
        ended, coordinator = EndFailure(fingerprint=fingerprint(row.id)), self._host.coordinator(self._scope(row))
        try:
            await outlast(lambda: self._host.ask(coordinator, ended))
        except FoundryError as refusal:  # there is no such coordinator any more, so no issue of its
            log.warning("the issue of a cancelled workflow was not ended", id=row.id, error=refusal.detail)
        await self._end(row, Outcome.CANCELLED)

    def _runs_here(self, row: Started) -> bool:
        """Return True if it runs here. If so, tell it that it is cancelled, and limit its time."""
        for task, execution in self._tasks.items():
            if execution.row.id == row.id:
                if execution.flow:
                    execution.flow.cancelled.set()
                if execution.cut_off is None:
                    execution.cut_off = asyncio.get_running_loop().call_later(self._cut_off, task.cancel)
                return True
        return False

    # running

    async def execute(self, workflow_id: WorkflowId) -> None:
        """One execution, from the first step on; recorded steps are replayed."""
        task = asyncio.current_task()
        assert task
        self._handed.add(workflow_id)
        rows = await outlast(lambda: self._host.read(start_rows, workflow_id))
        if not rows or rows[0].cancelled:
            raise ExecutionStopped
        row = rows[0]
        execution = self._tasks[task] = Execution(row)
        task.add_done_callback(self._done)
        declared = self._declared.by_name.get(row.name)
        if declared is None:
            await self._not_ours(row, f"this version knows no workflow {row.name}")
            return
        try:
            execution.flow = self._flow(declared, row)
            await self._carry_out(declared, row, execution.flow)
        except dbos_error.DBOSUnexpectedStepError as error:
            log.error("a workflow of another version", workflow=row.name, id=row.id, error=str(error))
            await self._not_ours(row, "it was begun by a version with other steps")

    def _done(self, task: asyncio.Task[Any]) -> None:
        execution = self._tasks.pop(task, None)
        if execution and execution.cut_off:
            execution.cut_off.cancel()
            self.poke()  # its last step is over

    async def _carry_out(self, declared: Workflow, row: Started, flow: Flow) -> None:
        outcome, failure = Outcome.DONE, None
        try:
            await declared.run(flow, declared.job.model_validate_json(row.job))
        except StepFailed as failed:
            log.info("workflow failed", workflow=row.name, id=row.id, step=failed.failure.step)
            outcome, failure = Outcome.FAILED, failed.failure
        except dbos_error.DBOSUnexpectedStepError:
            raise
        except Exception as error:
            log.exception("workflow raised", workflow=row.name, id=row.id)
            outcome, failure = Outcome.FAILED, flow.failure("", 1, error, None)
            await DBOS.run_step_async({"name": "on-error"}, flow.report, failure)
        else:
            await flow.went_on()
        await flow.check()
        await self._end(row, outcome, failure, row.generation)  # no step: a repeat finds the row gone

    async def _not_ours(self, row: Started, why: str) -> None:
        """With other replicas about, one of them may be newer: it goes on there once this one is stopped."""
        until = asyncio.get_running_loop().time() + NEWER
        while asyncio.get_running_loop().time() < until and not await outlast(self.recovery.alone):
            if await outlast(lambda: self._standing(row)) is not Standing.LIVE:
                raise ExecutionStopped
            await asyncio.sleep(1.0)
        await self.refuse(row, IssueKind.WORKFLOW_LOST, why)

    async def _standing(self, row: Started) -> Standing:
        found = await self._host.read(start_rows, row.id)
        if not found or found[0].cancelled:
            return Standing.OVER
        return Standing.LIVE if found[0].generation == row.generation else Standing.OLD

    def _flow(self, declared: Workflow, row: Started) -> Flow:
        async def resumed() -> None:
            clear = "UPDATE workflows SET crashes=0 WHERE id=? AND generation=?"
            await self._host.system(row.owner, lambda tx: tx.execute(clear, row.id, row.generation))

        resume = resumed if row.generation else None
        standing = functools.partial(self._standing, row)
        return Flow(self._host, self._doors, declared, row.id, row.owner, self._scope(row), standing, resume)

    def _scope(self, row: Started) -> ScopeId:
        """Where its issues are."""
        declared = self._declared.by_name.get(row.name)
        return scope_of(declared, row.scope) if declared else row.scope

    async def _end(
        self, row: Started, outcome: Outcome, failure: Failure | None = None, generation: int | None = None
    ) -> None:
        """One turn of its owner: the row goes, and the owner acts on it.

        Args:
            generation: only the execution with this generation may end it; None: no execution runs.
        """
        ended = WorkflowEnded(workflow=row.name, workflow_id=row.id, outcome=outcome, failure=failure)
        await outlast(lambda: self._host.end_workflow(row.owner, ended, generation))
        self._handed.discard(row.id)

    async def refuse(self, row: Started, kind: IssueKind, message: str) -> None:
        failure = Failure(
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
        await outlast(lambda: self._host.ask(self._host.coordinator(failure.scope), RecordFailure(failure=failure)))
        await self._end(row, Outcome.LOST, failure)

    # for an inspection

    async def seen(self, workflow: WorkflowSeen) -> WorkflowSeen:
        """With what DBOS knows of it."""
        status = await DBOS.get_workflow_status_async(workflow.id)
        if status is None:
            return workflow
        steps = await DBOS.list_workflow_steps_async(workflow.id, load_output=False)
        known = {"status": status.status, "executor": status.executor_id or "", "steps": [_step(s) for s in steps]}
        return workflow.model_copy(update=known)
