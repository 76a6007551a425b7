"""A sandbox that nobody uses: its work is saved, it is stopped, and whatever needs it starts it again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from foundry.contracts import addresses
from foundry.contracts.errors import WrongState
from foundry.contracts.ids import SandboxId, SessionId, TaskId, new_id
from foundry.contracts.session_stream import AgentSession
from foundry.contracts.task import ArchiveTask, OpenSession, PublishTask, RefreshWork, TaskView, WorkTree
from foundry.contracts.task_checkpoints import CheckpointReason
from foundry.contracts.task_session import SessionStatus, SessionView
from tests.waiting import eventually
from tests.world.outside import Scripted
from tests.world.world import ADA, World, world

IDLE = timedelta(seconds=0.4)


class Sleepy(Scripted):
    """Sandboxes that know whether they run, and agents that keep their conversation."""

    def __init__(self) -> None:
        super().__init__()
        self.runs = False
        self.opened: list[str | None] = []  # the conversation each agent was given

    async def start(self, sandbox: SandboxId) -> Any:
        found = await super().start(sandbox)
        self.runs = True
        return found

    async def stop(self, sandbox: SandboxId) -> None:
        await super().stop(sandbox)
        self.runs = False

    async def wake(self, sandbox: SandboxId) -> Any:
        await super().wake(sandbox)
        return None if self.runs else await self.start(sandbox)

    async def open(
        self, sandbox: SandboxId, server_id: str, agent: str, *, earlier: AgentSession | None, load: bool = False
    ) -> Any:
        assert self.runs
        self.opened.append(earlier and earlier.agent_session_id)
        found = await super().open(sandbox, server_id, agent, earlier=earlier)
        return found.model_copy(update={"agent_session_id": earlier.agent_session_id}) if earlier else found


class Rested:
    """One task whose agent has ended, and what a person asks of it."""

    def __init__(self, tree: World, out: Sleepy, task: TaskId) -> None:
        self.tree, self.out, self.task = tree, out, task

    async def ask(self, command: Any) -> Any:
        return await self.tree.ask(addresses.task(self.task), command)

    async def view(self) -> TaskView:
        return await self.tree.task(self.task)

    async def session(self) -> SessionView:
        return await self.tree.session(SessionId((await self.view()).active_session or ""))

    async def say(self, text: str = "More") -> None:
        await self.tree.send((await self.session()).id, text)

    async def at_rest(self) -> TaskView:
        view = await self.tree.until(self.task, lambda t: t.sandbox_stopped)
        await eventually(lambda: not self.out.runs)
        return view

    async def answered(self) -> None:
        """The agent got one prompt, and ends it."""
        await eventually(lambda: self.out.prompts, limit=15)
        assert len(self.out.prompts) == 1
        self.out.end_turn()
        await self.tree.until(self.task, lambda t: t.activity == "idle" and not t.saving)


@pytest.fixture
async def one(tmp_path: Path) -> AsyncIterator[Rested]:
    out = Sleepy()
    async with world(f"sqlite:///{tmp_path}/foundry.db", out, IDLE) as tree:
        task = await tree.create("Do it")
        found = Rested(tree, out, task)
        await found.answered()
        yield found


async def test_it_is_saved_and_stopped_and_the_next_message_brings_the_conversation_back(one: Rested) -> None:
    before = one.out.done["save"]
    view = await one.at_rest()
    session = await one.session()
    assert (view.activity, session.sandbox_stopped, session.failure) == ("idle", True, None)
    assert one.out.done["save"] > before
    await one.say()
    await one.answered()
    after, session = await one.view(), await one.session()
    assert (after.sandbox_stopped, session.sandbox_stopped, session.status) == (False, False, SessionStatus.IDLE)
    assert one.out.opened == [None, one.out.opened[1]]
    assert one.out.opened[1], "the agent's earlier conversation"
    await one.at_rest()


async def test_new_work_gets_a_checkpoint_that_says_why(one: Rested) -> None:
    one.out.saved = one.out.saved.model_copy(update={"fingerprint": "f2"})
    view = await one.at_rest()
    assert (await one.tree.checkpoints(view.id))[0].reason is CheckpointReason.IDLE


async def test_an_agent_at_work_keeps_its_sandbox(one: Rested) -> None:
    await one.say()
    await eventually(lambda: one.out.prompts, limit=15)
    await one.tree.quiet()
    assert "idle" not in await one.tree.coming(addresses.task(one.task)), "no time is set to stop it"
    assert (one.out.runs, (await one.view()).sandbox_stopped) == (True, False)
    await one.answered()
    await one.at_rest()


async def test_a_message_while_the_work_is_saved_keeps_it_running(one: Rested) -> None:
    hold, before = one.out.hold("save"), one.out.done["save"]
    await eventually(lambda: one.out.done["save"] > before)
    await one.say()
    await eventually(lambda: one.out.prompts, limit=15)
    hold.set()
    await one.tree.quiet()
    assert "idle" not in await one.tree.coming(addresses.task(one.task))
    assert (one.out.runs, one.out.done["stop"]) == (True, 0)


async def test_a_message_while_it_is_being_stopped_waits_for_that_and_wakes_it(one: Rested) -> None:
    hold = one.out.hold("stop")
    await eventually(lambda: one.out.done["stop"])
    with pytest.raises(WrongState, match="being stopped because nobody uses it"):
        await one.ask(RefreshWork())
    await one.say()
    await one.tree.quiet()
    assert one.out.prompts == []
    hold.set()
    await one.answered()
    assert one.out.runs


async def test_work_that_cannot_be_saved_keeps_it_running(one: Rested) -> None:
    one.out.saved = one.out.saved.model_copy(update={"fingerprint": "f2", "left_out": ["vendor/other"]})
    before = one.out.done["save"]
    await eventually(lambda: one.out.done["save"] > before + 1, limit=15)
    assert (one.out.runs, one.out.done["stop"]) == (True, 0)


async def test_what_the_task_does_itself_wakes_it_and_it_rests_again(one: Rested) -> None:
    await one.at_rest()
    one.out.work = WorkTree(head="c1", commits_ahead=1, unpushed=1)
    await one.ask(PublishTask(person=ADA))
    view = await one.tree.until(one.task, lambda t: t.pull_request and not t.publishing)
    assert view.failure is None
    await one.at_rest()
    assert len(one.out.opened) == 1, "nobody needed the agent"


async def test_another_session_on_a_resting_task_gets_its_agent(one: Rested) -> None:
    await one.at_rest()
    other = SessionId(new_id("ses"))
    await one.ask(OpenSession(session=other, agent="mock", prompt="Look", person=ADA))
    await one.answered()
    assert (await one.tree.session(other)).status is SessionStatus.IDLE


async def test_a_resting_task_can_be_archived(one: Rested) -> None:
    await one.at_rest()
    await one.ask(ArchiveTask(person=ADA))
    await eventually(lambda: one.out.done["delete"])
    view = await one.view()
    assert (view.sandbox_stopped, view.retained) == (False, "")


async def test_a_sandbox_that_cannot_be_stopped_is_said_and_goes_on(one: Rested) -> None:
    one.out.fail["stop"] = [WrongState("it will not stop")]
    view = await one.tree.until(one.task, lambda t: "was not stopped" in t.note, limit=15)
    assert "it will not stop" in view.note
    await one.say()
    await one.answered()
