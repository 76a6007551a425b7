"""The operations' table: every pair of operations, and that a prompt waiting behind any of them is granted at its end.

Pure and fast: the real turns on SQLite, no workflow runs; a test starts and ends what the engine would.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from foundry.actors.task.actor import FAILED
from foundry.actors.task.jobs import Save
from foundry.actors.task.tables import tasks
from foundry.actors.task.workflows import WORKFLOWS
from foundry.contracts import addresses
from foundry.contracts.errors import WrongState
from foundry.contracts.ids import MessageId, SandboxId, SessionId, TaskId, new_id
from foundry.contracts.issues import Failure, IssueKind, Outcome, WorkflowRecovered
from foundry.contracts.messages import Command, Message
from foundry.contracts.repository import RepositoryRef
from foundry.contracts.sandbox_instance import SandboxMissing
from foundry.contracts.task import (
    ArchiveTask,
    BeginIdleStop,
    BeginPhase,
    CheckpointSaved,
    FetchBranch,
    Named,
    Phase,
    PromptEnded,
    PromptGranted,
    PromptWaiting,
    Provisioned,
    PublishTask,
    RefreshWork,
    RestoreCheckpoint,
    RetryProvisioning,
    SaveCheckpoint,
    SessionSeen,
    SessionSummary,
    StopSandbox,
    TaskState,
    TaskView,
)
from foundry.contracts.task_branch import MayForward
from foundry.contracts.task_checkpoints import Saved
from foundry.contracts.task_operations import OPERATIONS, Again, Holds, Kind, excluded
from foundry.contracts.task_rename import RenameBranch, RenameEnded
from foundry.contracts.task_session import CloseSession, CreateSession, OpenAgent, SandboxLost
from foundry.contracts.time_limits import TABLE
from foundry.runtime.actor import Actor, creates, receives
from foundry.runtime.reader import Reader
from foundry.runtime.store.tables import actors
from foundry.runtime.turn import Turn
from foundry.runtime.workflow.workflow_rows import Started
from tests.world.outside import Outside
from tests.world.world import ADA, REPOSITORY, World, world

ASKED = {  # what a person asks for, by operation
    Kind.GIT_STATUS: RefreshWork(),
    Kind.CHECKPOINT: SaveCheckpoint(),
    Kind.PUBLISH: PublishTask(person=ADA),
    Kind.FETCH: FetchBranch(),
    Kind.RENAME: RenameBranch(name="better"),
    Kind.IDLE_STOP: StopSandbox(),
}
"""Restoring needs a checkpoint's id, so `Stage.request` makes its command; the rest nobody asks for."""
BESIDE = sorted({*ASKED, Kind.RESTORE})


class TaskSession(Actor):
    """Hears, and answers nothing: the test says what the session does."""

    @creates(CreateSession)
    def create(self, turn: Turn, message: CreateSession) -> None: ...

    @receives(OpenAgent)
    @receives(CloseSession)
    @receives(SandboxLost)
    @receives(PromptGranted)
    def hear(self, turn: Turn, message: Message) -> None: ...


class Stage:
    """One task that is ready, with one idle session and one checkpoint."""

    def __init__(self, world: World, task: TaskId, session: SessionId) -> None:
        self.world, self.runtime, self.id, self.session = world, world.runtime, task, session
        self.address = addresses.task(task)

    async def ask(self, command: Command[Any]) -> Any:
        return await self.world.ask(self.address, command)

    async def say(self, message: Message) -> None:
        """As if another actor had sent it, applied at once."""
        await self.ask(message)  # type: ignore[arg-type]

    async def view(self) -> TaskView:
        return await self.world.task(self.id)

    async def running(self, kind: Kind | None = None) -> list[Started]:
        return await self.world.started(self.address, kind.value if kind else None)

    async def end(self, kind: Kind, outcome: Outcome = Outcome.DONE) -> None:
        """As the engine ends what runs."""
        failed = outcome in (Outcome.FAILED, Outcome.LOST)
        if kind is Kind.RENAME and outcome is Outcome.DONE:
            await self.ask(RenameEnded())
        for row in await self.running(kind):
            await self.world.end(row, outcome, failure=_failure(row) if failed else None)

    async def cancel(self, row: Started) -> None:
        """As archiving and a loss do."""
        cancel = "UPDATE workflows SET generation=generation+1, cancelled=1 WHERE id=?"
        await self.runtime.system(row.owner, lambda tx: tx.execute(cancel, row.id))
        await self.ask(WorkflowRecovered(workflow=row.name, workflow_id=row.id))  # a turn of the task, which shows it

    async def request(self, kind: Kind) -> TaskView:
        if kind is Kind.RESTORE:
            (one,) = await self.world.checkpoints(self.id)
            return await self.ask(RestoreCheckpoint(checkpoint=one.id))
        return await self.ask(ASKED[kind])

    async def prompt_waits(self) -> MessageId:
        message = MessageId(new_id("msg"))
        await self.say(PromptWaiting(session=self.session, message=message))
        return message

    async def granted(self) -> str | None:
        """The prompt that has the work tree."""

        def look(reader: Reader) -> str | None:
            return reader.one(select(tasks.c.running_message).where(tasks.c.task == self.id)).running_message

        return await self.world.read(look)

    async def seen(self, status: str) -> None:
        await self.say(SessionSeen(session=SessionSummary(id=self.session, agent="mock", status=status, stopped=False)))


