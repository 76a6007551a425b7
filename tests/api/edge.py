"""The API on the whole tree, with an outside that does what a test tells it: two repositories, four people.

Ada is a member and pushes to both. Grace is none and reads both. Bob is a stranger; one of the two is public.
"""

from __future__ import annotations

import asyncio
import itertools
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
from foundry.api.access_asker import AccessAsker
from foundry.api.auth import hashed
from foundry.api.context import COOKIE
from foundry.api.guard import WEBHOOKS
from foundry.api.metrics import Metrics
from foundry.app import RECONCILE
from foundry.contracts import addresses
from foundry.contracts.app_shell import SignIn
from foundry.contracts.github_access import EVERYBODY, ListedPage, Reached, Right, Role, SingleRight
from foundry.contracts.github_payloads import GitHubAccount, GitHubBudget, UserToken
from foundry.contracts.github_state import (
    Delivered,
    HookPayload,
    HookRepository,
    InstallationGranted,
    InstallationSummary,
    Member,
    RecordMembers,
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
        self.rights = {(ADA.id, TALLY.id): Access.ADMIN, (ADA.id, SITE.id): Access.WRITE}
        self.rights |= {(GRACE.id, TALLY.id): Access.READ, (GRACE.id, SITE.id): Access.READ}
        self.roles = {ADA.id: Role.MEMBER}
        self.asked: list[tuple[UserId, str]] = []  # who was asked about, and for what
        for sync in ("installations", "repositories"):
            self.hold(sync)

    async def reached(self, person: UserId) -> Reached:
        await self._asks(person, "reach")
        return Reached(installations=[1] if self._has_right(person) else [])

    async def role(self, person: UserId, organization: OrganizationId) -> Role:
        await self._asks(person, "role")
        return self.roles.get(person, Role.NONE)

    async def listed(self, person: UserId, organization: OrganizationId, page: int, etag: str) -> ListedPage | None:
        await self._asks(person, "listing")
        found = {one: access for (who, one), access in self.rights.items() if who == person and access.may_read}
        if person == EVERYBODY:
            found = {SITE.id: Access.READ}
        rights = [Right(repository=one, access=access) for one, access in sorted(found.items())]
        return ListedPage(rights=rights, total=len(rights), last=True)

    async def right(self, person: UserId, repository: RepositoryId) -> SingleRight:
        await self._asks(person, {TALLY.id: "tally", SITE.id: "site"}[repository])
        everybody = Access.READ if repository == SITE.id else Access.NONE
        return SingleRight(access=self.rights.get((person, repository), everybody), public=repository == SITE.id)

    async def right_by_app(self, person: UserId, organization: OrganizationId, repository: RepositoryId) -> SingleRight:
        found = await self.right(person, repository)
        self.asked[-1] = (person, self.asked[-1][1] + " by the App")
        return found

    async def budget(self, organization: OrganizationId) -> GitHubBudget | None:
        return GitHubBudget(limit=5_000, remaining=4_321, reset_at=datetime(2026, 1, 1, tzinfo=UTC))

    def _has_right(self, person: UserId) -> bool:
        return person in self.roles or any(
            who == person and access.may_read for (who, _), access in self.rights.items()
        )

    async def _asks(self, person: UserId, what: str) -> None:
        self.asked.append((person, what))
        await self._do("access")

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


class Clock:
    """The edge's clock."""

    def __init__(self) -> None:
        self.later = timedelta(0)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.later


class Edge:
    """A World behind an HTTP client: a server without a socket, and the people who use it.

    After every request that may change something, each topic is checked as after a command.
    """

    def __init__(self, app: FastAPI, foundry: Foundry, world: World, clock: Clock) -> None:
        self.app, self.foundry, self.world = app, foundry, world
        self.github: GitHub = world.outside
        self.runtime = foundry.runtime
        self._deliveries = itertools.count()
        self.clock = clock

    @property
    def later(self) -> timedelta:
        """How far the edge's clock is ahead."""
        return self.clock.later

    @later.setter
    def later(self, later: timedelta) -> None:
        self.clock.later = later

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

    async def gives(self, person: Person, repository: RepositoryRef, access: Access) -> None:
        """GitHub's mind has changed, and its webhook says so."""
        self.github.rights[(person.id, repository.id)] = access
        payload = HookPayload(
            action="edited",
            repository=HookRepository(id=int(repository.id)),
            member=GitHubAccount(id=int(person.id), login=person.login),
        )
        told = Delivered(delivery=f"d-{next(self._deliveries)}", event="member", action="edited", payload=payload)
        await self.world.say(told, to=addresses.github(repository.organization))


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
        members = RecordMembers(members=[Member(id=ADA.id, login=ADA.login)])
        await tree.ask(addresses.github(ORG), members)
        for person in (ADA, GRACE, BOB):
            identity = StoreIdentity(parent=addresses.app_shell(), scope=APP, person=person, access_token="sealed")
            await tree.ask(addresses.user_github_data(person.id), identity)
        metrics, clock = Metrics(), Clock()
        foundry = Foundry(
            runtime=tree.runtime,
            asker=AccessAsker(tree.runtime, github, clock.now, metrics, remembered=0.0),
            metrics=metrics,
            now=clock.now,
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
        edge = Edge(app, foundry, tree, clock)
        yield edge
        await foundry.asker.stop()
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
