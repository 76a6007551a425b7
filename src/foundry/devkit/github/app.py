"""The stand-in GitHub, put together."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import JSONResponse, Response

from foundry.devkit.github.access import Access
from foundry.devkit.github.git_http import GitHttp
from foundry.devkit.github.hooks import Hooks
from foundry.devkit.github.pages import Pages
from foundry.devkit.github.pulls import Pulls
from foundry.devkit.github.repos import Repositories
from foundry.devkit.github.rest import Rest
from foundry.devkit.github.shapes import Shapes
from foundry.devkit.github.store import Store


def create_github(directory: Path, url: str, *, webhook: str | None = None) -> FastAPI:
    """The server's application.

    Args:
        directory: where everything is kept; `app.json` there tells Foundry how to connect.
        url: the server's own address, without a trailing slash.
        webhook: where the sample App's webhooks go; as before if absent.
    """
    store = Store(directory)
    access = Access(store)
    repositories = Repositories(store)
    repositories.seed()
    shapes = Shapes(store, repositories, access, url)
    hooks = Hooks(store, shapes, webhook)
    pulls = Pulls(store, repositories, shapes, hooks)
    rest = Rest(store, access, repositories, shapes, pulls, hooks)
    git = GitHttp(access, repositories, pulls)
    _write_identity(store, directory, url)

    app = FastAPI(title="A stand-in for GitHub", openapi_url=None)
    app.include_router(_control(store, access, rest, git, hooks))
    app.include_router(rest.router)
    app.include_router(git.router)
    app.include_router(Pages(store, access, repositories, pulls).router)
    return app


def _write_identity(store: Store, directory: Path, url: str) -> None:
    """app.json, readable by its owner alone: what a person would copy from GitHub's settings page."""
    body = {k: v for k, v in store.app().items() if k != "public_key"} | {"api_url": f"{url}/api/v3", "web_url": url}
    path = directory / "app.json"
    partial = path.with_suffix(".partial")
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(body, file, indent=1)
    partial.replace(path)


def _control(store: Store, access: Access, rest: Rest, git: GitHttp, hooks: Hooks) -> APIRouter:
    """What tests set: `/_devkit/`. A fault: {path, method?, status?, seconds?, times?, message?, headers?}."""
    router = APIRouter(prefix="/_devkit")

    @router.put("/webhook")
    async def webhook(request: Request) -> Response:
        store.put("setting", "webhook", await request.json())
        return Response(status_code=204)

    @router.put("/webhooks-held")
    async def held(request: Request) -> Response:
        hooks.held = bool((await request.json())["held"])
        return Response(status_code=204)

    @router.put("/rate-limit")
    async def rate_limit(request: Request) -> Response:
        access.limit = int((await request.json())["limit"])
        access.reset()
        return Response(status_code=204)

    @router.post("/faults")
    async def fault(request: Request) -> Response:
        wish: dict[str, Any] = await request.json()
        (git.faults if wish["path"] == "git" else rest.faults).append(wish)
        return Response(status_code=204)

    @router.put("/repositories/{number}/access/{login}")
    async def permission(number: int, login: str, request: Request) -> Response:
        repo = store.get("repo", number)
        if repo is None:
            return Response(status_code=404)
        repo["access"][login] = (await request.json())["role"]
        store.put("repo", number, repo)
        payload = {"action": "edited", "member": rest.shapes.account(login)}
        hooks.send("member", payload, account=repo["owner"], sender=repo["owner"], repo=repo)
        return Response(status_code=204)

    @router.get("/deliveries")
    async def deliveries() -> Response:
        return JSONResponse(store.all("delivery"))

    @router.get("/health")
    async def health() -> Response:
        return JSONResponse({"ok": True})

    return router
