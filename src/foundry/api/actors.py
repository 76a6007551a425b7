"""The actors themselves, for the server's admin. Needs the local admin token."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from sqlalchemy import select

from foundry.api.auth import admin_only
from foundry.api.context import foundry_of
from foundry.contracts.errors import NotFound
from foundry.contracts.messages import Address, Model
from foundry.runtime.columns import AnyRow
from foundry.runtime.reader import Reader
from foundry.runtime.store.tables import actors

router = APIRouter(prefix="/api/actors", tags=["admin"], dependencies=[Depends(admin_only)])


class ActorView(Model):
    """One actor's row in the runtime."""

    kind: str
    key: str
    parent: str | None
    scope: str
    version: int  # of its topic
    sent: int  # messages
    dropped: int  # messages that arrived after the actor ended
    ended: bool


@router.get("")
async def listed(
    request: Request,
    kind: str | None = None,
    after: Annotated[str | None, Query(description="KIND:KEY of the previous page's last actor")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 1000,
) -> list[ActorView]:
    """List this server's actors, sorted by kind and key."""
    return await foundry_of(request).runtime.read(_list, kind, after, limit)


@router.get("/{kind}/{key}")
async def shown(request: Request, kind: str, key: str) -> ActorView:
    """Get one actor."""
    query = select(actors).where(actors.c.actor == str(Address(kind, key)))
    row = await foundry_of(request).runtime.read(lambda reader: reader.first(query))
    if row is None:
        raise NotFound(f"no {kind} with key {key}", field="key")
    return _view(row)


def _list(reader: Reader, kind: str | None, after: str | None, limit: int) -> list[ActorView]:
    query = select(actors).order_by(actors.c.actor).limit(limit)
    if kind is not None:
        query = query.where(actors.c.kind == kind)
    if after is not None:
        query = query.where(actors.c.actor > after)
    return [_view(row) for row in reader.all(query)]


def _view(row: AnyRow) -> ActorView:
    address = Address.parse(row.actor)
    return ActorView(
        kind=address.kind,
        key=address.key,
        parent=row.parent,
        scope=row.scope,
        version=row.version,
        sent=row.seq,
        dropped=row.dropped,
        ended=row.deleted_at is not None,
    )
