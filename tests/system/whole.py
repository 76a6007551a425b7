"""The whole of Foundry in this process, on real parts: sandbox-agent, git, the stand-in GitHub; asked over its API."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2 as httpx
from fastapi import FastAPI

from foundry import api
from foundry.actors.session_status_sync.times import StreamTimes
from foundry.api.guard import WEBHOOKS
from foundry.app import RECONCILE, STREAMS, Server
from foundry.devkit.github import GitHubAt
from tests.harness.child import ADA, repository, settings_for
from tests.harness.life import ORGANIZATION, saved, script
from tests.waiting import eventually

LIMIT = 40.0  # seconds for anything that real parts do

__all__ = ["Whole", "saved", "script", "whole"]


class Whole:
    """Ada, at the API."""

    def __init__(self, server: Server, http: httpx.AsyncClient, app: FastAPI) -> None:
        self.server, self.http, self.app = server, http, app
        self.runtime = server.runtime

    @property
    def doors(self) -> Any:
        """The server's own, for tests that change what a door does."""
        return self.runtime.supervisor._doors

    async def ask(self, method: str, path: str, expect: int = 200, **body: Any) -> Any:
        answer = await self.http.request(method, path, json=body or None)
        assert answer.status_code == expect, answer.text
        return answer.json()

    async def deliver(self, body: bytes, headers: dict[str, str]) -> None:
        """A webhook."""
        answer = await self.http.post(WEBHOOKS, content=body, headers=headers)
        assert answer.status_code == 202, answer.text

    async def create(self, *lines: str, **wish: Any) -> str:
        """A task whose agent does this; gives its id."""
        body = {"repository": "lumen-works/tally", "prompt": script(*lines), "auto_publish": False, **wish}
        return (await self.ask("POST", f"/api/organizations/{ORGANIZATION}/tasks", 201, **body))["id"]

    async def until(self, task: str, holds: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        """The task once this is true of it."""
        return await self.see(f"/api/tasks/{task}", holds)

    async def see(self, path: str, holds: Callable[[Any], object], limit: float = LIMIT) -> Any:
        """What is at this path, once this is true of it."""
        return await eventually(lambda: self.ask("GET", path), holds, limit=limit)

    async def turn(self, task: str, *lines: str) -> dict[str, Any]:
        """Let the task's agent do this; gives the task once its work has been saved."""
        before = await self.ask("GET", f"/api/tasks/{task}")
        path = f"/api/sessions/{before['active_session']}/messages"
        await self.ask("POST", path, 201, text=script(*lines))
        return await self.until(task, lambda t: t["checkpoint"] > before["checkpoint"] and saved(t))

    async def checkpoints(self, task: str) -> list[dict[str, Any]]:
        """What was saved of the task's work, the latest first."""
        return await self.ask("GET", f"/api/tasks/{task}/checkpoints")

    def box(self, task: dict[str, Any]) -> Path:
        """The repository in the task's sandbox, seen from outside."""
        return self.server.settings.data_dir / "sandboxes" / task["sandbox"] / "work" / "repo"


async def sign_in(app: FastAPI, url: str, github: str) -> None:
    """Ada goes to GitHub and comes back with a code, so Foundry has her token."""
    async with (
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=url) as foundry,
        httpx.AsyncClient(base_url=github, trust_env=False) as hub,
    ):
        away = (await foundry.get("/auth/github")).headers["location"]
        form = dict(parse_qsl(urlsplit(away).query)) | {"login": ADA.login}
        back = (await hub.post("/login/oauth/choose", data=form)).headers["location"]
        done = await foundry.get(back)
        assert done.status_code == 302, f"signing in ended with {done.status_code}: {done.text[:300]}"


@asynccontextmanager
async def whole(
    home: Path, *, reconcile: float = RECONCILE, streams: StreamTimes = STREAMS, **settings: Any
) -> AsyncIterator[Whole]:
    """On the stage at `home` (tests.harness.stage). `reconcile`: seconds between looks at what is outside."""
    server = Server(settings_for(home, **settings), reconcile=reconcile, streams=streams)
    foundry = await server.start()
    try:
        await repository(foundry.runtime)
        app = FastAPI()
        app.state.foundry = foundry
        api.install(app)
        await sign_in(app, foundry.public_url, GitHubAt(home / "github").url)
        headers = {"Authorization": f"Bearer {foundry.admin_token()}", "X-Foundry-As": ADA.login}
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url=foundry.public_url, headers=headers) as http:
            yield Whole(server, http, app)
    finally:
        await server.stop()
