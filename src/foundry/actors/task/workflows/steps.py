"""Steps that several of the task's workflows have."""

from __future__ import annotations

from foundry.contracts.errors import FoundryError
from foundry.contracts.ids import SandboxId
from foundry.contracts.task import WorkSeen, WorkTree
from foundry.runtime.workflow.flow import Flow

LONG_DEADLINE = 600.0  # seconds for what moves much data


async def look_at_work(flow: Flow, sandbox: SandboxId, base: str) -> WorkTree:
    """Read the work tree, and tell the task what it looks like."""
    work = await flow.do("looking at the work", flow.doors.sandboxes.work_tree, sandbox, base)
    await flow.ask("looking at the work", flow.owner, WorkSeen(work=work))
    return work


async def refuse(error: FoundryError) -> None:
    """End the workflow, for a reason that only turned up in it."""
    raise error
