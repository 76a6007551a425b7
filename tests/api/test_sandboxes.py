"""What sandboxes take on disk and those that nobody uses, for the server's admin."""

from __future__ import annotations

from typing import Any

from foundry.contracts import addresses
from foundry.contracts.ids import SandboxId
from foundry.contracts.sandbox_instance import DiskSeen, LogSeen, Orphan, OrphansSeen, SandboxMoved, SandboxState
from foundry.contracts.sandbox_provider import Room
from tests.api.edge import ADA, Edge
from tests.api.problems import problem

ORPHAN = SandboxId("sbx_orphan")


async def provisioned(edge: Edge, client: Any) -> dict[str, Any]:
    task = await edge.task(client)
    return await edge.until(client, f"/api/tasks/{task['id']}", lambda found: found["state"] == "ready")


async def seen(edge: Edge) -> list[SandboxId]:
    """What who compares tells; gives what it is to remove."""
    return await edge.world.ask(addresses.app_shell(), OrphansSeen(orphans=[Orphan(id=ORPHAN, disk=40_000_000)]))


async def test_it_lists_what_each_takes_the_sum_and_what_is_left(edge: Edge):
    async def room() -> Room:
        return Room(free=7, total=9)

    edge.foundry.room = room
    async with edge.admin() as admin:
        one, two = await provisioned(edge, admin), await provisioned(edge, admin)
        await edge.world.ask(addresses.sandbox(one["sandbox"]), DiskSeen(disk=20_000_000))
        await edge.world.ask(addresses.sandbox(two["sandbox"]), DiskSeen(disk=30_000_000))
        assert (await admin.get(f"/api/sandboxes/{one['sandbox']}")).json()["disk"] == 20_000_000
        await seen(edge)
        found = (await admin.get("/api/app/sandboxes")).json()
        assert (found["used"], found["room"]) == (90_000_000, {"free": 7, "total": 9})
        assert [(box["id"], box["task"], box["disk"]) for box in found["sandboxes"]] == [
            (two["sandbox"], two["id"], 30_000_000),
            (one["sandbox"], one["id"], 20_000_000),
        ]
        (orphan,) = found["orphans"]
        assert (orphan["id"], orphan["disk"], orphan["removing"], orphan["failure"]) == (ORPHAN, 40_000_000, False, "")
        assert orphan["since"]
        assert (await admin.get("/api/app/inspect")).json()["disk"] == found


async def test_an_orphan_is_removed_when_asked_for_and_one_of_a_task_is_not(edge: Edge):
    async with edge.admin() as admin:
        task = await provisioned(edge, admin)
        assert await seen(edge) == []
        asked = await admin.delete(f"/api/app/sandboxes/{ORPHAN}")
        assert (asked.status_code, asked.json()["removing"]) == (202, True)
        assert await seen(edge) == [ORPHAN]
        answer = await admin.delete(f"/api/app/sandboxes/{task['sandbox']}")
        refused = problem(answer, 409, "wrong_state", "sandbox")
        assert "Archive" in refused["remedy"]
        problem(await admin.delete("/api/app/sandboxes/sbx_unknown"), 404, "not_found", "sandbox")


async def test_it_is_for_the_admin_alone(edge: Edge):
    async with await edge.browser(ADA) as ada:
        problem(await ada.get("/api/app/sandboxes"), 403, "admin_only", "Authorization")
        problem(await ada.delete(f"/api/app/sandboxes/{ORPHAN}"), 403, "admin_only", "Authorization")


async def test_when_one_of_an_archived_task_is_removed_is_said(edge: Edge):
    async with edge.admin() as admin:
        task = await provisioned(edge, admin)
        moved = SandboxMoved(state=SandboxState.STOPPED, remove_at="2031-01-01T00:00:00Z")  # type: ignore[arg-type]
        await edge.world.ask(addresses.sandbox(task["sandbox"]), moved)
        assert (await admin.get(f"/api/sandboxes/{task['sandbox']}")).json()["remove_at"] == "2031-01-01T00:00:00Z"
        (found,) = (await admin.get("/api/app/sandboxes")).json()["sandboxes"]
        assert found["remove_at"] == "2031-01-01T00:00:00Z"


async def test_the_log_names_the_port_for_the_admin_alone(edge: Edge):
    async with edge.admin() as admin, await edge.browser(ADA) as ada:
        task = await provisioned(edge, admin)
        path = f"/api/sandboxes/{task['sandbox']}"
        await edge.world.ask(addresses.sandbox(task["sandbox"]), LogSeen(log="listening addr=127.0.0.1:39785 ok"))
        assert "127.0.0.1:39785" in (await admin.get(path)).json()["log"]
        for found in (await ada.get(path), await ada.get(f"{path}/log")):
            assert found.status_code == 200
            assert "39785" not in found.text
        assert "addr=127.0.0.1:(hidden) ok" in (await ada.get(path)).json()["log"]
