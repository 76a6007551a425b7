"""The tree with the stand-in GitHub behind it: real HTTP both ways, real git, signed webhooks."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2 as httpx
import uvicorn
from fastapi import FastAPI, Request, Response

from foundry.actors.encryption import Sealer
from foundry.actors.github_state.door import GitHubOutside
from foundry.actors.github_state.person_tokens import PersonTokens
from foundry.actors.github_state.views import github_state
from foundry.actors.repository.views import repository_view
from foundry.actors.user_github_data.views import sealed_tokens
from foundry.contracts import addresses
from foundry.contracts.github_payloads import UserToken
from foundry.contracts.github_state import SyncInstallations, delivery
from foundry.contracts.ids import UserId
from foundry.contracts.people import Person
from foundry.contracts.repository import RepositoryRef
from foundry.contracts.user_github_data import StoreIdentity
from foundry.github.client import GitHub, http_client
from foundry.github.oauth import OAuth
from foundry.github.webhooks import verify
from foundry.runtime.actor import Actor
from tests.actors.tree import ADA, REPO, TALLY, tree
from tests.waiting import eventually
from tests.world.outside import Outside
from tests.world.world import World

STARTED = 20.0  # seconds; a cold stand-in on 2 busy cores
BACK, VERIFIER = "http://127.0.0.1:1/back", "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
SEALER = Sealer([b"0123456789abcdef0123456789abcdef"])


@dataclass
class Sample:
    """A running stand-in and what a person would copy from its settings page."""

    url: str
    identity: dict[str, str]

    def client(self, http: httpx.AsyncClient) -> GitHub:
        api, app = self.identity["api_url"], self.identity["app_id"]
        return GitHub(api, http, app_id=app, private_key=self.identity["private_key"])

    def oauth(self, http: httpx.AsyncClient) -> OAuth:
        known = self.identity
        return OAuth(known["web_url"], known["client_id"], known["client_secret"], http)

    async def sign_in(self, http: httpx.AsyncClient, login: str) -> UserToken:
        """The tokens of somebody who signs in on GitHub's page."""
        oauth = self.oauth(http)
        query = urlsplit(oauth.authorize_url(redirect_uri=BACK, state="s1", verifier=VERIFIER)).query
        form = {name: values[0] for name, values in parse_qs(query).items()} | {"login": login}
        posted = await http.post(f"{self.url}/login/oauth/choose", data=form, follow_redirects=False)
        code = parse_qs(urlsplit(posted.headers["location"]).query)["code"][0]
        return await oauth.exchange(code=code, redirect_uri=BACK, verifier=VERIFIER)


