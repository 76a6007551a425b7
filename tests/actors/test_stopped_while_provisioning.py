"""If a sandbox stops between two steps of its provisioning, as in a reboot, the next step starts it again."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest

from foundry.actors.sandbox_instance.door import Sandboxes
from foundry.actors.task_session.door import AcpDoor
from foundry.contracts.ids import OrganizationId, RepositoryId, SandboxId, UserId
from foundry.contracts.people import Person
from foundry.contracts.repository import RepositoryRef
from foundry.contracts.sandbox_instance import GitFailed
from foundry.contracts.sandbox_provider import Endpoint, ProviderState
from tests.actors.test_task_session_real import NoBlobs
from tests.sandboxes.conftest import Lab, binary, lab, walls  # noqa: F401

pytestmark = pytest.mark.slow

BOX = SandboxId("sbx_1")
ADA = Person(id=UserId("1"), login="ada")
NOWHERE = RepositoryRef(
    id=RepositoryId("1"), organization=OrganizationId("1"), owner="o", name="n", clone_url="http://127.0.0.1:9/o/n"
)

Step = Callable[[Sandboxes], Awaitable[object]]


async def waiting(boxes: Sandboxes) -> None:
    await boxes.wait_healthy(BOX)


async def cloning(boxes: Sandboxes) -> None:
    with pytest.raises(GitFailed, match="clone"):  # git runs there; nobody listens where it clones from
        await boxes.clone(BOX, NOWHERE, branch="b", base="main", person=ADA, token="t")


async def installing(boxes: Sandboxes) -> None:
    await boxes.install_agent(BOX, "mock")


async def opening(boxes: Sandboxes) -> None:
    agent = await boxes.started(BOX)
    await agent.files.write(f"{await boxes.directory(BOX)}/README", b"")
    await lab_stop(boxes)
    door = AcpDoor(boxes.reach, boxes.directory, boxes.started)
    opened = await door.open(BOX, "acp_1", "mock", earlier=None)
    assert opened.agent_session_id


async def lab_stop(boxes: Sandboxes) -> None:
    """Stop the sandbox as a reboot does, without notifying Foundry."""
    await boxes._provider.stop(BOX)


@asynccontextmanager
async def after_a_reboot(lab: Lab) -> AsyncIterator[Sandboxes]:  # noqa: F811
    """The door of a Foundry that has recorded the start of a sandbox that has stopped since."""
    first = Sandboxes(lab.provider, b"a secret", nobody, NoBlobs())
    await first.create(BOX, ["mock"])
    recorded = await first.start(BOX)
    await lab_stop(first)
    await first.close()

    async def endpoint(sandbox: SandboxId) -> Endpoint | None:
        return recorded

    boxes = Sandboxes(lab.again(), b"a secret", endpoint, NoBlobs())
    try:
        yield boxes
    finally:
        await boxes.close()


async def nobody(sandbox: SandboxId) -> Endpoint | None:
    return None


@pytest.mark.parametrize("step", [waiting, cloning, installing, opening], ids=lambda step: step.__name__)
async def test_the_step_that_comes_next_starts_it_again(lab: Lab, step: Step) -> None:  # noqa: F811
    async with after_a_reboot(lab) as boxes:
        await step(boxes)
        found = await lab.provider.find(BOX)
        assert found is not None
        assert found.state is ProviderState.RUNNING


@pytest.mark.parametrize("step", [waiting, cloning, installing], ids=lambda step: step.__name__)
async def test_a_step_finds_a_sandbox_that_another_step_started_again(lab: Lab, step: Step) -> None:  # noqa: F811
    """The new address is not recorded. If Foundry restarts too, the next step has only the old address."""
    async with after_a_reboot(lab) as boxes:
        old = await boxes._endpoint(BOX)
        with socket.socket() as taken:  # as after a reboot, another program may have the old port
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            taken.bind(("127.0.0.1", urlsplit(str(old and old.url)).port or 0))
            await boxes.wait_healthy(BOX)
            await boxes.close()

            again = Sandboxes(lab.again(), b"a secret", boxes._endpoint, NoBlobs())
            try:
                found = await lab.provider.find(BOX)
                assert found is not None
                assert found.endpoint != old
                await step(again)
            finally:
                await again.close()
