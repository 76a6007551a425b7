"""What a person sees of the stand-in: repositories, their pull requests with a merge button."""

from __future__ import annotations

import hashlib
from html import escape
from urllib.parse import urlsplit

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse, RedirectResponse, Response

from foundry.devkit.github.access import Access
from foundry.devkit.github.gitting import GitError
from foundry.devkit.github.looks import COOKIE, page, same_origin
from foundry.devkit.github.pulls import METHODS, Pulls
from foundry.devkit.github.refusals import NOT_FOUND, Refusal
from foundry.devkit.github.repos import Repositories
from foundry.devkit.github.roles import LEVELS
from foundry.devkit.github.settings import Settings
from foundry.devkit.github.shapes import Shapes
from foundry.devkit.github.store import Doc, Store

ICON = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24"><rect width="24" height="24" rx="5" fill="#1f883d"/>
<path d="M8 6v12M8 15c0-4 8-2 8-6" fill="none" stroke="#fff" stroke-width="2"/>
<g fill="#fff"><circle cx="8" cy="6" r="2.5"/><circle cx="8" cy="18" r="2.5"/><circle cx="16" cy="8" r="2.5"/></g></svg>
"""  # a branch that leaves its base

NO_PUSH = "You cannot do this: it needs write access to the repository. Choose somebody else at the top."


class Pages:
    """The pages. Whoever signed in last is at the browser, else an owner of what is looked at."""

    def __init__(
        self, store: Store, access: Access, repositories: Repositories, shapes: Shapes, pulls: Pulls, settings: Settings
    ) -> None:
        self.store, self.access, self.repositories = store, access, repositories
        self.shapes, self.pulls, self.settings = shapes, pulls, settings
        self.router = APIRouter(include_in_schema=False)
        add = self.router.add_api_route
        add("/", self.home, methods=["GET"])
        add("/login", self.sign_in, methods=["GET"])
        add("/login", self.signed_in, methods=["POST"])
        add("/orgs/{org}/sso", self.single_sign_on, methods=["GET"])
        add("/_avatars/{login}.svg", self.avatar, methods=["GET"])
        for path in (
            "/favicon.svg",
            "/favicon.ico",
        ):  # browsers request the second if a page links none, such as a diff
            add(path, self.icon, methods=["GET"])
        add("/{owner}/{name}", self.repository, methods=["GET"])
        add("/{owner}/{name}/pull/{number:int}.diff", self.raw_diff, methods=["GET"])
        add("/{owner}/{name}/pull/{number:int}", self.pull, methods=["GET"])
        add("/{owner}/{name}/pull/{number:int}/{verb}", self.act, methods=["POST"])

    # signing in

    def _login(self, request: Request) -> str:
        return chosen(request, self.store, self.shapes)

    def _who(self, request: Request, repo: Doc) -> str:
        return self._login(request) or self.settings.owner(repo["owner"])

    async def sign_in(self, request: Request) -> Response:
        back = _local(request.query_params.get("return_to", "/"))
        people, orgs = self.store.all("user"), self.store.all("org")
        return page(
            "sign_in.html", people=people, orgs=orgs, action="/login", hidden={"return_to": back}, suggested=self._login(request)
        )  # fmt: skip

    async def signed_in(self, request: Request) -> Response:
        form = {key: str(value) for key, value in (await request.form()).items()}
        if not same_origin(request):
            return page("message.html", 403, title="Not from here", text="Sign in on this server's own page.")
        answer = RedirectResponse(_local(form.get("return_to", "/")), 303)
        if person := self.store.get("user", form.get("login", "")):
            answer.set_cookie(COOKIE, str(person["id"]), httponly=True, samesite="lax")
        return answer

    async def single_sign_on(self, request: Request, org: str) -> Response:
        """Grant the tokens for which the API asked access to the organization. There is no identity provider here."""
        if not self.access.sso.granted(request.query_params.get("authorization_request", "")):
            text = "This address is unknown, used or older than an hour. Repeat the request that was refused."
            return page("message.html", 404, title="Single sign-on", text=text)
        return page("message.html", title="Single sign-on", text=f"You are signed in to {org}.")

    # pages

    async def home(self, request: Request) -> Response:
        login = self._login(request)
        seen = [r for r in self.store.all("repo") if not login or self._level(r, login) >= LEVELS["read"]]
        return page("home.html", repositories=seen, who=login)

    def _level(self, repo: Doc, login: str) -> int:
        return LEVELS[self.access.role(repo, login)]

    def _seen(self, request: Request, owner: str, name: str) -> tuple[Doc, str]:
        """The repository and who looks at it.

        Raises:
            Refusal: 404, there is none, or not for them.
        """
        repo = self.repositories.find(owner, name) or self.repositories.moved(owner, name)
        if repo is None or self._level(repo, who := self._who(request, repo)) < LEVELS["read"]:
            raise Refusal(404, NOT_FOUND)
        return repo, who

    async def repository(self, request: Request, owner: str, name: str) -> Response:
        try:
            repo, who = self._seen(request, owner, name)
        except Refusal:
            return _nothing(f"{owner}/{name}")
        if (repo["owner"], repo["name"]) != (owner, name):
            return RedirectResponse(f"/{repo['owner']}/{repo['name']}", 301)
        pulls = self.pulls.of(repo)[::-1]
        return page("repository.html", repo=repo, pulls=pulls, heads=self.repositories.heads(repo), who=who)

    async def pull(self, request: Request, owner: str, name: str, number: int, problem: str = "") -> Response:
        try:
            repo, who = self._seen(request, owner, name)
            pull = self.pulls.get(repo, number)
        except Refusal:
            return _nothing(f"pull request #{number} in {owner}/{name}")
        base, head = self.shapes.ends(repo, pull)
        try:
            diff, commits = self.repositories.diff(repo, base, head), self.repositories.commits(repo, base, head)
        except GitError as error:
            diff, commits = f"There is nothing to compare: {error}", []
        open_ = pull["state"] == "open"
        return page(
            "pull.html", 200 if not problem else 422, repo=repo, pull=pull, diff=diff.splitlines(), commits=commits, who=who,
            problem=problem, mergeable=open_ and self.shapes.mergeable(repo, base, head), methods=METHODS,
            may=self._level(repo, who) >= LEVELS["write"], comments=self.shapes.comments_of(repo, number),
        )  # fmt: skip

    async def raw_diff(self, request: Request, owner: str, name: str, number: int) -> Response:
        try:
            repo, _ = self._seen(request, owner, name)
            pull = self.pulls.get(repo, number)
        except Refusal:
            return _nothing(f"pull request #{number} in {owner}/{name}")
        return PlainTextResponse(self.repositories.diff(repo, *self.shapes.ends(repo, pull)) + "\n")

    async def act(self, request: Request, owner: str, name: str, number: int, verb: str) -> Response:
        """A button was pressed: merge, close, reopen, ready, draft, or comment."""
        form = {key: str(value) for key, value in (await request.form()).items()}
        try:
            repo, who = self._seen(request, owner, name)
            pull = self.pulls.get(repo, number)
            if not same_origin(request):
                raise Refusal(403, "This form was not sent by one of this server's own pages.")
            if verb != "comment" and self._level(repo, who) < LEVELS["write"]:
                raise Refusal(403, NO_PUSH)
            self._act(repo, pull, verb, form, who)
        except Refusal as refusal:
            return await self.pull(request, owner, name, number, _words(refusal))
        return RedirectResponse(f"/{owner}/{name}/pull/{number}", 303)

    def _act(self, repo: Doc, pull: Doc, verb: str, form: dict[str, str], who: str) -> None:
        match verb:
            case "merge":
                self.pulls.merge(repo, pull, {"merge_method": form.get("method", "merge")}, who)
            case "close" | "reopen":
                self.pulls.edit(repo, pull, {"state": "closed" if verb == "close" else "open"}, who)
            case "ready" | "draft":
                self.pulls.ready(repo, pull, who, draft=verb == "draft")
            case "comment" if form.get("body", "").strip():
                self.pulls.comment(repo, pull, form["body"], who)
            case _:
                raise Refusal(404, NOT_FOUND)

    async def avatar(self, login: str) -> Response:
        hue = int(hashlib.sha256(login.encode()).hexdigest()[:4], 16) % 360
        letter = escape((login[:1] or "?").upper())
        svg = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 40 40"><rect width="40" height="40" fill="hsl({hue} 45% 45%)"/>'
            f'<text x="20" y="27" font-size="20" text-anchor="middle" fill="#fff" font-family="sans-serif">{letter}</text></svg>'
        )
        return _svg(svg)

    async def icon(self) -> Response:
        return _svg(ICON)


def chosen(request: Request, store: Store, shapes: Shapes) -> str:
    """Return the login of the person at the browser. The cookie has their id, or the login that a program has set."""
    value = request.cookies.get(COOKIE, "")
    person = shapes.by_id(int(value)) if value.isdigit() else store.get("user", value)
    return person["login"] if person and person["type"] == "User" else ""


def _svg(text: str) -> Response:
    return Response(text, media_type="image/svg+xml", headers={"Cache-Control": "max-age=86400"})


def _nothing(what: str) -> Response:
    return page("message.html", 404, title="Not found", text=f"There is no {what}, or you may not see it.")


def _words(refusal: Refusal) -> str:
    """What went wrong, as precisely as GitHub says it."""
    return next((e["message"] for e in refusal.errors or [] if "message" in e), refusal.message)


def _local(address: str) -> str:
    """An address on this server, else the front page."""
    parts = urlsplit(address)
    return address if address.startswith("/") and not parts.netloc and not address.startswith(("//", "/\\")) else "/"