def _failure(row: Started) -> Failure:
    return Failure(
        kind=IssueKind.WORKFLOW_FAILED,
        actor=str(row.owner),
        scope=row.scope,
        fingerprint=f"workflow:{row.id}",
        workflow=row.name,
        workflow_id=row.id,
        message="the network is down",
        remedy="Retry.",
    )


@dataclass(frozen=True)
class Copy:
    """A task in a database that each test gets a copy of: its ids, and the file."""

    task: TaskId
    session: SessionId
    path: Path


@asynccontextmanager
async def task(tmp_path: Path, *, ready: bool = True) -> AsyncIterator[Stage]:
    made = await _made(ready)
    path = tmp_path / "foundry.db"
    shutil.copy(made.path, path)
    async with _world(path) as tree:
        yield Stage(tree, made.task, made.session)


MADE: dict[bool, Copy] = {}


async def _made(ready: bool) -> Copy:
    """A new task; or a ready one, whose agent has ended a first turn. Made once, by the real turns."""
    if ready not in MADE:
        path = Path(tempfile.mkdtemp(prefix="foundry-task-")) / "foundry.db"
        atexit.register(shutil.rmtree, path.parent)
        made = Copy(TaskId(new_id("tsk")), SessionId(new_id("ses")), path)
        async with _world(path, repositories=(REPOSITORY,)) as tree:
            await tree.create(id=made.task, session=made.session)
            if ready:
                await _provision(Stage(tree, made.task, made.session))
            await tree.quiet()
        MADE[ready] = made
    return MADE[ready]


def _world(path: Path, repositories: Sequence[RepositoryRef] = ()) -> AbstractAsyncContextManager[World]:
    return world(f"sqlite:///{path}", Outside(), repositories=repositories, played=(TaskSession(),))


async def _provision(stage: Stage) -> None:
    """Ready, its agent has ended a first turn, whose work was saved."""
    await stage.ask(Named(branch="fix", title="Do it", base="main"))
    await stage.ask(BeginPhase(phase=Phase.CLONING))
    await stage.ask(Provisioned())
    await stage.end(Kind.PROVISION)
    await stage.seen("idle")
    await stage.say(PromptEnded(session=stage.session, message="msg_0", outcome="cancelled"))
    (save,) = await stage.running(Kind.CHECKPOINT)
    job = Save.model_validate_json(save.job)
    await stage.ask(CheckpointSaved(checkpoint=job.checkpoint, saved=Saved(fingerprint="f1", work="w1")))
    await stage.end(Kind.CHECKPOINT)
    assert await stage.running() == []
    assert (await stage.view()).checkpoint == 1


# the table


def test_every_operation_has_a_row_a_workflow_and_a_meaning_of_its_failure() -> None:
    names = {one.name for one in WORKFLOWS}
    assert set(OPERATIONS) == set(Kind) == set(FAILED)
    assert names == {kind.value for kind in Kind}


def test_every_operation_that_may_last_too_long_is_in_the_time_limits() -> None:
    for operation in OPERATIONS.values():
        if operation.may_last:
            row = TABLE[operation.title]
            assert (row.may_last, row.actions) == (operation.may_last, operation.offers)
            assert row.reason
            assert row.remedy


# every pair


