"""R15, R16: creating a task returns when its row is committed; nobody waits for provisioning."""

from __future__ import annotations

import asyncio
import time

from foundry.actors.organization.views import task_list
from foundry.contracts import addresses
from foundry.contracts.task import ArchiveTask
from tests.waiting import eventually
from tests.world.world import ADA, ORGANIZATION, World


async def test_creating_returns_while_the_sandbox_is_still_made(tree: World) -> None:
    tree.outside.hold("create")
    task = await tree.create()
    assert (await tree.task(task)).state == "provisioning"
    listed = await eventually(lambda: tree.read(task_list, ORGANIZATION))
    assert [t.id for t in listed] == [task]


async def test_archiving_returns_while_the_sandbox_is_still_released(tree: World) -> None:
    task = await tree.create()
    await tree.until(task, lambda v: v.phase == "running")
    tree.outside.hold("stop")
    began = time.monotonic()
    view = await tree.ask(addresses.task(task), ArchiveTask(person=ADA, discard=True))
    assert view.state == "archived"
    assert time.monotonic() - began < 2
    await eventually(lambda: tree.outside.done["stop"], lambda n: n == 1)
    assert tree.outside.done["delete"] == 0


async def test_one_slow_task_holds_up_no_other(tree: World) -> None:
    gate = tree.outside.hold("clone")
    slow = [await tree.create(f"task {n}") for n in range(3)]
    await asyncio.gather(*(tree.until(t, lambda v: v.phase == "cloning") for t in slow))
    gate.set()
    await asyncio.gather(*(tree.until(t, lambda v: v.phase == "running" or v.state == "ready") for t in slow))
