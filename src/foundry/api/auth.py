"""Authentication: an app session (cookie), a personal API token, or the local admin token acting as a person."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated

from fastapi import Depends, Request
from starlette.requests import HTTPConnection

from foundry.actors.app_shell.views import app_session, token_of
from foundry.actors.user_github_data.views import people, person
from foundry.api import scopes
from foundry.api.context import COOKIE, Foundry, bearer_of, foundry_of
from foundry.api.errors import AdminOnly, PersonNeeded, SignedOut, UnknownPerson
from foundry.api.last_use import note_use
from foundry.api.scopes import Need, needed_by
from foundry.contracts.app_shell import ALL_SCOPES, Scope, Via
from foundry.contracts.errors import NotFound, NotSignedIn
from foundry.contracts.people import Person
from foundry.runtime.reader import Reader

TOKEN_PREFIX = "fdy_"  # of personal API tokens, so that secret scanners and people recognise them


class Kind(StrEnum):
    """What a request proves its sender with."""

    SESSION = "session"  # the cookie of an app session
    TOKEN = "token"  # a personal API token
    ADMIN = "admin"  # the local admin token


@dataclass(frozen=True)
class Credential:
    """What a request carries, before anybody has looked whether it is worth anything.

    Args:
        hash: SHA-256 of the secret, in hexadecimal.
        as_login: the person that the admin token acts as. Empty: the only person there is.
        need: what the request needs. `me_of` refuses a credential that does not have it.
    """

    kind: Kind
    hash: str
    as_login: str = ""
    need: Need = Need.READ


@dataclass(frozen=True)
class Me:
    """The person who sends the request, and what the request may do in their name."""

    person: Person
    via: Via = Via.BROWSER
    scopes: frozenset[Scope] = ALL_SCOPES
    id: str = ""  # of the app session or the API token
    used_at: datetime | None = None  # when it was last used before this request, at most 5 minutes old

    @property
    def admin(self) -> bool:
        """True if somebody with the local admin token acts as this person."""
        return self.via is Via.ADMIN

    @property
    def caller(self) -> str:
        """The scope of this person's idempotency keys."""
        return f"user:{self.person.id}"


def hashed(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


# Who asks: `credential_of` reads the request, `me_of` reads the database. Neither does the other's work, so that
# `me_of` can be part of the one read that answers the request.


def credential_of(request: HTTPConnection, foundry: Foundry) -> Credential | None:
    """Return what the request proves its sender with, or None if it carries nothing. No I/O.

    A bearer token counts alone: the cookie beside it is ignored, also if the token is worth nothing.

    Raises:
        NotSignedIn: the bearer token is neither an API token nor the admin token.
    """
    bearer, need = bearer_of(request.headers), needed_by(request.scope)
    if bearer is None:
        cookie = request.cookies.get(foundry.cookie(COOKIE))
        return Credential(Kind.SESSION, hashed(cookie), need=need) if cookie else None
    if bearer.startswith(TOKEN_PREFIX):
        return Credential(Kind.TOKEN, hashed(bearer), need=need)
    admin = foundry.admin_token()
    if admin and hmac.compare_digest(bearer.encode(), admin.encode()):
        return Credential(Kind.ADMIN, hashed(bearer), request.headers.get("x-foundry-as", ""), need)
    raise NotSignedIn("the bearer token is neither an API token nor the local admin token", field="Authorization")


def me_of(reader: Reader, credential: Credential, now: datetime) -> Me | None:
    """Return the person behind a credential, or None if the app session is unknown.

    Raises:
        SignedOut: the app session or the API token has ended; the detail says why.
        NotSignedIn: the API token is unknown.
        ScopeMissing, BrowserNeeded: the credential does not have what the request needs.
        PersonNeeded, UnknownPerson: the person that the admin token acts as is missing or unknown.
    """
    found = _me_of(reader, credential, now)
    if found is not None:
        scopes.check(credential.need, found.via, found.scopes)
    return found


def _me_of(reader: Reader, credential: Credential, now: datetime) -> Me | None:
    if credential.kind is Kind.ADMIN:
        return Me(_acted_as(reader, credential.as_login), Via.ADMIN)
    token = credential.kind is Kind.TOKEN
    held = (token_of if token else app_session)(reader, credential.hash, now)
    if held is None and token:
        raise NotSignedIn("the API token is unknown", field="Authorization")
    if held is None:
        return None
    if held.ended:
        ended = "This API token has ended" if token else "You were signed out"
        raise SignedOut(f"{ended}: {held.ended}.", field="Authorization" if token else None)
    try:
        who = person(reader, held.user)
    except NotFound:
        return None
    return Me(who, Via.TOKEN if token else Via.BROWSER, held.scopes, held.id, held.used_at)


def asking(request: Request) -> Credential:
    """Return what the request proves its sender with.

    Raises:
        NotSignedIn: it carries nothing, or a bearer token that is worth nothing.
    """
    found = credential_of(request, foundry_of(request))
    if found is None:
        raise NotSignedIn("nobody is signed in", field="Authorization")
    return found


async def find_me(request: Request) -> Me | None:
    """Return the person who sends the request, or None if nobody is signed in. The use is recorded.

    Raises:
        FoundryError: as `credential_of` and `me_of`.
    """
    foundry = foundry_of(request)
    credential = credential_of(request, foundry)
    if credential is None:
        return None
    found = await foundry.runtime.read(me_of, credential, foundry.now())
    if found is not None:
        note_use(foundry, request, credential, found)
    return found


async def me(request: Request) -> Me:
    """Return the person who sends the request.

    Raises:
        NotSignedIn: nobody is signed in.
    """
    found = await find_me(request)
    if found is None:
        raise NotSignedIn("nobody is signed in", field=None if has_cookie(request) else "Authorization")
    return found


Signed = Annotated[Me, Depends(me)]


def has_cookie(request: HTTPConnection) -> bool:
    """Return True if the cookie of an app session is there and counts."""
    foundry: Foundry = request.app.state.foundry
    return foundry.cookie(COOKIE) in request.cookies and bearer_of(request.headers) is None


async def admin_only(request: Request) -> None:
    """Require the local admin token. The person it acts as does not matter.

    Raises:
        AdminOnly: the request does not carry the admin token.
    """
    credential = credential_of(request, foundry_of(request))
    if credential is None or credential.kind is not Kind.ADMIN:
        raise AdminOnly("this needs the local admin token", field="Authorization")


def _acted_as(reader: Reader, login: str) -> Person:
    known = people(reader)
    if login:
        named = (one.id if login.isdigit() else one.login.lower() for one in known)
        found = next((one for one, name in zip(known, named, strict=True) if name == login.lower()), None)
        if found is None:
            raise UnknownPerson(f"no person with the login {login} has signed in here", field="X-Foundry-As")
        return found
    if not known:
        remedy = "Sign in once with a browser at the server's public address, then try again."
        raise PersonNeeded(
            "nobody has signed in here yet, so the admin token cannot act as anybody",
            field="X-Foundry-As",
            remedy=remedy,
        )
    if len(known) > 1:
        who = ", ".join(one.login for one in known)
        raise PersonNeeded(f"several people have signed in here: {who}", field="X-Foundry-As")
    return known[0]