@pytest.mark.parametrize("runs", BESIDE)
@pytest.mark.parametrize("asked", BESIDE)
async def test_what_is_asked_for_beside_what_runs(tmp_path: Path, runs: Kind, asked: Kind) -> None:
    """Refused, gone on with, queued, started beside it, or instead of it, as the table says."""
    async with task(tmp_path) as stage:
        await stage.request(runs)
        wanted = OPERATIONS[asked]
        if runs is asked and wanted.again is Again.GOES_ON:
            await stage.request(asked)
            assert len(await stage.running(asked)) == 1
        elif runs is asked and wanted.again is Again.QUEUES:
            await stage.request(asked)
            assert len(await stage.running(asked)) == 1
            await stage.end(asked)
            assert len(await stage.running(asked)) == 1, "the second one follows the first"
        elif runs is asked and wanted.again is Again.REFUSED:
            with pytest.raises(WrongState, match=wanted.doing):
                await stage.request(asked)
        elif runs in wanted.supersedes:
            await stage.request(asked)
            assert [row.cancelled for row in await stage.running(runs)] == [True]
            assert len(await stage.running(asked)) == 1
        elif asked is Kind.CHECKPOINT and excluded(asked, runs):  # a wish to save waits
            await stage.request(asked)
            assert await stage.running(asked) == []
            await stage.end(runs)
            assert len(await stage.running(asked)) == 1
        elif excluded(asked, runs) or (wanted.yields and OPERATIONS[runs].uses_sandbox):
            with pytest.raises(WrongState) as refused:
                await stage.request(asked)
            assert OPERATIONS[runs].doing in refused.value.detail
            assert refused.value.remedy == "Wait until it has ended."
            await stage.end(runs)
            await stage.request(asked)
            assert len(await stage.running(asked)) == 1, "it may start as soon as the other has ended"
        else:
            await stage.request(asked)
            assert len(await stage.running(asked)) == 1 + (runs is asked)
            beside = await stage.running(runs)
            assert beside[0].cancelled == (OPERATIONS[runs].yields and wanted.uses_sandbox)


@pytest.mark.parametrize("kind", BESIDE)
async def test_what_is_being_cancelled_still_excludes(tmp_path: Path, kind: Kind) -> None:
    """It may still act, until its end is told."""
    async with task(tmp_path) as stage:
        await stage.request(kind)
        (row,) = await stage.running(kind)
        await stage.cancel(row)
        for other in BESIDE:
            if other is not kind and excluded(kind, other) and other is not Kind.CHECKPOINT:
                if kind in OPERATIONS[other].supersedes:
                    continue
                with pytest.raises(WrongState, match="is being cancelled"):
                    await stage.request(other)


@pytest.mark.parametrize("kind", BESIDE)
async def test_an_operation_needs_its_state(tmp_path: Path, kind: Kind) -> None:
    if kind is Kind.RESTORE:
        return  # there is no checkpoint yet to ask for
    async with task(tmp_path, ready=False) as stage:
        with pytest.raises(WrongState, match="not ready"):
            await stage.request(kind)
        await stage.ask(ArchiveTask(person=ADA))
        with pytest.raises(WrongState, match="archived"):
            await stage.request(kind)


@pytest.mark.parametrize("kind", [kind for kind in BESIDE if not OPERATIONS[kind].beside_prompt])
async def test_what_may_not_start_beside_an_agent(tmp_path: Path, kind: Kind) -> None:
    async with task(tmp_path) as stage:
        await stage.prompt_waits()
        assert await stage.granted()
        with pytest.raises(WrongState, match=r"agent|in use"):
            await stage.request(kind)


# the work tree


ENDS = [Outcome.DONE, Outcome.FAILED, Outcome.CANCELLED, Outcome.LOST]


@pytest.mark.parametrize("outcome", ENDS)
@pytest.mark.parametrize("kind", [kind for kind in BESIDE if OPERATIONS[kind].holds is not Holds.NEVER])
async def test_a_prompt_that_waits_behind_an_operation_is_granted_at_its_end(
    tmp_path: Path, kind: Kind, outcome: Outcome
) -> None:
    """However it ends, and without any other event."""
    async with task(tmp_path) as stage:
        await stage.request(kind)
        if OPERATIONS[kind].holds is Holds.LATE:
            await stage.ask(MayForward() if kind is Kind.FETCH else BeginIdleStop())
        message = await stage.prompt_waits()
        assert await stage.granted() is None
        (row,) = await stage.running(kind)
        if outcome is Outcome.CANCELLED:
            await stage.cancel(row)
            assert await stage.granted() is None, "it may still write, until it has ended"
        await stage.end(kind, outcome)
        if kind is Kind.IDLE_STOP:  # its agent has to be woken first
            assert (await stage.view()).sandbox_stopped is False
            await stage.seen("idle")
        assert await stage.granted() == message


