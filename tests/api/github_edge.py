"""The API on the tree with the stand-in GitHub behind it: real sign-in, real questions about access, real webhooks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2 as httpx
from fastapi import FastAPI

from foundry.actors.github_state.access_door import AccessOutside
from foundry.api import Foundry, install
from foundry.api.access_asker import AccessAsker
from foundry.api.auth import hashed
from foundry.api.context import COOKIE
from foundry.api.metrics import Metrics
from foundry.contracts import addresses
from foundry.contracts.app_shell import SignIn
from foundry.contracts.ids import UserId
from foundry.contracts.people import Person
from foundry.contracts.sign_in import SignInPolicy
from tests.actors.github_stage import SEALER, GitHubStage, github_stage
from tests.api.edge import TOKEN, URL, Clock
from tests.waiting import eventually


class GitHubEdge:
    """A server without a socket, GitHub, and the people who use both."""

    def __init__(self, stage: GitHubStage) -> None:
        self.stage, self.clock, metrics = stage, Clock(), Metrics()
        door = AccessOutside(stage.client, stage.door.as_person, stage.tree.read)
        self.foundry = Foundry(
            runtime=stage.tree.runtime,
            asker=AccessAsker(stage.tree.runtime, door, self.clock.now, metrics, remembered=0.0),
            metrics=metrics,
            now=self.clock.now,
            sealer=SEALER,
            public_url=URL,
            admin_token=TOKEN,
            webhook_secret=stage.sample.identity["webhook_secret"],
            oauth=stage.tree.outside.oauth,
            identify=stage.client.user,
            sign_in_policy=SignInPolicy(logins=["*"]),
        )
        self.app = FastAPI()
        self.app.state.foundry = self.foundry
        install(self.app)

    def client(self, **headers: str) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url=URL, headers=headers, timeout=60.0)

    def admin(self, login: str) -> httpx.AsyncClient:
        """The CLI, acting as somebody."""
        return self.client(Authorization=f"Bearer {TOKEN}", **{"X-Foundry-As": login})

    async def sign_in(self, login: str) -> httpx.AsyncClient:
        """Somebody's browser, after GitHub's page and back."""
        client = self.client(Origin=URL)
        away = await client.get("/auth/github")
        query = {name: values[0] for name, values in parse_qs(urlsplit(away.headers["location"]).query).items()}
        url = f"{self.stage.sample.url}/login/oauth/choose"
        chosen = await self.stage.http.post(url, data=query | {"login": login}, follow_redirects=False)
        back = urlsplit(chosen.headers["location"])
        assert (await client.get(f"{back.path}?{back.query}")).status_code == 302
        return client

    async def browser(self, person: Person) -> httpx.AsyncClient:
        """The same, without the pages."""
        await self.stage.sign_in(person)
        sign_in = SignIn(token_hash=hashed(f"session-{person.id}"), user=person.id, login=person.login)
        await self.stage.tree.ask(addresses.app_shell(), sign_in)
        client = self.client(Origin=URL)
        client.cookies.set(COOKIE, f"session-{person.id}")
        return client

    async def person(self, login: str) -> Person:
        """Somebody new at GitHub."""
        made = await self.stage.http.post(f"{self.stage.sample.url}/_devkit/people", json={"login": login})
        made.raise_for_status()
        return Person(id=UserId(str(made.json()["id"])), login=login)

    async def many(self, count: int, *, synced: bool = True, **more: Any) -> None:
        """More repositories of lumen-works, which Foundry's sync has found too, if wanted."""
        await self.stage.control("PUT", "organizations/lumen-works/many", {"count": count, **more})
        if synced:
            await self.stage.synced()

    async def requests(self) -> dict[str, dict[str, int]]:
        """What each caller has asked GitHub since the last look: `requests`, `not_modified`, `charged`."""
        url = f"{self.stage.sample.url}/_devkit/requests"
        found = (await self.stage.http.get(url)).json()
        await self.stage.http.delete(url)
        return found

    async def asked(self) -> None:
        """Every question to GitHub has been answered, also those in the background."""
        await eventually(lambda: not self.foundry.asker._running, limit=60.0)


@asynccontextmanager
async def github_edge(directory: Path) -> AsyncIterator[GitHubEdge]:
    url = f"sqlite:///{directory}/foundry.db"
    async with github_stage(url, directory, webhooks=True) as stage:
        await stage.synced()
        edge = GitHubEdge(stage)
        yield edge
        await edge.foundry.asker.stop()
