"""What the runtime holds at this moment, for whoever runs the server: needs the local admin token."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Request

from foundry.api.auth import admin_only
from foundry.api.context import foundry_of
from foundry.contracts.inspection import Inspection

router = APIRouter(prefix="/api/app/inspect", tags=["admin"], dependencies=[Depends(admin_only)])


@router.get("")
async def inspect(request: Request) -> Inspection:
    """Actors, mailboxes, workflows with their steps, leases, schedules, stored bytes; at most 200 rows of each."""
    return await foundry_of(request).runtime.inspect()
