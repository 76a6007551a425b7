"""The first step of a workflow that uses a sandbox: it may be stopped, or its sandbox-agent may have died unseen."""

from __future__ import annotations

from foundry.contracts import addresses
from foundry.contracts.doors import Doors
from foundry.contracts.errors import FoundryError
from foundry.contracts.ids import SandboxId
from foundry.contracts.sandbox_instance import SandboxMoved, SandboxState
from foundry.contracts.sandbox_provider import Endpoint
from foundry.runtime.workflow.flow import Flow


async def ensure_running(flow: Flow, step: str, sandbox: SandboxId, *, required: bool = True) -> None:
    """Start the sandbox if it does not run, and tell its SandboxInstance that it does.

    Args:
        required: False: the workflow goes on where that is not possible.
    """
    wake = flow.doors.sandboxes.wake
    endpoint = await flow.do(step, wake, sandbox) if required else await flow.do(step, _try, flow.doors, sandbox)
    if endpoint is not None:
        await tell_running(flow, step, sandbox, endpoint)


async def tell_running(flow: Flow, step: str, sandbox: SandboxId, endpoint: Endpoint) -> None:
    """Tell its SandboxInstance that the sandbox runs."""
    await flow.ask(step, addresses.sandbox(sandbox), SandboxMoved(state=SandboxState.RUNNING, endpoint=endpoint))


async def _try(doors: Doors, sandbox: SandboxId) -> Endpoint | None:
    try:
        return await doors.sandboxes.wake(sandbox)
    except FoundryError:
        return None
