"""What a person sees of the stand-in: sign-in, a repository, its pull requests with a merge button."""

from __future__ import annotations

import base64
import hashlib
import secrets
import time
from pathlib import Path
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from jinja2 import Environment, FileSystemLoader, select_autoescape

from foundry.devkit.github.access import Access, Refusal
from foundry.devkit.github.pulls import Pulls
from foundry.devkit.github.repos import Repositories
from foundry.devkit.github.store import Doc, Store

CODE_LIFE = 600  # seconds
COOKIE = "devkit_login"

templates = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=select_autoescape(["html"])
)


class Pages:
    """The pages and the OAuth endpoints."""

    def __init__(self, store: Store, access: Access, repositories: Repositories, pulls: Pulls) -> None:
        self.store, self.access, self.repositories, self.pulls = store, access, repositories, pulls
        self.router = APIRouter(include_in_schema=False)
        add = self.router.add_api_route
        add("/", self.home, methods=["GET"])
        add("/login/oauth/authorize", self.authorize, methods=["GET"])
        add("/login/oauth/choose", self.choose, methods=["POST"])
        add("/login/oauth/access_token", self.token, methods=["POST"])
        add("/_avatars/{login}.svg", self.avatar, methods=["GET"])
        add("/{owner}/{name}", self.repository, methods=["GET"])
        add("/{owner}/{name}/pull/{number}", self.pull, methods=["GET"])
        add("/{owner}/{name}/pull/{number}/{verb}", self.act, methods=["POST"])

    def _page(self, template: str, status: int = 200, **values: object) -> Response:
        return HTMLResponse(templates.get_template(template).render(**values), status)

    async def home(self) -> Response:
        return self._page("home.html", repositories=self.store.all("repo"))

    # OAuth

    async def authorize(self, request: Request) -> Response:
        query = dict(request.query_params)
        if query.get("client_id") != self.store.app()["client_id"]:
            return self._page("message.html", 404, title="No such application", text="The client id is not known.")
        return self._page("sign_in.html", people=self.store.all("user"), query=query, orgs=self.store.all("org"))

    async def choose(self, request: Request) -> Response:
        form = {key: str(value) for key, value in (await request.form()).items()}
        login, redirect = form.get("login", ""), form.get("redirect_uri", "")
        if not self.store.get("user", login) or not redirect:
            return self._page("message.html", 422, title="Nobody chosen", text="Choose one of the sample people.")
        code = secrets.token_hex(10)
        challenge = form.get("code_challenge") or None
        self.store.put(
            "code", code, {"login": login, "redirect_uri": redirect, "challenge": challenge, "made": time.time()}
        )
        answer = RedirectResponse(f"{redirect}?{urlencode({'code': code, 'state': form.get('state', '')})}", 302)
        answer.set_cookie(COOKIE, login, httponly=True, samesite="lax")
        return answer

    async def token(self, request: Request) -> Response:
        """Codes and refresh tokens work once; GitHub answers errors with 200."""
        kind = request.headers.get("content-type", "")
        fields = await request.json() if kind.startswith("application/json") else dict(await request.form())
        return JSONResponse(self._token({k: str(v) for k, v in fields.items()}))

    def _token(self, fields: dict[str, str]) -> Doc:
        app = self.store.app()
        if (fields.get("client_id"), fields.get("client_secret")) != (app["client_id"], app["client_secret"]):
            return _error("incorrect_client_credentials", "The client_id and/or client_secret passed are incorrect.")
        if fields.get("grant_type") == "refresh_token":
            found = self.store.get("refresh", fields.get("refresh_token", ""))
            if found is None:
                return _error("bad_refresh_token", "The refresh token passed is incorrect or expired.")
            self.store.remove("refresh", fields["refresh_token"])
            return self.access.user_token(found["login"])
        code = fields.get("code", "")
        found = self.store.get("code", code)
        self.store.remove("code", code)
        if found is None or time.time() - found["made"] > CODE_LIFE:
            return _error("bad_verification_code", "The code passed is incorrect or expired.")
        if fields.get("redirect_uri", found["redirect_uri"]) != found["redirect_uri"]:
            return _error("redirect_uri_mismatch", "The redirect_uri MUST match the registered callback URL.")
        if found["challenge"]:
            digest = hashlib.sha256(fields.get("code_verifier", "").encode()).digest()
            if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != found["challenge"]:
                return _error("bad_verification_code", "The code verifier does not match.")
        return self.access.user_token(found["login"])

    async def avatar(self, login: str) -> Response:
        hue = int(hashlib.sha256(login.encode()).hexdigest()[:4], 16) % 360
        letter = (login[:1] or "?").upper()
        svg = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 40 40"><rect width="40" height="40" fill="hsl({hue} 45% 45%)"/>'
            f'<text x="20" y="27" font-size="20" text-anchor="middle" fill="#fff" font-family="sans-serif">{letter}</text></svg>'
        )
        return Response(svg, media_type="image/svg+xml")

    # repositories

    def _who(self, request: Request, repo: Doc) -> str:
        """Who is at the browser: whoever signed in last, else somebody who may merge."""
        login = request.cookies.get(COOKIE, "")
        return (
            login if self.store.get("user", login) else next(n for n, role in repo["access"].items() if role == "admin")
        )

    async def repository(self, request: Request, owner: str, name: str) -> Response:
        repo = self.repositories.find(owner, name)
        if repo is None:
            return self._page("message.html", 404, title="Not found", text=f"There is no {owner}/{name}.")
        pulls = sorted(self.pulls.of(repo), key=lambda p: -p["number"])
        return self._page(
            "repository.html", repo=repo, pulls=pulls, heads=self.repositories.heads(repo), who=self._who(request, repo)
        )

    async def pull(self, request: Request, owner: str, name: str, number: int, problem: str = "") -> Response:
        repo = self.repositories.find(owner, name)
        if repo is None:
            return self._page("message.html", 404, title="Not found", text=f"There is no {owner}/{name}.")
        try:
            pull = self.pulls.get(repo, number)
        except Refusal:
            return self._page("message.html", 404, title="Not found", text=f"There is no pull request #{number}.")
        heads = self.repositories.heads(repo)
        base, head = (
            (heads.get(pull["base"]), heads.get(pull["head"]))
            if pull["state"] == "open"
            else (pull["base_sha"], pull["head_sha"])
        )
        diff = self.repositories.diff(repo, base or pull["base_sha"], head or pull["head_sha"])
        commits = self.repositories.commits(repo, base or pull["base_sha"], head or pull["head_sha"])
        return self._page(
            "pull.html",
            repo=repo,
            pull=pull,
            diff=diff.splitlines(),
            commits=commits,
            who=self._who(request, repo),
            problem=problem,
        )

    async def act(self, request: Request, owner: str, name: str, number: int, verb: str) -> Response:
        repo = self.repositories.find(owner, name)
        try:
            if repo is None:
                raise Refusal(404, "Not Found")
            who, pull = self._who(request, repo), self.pulls.get(repo, number)
            if verb == "merge":
                self.pulls.merge(repo, pull, {}, who)
            elif verb in ("close", "reopen"):
                self.pulls.edit(repo, pull, {"state": "closed" if verb == "close" else "open"}, who)
        except Refusal as refusal:
            return await self.pull(request, owner, name, number, refusal.message)
        return RedirectResponse(f"/{owner}/{name}/pull/{number}", 303)


def _error(code: str, text: str) -> Doc:
    return {"error": code, "error_description": text, "error_uri": "https://docs.github.com"}
