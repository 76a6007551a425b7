"""The API on the whole tree, with an outside that does what a test tells it: two repositories, four people.

Ada pushes to both. Grace reads both. Bob has no right to either, so he may read the public one alone.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2 as httpx
import uvicorn
from fastapi import FastAPI

from foundry.actors.app_shell.config import IDLE
from foundry.actors.encryption import Sealer
from foundry.api import Foundry, install
from foundry.api.auth import hashed
from foundry.api.context import COOKIE
from foundry.api.guard import WEBHOOKS
from foundry.app import RECONCILE
from foundry.contracts import addresses
from foundry.contracts.app_shell import SignIn
from foundry.contracts.github_payloads import GitHubAccount, UserToken
from foundry.contracts.github_state import (
    InstallationGranted,
    InstallationSummary,
    RecordPermission,
    SyncInstallations,
)
from foundry.contracts.ids import OrganizationId, RepositoryId, UserId
from foundry.contracts.messages import APP, ScopeId
from foundry.contracts.people import Access, Person
from foundry.contracts.repository import RepositoryRef
from foundry.contracts.user_github_data import StoreIdentity
from foundry.github.errors import GitHubSignInFailed
from foundry.github.webhooks import signature
from tests.waiting import eventually
from tests.world.outside import Scripted
from tests.world.world import World, world

URL = "http://foundry.test"
TOKEN = "the-local-admin-token"
SECRET = "the-webhook-secret"
ORG = OrganizationId("2001")
TALLY = RepositoryRef(id=RepositoryId("4001"), organization=ORG, owner="lumen-works", name="tally", private=True)
SITE = RepositoryRef(id=RepositoryId("4002"), organization=ORG, owner="lumen-works", name="site")
ADA = Person(id=UserId("1001"), login="ada", name="Ada Byron")
GRACE = Person(id=UserId("1002"), login="grace")
BOB = Person(id=UserId("1003"), login="bob")


class GitHub(Scripted):
    """The outside, which also knows what people may do and signs them in."""

    def __init__(self) -> None:
        super().__init__()
        self.rights = {("ada", TALLY.id): Access.ADMIN, ("ada", SITE.id): Access.WRITE}
        self.rights |= {("grace", TALLY.id): Access.READ, ("grace", SITE.id): Access.READ}
        self.asked: list[tuple[str, str]] = []
        for sync in ("installations", "repositories"):
            self.hold(sync)

    async def permission(self, organization: OrganizationId, repository: RepositoryRef, login: str) -> Access:
        self.asked.append((login, repository.name))
        await self._do("permission")
        return self.rights.get((login, repository.id), Access.NONE)

    # what GitHubState's sync asks, and never hears

    async def installations(self) -> list[Any]:
        await self._do("installations")
        return []

    async def repositories(self, organization: OrganizationId, installation: int) -> list[RepositoryRef]:
        await self._do("repositories")
        return []


class SignInDoor:
    """GitHub's sign-in: the code is the person's id."""

    people = {"1001": ADA, "1002": GRACE, "1003": BOB}

    def authorize_url(self, *, redirect_uri: str, state: str, verifier: str) -> str:
        return str(httpx.URL("http://github.test/authorize", params={"state": state, "redirect_uri": redirect_uri}))

    async def exchange(self, *, code: str, redirect_uri: str, verifier: str) -> UserToken:
        if code not in self.people:
            raise GitHubSignInFailed("the code is wrong", field="code")
        return UserToken(access_token=f"token of {code}", refresh_token="again", expires_in=3600)

    async def identify(self, token: str) -> GitHubAccount:
        person = self.people[token.removeprefix("token of ")]
        return GitHubAccount(id=int(person.id), login=person.login, name=person.name)


class Edge:
    """A World behind an HTTP client: a server without a socket, and the people who use it.

    After every request that may change something, each topic is checked as after a command.
    """

    def __init__(self, app: FastAPI, foundry: Foundry, world: World) -> None:
        self.app, self.foundry, self.world = app, foundry, world
        self.github: GitHub = world.outside
        self.runtime = foundry.runtime
        self.later = timedelta(0)  # how far the edge's clock is ahead

    def client(self, **headers: str) -> httpx.AsyncClient:
        """Somebody without any right."""
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app),
            base_url=URL,
            headers=headers,
            event_hooks={"response": [self._answered]},
        )

    async def _answered(self, answer: httpx.Response) -> None:
        if answer.request.method != "GET":
            await self.world.topics.check()

    def admin(self, login: str | None = "ada") -> httpx.AsyncClient:
        """The CLI, acting as somebody."""
        acting = {"X-Foundry-As": login} if login else {}
        return self.client(Authorization=f"Bearer {TOKEN}", **acting)

    async def browser(self, person: Person, device: str = "") -> httpx.AsyncClient:
        """Somebody's browser, signed in."""
        session = f"session of {person.login} {device}".strip().replace(" ", "-")
        sign_in = SignIn(token_hash=hashed(session), user=person.id, login=person.login, device=device)
        await self.world.ask(addresses.app_shell(), sign_in)
        client = self.client(Origin=URL)
        client.cookies.set(COOKIE, session)
        return client

    async def token(self, person: Person, *scopes: str, name: str = "a program") -> httpx.AsyncClient:
        """A program with an API token of somebody's."""
        async with await self.browser(person, "for tokens") as browser:
            made = await browser.post("/api/me/tokens", json={"name": name, "scopes": list(scopes)})
        assert made.status_code == 201, made.text
        return self.client(Authorization=f"Bearer {made.json()['token']}")

    async def deliver(self, body: bytes, *, sign: str = SECRET, event: str = "ping", id: str = "d-1") -> httpx.Response:
        headers = {
            "X-Hub-Signature-256": signature(sign, body),
            "X-GitHub-Delivery": id,
            "X-GitHub-Event": event,
            "Content-Type": "application/json",
        }
        async with self.client() as client:
            return await client.post(WEBHOOKS, content=body, headers=headers)

    async def tasks(self) -> int:
        """How many there are, listed or not: what is half done would show here."""
        async with self.admin() as admin:
            return len((await admin.get("/api/actors?kind=Task")).json())

    async def task(self, client: httpx.AsyncClient, **wish: Any) -> dict[str, Any]:
        body = {"repository": "lumen-works/tally", "prompt": "Add a median", **wish}
        answer = await client.post(f"/api/organizations/{ORG}/tasks", json=body)
        assert answer.status_code == 201, answer.text
        return answer.json()

    async def until(self, client: httpx.AsyncClient, path: str, holds: Any) -> Any:
        """The thing at this path once `holds` is true of it."""

        async def look() -> Any:
            answer = await client.get(path)
            return answer.json() if answer.is_success else None

        return await eventually(look, lambda found: found is not None and holds(found), limit=15.0)

    async def held(self, what: str) -> None:
        """Work has come to what the outside holds, and every actor has heard what was said before."""
        await eventually(lambda: self.github.done[what])
        await self.world.quiet()

    async def gives(self, login: str, repository: RepositoryRef, access: Access) -> None:
        """GitHub's mind has changed, and it has said so."""
        self.github.rights[(login, repository.id)] = access
        record = RecordPermission(repository=repository.id, login=login, access=access)
        await self.world.ask(addresses.github(repository.organization), record)


