"""Sandboxes: their state and the end of their log."""

from __future__ import annotations

from fastapi import APIRouter, Request

from foundry.api import access
from foundry.api.auth import Signed
from foundry.api.context import foundry_of
from foundry.api.keys import IdempotencyKey
from foundry.contracts import addresses
from foundry.contracts.messages import Model
from foundry.contracts.sandbox_instance import ReadLog, SandboxView

router = APIRouter(prefix="/api/sandboxes/{sandbox}", tags=["sandboxes"])


class SandboxLog(Model):
    """The end of sandbox-agent's log, as last read. At most 64 KiB."""

    log: str


@router.get("")
async def shown(request: Request, who: Signed, sandbox: str) -> SandboxView:
    """Get one sandbox."""
    return await access.sandbox_of(request, who, sandbox)


@router.get("/log")
async def log(request: Request, who: Signed, sandbox: str) -> SandboxLog:
    """Get the end of the log, as last read. POST reads it again."""
    return SandboxLog(log=(await access.sandbox_of(request, who, sandbox)).log)


@router.post("/log", status_code=202)
async def read_log(request: Request, who: Signed, sandbox: str, key: IdempotencyKey = None) -> SandboxView:
    """Read the log again, in the background. The sandbox's topic delivers it."""
    found = await access.sandbox_of(request, who, sandbox, change=True)
    await foundry_of(request).runtime.ask(addresses.sandbox(found.id), ReadLog(), key=key, caller=who.caller)
    return found
