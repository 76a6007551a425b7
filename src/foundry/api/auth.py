"""Who asks: a person with an app session (cookie), or the local admin token acting as a person (DESIGN 6)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, cast
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response

from foundry.actors.app_shell.views import person_of_token
from foundry.actors.user_github_data.views import people, person
from foundry.api.context import Foundry, foundry_of
from foundry.api.errors import PersonNeeded, SignInNotConfigured, UnknownPerson
from foundry.api.guard import COOKIE
from foundry.contracts import addresses
from foundry.contracts.errors import NotFound, NotSignedIn
from foundry.contracts.ids import UserId
from foundry.contracts.people import Person, SignIn, SignOut, StoreIdentity
from foundry.contracts.words import APP

STATE_COOKIE = "foundry_sign_in"
STATE_LIFE = 600  # seconds a sign-in may take
SESSION_LIFE = 30 * 24 * 3600  # seconds

router = APIRouter(tags=["sign-in"])


@dataclass(frozen=True)
class Me:
    """Who asks, and whether with the admin token."""

    person: Person
    admin: bool = False

    @property
    def caller(self) -> str:
        """The scope of this person's idempotency keys."""
        return f"user:{self.person.id}"


def hashed(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


async def me(request: Request) -> Me:
    """The person who asks.

    Raises:
        NotSignedIn: nobody.
    """
    foundry = foundry_of(request)
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer":
        if foundry.admin_token and hmac.compare_digest(token.encode(), foundry.admin_token.encode()):
            return Me(await _acted_as(foundry, request.headers.get("x-foundry-as")), admin=True)
        raise NotSignedIn("the bearer token is not the local admin token", field="Authorization")
    cookie = request.cookies.get(COOKIE)
    if cookie:
        found = await foundry.runtime.read(person_of_token, hashed(cookie))
        if found is not None:
            try:
                return Me(await foundry.runtime.read(person, found[0]))
            except NotFound:
                pass
    raise NotSignedIn("nobody is signed in")


Signed = Annotated[Me, Depends(me)]


async def admin(who: Signed) -> Me:
    """Only with the admin token."""
    from foundry.api.errors import AdminOnly

    if not who.admin:
        raise AdminOnly("this needs the local admin token")
    return who


Admin = Annotated[Me, Depends(admin)]


async def _acted_as(foundry: Foundry, login: str | None) -> Person:
    known = await foundry.runtime.read(people)
    if login:
        found = next((one for one in known if one.login == login), None)
        if found is None:
            raise UnknownPerson(f"nobody called {login} has signed in here", field="X-Foundry-As")
        return found
    if len(known) != 1:
        who = ", ".join(one.login for one in known) or "nobody has signed in yet"
        raise PersonNeeded(f"the admin token acts as one of: {who}", field="X-Foundry-As")
    return known[0]


# GitHub's web sign-in


def _sealed_state(foundry: Foundry, state: dict[str, Any]) -> str:
    return foundry.sealer.seal(json.dumps(state))


@router.get("/auth/github", include_in_schema=False)
async def begin(request: Request, next: str = "/") -> Response:
    """Send the person to GitHub; state and PKCE verifier stay in a short-lived sealed cookie."""
    foundry = foundry_of(request)
    if foundry.oauth is None:
        raise SignInNotConfigured("no GitHub App is configured for signing in")
    verifier = base64.urlsafe_b64encode(secrets.token_bytes(48)).rstrip(b"=").decode()
    state = secrets.token_urlsafe(24)
    kept = {"state": state, "verifier": verifier, "next": local_path(next), "made": time.time()}
    url = foundry.oauth.authorize_url(redirect_uri=_callback(foundry), state=state, verifier=verifier)
    answer = RedirectResponse(url, 302)
    answer.set_cookie(
        STATE_COOKIE,
        _sealed_state(foundry, kept),
        max_age=STATE_LIFE,
        httponly=True,
        samesite="lax",
        secure=foundry.secure,
    )
    return answer


@router.get("/auth/github/callback", include_in_schema=False)
async def callback(request: Request, code: str = "", state: str = "") -> Response:
    """1. The state is ours. 2. The code becomes tokens. 3. Identity and app session are stored. 4. The cookie."""
    foundry = foundry_of(request)
    if foundry.oauth is None or foundry.identify is None:
        raise SignInNotConfigured("no GitHub App is configured for signing in")
    kept = _kept(foundry, request.cookies.get(STATE_COOKIE))
    if not code or not hmac.compare_digest(kept["state"].encode(), state.encode()):
        raise NotSignedIn("the sign-in was not begun here, or took too long", remedy="Sign in again.")
    token = await foundry.oauth.exchange(code=code, redirect_uri=_callback(foundry), verifier=kept["verifier"])
    account = await foundry.identify(token.access_token)
    user = UserId(str(account.id))
    email = account.email or f"{account.id}+{account.login}@users.noreply.github.com"
    who = Person(
        id=user, login=account.login, name=account.name or account.login, email=email, avatar_url=account.avatar_url
    )
    expires = datetime.now(UTC) + timedelta(seconds=token.expires_in) if token.expires_in else None
    await foundry.runtime.ask(
        addresses.user_github_data(user),
        StoreIdentity(
            parent=addresses.app_shell(),
            scope=APP,
            person=who,
            access_token=foundry.sealer.seal(token.access_token),
            refresh_token=foundry.sealer.seal(token.refresh_token) if token.refresh_token else None,
            expires_at=expires,
        ),
    )
    session = secrets.token_urlsafe(32)
    await foundry.runtime.ask(addresses.app_shell(), SignIn(token_hash=hashed(session), user=user, login=who.login))
    answer = RedirectResponse(kept["next"], 302)
    answer.set_cookie(
        COOKIE, session, max_age=SESSION_LIFE, httponly=True, samesite="lax", secure=foundry.secure, path="/"
    )
    answer.delete_cookie(STATE_COOKIE)
    return answer


@router.post("/auth/sign-out", include_in_schema=False)
async def sign_out(request: Request) -> Response:
    cookie = request.cookies.get(COOKIE)
    if cookie:
        await foundry_of(request).runtime.ask(addresses.app_shell(), SignOut(token_hash=hashed(cookie)))
    answer = RedirectResponse("/", 303)
    answer.delete_cookie(COOKIE)
    return answer


def _kept(foundry: Foundry, cookie: str | None) -> dict[str, Any]:
    from foundry.actors.sealing import WrongKey

    try:
        kept = cast("dict[str, Any]", json.loads(foundry.sealer.unseal(cookie or "")))
    except (WrongKey, ValueError):
        raise NotSignedIn("the sign-in was not begun here, or took too long", remedy="Sign in again.") from None
    if time.time() - kept["made"] > STATE_LIFE:
        raise NotSignedIn("the sign-in took too long", remedy="Sign in again.")
    return kept


def _callback(foundry: Foundry) -> str:
    return f"{foundry.public_url}/auth/github/callback"


def local_path(text: str) -> str:
    """A path of ours to come back to; anything else becomes the start page."""
    parts = urlsplit(text)
    ok = text.startswith("/") and not text.startswith("//") and not parts.netloc and "\\" not in text
    return text if ok else "/"
