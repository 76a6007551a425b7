"""The stage of the access matrix: one server with a task and all that belongs to it, and every kind of person.

Every call that is allowed ends at the actors: `AtTheActors` refuses each command with "reached". So no cell changes
anything, and the cells may run in any order.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn

import httpx2 as httpx
from sqlalchemy import update

from foundry import web
from foundry.actors.app_shell.tables import app_sessions
from foundry.api.access_table import TOPICS
from foundry.api.auth import hashed
from foundry.api.context import COOKIE
from foundry.api.scopes import SAFE
from foundry.contracts import addresses
from foundry.contracts.app_shell import CreateToken, RecordAdminRequest, RecordUse, Scope
from foundry.contracts.errors import WrongState
from foundry.contracts.github_access import Role
from foundry.contracts.github_state import (
    InstallationGranted,
    InstallationRevoked,
    InstallationSummary,
    Member,
    RecordMembers,
)
from foundry.contracts.ids import UserId, new_id
from foundry.contracts.issues import Failure, IssueKind, RecordFailure
from foundry.contracts.messages import APP, ScopeId, millis
from foundry.contracts.organization import SetPublicWork
from foundry.contracts.people import Access, Person
from foundry.contracts.repository import RepositoryRef
from foundry.contracts.user_github_data import AuthorizationRevoked, StoreIdentity
from foundry.runtime.store.migrate import engine_of
from foundry.runtime.store.tables import metadata
from tests.api.edge import ADA, BOB, GRACE, ORG, SITE, TALLY, TOKEN, URL, Edge, running

SECRET_PROMPT = "Compute the median of the payroll"  # no refused answer has it
REACHED = "the actors were reached"
OWNER, WRITER, MEMBER, REVOKED = (
    Person(id=UserId(id), login=login)
    for id, login in (("1011", "olga"), ("1012", "wim"), ("1013", "mia"), ("1014", "rex"))
)
STRANGER, READER = BOB, GRACE
PEOPLE = {"stranger": STRANGER, "reader": READER, "writer": WRITER, "member": MEMBER, "owner": OWNER}
COLUMNS = ("nobody", "expired", "revoked", *PEOPLE, "read token", "admin as stranger", "admin as reader")
# Changes more often than any command does, and by itself: the audit log, last uses, what GitHub said about access.
BOOKKEEPING = (
    "app_audit",
    "app_tokens",
    "app_sessions",
    "github_access",
    "github_list",
    "github_reach",
    "github_states",
)


class AtTheActors:
    """The runtime, as the edge uses it. It reads; whoever would change something has got past every check."""

    def __init__(self, runtime: Any) -> None:
        self._runtime = runtime

    def __getattr__(self, name: str) -> Any:
        return getattr(self._runtime, name)

    async def ask(self, address: Any, command: Any, **how: Any) -> Any:
        if isinstance(command, RecordUse | RecordAdminRequest):
            return await self._runtime.ask(address, command, **how)
        raise _reached(type(command).__name__)

    async def retry_message(self, number: int) -> None:
        raise _reached(f"retry {number}")

    async def drop_message(self, number: int) -> None:
        raise _reached(f"drop {number}")


class Keys:
    """The server's secret keys."""

    async def view(self) -> NoReturn:
        raise _reached("secret keys")

    add = reseal = drop = view


def _reached(what: str) -> WrongState:
    return WrongState(f"{REACHED}: {what}")


@dataclass
class Stage:
    """The server, the ids of what is there, and who asks."""

    edge: Edge
    clients: dict[str, httpx.AsyncClient]
    things: dict[str, dict[str, str]]  # by repository: what its routes' parameters stand for
    issues: dict[str, str]  # by what the issue is about
    missing: dict[str, str]  # the same parameters, of things that never were
    state: str = ""

    async def becomes(self, state: str) -> None:
        """Change the organization. Then GitHub is asked about everybody, so that no cell has to.

        Args:
            state: `usual`; `shown`, work on public repositories to everybody; `removed`, the App from the organization.
        """
        if state == self.state:
            return
        world = self.edge.world
        await world.ask(addresses.organization(ORG), SetPublicWork(shown=state == "shown"))
        if self.state == "removed":
            summary = InstallationSummary(id=1, organization=ORG, login="lumen-works", active=True)
            here = InstallationGranted(parent=addresses.organization(ORG), scope=ScopeId(ORG), installation=summary)
            await world.say(here, to=addresses.github(ORG))
        for column in ("read token", *PEOPLE):
            for values in self.things.values():
                await self.clients[column].get(f"/api/tasks/{values['task']}")
        await self.edge.foundry.settled()
        if state == "removed":
            await world.say(InstallationRevoked(installation=1), to=addresses.github(ORG))
        self.state = state

    async def call(self, column: str, method: str, path: str, values: dict[str, str], **how: Any) -> httpx.Response:
        """Call a route as somebody. A stream ends when it has begun: the server is about to stop."""
        address = re.sub(r"\{(\w+)\}", lambda found: values[found[1]], path)
        streams = path.startswith("/live/") or path == "/api/realtime"
        if streams:
            self.edge.foundry.closing.set()
        try:
            body = {} if method in SAFE else body_of(method, path, values)
            headers = {"Accept": "application/json", **how.pop("headers", {})}
            return await self.clients[column].request(method, address, headers=headers, **body, **how)
        finally:
            self.edge.foundry.closing.clear()

    async def digest(self) -> str:
        """A digest of every actor's tables."""
        owned = [one for one in metadata.sorted_tables if "owner" in one.info and not one.name.startswith(BOOKKEEPING)]

        def look(reader: Any) -> str:
            rows = [(table.name, sorted(map(str, reader.all(table.select())))) for table in owned]
            return hashlib.sha256(str(rows).encode()).hexdigest()

        return await self.edge.runtime.read(look)


