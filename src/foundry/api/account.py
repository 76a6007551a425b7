"""A person's own app sessions and API tokens. Changes need a signed-in browser, but a token may revoke itself."""

from __future__ import annotations

import secrets
from typing import Annotated

from fastapi import APIRouter, Request, Response
from pydantic import AfterValidator, Field, StringConstraints

from foundry.actors.app_shell import views
from foundry.api.auth import TOKEN_PREFIX, Me, Signed, hashed
from foundry.api.bodies import Body
from foundry.api.client import client_address
from foundry.api.context import foundry_of
from foundry.contracts import addresses
from foundry.contracts.app_shell import (
    ApiTokenView,
    AppSessionView,
    CreateToken,
    EndEverySession,
    EndSession,
    RevokeToken,
    Scope,
    Via,
)
from foundry.contracts.errors import NotFound
from foundry.contracts.messages import Model

router = APIRouter(prefix="/api/me", tags=["account"])


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("must consist of printable characters")
    return text


TokenName = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=80), AfterValidator(_printable)
]
Scopes = Annotated[list[Scope], Field(min_length=1, max_length=len(Scope))]


class NewToken(Body):
    name: TokenName
    scopes: Scopes
    expires_in_days: Annotated[int | None, Field(ge=1, le=3650)] = None


class CreatedToken(ApiTokenView):
    """The new API token. `token` is in this response only."""

    token: str


class EndedSessions(Model):
    ended: int


@router.get("/sessions")
async def sessions(request: Request, who: Signed) -> list[AppSessionView]:
    """List your app sessions, the latest used first."""
    foundry = foundry_of(request)
    found = await foundry.runtime.read(views.app_sessions_of, who.person.id, foundry.now())
    return [one.model_copy(update={"current": one.id == who.id}) for one in found]


@router.delete("/sessions")
async def end_every_session(request: Request, who: Signed) -> EndedSessions:
    """Sign out everywhere: end all your app sessions, this one too."""
    command = EndEverySession(user=who.person.id, address=client_address(request))
    return EndedSessions(ended=await foundry_of(request).runtime.ask(addresses.app_shell(), command))


@router.delete("/sessions/{session}", status_code=204)
async def end_session(request: Request, who: Signed, session: str) -> None:
    """End one of your app sessions."""
    command = EndSession(user=who.person.id, session=session, address=client_address(request))
    await foundry_of(request).runtime.ask(addresses.app_shell(), command)


@router.get("/tokens")
async def tokens(request: Request, who: Signed) -> list[ApiTokenView]:
    """List your API tokens, the newest first."""
    foundry = foundry_of(request)
    return await foundry.runtime.read(views.api_tokens_of, who.person.id, foundry.now())


@router.post("/tokens", status_code=201)
async def create_token(request: Request, response: Response, who: Signed, wish: NewToken) -> CreatedToken:
    """Create an API token. The response has it; only its hash is stored."""
    token = new_secret()
    command = CreateToken(
        token_hash=hashed(token),
        user=who.person.id,
        login=who.person.login,
        address=client_address(request),
        **wish.model_dump(),
    )
    view = await foundry_of(request).runtime.ask(addresses.app_shell(), command)
    response.headers["Cache-Control"] = "no-store"
    response.headers["Location"] = f"/api/me/tokens/{view.id}"
    return CreatedToken(token=token, **view.model_dump())


@router.delete("/tokens/current", status_code=204)
async def revoke_current_token(request: Request, who: Signed) -> None:
    """Revoke the API token that the request is made with."""
    if who.via is not Via.TOKEN:
        raise NotFound("the request is not made with an API token", field="token")
    await _revoke(request, who, who.id)


@router.delete("/tokens/{token}", status_code=204)
async def revoke_token(request: Request, who: Signed, token: str) -> None:
    """Revoke one of your API tokens."""
    await _revoke(request, who, token)


async def _revoke(request: Request, who: Me, token: str) -> None:
    command = RevokeToken(user=who.person.id, token=token, via=who.via, address=client_address(request))
    await foundry_of(request).runtime.ask(addresses.app_shell(), command)


def new_secret() -> str:
    """Return a new API token: 256 random bits behind a prefix that secret scanners recognise."""
    return TOKEN_PREFIX + secrets.token_urlsafe(32)
