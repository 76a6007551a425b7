"""R6: at most one active session; a prompt to another waits, visibly queued, until the running one ends."""

from __future__ import annotations

from pathlib import Path

from foundry.contracts import addresses
from foundry.contracts.ids import SandboxId, SessionId, new_id
from foundry.contracts.sandbox_provider import AcpServerGone
from foundry.contracts.session_stream import AgentSession
from foundry.contracts.task import OpenSession
from tests.waiting import eventually
from tests.world.outside import Scripted
from tests.world.world import ADA, World, world


async def test_two_agents_never_write_one_work_tree_at_once(tree: World) -> None:
    task = await tree.create("first")
    running = await tree.until(task, lambda v: v.phase == "running")
    first = running.active_session
    second = SessionId(new_id("ses"))
    await tree.ask(addresses.task(task), OpenSession(session=second, agent="mock", prompt="second", person=ADA))
    await tree.until(task, lambda v: [s.status for s in v.sessions][1] == "ready")
    view = await tree.session(second)
    assert [m.state for m in view.messages] == ["queued"]
    assert len(tree.outside.prompts) <= 1

    await eventually(lambda: tree.outside.prompts)
    tree.outside.end_turn()
    after = await tree.until(task, lambda v: v.active_session == second)
    assert after.active_session != first
    await eventually(lambda: len(tree.outside.prompts), lambda n: n == 1)
    assert tree.outside.done["prompt"] == 2


async def test_a_task_has_one_sandbox_for_all_sessions(tree: World) -> None:
    task = await tree.create()
    await tree.until(task, lambda v: v.phase == "running")
    await tree.ask(addresses.task(task), OpenSession(session=SessionId(new_id("ses")), agent="mock", person=ADA))
    await tree.until(task, lambda v: all(s.status != "pending" for s in v.sessions))
    assert tree.outside.done["create"] == 1


class Listening(Scripted):
    """Agents whose prompts are remembered by their words."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[str] = []

    async def prompt(self, sandbox: SandboxId, session: AgentSession, rpc_id: str, text: str) -> None:
        await super().prompt(sandbox, session, rpc_id, text)
        self.heard.append(text.rpartition("\n")[2])


async def test_a_message_that_was_surely_not_sent_keeps_its_place(tmp_path: Path) -> None:
    out = Listening()
    async with world(f"sqlite:///{tmp_path}/foundry.db", out) as tree:
        task = await tree.create("one")
        await eventually(lambda: out.heard == ["one"], limit=15)
        session = (await tree.task(task)).active_session
        assert session is not None
        for words in ("two", "three"):
            await tree.send(session, words)
        out.fail["prompt"] = [AcpServerGone("there is no such server")]
        out.end_turn()
        for heard in (["one", "two"], ["one", "two", "three"]):
            await eventually(lambda heard=heard: out.heard == heard, limit=15)
            out.end_turn()