@asynccontextmanager
async def running(
    directory: Path, url: str = "", *, session_idle: timedelta = IDLE, **settings: Any
) -> AsyncIterator[Edge]:
    """The server, with Ada, Grace and Bob known to it."""
    url = url or f"sqlite:///{directory}/foundry.db"
    github, sign_in = GitHub(), SignInDoor()
    async with world(url, github, repositories=(TALLY, SITE), reconcile=RECONCILE, session_idle=session_idle) as tree:
        await tree.ask(addresses.github_app(), SyncInstallations())
        granted = InstallationSummary(id=1, organization=ORG, login="lumen-works", active=True)
        here = InstallationGranted(parent=addresses.organization(ORG), scope=ScopeId(ORG), installation=granted)
        await tree.ask(addresses.github(ORG), here)  # type: ignore[arg-type]
        for person in (ADA, GRACE, BOB):
            identity = StoreIdentity(parent=addresses.app_shell(), scope=APP, person=person, access_token="sealed")
            await tree.ask(addresses.user_github_data(person.id), identity)
        foundry = Foundry(
            runtime=tree.runtime,
            doors=github,  # type: ignore[arg-type]
            sealer=Sealer([b"0" * 32]),
            public_url=URL,
            admin_token=lambda: TOKEN,
            webhook_secret=SECRET,
            agents=("mock", "claude"),
            oauth=sign_in,
            identify=sign_in.identify,
            **settings,
        )
        app = FastAPI(title="Foundry")
        app.state.foundry = foundry
        install(app)
        edge = Edge(app, foundry, tree)
        foundry.now = lambda: datetime.now(UTC) + edge.later
        yield edge
        await foundry.settled()


@asynccontextmanager
async def listening(edge: Edge) -> AsyncIterator[str]:
    """The same behind a socket: streams need one."""
    config = uvicorn.Config(edge.app, port=0, log_level="warning", lifespan="off", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    running_ = asyncio.create_task(server._serve())
    try:
        await eventually(lambda: server.started)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        edge.foundry.close_streams()
        server.should_exit = True
        await running_


class Watcher:
    """A program that watches a topic."""

    def __init__(self, lines: AsyncIterator[str]) -> None:
        self._lines = lines
        self.id = ""

    async def next(self, *names: str, limit: float = 10.0) -> tuple[str, Any]:
        """The next event, or the next of these names."""
        name = ""
        async with asyncio.timeout(limit):
            async for line in self._lines:
                if line.startswith("id: "):
                    self.id = line[4:]
                elif line.startswith("event: "):
                    name = line[7:]
                elif line.startswith("data: ") and (not names or name in names):
                    return name, json.loads(line[6:])
        raise AssertionError("the stream has ended")


@asynccontextmanager
async def watching(
    url: str, client: httpx.AsyncClient, topic: str, id: str = "", **more: str
) -> AsyncIterator[Watcher]:
    """Watch with the rights of this client."""
    headers = {**client.headers, "host": URL.removeprefix("http://")}
    if cookie := client.cookies.get(COOKIE):
        headers["cookie"] = f"{COOKIE}={cookie}"
    params = {"topic": topic, "id": id, **more}
    async with (
        httpx.AsyncClient(base_url=url, timeout=20.0) as http,
        http.stream("GET", "/api/realtime", params=params, headers=headers) as answer,
    ):
        assert answer.status_code == 200, await answer.aread()
        yield Watcher(answer.aiter_lines())
