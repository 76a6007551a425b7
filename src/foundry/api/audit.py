"""The audit log: reading it, and recording what is done with the admin token."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from sqlalchemy.exc import InterfaceError, OperationalError
from starlette.requests import HTTPConnection

from foundry.actors.app_shell import views
from foundry.api.auth import Credential, admin_only, me_of
from foundry.api.client import client_address
from foundry.api.context import Foundry, foundry_of
from foundry.contracts import addresses
from foundry.contracts.app_shell import AdminTokenChanged, AuditEntry, RecordAdminRequest
from foundry.contracts.errors import FoundryError, Unavailable
from foundry.contracts.people import Person
from foundry.runtime.reader import Reader
from foundry.runtime.store.base import Busy

LOGIN = 100  # characters of a login that are kept
PATH = 500  # characters of a path that are kept

router = APIRouter(prefix="/api/app", tags=["admin"], dependencies=[Depends(admin_only)])


@router.get("/audit")
async def audit(
    request: Request,
    before: Annotated[str | None, Query(max_length=40, description="id of an entry; only older ones")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> list[AuditEntry]:
    """List the audit log, the latest first."""
    return await foundry_of(request).runtime.read(views.audit, before, limit)


async def record_admin_request(foundry: Foundry, request: HTTPConnection, credential: Credential) -> None:
    """Record that somebody with the admin token is about to change something, in one turn before the change.

    The request waits for that turn, some 0.5 ms. Otherwise a crash between the two would leave a change that the log
    does not have. Only the admin's own requests wait, and what is refused afterwards is recorded too.

    Raises:
        Unavailable: the database does not answer, so nothing is changed either.
    """
    try:
        person = await foundry.runtime.read(_acted_as, foundry, credential)
        command = RecordAdminRequest(
            person=person.id if person else None,
            login=(person.login if person else credential.as_login)[:LOGIN],
            method=request.scope["method"],
            path=request.scope["path"][:PATH],
            address=client_address(request),
        )
        await foundry.runtime.ask(addresses.app_shell(), command)
    except (Busy, OperationalError, InterfaceError):
        raise Unavailable("the audit log could not be written; nothing was changed") from None


def record_rotation(foundry: Foundry) -> None:
    """Record that the admin token was replaced, and end the streams of the old one. Does not wait."""
    rotated = foundry.runtime.ask(addresses.app_shell(), AdminTokenChanged())
    foundry.later(rotated, "recording that the admin token was rotated")


def _acted_as(reader: Reader, foundry: Foundry, credential: Credential) -> Person | None:
    try:
        found = me_of(reader, credential, foundry.now())
    except FoundryError:
        return None  # the request is about nobody, or it will be refused
    return found.person if found else None
