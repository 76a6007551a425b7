"""A sandbox that is lost: its task gets another one, from the branch and the last checkpoint, and says so."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text

from foundry.actors.app_shell.views import issues as app_issues
from foundry.actors.organization.views import issues
from foundry.actors.sandbox_instance.sandbox_reconciler import TOO_MANY
from foundry.actors.sandbox_instance.views import sandbox_view
from foundry.actors.task_session.views import transcript
from foundry.contracts import addresses
from foundry.contracts.ids import SandboxId, SessionId, TaskId, new_id
from foundry.contracts.issues import IssueKind
from foundry.contracts.messages import ScopeId
from foundry.contracts.organization import IssueView
from foundry.contracts.sandbox_instance import CreateSandbox, SandboxMoved, SandboxState, SandboxVanished
from foundry.contracts.sandbox_provider import SandboxGone
from foundry.contracts.task import ArchiveTask, Phase, PublishTask, RetryProvisioning, TaskState, TaskView, WorkTree
from foundry.contracts.task_checkpoints import CheckpointTooLarge
from foundry.contracts.task_provisioning import RECOVERIES
from foundry.contracts.task_session import MessageState, SessionStatus, WithdrawMessage
from foundry.runtime.reader import Reader
from tests.waiting import eventually
from tests.world.outside import Scripted
from tests.world.world import ADA, ORGANIZATION, World, world


class Lossy(Scripted):
    """Sandboxes that are there until they are lost."""

    def __init__(self) -> None:
        super().__init__()
        self.saved = self.saved.model_copy(update={"branch": "foundry/do-it"})

    async def wake(self, sandbox: SandboxId) -> None:
        await super().wake(sandbox)
        if sandbox in self.gone:
            raise SandboxGone(f"sandbox {sandbox} does not exist")


@pytest.fixture
async def tree(tmp_path: Path) -> AsyncIterator[World]:
    async with world(f"sqlite:///{tmp_path}/foundry.db", Lossy()) as tree:
        yield tree


async def worked(tree: World) -> TaskView:
    """A task whose agent has ended its turn, and whose work is saved."""
    task = await tree.create("Do it")
    await eventually(lambda: tree.outside.prompts)
    tree.outside.end_turn()
    return await tree.until(task, lambda t: t.activity == "idle" and not t.saving and t.checkpoint > 0)


def lose(tree: World, sandbox: SandboxId | None) -> None:
    """From now on its provider does not have it."""
    assert sandbox
    tree.outside.gone.append(sandbox)


async def rebuilt(tree: World, before: TaskView) -> TaskView:
    return await tree.until(
        before.id,
        lambda t: t.sandbox != before.sandbox and t.state is TaskState.READY and t.phase is Phase.RUNNING,
    )


async def state(tree: World, sandbox: SandboxId | None) -> SandboxState:
    assert sandbox
    return (await tree.read(sandbox_view, sandbox)).state


async def test_another_one_is_made_with_the_last_saved_work(tree: World) -> None:
    before = await worked(tree)
    lose(tree, before.sandbox)
    after = await rebuilt(tree, before)
    key = f"checkpoint/{before.id}/{(await tree.checkpoints(before.id))[0].id}"
    assert tree.outside.restored == [(after.sandbox, key, before.branch)]
    assert "lost" in after.note
    assert after.branch == before.branch
    assert await state(tree, before.sandbox) is SandboxState.LOST
    assert await state(tree, after.sandbox) is SandboxState.RUNNING

    session = SessionId(after.active_session or "")
    await eventually(lambda: tree.session(session), lambda s: s.status is SessionStatus.IDLE)
    await tree.send(session, "Go on")
    await eventually(lambda: tree.outside.prompts)
    tree.outside.end_turn()
    await tree.until(before.id, lambda t: t.activity == "idle")


async def test_what_the_agent_was_doing_may_have_been_done_and_is_said(tree: World) -> None:
    before = await worked(tree)
    session = SessionId(before.active_session or "")
    await tree.send(session, "More")
    await eventually(lambda: tree.outside.prompts)
    await tree.send(session, "And then this")
    tree.outside.prompts.clear()
    lose(tree, before.sandbox)
    await eventually(lambda: tree.outside.prompts)  # the one that had waited
    assert len(tree.outside.prompts) == 1
    view = await tree.session(session)
    assert {m.text: m.state for m in view.messages}["More"] is MessageState.UNKNOWN
    told = await tree.read(transcript, session)
    assert any("sandbox was lost" in entry.text for entry in told)
    tree.outside.end_turn()
    idle = await eventually(lambda: tree.session(session), lambda s: s.status is SessionStatus.IDLE)
    assert idle.failure is None, "what was sent after it has answered the question"


async def test_a_message_that_was_cut_off_by_the_loss_stays_a_question(tree: World) -> None:
    before = await worked(tree)
    session = SessionId(before.active_session or "")
    await tree.send(session, "More")
    await eventually(lambda: tree.outside.prompts)
    lose(tree, before.sandbox)
    await rebuilt(tree, before)
    idle = await eventually(lambda: tree.session(session), lambda s: s.status is SessionStatus.IDLE)
    assert idle.failure
    assert (idle.failure.code, idle.failure.actions) == ("prompt_unknown", ["resend"])
    shown = (await tree.task(before.id)).sessions[0].failure
    assert shown, "whoever looks at the task sees it too"
    assert shown.code == "prompt_unknown"
    [message] = [m for m in idle.messages if m.state is MessageState.UNKNOWN]
    await tree.ask(addresses.session(session), WithdrawMessage(message=message.id, person=ADA))
    assert (await tree.session(session)).failure is None


async def test_work_of_the_tasks_own_finds_out_before_anybody_compares(tree: World) -> None:
    """Publishing meets the loss: it is cut short, said, and the sandbox made anew."""
    before = await worked(tree)
    tree.outside.work = WorkTree(commits_ahead=1, unpushed=1)
    lost = [before.sandbox]

    async def wake(sandbox: SandboxId) -> None:
        if sandbox in lost:
            raise SandboxGone(f"sandbox {sandbox} does not exist")

    tree.outside.wake = wake  # type: ignore[method-assign]
    await tree.ask(addresses.task(before.id), PublishTask(person=ADA))
    after = await rebuilt(tree, before)
    assert not after.publishing
    await eventually(lambda: tree.read(issues, ORGANIZATION), lambda found: found == [])
    await tree.ask(addresses.task(before.id), PublishTask(person=ADA))
    await tree.until(before.id, lambda t: t.pull_request is not None)


async def test_one_that_is_lost_again_and_again_waits_for_a_person(tree: World) -> None:
    view = await worked(tree)
    for _ in range(RECOVERIES):
        lose(tree, view.sandbox)
        view = await rebuilt(tree, view)
    made = tree.outside.done["create"]
    lose(tree, view.sandbox)
    failed = await tree.until(view.id, lambda t: t.state is TaskState.FAILED)
    assert failed.failure
    assert failed.failure.code == "sandbox_lost_often"
    assert tree.outside.done["create"] == made
    await tree.ask(addresses.task(view.id), RetryProvisioning())
    after = await rebuilt(tree, view)
    assert len(tree.outside.restored) == RECOVERIES + 1
    assert after.failure is None


async def another(tree: World, task: TaskId) -> SandboxId:
    """A sandbox that was made for the task, and is not the one that it uses."""
    sandbox = SandboxId(new_id("sbx"))
    parent, scope = addresses.organization(ORGANIZATION), ScopeId(ORGANIZATION)
    await tree.ask(addresses.sandbox(sandbox), CreateSandbox(parent=parent, scope=scope, id=sandbox, task=task))
    return sandbox


async def test_nothing_is_made_for_one_that_the_task_does_not_use(tree: World) -> None:
    view = await worked(tree)
    made = tree.outside.done["create"]
    old = await another(tree, view.id)
    await tree.ask(addresses.sandbox(old), SandboxMoved(state=SandboxState.STOPPED, provider="test"))
    await tree.ask(addresses.sandbox(old), SandboxVanished())
    await eventually(lambda: tree.read(waiting_mail), lambda waits: waits == 0)
    assert (await tree.task(view.id)).sandbox == view.sandbox
    assert tree.outside.done["create"] == made


async def test_of_one_that_was_kept_it_is_said_that_it_is_gone(tree: World) -> None:
    view = await worked(tree)
    tree.outside.work = WorkTree(unpushed=1)
    tree.outside.fail["save"] = [CheckpointTooLarge("the work takes 70 MiB")]
    await tree.ask(addresses.task(view.id), ArchiveTask(person=ADA))
    await tree.until(view.id, lambda t: "70 MiB" in t.retained)
    lose(tree, view.sandbox)
    after = await tree.until(view.id, lambda t: not t.retained)
    assert "is gone" in after.note
    assert "70 MiB" in after.note
    await eventually(lambda: state(tree, view.sandbox), lambda s: s is SandboxState.LOST)


def waiting_mail(reader: Reader) -> int:
    row = reader.first(text("SELECT count(*) FROM mailbox"))
    assert row is not None
    return row[0]


async def test_one_that_exists_though_it_was_deleted_is_deleted_again_and_a_strange_one_is_left(tree: World) -> None:
    view = await worked(tree)
    await tree.ask(addresses.task(view.id), ArchiveTask(person=ADA))
    await eventually(lambda: state(tree, view.sandbox), lambda s: s is SandboxState.DELETED)
    assert view.sandbox
    deleted, strange = tree.outside.done["delete"], SandboxId(new_id("sbx"))
    tree.outside.orphan = [view.sandbox, strange]
    await eventually(lambda: tree.outside.orphan == [strange])
    assert tree.outside.done["delete"] == deleted + 1


async def test_one_that_is_just_being_made_is_not_missed(tree: World) -> None:
    view = await worked(tree)
    sandbox = await another(tree, view.id)
    await tree.ask(addresses.sandbox(sandbox), SandboxVanished())
    assert await state(tree, sandbox) is SandboxState.CREATING
    assert await tree.read(waiting_mail) == 0


async def test_a_branch_of_its_own_that_the_agent_had_checked_out_comes_back(tree: World) -> None:
    tree.outside.saved = tree.outside.saved.model_copy(update={"branch": "experiment"})
    before = await worked(tree)
    lose(tree, before.sandbox)
    await rebuilt(tree, before)
    assert [branch for _, _, branch in tree.outside.restored] == ["experiment"]


async def test_where_all_of_many_are_missing_nothing_is_made_by_itself_and_an_issue_says_so(tree: World) -> None:
    """More likely the data directory is another one than that all are lost at once."""
    tasks = [await worked(tree) for _ in range(TOO_MANY)]
    made = tree.outside.done["create"]
    tree.outside.gone = [view.sandbox for view in tasks if view.sandbox]
    found = await eventually(lambda: issues_of_the_app(tree), lambda found: len(found) == 1)
    assert found[0].failure.kind is IssueKind.SANDBOXES_MISSING
    assert tree.outside.done["create"] == made
    assert tasks[0].active_session
    tree.outside.gone.remove(SandboxId(tasks[0].sandbox or ""))  # the others are told apart from a wrong place
    await rebuilt(tree, tasks[1])
    await eventually(lambda: issues_of_the_app(tree), lambda found: found == [])


async def issues_of_the_app(tree: World) -> list[IssueView]:
    return await tree.read(app_issues)