@contextmanager
def sample_github(directory: Path) -> Iterator[Sample]:
    command = [sys.executable, "-m", "foundry.devkit.github", "--port", "0", "--dir", str(directory)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            ready = json.loads(process.stdout.readline())
            yield Sample(ready["ready"], json.loads((directory / "app.json").read_text()))
        finally:
            process.terminate()
            process.wait(STARTED)


class StandIn(Outside):
    """GitHub is the stand-in; there is nothing else outside."""

    engine = True

    def __init__(self, client: GitHub, oauth: OAuth) -> None:
        super().__init__()
        self.client, self.oauth = client, oauth
        self.ahead = timedelta()  # of the clock that tells whether people's tokens have expired

    def starts_in(self, world: World) -> None:
        self.persons = self.tokens(world)
        self.github = GitHubOutside(self.client, world.read, self.persons)

    def tokens(self, world: World, oauth: Any = None, **more: Any) -> PersonTokens:
        """People's tokens, as one replica has them."""

        async def stored(user: UserId) -> Any:
            return await world.read(sealed_tokens, user)

        return PersonTokens(
            stored, world.runtime.ask, SEALER, oauth or self.oauth, now=self.now, identify=self.client.user, **more
        )

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead


class GitHubStage:
    """The tree, and the hands of the people on GitHub."""

    def __init__(self, stage: World, sample: Sample, http: httpx.AsyncClient, directory: Path) -> None:
        self.tree = stage
        self.sample = sample
        self.http = http
        self.client: GitHub = stage.outside.client
        self.door: GitHubOutside = stage.outside.github
        self.repository: RepositoryRef = TALLY
        self._directory = directory

    async def control(self, method: str, path: str, body: object) -> None:
        (await self.http.request(method, f"{self.sample.url}/_devkit/{path}", json=body)).raise_for_status()

    async def api(self, method: str, path: str, **body: object) -> Any:
        """A call as the App's installation 3001, as some other program would make it."""
        made = await self.client.installation_token(3001)
        url = f"{self.sample.identity['api_url']}/repos/lumen-works/tally/{path}"
        answer = await self.http.request(method, url, json=body, headers={"Authorization": f"Bearer {made.token}"})
        answer.raise_for_status()
        return answer.json() if answer.content else None

    async def sign_in(self, person: Person = ADA) -> UserToken:
        """Sign in as the edge does it."""
        made, now = await self.sample.sign_in(self.http, person.login), datetime.now(UTC)
        assert made.refresh_token
        assert made.expires_in
        assert made.refresh_token_expires_in
        identity = StoreIdentity(
            parent=addresses.app_shell(),
            person=person,
            access_token=SEALER.seal(made.access_token),
            refresh_token=SEALER.seal(made.refresh_token),
            expires_at=now + timedelta(seconds=made.expires_in),
            refresh_expires_at=now + timedelta(seconds=made.refresh_token_expires_in),
        )
        await self.tree.ask(addresses.user_github_data(person.id), identity)
        return made

    async def push(self, branch: str) -> None:
        """Push a commit on a new branch, with a credential of the door's."""
        async with self.door.credential(self.repository, write=True) as token:
            await asyncio.to_thread(self._push, branch, token)

    def _push(self, branch: str, token: str) -> None:
        where = self._directory / branch.replace("/", "-")
        url = self.repository.clone_url.replace("://", f"://x-access-token:{token}@")
        git("clone", "-q", url, str(where), cwd=self._directory)
        (where / "note.txt").write_text(branch)
        git("checkout", "-q", "-b", branch, cwd=where)
        git("add", ".", cwd=where)
        git("-c", "user.name=Ada", "-c", "user.email=ada@example.test", "commit", "-qm", branch, cwd=where)
        git("push", "-q", "origin", branch, cwd=where)

    async def synced(self) -> None:
        """Ask for a sync as a start does, and wait until everything was read again."""
        org = self.repository.organization
        before = (await self.tree.read(github_state, org)).synced_at
        await self.tree.ask(addresses.github_app(), SyncInstallations(parent=addresses.app_shell()))
        await eventually(
            lambda: self.tree.read(github_state, org),
            lambda state: state.synced_at not in (None, before) and state.syncing_since is None,
            limit=STARTED,
        )
        await self.tree.quiet()
        self.repository = await self.tree.read(repository_view, REPO)


def git(*words: str, cwd: Path) -> None:
    env = {"PATH": os.environ["PATH"], "HOME": str(cwd), "GIT_TERMINAL_PROMPT": "0", "GIT_CONFIG_NOSYSTEM": "1"}
    done = subprocess.run(["git", *words], cwd=cwd, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@asynccontextmanager
async def github_stage(
    url: str, directory: Path, *, webhooks: bool = False, played: tuple[Actor, ...] = ()
) -> AsyncIterator[GitHubStage]:
    """The stage with the stand-in; its webhooks come in through an endpoint that checks them, if wanted."""
    http = http_client()
    with sample_github(directory / "github") as sample:
        try:
            async with tree(url, StandIn(sample.client(http), sample.oauth(http)), *played) as stage:
                made = GitHubStage(stage, sample, http, directory)
                if not webhooks:
                    yield made
                    return
                async with endpoint(stage, sample.identity["webhook_secret"]) as target:
                    await made.control("PUT", "webhook", {"url": target})
                    yield made
        finally:
            await http.aclose()


@asynccontextmanager
async def endpoint(stage: World, secret: str) -> AsyncIterator[str]:
    """What the edge does with a delivery, and no more."""
    app = FastAPI()

    @app.post("/hooks")
    async def hooks(request: Request) -> Response:
        body = await request.body()
        verify(secret, body, request.headers.get("X-Hub-Signature-256"))
        command = delivery(request.headers["X-GitHub-Delivery"], request.headers["X-GitHub-Event"], body)
        await stage.ask(addresses.github_app(), command)
        return Response(status_code=202)

    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning", lifespan="off"))
    serving = asyncio.create_task(server.serve())
    try:
        await eventually(lambda: server.started, limit=STARTED)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}/hooks"
    finally:
        server.should_exit = True
        await serving
