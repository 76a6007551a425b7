"""Steps that several of the task's workflows have."""

from __future__ import annotations

from foundry.contracts import addresses
from foundry.contracts.doors import Doors
from foundry.contracts.errors import FoundryError
from foundry.contracts.ids import SandboxId
from foundry.contracts.sandbox_instance import SandboxMoved, SandboxState
from foundry.contracts.sandbox_provider import Endpoint
from foundry.contracts.task import WorkSeen, WorkTree
from foundry.runtime.workflow.flow import Flow

LONG_DEADLINE = 600.0  # seconds for what moves much data


async def ensure_running(flow: Flow, step: str, sandbox: SandboxId, *, required: bool = True) -> None:
    """Start the sandbox if it does not run, and record that it does: it may be stopped, or its sandbox-agent may have
    died unseen.

    Args:
        required: False: the workflow goes on where that is not possible.
    """
    wake = flow.doors.sandboxes.wake
    endpoint = await flow.do(step, wake, sandbox) if required else await flow.do(step, _try, flow.doors, sandbox)
    if endpoint is not None:
        runs = SandboxMoved(state=SandboxState.RUNNING, endpoint=endpoint)
        await flow.ask(step, addresses.sandbox(sandbox), runs)


async def _try(doors: Doors, sandbox: SandboxId) -> Endpoint | None:
    try:
        return await doors.sandboxes.wake(sandbox)
    except FoundryError:
        return None


async def look_at_work(flow: Flow, sandbox: SandboxId, base: str) -> WorkTree:
    """Read the work tree, and tell the task what it looks like."""
    work = await flow.do("looking at the work", flow.doors.sandboxes.work_tree, sandbox, base)
    await flow.ask("looking at the work", flow.owner, WorkSeen(work=work))
    return work


async def refuse(error: FoundryError) -> None:
    """End the workflow, for a reason that only turned up in it."""
    raise error
