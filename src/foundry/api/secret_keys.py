"""The keys that protect stored tokens, for the server's admin. Needs the local admin token."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Request

from foundry.actors.secret_keys import SecretKeys, SecretKeysView
from foundry.api.auth import admin_only
from foundry.api.context import foundry_of
from foundry.contracts.errors import NotFound

router = APIRouter(prefix="/api/app/secret-keys", tags=["admin"], dependencies=[Depends(admin_only)])


@router.get("")
async def shown(request: Request) -> SecretKeysView:
    """Get how many keys there are, and how much is sealed under them. Keys are never shown."""
    return await _keys(request).view()


@router.post("", status_code=201)
async def added(request: Request) -> SecretKeysView:
    """Add a fresh key to the key file. It seals from now on."""
    return await _keys(request).add()


@router.post("/resealing")
async def resealed(request: Request) -> SecretKeysView:
    """Seal up to 50 entries again under the newest key. Repeat until `older` is 0."""
    return await _keys(request).reseal()


@router.delete("/older")
async def dropped(request: Request) -> SecretKeysView:
    """Drop all keys but the newest. Refused while anything is sealed under an older key."""
    return await _keys(request).drop()


def _keys(request: Request) -> SecretKeys:
    found = foundry_of(request).secret_keys
    if found is None:
        raise NotFound("this server has no keys of its own")
    return found