BODIES: dict[tuple[str, str], dict[str, Any]] = {
    ("POST", "/api/organizations/{organization}/tasks"): {"prompt": "Do it"},
    ("PUT", "/api/organizations/{organization}/settings"): {"public_work": True},
    ("PUT", "/api/tasks/{task}/branch"): {"name": "another-name"},
    ("POST", "/api/tasks/{task}/sessions"): {"agent": "mock"},
    ("POST", "/api/sessions/{session}/messages"): {"text": "And the mode"},
    ("POST", "/api/sessions/{session}/permissions/{permission}"): {"option": "allow"},
    ("PUT", "/api/sessions/{session}/draft"): {"text": "perhaps"},
    ("PUT", "/api/sessions/{session}/read"): {"position": 1},
    ("POST", "/api/me/tokens"): {"name": "one", "scopes": ["read"]},
    ("POST", "/api/login/device"): {},
    ("POST", "/api/login/device/token"): {"device_code": "unknown"},
    ("POST", "/api/login/device/answer"): {"user_code": "BCDF-GHJK", "approve": True},
    ("POST", "/api/rivet/app/webhooks/github"): {},
    ("POST", "/organizations/{organization}/tasks"): {"prompt": "Do it"},
    ("POST", "/organizations/{organization}/settings"): {"public_work": "on"},
    ("POST", "/tasks/{task}/branch"): {"name": "another-name"},
    ("POST", "/tasks/{task}/sessions"): {"agent": "mock"},
    ("POST", "/sessions/{session}/messages"): {"text": "And the mode"},
    ("POST", "/sessions/{session}/permissions/{permission}"): {"option": "allow"},
    ("POST", "/settings/tokens"): {"name": "one", "read": "on"},
    ("POST", "/login/device"): {"user_code": "BCDF-GHJK", "answer": "approve"},
}
"""Bodies that their routes accept: a refusal must not depend on the body."""


def body_of(method: str, path: str, values: dict[str, str]) -> dict[str, Any]:
    """The request's body: JSON for the API, a form for the pages."""
    body = dict(BODIES.get((method, path), {}))
    if path.endswith("/organizations/{organization}/tasks"):
        body["repository"] = values["repository"]
    if path == "/organizations/{organization}/issues/clear":
        body["issue"] = values["issue"]
    if "/issues/" in path and "scope" in values:
        body["scope"] = values["scope"]
    if path.startswith("/api/"):
        return {"json": body} if (method, path) in BODIES else {}
    return {"data": body} if body else {}


@asynccontextmanager
async def staged(directory: Path) -> AsyncIterator[Stage]:
    """The stage. One process has one runtime, so one stage changes between its states."""
    async with running(directory, secret_keys=Keys()) as edge:
        web.install(edge.app)
        await _people(edge)
        things = {one.name: await _things(edge, one) for one in (TALLY, SITE)}
        issues = await _issues(edge, things)
        clients = await _clients(edge, directory)
        stage = Stage(edge, clients, things, issues, _missing())
        await stage.becomes("usual")
        real = edge.foundry.runtime
        edge.foundry.runtime = AtTheActors(real)  # type: ignore[assignment]
        try:
            yield stage
        finally:
            edge.foundry.runtime = real
            for client in clients.values():
                await client.aclose()


async def _people(edge: Edge) -> None:
    """Ada, who has made everything there is, is in no column."""
    github = edge.github
    github.rights = {(ADA.id, one.id): Access.ADMIN for one in (TALLY, SITE)}
    github.rights |= {(OWNER.id, one.id): Access.ADMIN for one in (TALLY, SITE)}
    github.rights |= {(MEMBER.id, one.id): Access.READ for one in (TALLY, SITE)}
    github.rights |= {(READER.id, TALLY.id): Access.READ, (WRITER.id, TALLY.id): Access.WRITE}
    github.roles = {ADA.id: Role.MEMBER, MEMBER.id: Role.MEMBER, OWNER.id: Role.OWNER}
    members = [Member(id=id, login=str(id), role=role) for id, role in github.roles.items()]
    await edge.world.ask(addresses.github(ORG), RecordMembers(members=members))
    for person in (OWNER, WRITER, MEMBER, REVOKED):
        identity = StoreIdentity(parent=addresses.app_shell(), scope=APP, person=person, access_token="sealed")
        await edge.world.ask(addresses.user_github_data(person.id), identity)


