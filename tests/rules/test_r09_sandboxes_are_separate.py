"""R9: SandboxInstance is separate from Task; tasks and sessions point at it by identity."""

from __future__ import annotations

from foundry.actors.sandbox_instance.views import sandbox_view
from foundry.actors.task.tables import tasks
from foundry.contracts import addresses
from tests.world.world import World


async def test_the_sandbox_is_an_actor_of_its_own(tree: World) -> None:
    task = await tree.create()
    view = await tree.until(task, lambda v: v.phase == "running")
    assert view.sandbox
    assert await tree.read(lambda r: r.exists(addresses.sandbox(view.sandbox)))
    sandbox = await tree.read(sandbox_view, view.sandbox)
    assert (sandbox.task, sandbox.state, sandbox.provider) == (task, "running", "test")


def test_a_task_stores_nothing_of_a_sandbox_but_its_id() -> None:
    names = {column.name for column in tasks.columns}
    assert "sandbox" in names
    assert not names & {"endpoint", "provider", "sandbox_state", "token", "pid", "port"}
