"""Sign-in: GitHub's web application flow for an App, with PKCE, and the endpoints that check and revoke tokens."""

from __future__ import annotations

import base64
import hashlib
import secrets
import time
from urllib.parse import urlencode, urlsplit

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response

from foundry.devkit.github.faults import Faults, suffer
from foundry.devkit.github.hooks import Hooks
from foundry.devkit.github.looks import COOKIE, page, same_origin
from foundry.devkit.github.refusals import NOT_FOUND, Refusal, invalid
from foundry.devkit.github.shapes import Shapes
from foundry.devkit.github.store import Doc, Store
from foundry.devkit.github.tokens import Tokens

CODE_LIFE = 600  # seconds
CARRIED = ("client_id", "redirect_uri", "state", "code_challenge", "code_challenge_method")
FAILURES = {
    "incorrect_client_credentials": "The client_id and/or client_secret passed are incorrect.",
    "bad_verification_code": "The code passed is incorrect or expired.",
    "redirect_uri_mismatch": "The redirect_uri MUST match the registered callback URL for this application.",
    "bad_refresh_token": "The refresh token passed is incorrect or expired.",
    "unsupported_grant_type": "The grant type specified is not supported.",
}


class OAuth:
    """The App's sign-in. Codes and refresh tokens work once."""

    def __init__(self, store: Store, tokens: Tokens, shapes: Shapes, hooks: Hooks, faults: Faults) -> None:
        self.store, self.tokens, self.shapes, self.hooks, self.faults = store, tokens, shapes, hooks, faults
        self.router = APIRouter(include_in_schema=False)
        add = self.router.add_api_route
        add("/login/oauth/authorize", self.authorize, methods=["GET"])
        add("/login/oauth/choose", self.choose, methods=["POST"])
        add("/login/oauth/access_token", self.token, methods=["POST"])
        add("/api/v3/applications/{client_id}/token", self.check, methods=["POST", "DELETE"])
        add("/api/v3/applications/{client_id}/grant", self.withdraw, methods=["DELETE"])

    async def authorize(self, request: Request) -> Response:
        """Show the page for choosing a person. `login` suggests one."""
        query = dict(request.query_params)
        if failure := self._wrong(query):
            return failure
        return page(
            "sign_in.html", people=self.store.all("user"), orgs=self.store.all("org"), action="/login/oauth/choose",
            hidden={key: query[key] for key in CARRIED if key in query}, suggested=query.get("login", ""),
        )  # fmt: skip

    def _wrong(self, query: dict[str, str]) -> Response | None:
        if query.get("client_id") != self.store.app()["client_id"]:
            return page("message.html", 404, title="Unknown application", text="The client id is unknown.")
        where = urlsplit(query.get("redirect_uri", ""))
        if where.scheme not in ("http", "https") or not where.netloc:
            text = "The redirect_uri is missing or is not an http address."
            return page("message.html", 400, title="Invalid redirect", text=text)
        if query.get("code_challenge") and query.get("code_challenge_method", "S256") != "S256":
            text = "The code_challenge_method must be S256."
            return page("message.html", 400, title="Unknown challenge", text=text)
        return None

    async def choose(self, request: Request) -> Response:
        """Redirect the person back, with a code or with the reason for a refusal."""
        form = {key: str(value) for key, value in (await request.form()).items()}
        if not same_origin(request):
            return page("message.html", 403, title="Form from another site", text="Sign in on this server's own page.")
        if failure := self._wrong(form):
            return failure
        login, state = form.get("login", ""), {"state": form["state"]} if "state" in form else {}
        if form.get("cancel"):
            text = "The user has denied your application access."
            return _back(form["redirect_uri"], {"error": "access_denied", "error_description": text} | state)
        person = self.store.get("user", login)
        if person is None:
            return page("message.html", 422, title="No person chosen", text="Choose one of the sample people.")
        code = secrets.token_hex(10)
        made = {
            "person": person["id"], "redirect_uri": form["redirect_uri"], "challenge": form.get("code_challenge") or None,
            "made": time.time(),
        }  # fmt: skip
        self.store.put("code", code, made)
        answer = _back(form["redirect_uri"], {"code": code} | state)
        answer.set_cookie(COOKIE, str(person["id"]), httponly=True, samesite="lax")
        return answer

    async def token(self, request: Request) -> Response:
        """Issue tokens. Like GitHub: errors have status 200, and the body is a form unless JSON is requested."""
        fault = self.faults.take("oauth", request.method)
        try:
            await suffer(fault, after=False)
            body = self._token(await _fields(request))
            await suffer(fault, after=True)
        except Refusal as refusal:
            return refusal.response()
        if "json" in request.headers.get("accept", ""):
            return JSONResponse(body, headers={"Cache-Control": "no-store"})
        return Response(urlencode(body), media_type="application/x-www-form-urlencoded")

    def _token(self, fields: dict[str, str]) -> Doc:
        app = self.store.app()
        if (fields.get("client_id"), fields.get("client_secret")) != (app["client_id"], app["client_secret"]):
            return _error("incorrect_client_credentials")
        match fields.get("grant_type", "authorization_code"):
            case "refresh_token":
                return self.tokens.refreshed(fields.get("refresh_token", "")) or _error("bad_refresh_token")
            case "authorization_code" | "":
                return self._exchange(fields)
        return _error("unsupported_grant_type")

    def _exchange(self, fields: dict[str, str]) -> Doc:
        """Exchange a code. 1. It works once, for ten minutes. 2. The redirect must match. 3. The verifier must match."""
        found = self.store.get("code", fields.get("code", ""))
        self.store.remove("code", fields.get("code", ""))
        if found is None or time.time() - found["made"] > CODE_LIFE:
            return _error("bad_verification_code")
        if fields.get("redirect_uri", found["redirect_uri"]) != found["redirect_uri"]:
            return _error("redirect_uri_mismatch")
        if found["challenge"]:
            digest = hashlib.sha256(fields.get("code_verifier", "").encode()).digest()
            if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != found["challenge"].rstrip("="):
                return _error("bad_verification_code")
        return self.tokens.issue(found["person"])

    # the application's own endpoints, authenticated by Basic client_id:client_secret

    async def check(self, request: Request, client_id: str) -> Response:
        """Return a token's owner (POST), or revoke the token (DELETE)."""
        try:
            token, found = await self._given(request, client_id)
        except Refusal as refusal:
            return refusal.response()
        if request.method == "DELETE":
            self.store.remove("token", token)
            return Response(status_code=204)
        app = {"client_id": client_id, "name": "Foundry sample", "url": self.shapes.web}
        body = {"id": 1, "token": token, "scopes": [], "app": app, "user": self.shapes.account(self._login(found))}
        return JSONResponse(body)

    async def withdraw(self, request: Request, client_id: str) -> Response:
        """Revoke all tokens of the person."""
        try:
            _, found = await self._given(request, client_id)
        except Refusal as refusal:
            return refusal.response()
        self.tokens.sign_out(found["person"])
        self.hooks.signed_out(self._login(found))
        return Response(status_code=204)

    def _login(self, found: Doc) -> str:
        return (self.shapes.by_id(found["person"]) or {"login": "ghost"})["login"]

    async def _given(self, request: Request, client_id: str) -> tuple[str, Doc]:
        app = self.store.app()
        wanted = base64.b64encode(f"{app['client_id']}:{app['client_secret']}".encode()).decode()
        if request.headers.get("authorization", "").removeprefix("Basic ") != wanted or client_id != app["client_id"]:
            raise Refusal(404, NOT_FOUND)
        token = (await _fields(request)).get("access_token", "")
        found = self.store.get("token", token)
        if found is None or found["kind"] != "user":  # the documentation has 404 for checking alone
            raise Refusal(404, NOT_FOUND) if request.method == "POST" else invalid("OauthAccess", field="access_token")
        return token, found


async def _fields(request: Request) -> dict[str, str]:
    """Return the fields of the body (form or JSON), or else of the query."""
    if "json" in request.headers.get("content-type", ""):
        try:
            body = await request.json()
        except ValueError:
            raise Refusal(400, "Problems parsing JSON") from None
        fields = body if isinstance(body, dict) else {}
    else:
        fields = dict(request.query_params) | dict(await request.form())
    return {key: str(value) for key, value in fields.items()}


def _back(redirect: str, query: dict[str, str]) -> Response:
    return RedirectResponse(f"{redirect}{'&' if '?' in redirect else '?'}{urlencode(query)}", 302)


def _error(code: str) -> Doc:
    where = "https://docs.github.com/apps/managing-oauth-apps/failureshooting-oauth-app-access-token-request-errors/"
    return {"error": code, "error_description": FAILURES[code], "error_uri": f"{where}#{code.replace('_', '-')}"}
