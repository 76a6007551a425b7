"""What the edge (API and pages) needs. The composition root builds it and stores it in `app.state.foundry`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol
from urllib.parse import urlsplit

import structlog
from fastapi import Request
from starlette.datastructures import Headers

from foundry.actors.encryption import Sealer
from foundry.actors.secret_keys import SecretKeys
from foundry.api.access_asker import AccessAsker
from foundry.api.metrics import Metrics
from foundry.contracts.github_access import TIMES, AccessTimes
from foundry.contracts.github_payloads import GitHubAccount, UserToken
from foundry.contracts.sandbox_provider import Room
from foundry.contracts.sign_in import BY_MEMBERSHIP, SignInPolicy
from foundry.runtime.runtime import Runtime

COOKIE = "foundry_session"
SETTLED = 2.0  # seconds that a stop waits for background work

log = structlog.get_logger("foundry.api")


class SignInDoor(Protocol):
    """GitHub's web sign-in. `foundry.github.oauth.OAuth` implements it."""

    def authorize_url(self, *, redirect_uri: str, state: str, verifier: str) -> str: ...
    async def exchange(self, *, code: str, redirect_uri: str, verifier: str) -> UserToken: ...


@dataclass
class Foundry:
    """One server, as the edge uses it.

    Args:
        public_url: the server's address for browsers, without a trailing slash.
        admin_token: returns the token that the CLI on this machine sends. Empty: the admin token is disabled.
        webhook_secret: the GitHub App's webhook secret. Empty: every delivery is refused.
        agents: the agents that a task may use.
        default_agent: the agent for tasks that name none.
        auto_publish: the default for tasks whose creator did not choose: publish automatically after the agent's turn.
        oauth: GitHub's sign-in. None: nobody can sign in.
        identify: returns the GitHub account that a token belongs to.
        room: returns the free space on the sandboxes' disk. Changes nothing.
        secret_keys: the keys behind `sealer`.
        keep_alive: seconds without an event before a stream sends a keep-alive.
        access_every: seconds between access checks of a stream.
        access_times: how old GitHub's answers about access may be.
        sign_in_policy: who may sign in.
        asker: asks GitHub what people may do.
        first_sync: seconds that a sign-in waits until Foundry has read where the App is installed.
        device_interval: seconds between two polls of a command line that waits for its person.
    """

    runtime: Runtime
    asker: AccessAsker
    sealer: Sealer
    public_url: str
    admin_token: Callable[[], str] = lambda: ""
    webhook_secret: str = ""
    agents: Sequence[str] = ("mock",)
    default_agent: str = "mock"
    auto_publish: bool = False
    oauth: SignInDoor | None = None
    identify: Callable[[str], Awaitable[GitHubAccount]] | None = None
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    room: Callable[[], Awaitable[Room | None]] | None = None
    secret_keys: SecretKeys | None = None
    keep_alive: float = 15.0
    access_every: float = 60.0
    access_times: AccessTimes = TIMES
    sign_in_policy: SignInPolicy = BY_MEMBERSHIP
    device_interval: float = 5.0
    first_sync: float = 10.0
    metrics: Metrics = field(default_factory=Metrics)
    closing: asyncio.Event = field(default_factory=asyncio.Event)
    uses_under_way: set[str] = field(default_factory=set[str])  # hashes whose last use is being recorded
    background: set[asyncio.Task[None]] = field(default_factory=set["asyncio.Task[None]"])

    @property
    def secure(self) -> bool:
        """True if cookies are sent over https only."""
        return urlsplit(self.public_url).scheme == "https"

    def cookie(self, name: str) -> str:
        """Return a cookie's name. On https it has the prefix that keeps other hosts from setting it."""
        return f"__Host-{name}" if self.secure else name

    def later(self, work: Coroutine[object, object, None], what: str) -> None:
        """Do something that no request waits for. A failure is logged with `what`."""

        async def logged() -> None:
            try:
                await work
            except Exception as error:
                log.warning("background work of a request failed", what=what, error=str(error))

        task = asyncio.create_task(logged())
        self.background.add(task)
        task.add_done_callback(self.background.discard)

    async def settled(self) -> None:
        """Wait until nothing that was begun by `later` is under way, for a bounded time."""
        if self.background:
            await asyncio.wait(self.background, timeout=SETTLED)

    def close_streams(self) -> None:
        """End every event stream so that the server can stop. Clients reconnect automatically."""
        self.closing.set()


def foundry_of(request: Request) -> Foundry:
    """Return the server that received this request."""
    return request.app.state.foundry


def bearer_of(headers: Headers) -> str | None:
    """Return the request's bearer token, or None if it has none. Then, and only then, the cookie counts."""
    kind, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else None
