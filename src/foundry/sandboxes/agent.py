"""The client of one sandbox's sandbox-agent (0.4.2). It has health and agents, and the attributes `acp`, `processes`,
`files` and `recorder`.

Connections are reused; `close` ends them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from types import TracebackType

from foundry.contracts.sandbox_provider import SandboxRefused, SandboxUnreachable
from foundry.sandboxes.acp import Acp
from foundry.sandboxes.calls import Calls
from foundry.sandboxes.files import Files
from foundry.sandboxes.processes import Processes
from foundry.sandboxes.recorder import Recorder

INSTALL_LIMIT = 600.0  # seconds; agents are large downloads


class SandboxAgent:
    """The client of one sandbox-agent.

    Args:
        url: its address, without a trailing slash.
        token: its bearer token.
        headers: additional headers that the provider's proxy needs.

    Raises (every method):
        SandboxUnreachable: it does not answer, or not in time.
        SandboxTokenRefused: another sandbox-agent answers at the address.
        SandboxRefused: it answered with an error that has no class of its own.
    """

    def __init__(self, url: str, token: str, *, headers: Mapping[str, str] | None = None) -> None:
        self.url = url
        self.calls = Calls(url, token, headers=headers)
        self.processes = Processes(self.calls)
        self.files = Files(self.calls)
        self.acp = Acp(self.calls, self.processes)
        self.recorder = Recorder(self.processes, self.files, token)

    async def close(self) -> None:
        await self.acp.close()
        await self.calls.close()

    async def __aenter__(self) -> SandboxAgent:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"SandboxAgent({self.url!r})"

    async def health(self) -> None:
        """Return if it accepts our token; raise the error otherwise."""
        await self.calls.ask("GET", "/v1/health", limit=5.0)

    async def wait_healthy(self, limit: float) -> None:
        """Return once it is healthy. Raises the last error after `limit` seconds, and a rejected token at once."""
        end = time.monotonic() + limit
        while True:
            try:
                return await self.health()
            except (SandboxUnreachable, SandboxRefused):
                if time.monotonic() > end:
                    raise
                await asyncio.sleep(0.02)

    async def install_agent(self, agent: str, *, reinstall: bool = False) -> bool:
        """Install the agent in the sandbox. Returns False if it was already installed. May download for minutes.

        A launcher that the provider has placed for the agent counts as installed unless `reinstall` is set.

        Raises:
            AgentUnavailable: sandbox-agent does not know it or cannot install it.
        """
        answer = await self.calls.ask(
            "POST", f"/v1/agents/{agent}/install", json={"reinstall": reinstall}, limit=INSTALL_LIMIT
        )
        return not answer["already_installed"]
