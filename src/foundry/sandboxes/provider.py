"""What a sandbox provider has to offer: a control plane, and nothing of what happens inside (R21, R22).

Every call may be repeated: the id is chosen by Foundry before the first `create`, a repeat finds what the first try
made, and stopping or deleting what is not there is no error.
"""

from __future__ import annotations

from typing import Protocol

from foundry.contracts.sandbox_provider import Endpoint, ProviderSandbox, Room, SandboxSpec


class Provider(Protocol):
    @property
    def name(self) -> str:
        """`local`, `daytona`, ...: part of a sandbox's identity."""
        ...

    @property
    def warning(self) -> str | None:
        """What people should know about all sandboxes of this provider, e.g. that they are not isolated."""
        ...

    async def create(self, sandbox_id: str, spec: SandboxSpec) -> ProviderSandbox:
        """Make the sandbox, stopped or running; a repeat finds it and prepares what the spec asks anew."""
        ...

    async def find(self, sandbox_id: str) -> ProviderSandbox | None:
        """The sandbox as it is now; None if there is none. Does not ask its sandbox-agent."""
        ...

    async def start(self, sandbox_id: str, token: str) -> Endpoint:
        """Start sandbox-agent with this token and return once it answers; if it already does, its endpoint.

        Raises:
            SandboxGone: there is no such sandbox.
            SandboxStartFailed: it ended at once or did not answer in time.
        """
        ...

    async def stop(self, sandbox_id: str) -> None:
        """End everything that runs in it; its files stay."""
        ...

    async def delete(self, sandbox_id: str) -> None:
        """Stop it and forget it, files included."""
        ...

    async def log(self, sandbox_id: str, tail_bytes: int = 65_536) -> str:
        """The end of sandbox-agent's own log; empty if there is none."""
        ...

    async def list(self) -> list[str]:
        """The ids of all sandboxes that exist, for finding those nobody knows any more."""
        ...

    async def usage(self, sandbox_id: str) -> int | None:
        """The bytes that its files take on disk; None where that cannot be told. May take a minute, at low priority."""
        ...

    async def room(self) -> Room | None:
        """What is left of the file system that sandboxes lie on; None where that cannot be told."""
        ...

    def repository_path(self, sandbox_id: str) -> str:
        """Where the sandbox's repository is cloned, as processes inside it see it."""
        ...
