"""GitHub's web sign-in, and the end of an app session (DESIGN section 6)."""

from __future__ import annotations

import hmac
import json
import secrets
from datetime import timedelta
from urllib.parse import urlencode, urlsplit

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from foundry.actors.app_shell.views import LONGEST
from foundry.actors.encryption import WrongKey
from foundry.actors.user_github_data.views import is_known
from foundry.api.auth import Kind, credential_of, hashed
from foundry.api.client import client_address, device_of
from foundry.api.context import COOKIE, Foundry, foundry_of
from foundry.api.errors import SignInNotConfigured
from foundry.api.sign_in_policy import admit
from foundry.contracts import addresses
from foundry.contracts.app_shell import SignIn, SignOut
from foundry.contracts.errors import NotSignedIn
from foundry.contracts.github_payloads import GitHubAccount, UserToken
from foundry.contracts.ids import UserId
from foundry.contracts.messages import APP
from foundry.contracts.people import Person
from foundry.contracts.user_github_data import StoreIdentity

STATE_COOKIE = "foundry_sign_in"
STATE_LIFE = 600  # seconds a sign-in may take
COOKIE_LIFE = round(LONGEST.total_seconds())  # the app session may end earlier
FAREWELL = 60  # seconds that the cookie of an ended session stays, so that the browser's other pages say why they left

router = APIRouter(tags=["sign-in"])


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
    """1. Check the state. 2. Exchange the code for tokens. 3. Store the identity. 4. The policy lets the person in.
    5. Open an app session, and set its cookie.
    """
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
    now, lasts = foundry.now(), token.refresh_token_expires_in
    identity = StoreIdentity(
        parent=addresses.app_shell(),
        scope=APP,
        person=who,
        access_token=foundry.sealer.seal(token.access_token),
        refresh_token=foundry.sealer.seal(token.refresh_token) if token.refresh_token else None,
        expires_at=now + timedelta(seconds=token.expires_in) if token.expires_in else None,
        refresh_expires_at=now + timedelta(seconds=lasts) if lasts and token.refresh_token else None,
    )
    known = await foundry.runtime.read(is_known, user)
    await foundry.runtime.ask(addresses.user_github_data(user), identity)
    await admit(foundry, who, known=known)
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
