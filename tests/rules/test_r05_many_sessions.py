"""R5: a task has many sessions."""

from __future__ import annotations

from foundry.contracts import addresses
from foundry.contracts.ids import SessionId, new_id
from foundry.contracts.task import OpenSession
from tests.world.world import ADA, World


async def test_a_second_session_is_pending_at_once_and_ready_by_itself(tree: World) -> None:
    gate = tree.outside.hold("clone")
    task = await tree.create()
    await tree.until(task, lambda v: v.phase == "cloning")
    second = SessionId(new_id("ses"))
    view = await tree.ask(addresses.task(task), OpenSession(session=second, agent="mock", person=ADA))
    assert [s.status for s in view.sessions] == ["pending", "pending"]
    gate.set()
    await tree.until(task, lambda v: [s.status for s in v.sessions][1] == "ready")