@pytest.mark.parametrize("kind", [kind for kind in BESIDE if OPERATIONS[kind].holds is Holds.NEVER])
async def test_a_prompt_does_not_wait_for_what_writes_no_work_tree(tmp_path: Path, kind: Kind) -> None:
    async with task(tmp_path) as stage:
        await stage.request(kind)
        message = await stage.prompt_waits()
        assert await stage.granted() == message


async def test_a_prompt_cancels_an_idle_stop_that_has_not_begun_to_stop(tmp_path: Path) -> None:
    async with task(tmp_path) as stage:
        await stage.request(Kind.IDLE_STOP)
        message = await stage.prompt_waits()
        assert await stage.granted() == message
        assert [row.cancelled for row in await stage.running(Kind.IDLE_STOP)] == [True]


async def test_publishing_is_refused_while_a_checkpoint_is_restored(tmp_path: Path) -> None:
    """What is pushed would be half of it."""
    async with task(tmp_path) as stage:
        await stage.request(Kind.RESTORE)
        with pytest.raises(WrongState, match="restored"):
            await stage.request(Kind.PUBLISH)


# what others are told


async def test_a_turn_that_changes_nothing_that_is_shown_tells_nobody(tmp_path: Path) -> None:
    async with task(tmp_path) as stage:
        view = await stage.view()

        def sent(reader: Reader) -> tuple[int, int]:
            row = reader.one(select(actors).where(actors.c.actor == str(addresses.task(stage.id))))
            return row.version, row.seq

        before = await stage.runtime.read(sent)
        await stage.seen("idle")
        await stage.request(Kind.GIT_STATUS)
        await stage.end(Kind.GIT_STATUS)
        assert await stage.runtime.read(sent) == before
        assert await stage.view() == view
        await stage.request(Kind.PUBLISH)
        after = await stage.runtime.read(sent)
        assert after[0] == before[0] + 1, "one event"
        assert after[1] == before[1], "lists do not show that it is being published"


# failures


@pytest.mark.parametrize("kind", BESIDE)
async def test_a_failure_is_shown_and_it_can_be_asked_for_again(tmp_path: Path, kind: Kind) -> None:
    async with task(tmp_path) as stage:
        await stage.request(kind)
        await stage.end(kind, Outcome.FAILED)
        view = await stage.view()
        said = [view.note, *(one.message for one in (view.failure, view.checkpoint_failure) if one)]
        assert any("the network is down" in words for words in said), said
        await stage.request(kind)
        assert len(await stage.running(kind)) == 1


@pytest.mark.parametrize("kind", BESIDE)
async def test_a_lost_sandbox_ends_what_uses_it(tmp_path: Path, kind: Kind) -> None:
    async with task(tmp_path) as stage:
        await stage.request(kind)
        await stage.say(SandboxMissing(sandbox=(await stage.view()).sandbox or SandboxId("")))
        (row,) = await stage.running(kind)
        if not OPERATIONS[kind].ends_with_sandbox:
            assert not row.cancelled, "it ends on its own, and says the loss again"
            return
        assert row.cancelled
        assert len(await stage.running(Kind.RECOVERY)) == 1
        view = await stage.view()
        assert view.state is TaskState.PROVISIONING
        asked = OPERATIONS[kind].asked_again
        assert (f"{asked} was interrupted; ask for it again." in view.note) == bool(asked)


async def test_provisioning_that_failed_is_retried(tmp_path: Path) -> None:
    async with task(tmp_path, ready=False) as stage:
        await stage.end(Kind.PROVISION, Outcome.FAILED)
        view = await stage.view()
        assert (view.state, view.failure and view.failure.message) == (TaskState.FAILED, "the network is down")
        view = await stage.ask(RetryProvisioning())
        assert (view.state, view.attempt, view.failure) == (TaskState.PROVISIONING, 2, None)
        assert len(await stage.running(Kind.PROVISION)) == 1


async def test_a_release_that_failed_retains_the_sandbox(tmp_path: Path) -> None:
    async with task(tmp_path) as stage:
        await stage.ask(ArchiveTask(person=ADA))
        await stage.end(Kind.RELEASE, Outcome.FAILED)
        assert (await stage.view()).retained == "the network is down Retry."


async def test_an_archived_task_ends_everything_that_ends_with_its_sandbox(tmp_path: Path) -> None:
    async with task(tmp_path) as stage:
        for kind in (Kind.GIT_STATUS, Kind.CHECKPOINT, Kind.PUBLISH, Kind.FETCH):
            await stage.request(kind)
        await stage.ask(ArchiveTask(person=ADA))
        left = {row.name: row.cancelled for row in await stage.running()}
        assert left.pop("release") is False
        assert set(left.values()) == {True}
