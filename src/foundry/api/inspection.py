"""What the runtime holds now, for the server's admin. Needs the local admin token."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Request

from foundry.actors.app_shell.views import orphans
from foundry.actors.sandbox_instance.views import existing, standing
from foundry.api.auth import admin_only
from foundry.api.context import Foundry, foundry_of
from foundry.contracts import addresses
from foundry.contracts.errors import WrongState
from foundry.contracts.ids import SandboxId
from foundry.contracts.inspection import DiskUse, Inspection, SandboxSeen
from foundry.contracts.sandbox_instance import OrphanView, RemoveOrphan, SandboxState
from foundry.runtime.reader import Reader
from foundry.runtime.upkeep.inspection import ROW_LIMIT

router = APIRouter(prefix="/api/app", tags=["admin"], dependencies=[Depends(admin_only)])


@router.get("/inspect")
async def inspect(request: Request) -> Inspection:
    """Get the runtime's actors, mailboxes, workflows with their steps, leases, schedules, stored bytes and the
    sandboxes' disk usage. Each list has at most 200 rows."""
    foundry = foundry_of(request)
    found, use = await foundry.runtime.inspect(), await disk(foundry)
    cut = [name for name, rows in (("sandboxes", use.sandboxes), ("orphans", use.orphans)) if len(rows) > ROW_LIMIT]
    shown = use.model_copy(update={"sandboxes": use.sandboxes[:ROW_LIMIT], "orphans": use.orphans[:ROW_LIMIT]})
    return found.model_copy(update={"disk": shown, "cut": [*found.cut, *cut]})


@router.get("/sandboxes")
async def sandboxes(request: Request) -> DiskUse:
    """List every sandbox with its disk usage, the orphans, and the free disk space."""
    return await disk(foundry_of(request))


@router.delete("/sandboxes/{sandbox}", status_code=202)
async def remove(request: Request, sandbox: str) -> OrphanView:
    """Delete an orphan sandbox and everything in it, within a minute. A sandbox that a task owns is refused."""
    runtime, id = foundry_of(request).runtime, SandboxId(sandbox)
    state = (await runtime.read(standing)).get(id)
    if state not in (None, SandboxState.LOST):
        raise WrongState(
            f"sandbox {sandbox} belongs to a task and is {state}",
            field="sandbox",
            remedy="Archive its task. That saves the work and removes the sandbox.",
        )
    return await runtime.ask(addresses.app_shell(), RemoveOrphan(sandbox=id))


async def disk(foundry: Foundry) -> DiskUse:
    """Return the sandboxes' disk usage, as last measured, and the current free space."""

    def look(reader: Reader) -> tuple[list[SandboxSeen], list[OrphanView]]:
        return existing(reader), orphans(reader)

    known, strange = await foundry.runtime.read(look)
    used = sum(one.disk or 0 for one in (*known, *strange))
    return DiskUse(used=used, room=await foundry.room() if foundry.room else None, sandboxes=known, orphans=strange)
