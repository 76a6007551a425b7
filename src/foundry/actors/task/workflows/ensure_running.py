"""The first step of a workflow that uses a sandbox: it may be stopped, or its sandbox-agent may have died unseen."""

from __future__ import annotations

from foundry.contracts import addresses
from foundry.contracts.doors import Doors
from foundry.contracts.errors import FoundryError
from foundry.contracts.ids import SandboxId
from foundry.contracts.sandbox_instance import SandboxMoved, SandboxState
from foundry.contracts.sandbox_provider import Endpoint
from foundry.runtime.workflow.flow import Flow


async def ensure_running(flow: Flow, step: str, sandbox: SandboxId) -> None:
    """Start the sandbox if it does not run, and record that it does."""
    await _known(flow, step, sandbox, await flow.do(step, flow.doors.sandboxes.wake, sandbox))


async def ensure_running_if_possible(flow: Flow, step: str, sandbox: SandboxId) -> None:
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
