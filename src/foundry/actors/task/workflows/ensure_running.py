"""Waking: the first thing that a workflow does in a sandbox, for it may rest, or its sandbox-agent died unseen."""

from __future__ import annotations

from foundry.contracts import addresses
from foundry.contracts.doors import Doors
from foundry.contracts.errors import FoundryError
from foundry.contracts.ids import SandboxId
from foundry.contracts.sandbox_instance import SandboxMoved, SandboxState
from foundry.contracts.sandbox_provider import Endpoint
from foundry.runtime.workflow.flow import Flow


async def wake(flow: Flow, step: str, sandbox: SandboxId) -> None:
    """It runs, and is known to, when this has returned."""
    await _known(flow, step, sandbox, await flow.do(step, flow.doors.sandboxes.wake, sandbox))


async def wake_if_it_will(flow: Flow, step: str, sandbox: SandboxId) -> None:
    """The same for what can do without the sandbox."""
    await _known(flow, step, sandbox, await flow.do(step, _try, flow.doors, sandbox))


async def _try(doors: Doors, sandbox: SandboxId) -> Endpoint | None:
    try:
        return await doors.sandboxes.wake(sandbox)
    except FoundryError:
        return None


async def _known(flow: Flow, step: str, sandbox: SandboxId, endpoint: Endpoint | None) -> None:
    if endpoint is not None:
        runs = SandboxMoved(state=SandboxState.RUNNING, endpoint=endpoint)
        await flow.ask(step, addresses.sandbox(sandbox), runs)
