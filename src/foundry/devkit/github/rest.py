"""GitHub's REST API below `/api/v3`, as far as Foundry uses it."""

from __future__ import annotations

import asyncio
import hashlib
import json
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from foundry.devkit.github.access import NOT_FOUND, Access, Caller, Refusal, authorization
from foundry.devkit.github.hooks import Hooks
from foundry.devkit.github.pulls import Pulls
from foundry.devkit.github.repos import Repositories, git
from foundry.devkit.github.shapes import Shapes
from foundry.devkit.github.store import Doc, Store

BOT = "foundry-sample[bot]"


class Rest:
    """The routes. Each answers as GitHub's documentation says, errors included."""

    def __init__(
        self, store: Store, access: Access, repos: Repositories, shapes: Shapes, pulls: Pulls, hooks: Hooks
    ) -> None:
        self.store, self.access, self.repos, self.shapes, self.pulls, self.hooks = (
            store,
            access,
            repos,
            shapes,
            pulls,
            hooks,
        )
        self.faults: list[Doc] = []
        self.router = APIRouter(prefix="/api/v3")
        self.router.add_api_route(
            "/{path:path}", self.answer, methods=["GET", "POST", "PUT", "PATCH", "DELETE"], include_in_schema=False
        )

    async def answer(self, request: Request, path: str) -> Response:
        """Authenticate, count, route, and add the headers every answer has."""
        headers = {
            "X-GitHub-Media-Type": "github.v3; format=json",
            "X-GitHub-Request-Id": hashlib.md5(str(id(request)).encode()).hexdigest()[:16].upper(),
        }
        try:
            await self._fault(request.method, path)
            caller = self.access.caller(authorization(request))
            if not (path == "rate_limit" and request.method == "GET"):
                headers |= self.access.spend(caller)
            raw = await request.body()
            try:
                body = json.loads(raw) if raw else {}
            except ValueError:
                raise Refusal(400, "Problems parsing JSON") from None
            status, found = self.route(request, caller, request.method, path.strip("/").split("/"), body)
        except Refusal as refusal:
            response = refusal.response()
            response.headers.update(headers | refusal.headers)
            return response
        if isinstance(found, list):
            found, link = self._page(request, found)
            headers |= {"Link": link} if link else {}
        elif isinstance(found, dict) and "__list__" in found:
            key = found.pop("__list__")
            whole = found[key]
            found[key], link = self._page(request, whole)
            headers |= {"Link": link} if link else {}
        if found is None:
            return Response(status_code=status, headers=headers)
        if request.method == "GET":
            etag = 'W/"' + hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest() + '"'
            headers["ETag"] = etag
            if request.headers.get("if-none-match") == etag:
                self.access.spend(caller, -1)  # an answer that has not changed is free
                return Response(status_code=304, headers=headers)
        return JSONResponse(found, status, headers=headers)

    async def _fault(self, method: str, path: str) -> None:
        """What a test asked to go wrong."""
        for fault in list(self.faults):
            if fault["path"] in path and fault.get("method", method) == method:
                fault["times"] = fault.get("times", 1) - 1
                if fault["times"] <= 0:
                    self.faults.remove(fault)
                await asyncio.sleep(fault.get("seconds", 0))
                if fault.get("status"):
                    raise Refusal(fault["status"], fault.get("message", "Server Error"), headers=fault.get("headers"))
                return

    def _page(self, request: Request, items: list[Any]) -> tuple[list[Any], str]:
        query = dict(request.query_params)
        try:
            size = min(100, max(1, int(query.get("per_page", 30))))
            page = max(1, int(query.get("page", 1)))
        except ValueError:
            size, page = 30, 1
        last = max(1, -(-len(items) // size))
        wanted = {"prev": page - 1, "next": page + 1, "last": last, "first": 1}
        keep = {"prev": page > 1, "next": page < last, "last": page < last, "first": page > 1}
        base = str(request.url).split("?", 1)[0]
        links = [f'<{base}?{urlencode(query | {"page": n})}>; rel="{rel}"' for rel, n in wanted.items() if keep[rel]]
        return items[(page - 1) * size : page * size], ", ".join(links)

    def route(self, request: Request, caller: Caller, method: str, path: list[str], body: Doc) -> tuple[int, Any]:
        """The answer to one request: status and body; a list is paged."""
        match [method, *path]:
            case ["GET", "rate_limit"]:
                return 200, {"resources": {"core": {"limit": self.access.limit}}}
            case ["GET", "meta"]:
                return 200, {"verifiable_password_authentication": True}
            case [_, "app", *rest]:
                return self._app(caller, method, rest, body)
            case [_, "user", *rest]:
                return self._user(caller, method, rest)
            case ["GET", "users", login] if self.store.get("user", login):
                return 200, self.shapes.user(login)
            case ["GET", "installation", "repositories"]:
                found = [
                    r
                    for r in self.store.all("repo")
                    if caller.kind == "installation" and self.access.allowed(caller, r, "metadata", "read")
                ]
                shown = [self.shapes.repo(r) for r in found]
                return 200, {"total_count": len(shown), "repositories": shown, "__list__": "repositories"}
            case ["DELETE", "installation", "token"]:
                self.store.remove("token", authorization(request).partition(" ")[2])
                return 204, None
            case ["GET", "orgs", login, *rest]:
                return self._org(caller, login, rest)
            case [_, "repositories", number, *rest]:
                return self._repo(request, caller, method, self.store.get("repo", number), rest, body)
            case [_, "repos", owner, name, *rest]:
                return self._repo(request, caller, method, self.repos.find(owner, name), rest, body)
        raise Refusal(404, NOT_FOUND)

    def _app(self, caller: Caller, method: str, rest: list[str], body: Doc) -> tuple[int, Any]:
        if caller.kind != "app":
            raise Refusal(401, "A JSON web token could not be decoded")
        match [method, *rest]:
            case ["GET"]:
                return 200, {"id": int(self.store.app()["app_id"]), "slug": "foundry-sample", "name": "Foundry sample"}
            case ["GET", "installations"]:
                return 200, [self.shapes.installation(i) for i in self.store.all("installation")]
            case ["GET", "installations", number] if found := self.store.get("installation", number):
                return 200, self.shapes.installation(found)
            case ["POST", "installations", number, "access_tokens"] if found := self.store.get("installation", number):
                if found["suspended_at"]:
                    raise Refusal(403, "This installation has been suspended")
                wanted = body.get("repository_ids")
                for one in wanted or []:
                    repo = self.store.get("repo", one)
                    if repo is None or repo["owner"] != found["account"]:
                        raise Refusal(
                            422,
                            "There is at least one repository that does not exist or is not accessible to the parent installation.",
                        )
                return 201, self.access.installation_token(
                    found["id"], wanted, self.access.granted(body.get("permissions"))
                )
            case ["GET", "hook", "deliveries"]:
                return 200, [
                    {k: v for k, v in d.items() if k != "payload"} for d in reversed(self.store.all("delivery"))
                ]
            case ["GET", "hook", "deliveries", number] if found := self.store.get("delivery", number):
                return 200, {k: v for k, v in found.items() if k != "payload"} | {
                    "request": {"payload": found["payload"]}
                }
            case ["POST", "hook", "deliveries", number, "attempts"] if found := self.store.get("delivery", number):
                self.hooks.redeliver(found)
                return 202, {}
        raise Refusal(404, NOT_FOUND)

    def _user(self, caller: Caller, method: str, rest: list[str]) -> tuple[int, Any]:
        if caller.kind != "user":
            raise Refusal(
                401 if caller.kind == "nobody" else 403,
                "Requires authentication" if caller.kind == "nobody" else "Resource not accessible by integration",
            )
        login = caller.login
        mine = [o for o in self.store.all("org") if login in o["members"]]
        match [method, *rest]:
            case ["GET"]:
                return 200, self.shapes.user(login)
            case ["GET", "orgs"]:
                return 200, [self.shapes.account(o["login"]) for o in mine]
            case ["GET", "memberships", "orgs"]:
                return 200, [
                    {"state": "active", "role": o["members"][login], "organization": self.shapes.account(o["login"])}
                    for o in mine
                ]
            case ["GET", "installations"]:
                logins = {o["login"] for o in mine} | {login}
                shown = [self.shapes.installation(i) for i in self.store.all("installation") if i["account"] in logins]
                return 200, {"total_count": len(shown), "installations": shown, "__list__": "installations"}
            case ["GET", "installations", number, "repositories"] if found := self.store.get("installation", number):
                repos = [
                    r
                    for r in self.store.all("repo")
                    if r["owner"] == found["account"] and self.access.allowed(caller, r, "metadata", "read")
                ]
                return 200, {
                    "total_count": len(repos),
                    "repositories": [self.shapes.repo(r, caller) for r in repos],
                    "__list__": "repositories",
                }
        raise Refusal(404, NOT_FOUND)

    def _org(self, caller: Caller, login: str, rest: list[str]) -> tuple[int, Any]:
        org = self.store.get("org", login)
        if org is None:
            raise Refusal(404, NOT_FOUND)
        match rest:
            case []:
                return 200, self.shapes.account(org["login"]) | {"name": org["name"]}
            case ["repos"]:
                return 200, [
                    self.shapes.repo(r, caller)
                    for r in self.store.all("repo")
                    if r["owner"] == login and self.access.allowed(caller, r, "metadata", "read")
                ]
            case ["members"]:
                return 200, [self.shapes.account(m) for m in org["members"]]
            case ["memberships", member] if member in org["members"]:
                return 200, {"state": "active", "role": org["members"][member], "user": self.shapes.account(member)}
        raise Refusal(404, NOT_FOUND)

    def _repo(
        self, request: Request, caller: Caller, method: str, found: Doc | None, rest: list[str], body: Doc
    ) -> tuple[int, Any]:
        repo = self.access.need(caller, found)
        by = caller.login or BOT
        match [method, *rest]:
            case ["GET"]:
                return 200, self.shapes.repo(repo, caller)
            case ["GET", "branches"]:
                self.access.need(caller, repo, "contents")
                return 200, [self.shapes.branch(repo, n, s) for n, s in sorted(self.repos.heads(repo).items())]
            case ["POST", "branches", *name, "rename"]:
                self.access.need(caller, repo, "contents", "write")
                old, new = "/".join(name), str(body.get("new_name", ""))
                self.pulls.rename_branch(repo, old, new, by)
                return 201, self.shapes.branch(repo, new, self.repos.heads(repo)[new])
            case ["GET", "branches", *name]:
                self.access.need(caller, repo, "contents")
                if sha := self.repos.heads(repo).get("/".join(name)):
                    return 200, self.shapes.branch(repo, "/".join(name), sha)
                raise Refusal(404, "Branch not found")
            case ["GET", "git", "ref" | "refs", "heads", *name]:
                self.access.need(caller, repo, "contents")
                if sha := self.repos.heads(repo).get("/".join(name)):
                    return 200, {"ref": "refs/heads/" + "/".join(name), "object": {"type": "commit", "sha": sha}}
            case ["DELETE", "git", "refs", "heads", *name]:
                self.access.need(caller, repo, "contents", "write")
                heads = self.repos.heads(repo)
                branch = "/".join(name)
                if branch not in heads:
                    raise Refusal(422, "Reference does not exist")
                git("update-ref", "-d", f"refs/heads/{branch}", cwd=self.repos.path(repo))
                self.pulls.pushed(repo, {branch: heads[branch]}, {}, by)
                return 204, None
            case ["GET", "commits", *ref]:
                if sha := self.repos.sha(repo, "/".join(ref)):
                    return 200, {"sha": sha}
                raise Refusal(422, f"No commit found for SHA: {'/'.join(ref)}")
            case ["GET", "compare", spec]:
                base, _, head = spec.partition("...")
                commits = self.repos.commits(repo, base, head)
                return 200, {"ahead_by": len(commits), "commits": commits, "files": self.repos.files(repo, base, head)}
            case ["GET", "collaborators"]:
                logins = [u["login"] for u in self.store.all("user") if self.access.role(repo, u["login"]) != "none"]
                return 200, [self.shapes.account(n) | {"role_name": self.access.role(repo, n)} for n in logins]
            case ["GET", "collaborators", login, "permission"]:
                if not self.store.get("user", login):
                    raise Refusal(404, f"{login} is not a user")
                role = self.access.role(repo, login)
                legacy = {"maintain": "write", "triage": "read"}.get(role, role)
                return 200, {"permission": legacy, "role_name": role, "user": self.shapes.account(login)}
            case ["GET", "pulls"]:
                self.access.need(caller, repo, "pull_requests")
                return 200, [self.shapes.pull(repo, p, whole=False) for p in self._filtered(request, repo)]
            case ["POST", "pulls"]:
                self.access.need(caller, repo, "pull_requests", "write")
                return 201, self.shapes.pull(repo, self.pulls.create(repo, body, by))
            case [_, "pulls", number, *more] if number.isdigit():
                return self._pull(caller, method, repo, int(number), more, body, by)
            case ["GET", "issues", number, "comments"] if number.isdigit():
                return 200, [
                    c for c in self.store.all("comment") if (c["repo"], c["issue"]) == (repo["id"], int(number))
                ]
            case ["POST", "issues", number, "comments"] if number.isdigit():
                self.access.need(caller, repo, "issues", "write")
                key = self.store.next("comment")
                comment = {
                    "id": key,
                    "repo": repo["id"],
                    "issue": int(number),
                    "body": str(body.get("body", "")),
                    "user": self.shapes.account(by),
                }
                return 201, self.store.put("comment", key, comment)
        raise Refusal(404, NOT_FOUND)

    def _filtered(self, request: Request, repo: Doc) -> list[Doc]:
        query = request.query_params
        state, head, base = query.get("state", "open"), query.get("head"), query.get("base")
        return [
            p for p in reversed(self.pulls.of(repo))
            if state in ("all", p["state"]) and (not base or p["base"] == base) and (not head or f"{repo['owner']}:{p['head']}" == head)
        ]  # fmt: skip

    def _pull(
        self, caller: Caller, method: str, repo: Doc, number: int, more: list[str], body: Doc, by: str
    ) -> tuple[int, Any]:
        self.access.need(caller, repo, "pull_requests", "read" if method == "GET" else "write")
        pull = self.pulls.get(repo, number)
        match [method, *more]:
            case ["GET"]:
                return 200, self.shapes.pull(repo, pull)
            case ["PATCH"]:
                return 200, self.shapes.pull(repo, self.pulls.edit(repo, pull, body, by))
            case ["GET", "files"]:
                return 200, self.repos.files(repo, pull["base_sha"], pull["head_sha"])
            case ["GET", "commits"]:
                return 200, self.repos.commits(repo, pull["base_sha"], pull["head_sha"])
            case ["GET", "merge"]:
                return (204, None) if pull["merged_at"] else (404, {"message": NOT_FOUND})
            case ["PUT", "merge"]:
                self.access.need(caller, repo, "contents", "write")
                merged = self.pulls.merge(repo, pull, body, by)
                return 200, {
                    "sha": merged["merge_commit_sha"],
                    "merged": True,
                    "message": "Pull Request successfully merged",
                }
        raise Refusal(404, NOT_FOUND)
