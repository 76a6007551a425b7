"""An agent that runs in a sandbox and that no session knows is ended: two would write one work tree (R6)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.waiting import eventually
from tests.world.outside import Scripted
from tests.world.world import World, world


@pytest.fixture
async def tree(tmp_path: Path) -> AsyncIterator[World]:
    async with world(f"sqlite:///{tmp_path}/foundry.db", Scripted()) as tree:
        yield tree


async def test_it_is_ended_and_the_sessions_own_goes_on(tree: World) -> None:
    task = await tree.create("Do it")
    await eventually(lambda: tree.outside.prompts)
    own, _ = tree.outside.prompts[0]
    tree.outside.strange = ["acp_of_nobody"]
    await eventually(lambda: tree.outside.strange == [])
    assert tree.outside.closed == ["acp_of_nobody"]
    assert own in await tree.outside.servers((await tree.task(task)).sandbox)  # type: ignore[arg-type]
    tree.outside.end_turn()
    await tree.until(task, lambda t: t.activity == "idle")


async def test_one_that_was_just_seen_for_the_first_time_is_left(tree: World) -> None:
    """Its session may have been about to let it go by itself."""
    await tree.create("Do it")
    await eventually(lambda: tree.outside.prompts)
    listed: list[int] = []

    async def servers(sandbox: str) -> list[str]:
        listed.append(1)
        return ["acp_of_nobody"] if len(listed) % 2 else []  # never at two looks in a row

    tree.outside.servers = servers  # type: ignore[method-assign,assignment]
    await eventually(lambda: len(listed) >= 6)
    assert tree.outside.closed == []
