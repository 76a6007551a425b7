"""Authentication: an app session (cookie), a personal API token, or the local admin token acting as a person."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated
from urllib.parse import urlencode, urlsplit

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response
from starlette.requests import HTTPConnection

from foundry.actors.app_shell.views import LONGEST, app_session, token_of
from foundry.actors.encryption import WrongKey
from foundry.actors.user_github_data.views import people, person
from foundry.api import scopes
from foundry.api.client import client_address, device_of
from foundry.api.context import COOKIE, Foundry, bearer_of, foundry_of
from foundry.api.errors import AdminOnly, PersonNeeded, SignedOut, SignInNotConfigured, UnknownPerson
from foundry.api.last_use import note_use
from foundry.api.scopes import Need, needed_by
from foundry.contracts import addresses
from foundry.contracts.app_shell import ALL_SCOPES, Scope, SignIn, SignOut, Via
from foundry.contracts.errors import NotFound, NotSignedIn
from foundry.contracts.github_payloads import GitHubAccount, UserToken
from foundry.contracts.ids import UserId
from foundry.contracts.messages import APP
from foundry.contracts.people import Person
from foundry.contracts.user_github_data import StoreIdentity
from foundry.runtime.reader import Reader

STATE_COOKIE = "foundry_sign_in"
STATE_LIFE = 600  # seconds a sign-in may take
COOKIE_LIFE = round(LONGEST.total_seconds())  # the app session may end earlier
FAREWELL = 60  # seconds that the cookie of an ended session stays, so that the browser's other pages say why they left
TOKEN_PREFIX = "fdy_"  # of personal API tokens, so that secret scanners and people recognise them

router = APIRouter(tags=["sign-in"])


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
        found = next((one for one in known if one.login.lower() == login.lower()), None)
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


# GitHub's web sign-in


@router.get("/auth/github", response_class=RedirectResponse, status_code=302)
async def begin(request: Request, next: str = "/", here: bool = False) -> Response:
    """Redirect the person to GitHub. A short-lived encrypted cookie of the public address holds state and verifier."""
    foundry = foundry_of(request)
    if foundry.oauth is None:
        raise SignInNotConfigured("sign-in is not configured: the server has no GitHub App")
    if request.headers.get("host") != urlsplit(foundry.public_url).netloc and not here:
        # GitHub sends the person back to the public address, so the cookie must be set there. Redirect only once,
        # because a proxy may hide the address that the browser used.
        query = urlencode({"next": local_path(next), "here": "true"})
        return RedirectResponse(f"{foundry.public_url}/auth/github?{query}", 302)
    verifier, state = secrets.token_urlsafe(48), secrets.token_urlsafe(24)
    kept = {"state": state, "verifier": verifier, "next": local_path(next), "made": foundry.now().timestamp()}
    url = foundry.oauth.authorize_url(redirect_uri=_callback(foundry), state=state, verifier=verifier)
    answer = RedirectResponse(url, 302)
    _set_cookie(foundry, answer, STATE_COOKIE, foundry.sealer.seal(json.dumps(kept)), STATE_LIFE)
    return answer


@router.get("/auth/github/callback", response_class=RedirectResponse, status_code=302)
async def callback(request: Request, code: str = "", state: str = "", error_description: str = "") -> Response:
    """1. Check the state. 2. Exchange the code for tokens. 3. Store identity and app session. 4. Set the cookie."""
    foundry = foundry_of(request)
    if foundry.oauth is None or foundry.identify is None:
        raise SignInNotConfigured("sign-in is not configured: the server has no GitHub App")
    kept = _kept(foundry, request.cookies.get(foundry.cookie(STATE_COOKIE)))
    if not hmac.compare_digest(kept["state"].encode(), state.encode()):
        raise NotSignedIn("This sign-in was not started in this browser.", field="state", remedy="Sign in again.")
    if not code:
        raise NotSignedIn(
            f"GitHub did not sign you in: {error_description[:200]}", field="code", remedy="Sign in again."
        )
    token = await foundry.oauth.exchange(code=code, redirect_uri=_callback(foundry), verifier=kept["verifier"])
    account = await foundry.identify(token.access_token)
    session = await _store(foundry, account, token, device_of(request.headers), client_address(request))
    answer = RedirectResponse(kept["next"], 302)
    _set_cookie(foundry, answer, COOKIE, session, COOKIE_LIFE)
    _set_cookie(foundry, answer, STATE_COOKIE, "", 0)
    return answer


async def _store(foundry: Foundry, account: GitHubAccount, token: UserToken, device: str, address: str) -> str:
    """Store the person's identity and open an app session. Returns its token; only the token's hash is stored."""
    user = UserId(str(account.id))
    email = account.email or f"{account.id}+{account.login}@users.noreply.github.com"  # GitHub's no-reply address
    who = Person(id=user, login=account.login, name=account.name or "", email=email, avatar_url=account.avatar_url)
    identity = StoreIdentity(
        parent=addresses.app_shell(),
        scope=APP,
        person=who,
        access_token=foundry.sealer.seal(token.access_token),
        refresh_token=foundry.sealer.seal(token.refresh_token) if token.refresh_token else None,
        expires_at=foundry.now() + timedelta(seconds=token.expires_in) if token.expires_in else None,
    )
    await foundry.runtime.ask(addresses.user_github_data(user), identity)
    session = secrets.token_urlsafe(32)
    sign_in = SignIn(token_hash=hashed(session), user=user, login=who.login, device=device, address=address)
    await foundry.runtime.ask(addresses.app_shell(), sign_in)
    return session


@router.post("/auth/sign-out", status_code=204)
async def sign_out(request: Request) -> Response:
    """End this app session. A browser's form is redirected to the start page."""
    foundry = foundry_of(request)
    credential = credential_of(request, foundry)
    form = "text/html" in request.headers.get("accept", "")
    answer = RedirectResponse("/", 303) if form else Response(status_code=204)
    if credential is not None and credential.kind is Kind.SESSION:
        command = SignOut(token_hash=credential.hash, address=client_address(request))
        await foundry.runtime.ask(addresses.app_shell(), command)
        _set_cookie(foundry, answer, COOKIE, request.cookies[foundry.cookie(COOKIE)], FAREWELL)
    return answer


def _set_cookie(foundry: Foundry, answer: Response, name: str, value: str, life: int) -> None:
    """Set a cookie. `__Host-` demands the path /, and no domain. A life of 0 seconds deletes it."""
    name = foundry.cookie(name)
    answer.set_cookie(name, value, max_age=life, httponly=True, samesite="lax", secure=foundry.secure, path="/")


def _kept(foundry: Foundry, cookie: str | None) -> dict[str, str]:
    remedy = "Allow cookies in the browser, then sign in again."
    try:
        kept = json.loads(foundry.sealer.unseal(cookie or ""))
    except (WrongKey, ValueError):
        raise NotSignedIn(
            "This sign-in was not started in this browser, or it took too long.", field="state", remedy=remedy
        ) from None
    if foundry.now().timestamp() - kept["made"] > STATE_LIFE:
        raise NotSignedIn("This sign-in took too long.", field="state", remedy=remedy)
    return kept


def _callback(foundry: Foundry) -> str:
    return f"{foundry.public_url}/auth/github/callback"


def local_path(text: str) -> str:
    """Return the text if it is a path on this server, else the start page's path."""
    plain = text.isprintable() and "\\" not in text
    return text if plain and text.startswith("/") and not text.startswith("//") else "/"
