"""The protocol of a sandbox provider: only a control plane, nothing that happens inside the sandbox (R21, R22).

Every call may be repeated. Foundry chooses the id before the first `create`, and a repeat finds the sandbox that the
first try created. Stopping or deleting a sandbox that does not exist is not an error.
"""

from __future__ import annotations

from typing import Protocol

from foundry.contracts.sandbox_provider import Endpoint, ProviderSandbox, Room, SandboxSpec


class Provider(Protocol):
    @property
    def name(self) -> str:
        """`local`, `daytona`, ... It is part of a sandbox's identity."""
        ...

    @property
    def warning(self) -> str | None:
        """A warning about all sandboxes of this provider, for example that they are not isolated."""
        ...

    async def create(self, sandbox_id: str, spec: SandboxSpec) -> ProviderSandbox:
        """Create the sandbox, stopped or running. A repeat finds it and prepares the spec again."""
        ...

    async def find(self, sandbox_id: str) -> ProviderSandbox | None:
        """Return the sandbox's current state, or None if it does not exist. Does not call its sandbox-agent."""
        ...

    async def start(self, sandbox_id: str, token: str) -> Endpoint:
        """Start sandbox-agent with this token, and return its endpoint once it answers. A running one is reused.

        Raises:
            SandboxGone: the sandbox does not exist.
            SandboxStartFailed: sandbox-agent exited at once or did not answer in time.
        """
        ...

    async def stop(self, sandbox_id: str) -> None:
        """End all processes in the sandbox. Its files stay."""
        ...

    async def delete(self, sandbox_id: str) -> None:
        """Stop the sandbox and delete it with its files."""
        ...

    async def log(self, sandbox_id: str, tail_bytes: int = 65_536) -> str:
        """Return the end of sandbox-agent's log, or an empty text if there is none."""
        ...

    async def list(self) -> list[str]:
        """Return the ids of all existing sandboxes, to find orphans."""
        ...

    async def usage(self, sandbox_id: str) -> int | None:
        """Return the bytes on disk of the sandbox's files, or None if unknown. May take a minute, at low priority."""
        ...

    async def room(self) -> Room | None:
        """Return the free space of the sandboxes' file system, or None if unknown."""
        ...

    def repository_path(self, sandbox_id: str) -> str:
        """Return the path of the sandbox's clone, as processes inside see it."""
        ...