async def _things(edge: Edge, repository: RepositoryRef) -> dict[str, str]:
    """A task with a session, a sandbox and a checkpoint, and what the other parameters stand for."""
    async with edge.admin() as ada:
        task = await edge.task(ada, repository=repository.full_name, prompt=SECRET_PROMPT)
        path = f"/api/tasks/{task['id']}"
        await edge.until(ada, path, lambda found: found["phase"] == "running" and found["sandbox"])
        assert (await ada.post(f"{path}/checkpoints")).status_code == 202
        (saved,) = await edge.until(ada, f"{path}/checkpoints", bool)
        found = (await ada.get(path)).json()
    await edge.world.quiet()
    return {
        **_missing(),
        "organization": ORG,
        "repository": repository.id,
        "task": found["id"],
        "session": found["active_session"],
        "sandbox": found["sandbox"],
        "checkpoint": saved["id"],
        "kind": "Task",
        "key": found["id"],
    }


def _missing() -> dict[str, str]:
    """What the routes' parameters may stand for, of things that never were."""
    made = {name: new_id(kind) for name, kind in IDS.items()}
    return {**made, "organization": "2999", "repository": "4999", "kind": "Task", "key": new_id("tsk")}


IDS = {
    "task": "tsk", "session": "ses", "sandbox": "sbx", "checkpoint": "chk", "message": "msg", "permission": "prm",
    "issue": "iss", "token": "tok",
}  # fmt: skip


async def _issues(edge: Edge, things: dict[str, dict[str, str]]) -> dict[str, str]:
    """Issues of each task, of the organization itself, and of the server."""
    about = {name: (ScopeId(ORG), f"Task:{one['task']}") for name, one in things.items()}
    about |= {"organization": (ScopeId(ORG), f"GitHubState:{ORG}"), "server": (APP, "GitHubState:app")}
    for scope, actor in about.values():
        failure = Failure(
            kind=IssueKind.WORKFLOW_FAILED, actor=actor, scope=scope, fingerprint=actor, message="no", mailbox_id=99_999
        )  # fmt: skip
        await edge.world.ask(addresses.coordinator(scope), RecordFailure(failure=failure))
    async with edge.admin() as ada:
        found = (await ada.get(f"/api/organizations/{ORG}/issues")).json() + (await ada.get("/api/app/issues")).json()
    ids = {one["failure"]["actor"]: one["id"] for one in found}
    return {name: ids[actor] for name, (_, actor) in about.items()}


async def _clients(edge: Edge, directory: Path) -> dict[str, httpx.AsyncClient]:
    """Everybody's client, by column. The owner has three: a session, an expired session and an API token."""

    def client(**headers: str) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.ASGITransport(edge.app), base_url=URL, headers=headers)

    async def browser(person: Person, device: str = "") -> httpx.AsyncClient:
        signed = await edge.browser(person, device)
        found = client(Origin=URL)
        found.cookies.set(COOKIE, signed.cookies[COOKIE])
        return found

    found = {column: await browser(person) for column, person in PEOPLE.items()}
    found["nobody"] = client(Origin=URL)
    found["expired"], found["revoked"] = await browser(OWNER, "old"), await browser(REVOKED)
    _expire(directory, hashed(found["expired"].cookies[COOKIE]))
    await edge.world.say(
        AuthorizationRevoked(parent=addresses.app_shell(), scope=APP), to=addresses.user_github_data(REVOKED.id)
    )
    token = CreateToken(
        token_hash=hashed("fdy_reads"), user=OWNER.id, login=OWNER.login, name="reads", scopes=[Scope.READ], address=""
    )
    await edge.world.ask(addresses.app_shell(), token)
    found["read token"] = client(Authorization="Bearer fdy_reads")
    for login, column in ((STRANGER.login, "admin as stranger"), (READER.login, "admin as reader")):
        found[column] = client(**{"Authorization": f"Bearer {TOKEN}", "X-Foundry-As": login})
    return {column: found[column] for column in COLUMNS}


def _expire(directory: Path, token_hash: str) -> None:
    """Nobody has used this session for long."""
    engine, past = engine_of(f"sqlite:///{directory}/foundry.db"), millis(datetime.now(UTC) - timedelta(days=20))
    with engine.begin() as connection:
        one = app_sessions.c.token_hash == token_hash
        connection.execute(update(app_sessions).where(one).values(created_at=past, used_at=past, expires_at=past + 1))
    engine.dispose()


def topic_id(topic: str, values: dict[str, str]) -> str:
    """The id of the topic's owner."""
    assert topic in TOPICS
    return "" if topic == "app" else values["organization" if topic == "pull_requests" else topic]
