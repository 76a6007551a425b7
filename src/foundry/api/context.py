"""What the edge (API and pages) works with; the composition root builds one and keeps it in `app.state.foundry`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol
from urllib.parse import urlsplit

from fastapi import Request

from foundry.actors.encryption import Sealer
from foundry.api.metrics import Metrics
from foundry.contracts.doors import GitHubDoor
from foundry.contracts.github_payloads import GitHubAccount, UserToken
from foundry.contracts.people import Access
from foundry.contracts.sandbox_provider import Room
from foundry.runtime.runtime import Runtime


class SignInDoor(Protocol):
    """GitHub's web sign-in; `foundry.github.oauth.OAuth` is one."""

    def authorize_url(self, *, redirect_uri: str, state: str, verifier: str) -> str: ...
    async def exchange(self, *, code: str, redirect_uri: str, verifier: str) -> UserToken: ...


class EdgeDoors(Protocol):
    """Of all doors the edge may use GitHub's, and of that the permission check alone (DESIGN section 6)."""

    @property
    def github(self) -> GitHubDoor: ...


@dataclass
class Foundry:
    """One server as its edge sees it.

    Args:
        public_url: where people's browsers find this server, without a trailing slash.
        admin_token: what the CLI on this machine sends; empty: nobody is let in that way.
        webhook_secret: the GitHub App's; empty: no delivery is trusted.
        agents: the agents a task may ask for.
        default_agent: which one it gets if it names none.
        auto_publish: whether a task publishes by itself when its agent has ended, if its creator did not say.
        oauth: GitHub's sign-in; none: nobody can sign in.
        identify: who a person's token belongs to.
        room: what is left where the sandboxes lie; a look that changes nothing.
    """

    runtime: Runtime
    doors: EdgeDoors
    sealer: Sealer
    public_url: str
    admin_token: str = ""
    webhook_secret: str = ""
    agents: Sequence[str] = ("mock",)
    default_agent: str = "mock"
    auto_publish: bool = False
    oauth: SignInDoor | None = None
    identify: Callable[[str], Awaitable[GitHubAccount]] | None = None
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    room: Callable[[], Awaitable[Room | None]] | None = None
    metrics: Metrics = field(default_factory=Metrics)
    checks: dict[tuple[str, str], asyncio.Task[Access]] = field(
        default_factory=dict[tuple[str, str], "asyncio.Task[Access]"]
    )
    closing: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def secure(self) -> bool:
        """Whether cookies are for https alone."""
        return urlsplit(self.public_url).scheme == "https"

    def close_streams(self) -> None:
        """End every event stream, so that the server can stop; clients come back to the next one by themselves."""
        self.closing.set()


def foundry_of(request: Request) -> Foundry:
    """The server this request came to."""
    return request.app.state.foundry
