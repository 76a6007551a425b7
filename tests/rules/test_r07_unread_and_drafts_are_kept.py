"""R7: unread marks and draft prompts live in the backend, per person and per session, never only in a browser."""

from __future__ import annotations

from foundry.actors.task_session.views import personal_view
from foundry.contracts import addresses
from foundry.contracts.ids import UserId
from foundry.contracts.task_session import MarkRead, SaveDraft
from tests.waiting import eventually
from tests.world.world import ADA, World

GRACE = UserId("1002")


async def test_a_draft_is_its_persons_and_is_still_there_later(tree: World) -> None:
    task = await tree.create()
    session = (await tree.until(task, lambda v: v.phase == "running")).active_session
    assert session
    await tree.ask(addresses.session(session), SaveDraft(person=ADA.id, text="And then"))
    assert (await tree.read(personal_view, session, ADA.id)).draft == "And then"
    assert (await tree.read(personal_view, session, GRACE)).draft == ""


async def test_what_one_person_has_read_is_still_unread_for_another(tree: World) -> None:
    task = await tree.create()
    session = (await tree.until(task, lambda v: v.phase == "running")).active_session
    assert session
    server, _ = (await eventually(lambda: tree.outside.prompts))[0]
    chunk = {"sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": "Done."}}
    tree.outside.says(server, {"method": "session/update", "params": {"sessionId": f"agent-{server}", "update": chunk}})
    tree.outside.end_turn()
    await tree.until(task, lambda v: v.activity == "idle")
    assert (await tree.read(personal_view, session, ADA.id)).unread == 1
    await tree.ask(addresses.session(session), MarkRead(person=ADA.id, position=1_000_000))
    assert (await tree.read(personal_view, session, ADA.id)).unread == 0
    assert (await tree.read(personal_view, session, GRACE)).unread == 1
