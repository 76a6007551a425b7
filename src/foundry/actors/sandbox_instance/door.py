"""The sandboxes' door: providers for their lifecycle, and once a sandbox exists its sandbox-agent (R22).

The token of a sandbox's sandbox-agent is derived from the server's secret and the sandbox's id, so it can be chosen
before the start and found after a crash without being stored or returned anywhere (docs/decisions/0001).
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

from foundry.actors.sandbox_instance import git_bundle as saving
from foundry.actors.sandbox_instance.git import Git
from foundry.contracts.errors import FoundryError
from foundry.contracts.ids import SandboxId
from foundry.contracts.people import Person
from foundry.contracts.repository import RepositoryRef
from foundry.contracts.sandbox_instance import Compared, Made
from foundry.contracts.sandbox_provider import (
    Endpoint,
    ProcessResult,
    ProviderState,
    Room,
    SandboxGone,
    SandboxSpec,
    SandboxUnreachable,
)
from foundry.contracts.task import WorkTree
from foundry.contracts.task_checkpoints import BUNDLE_LIMIT, CheckpointMissing, CheckpointTooLarge, Saved
from foundry.sandboxes.agent import SandboxAgent
from foundry.sandboxes.provider import Provider

HEALTHY = 20.0  # seconds; a cold sandbox-agent answers well within one
UPLOAD = 1024 * 1024  # bytes at once; 0.4.2 refuses a body of over 2 MB
CARRIED = 2  # checkpoints in memory at once
OUTPUT = 8 * 1024 * 1024  # bytes of a git command's output


class BlobStore(Protocol):
    """Keeps content by key; `foundry.runtime.store.blobs.Blobs` is one."""

    async def write(self, key: str, content: bytes) -> None: ...
    async def read(self, key: str) -> bytes | None: ...
    async def keys(self, prefix: str) -> list[str]: ...
    async def delete(self, key: str) -> None: ...


class Sandboxes:
    """`foundry.contracts.doors.SandboxDoor`.

    Args:
        provider: where sandboxes are made.
        secret: what tokens are derived from.
        endpoint: where SandboxInstance last saw a sandbox's sandbox-agent.
        blobs: where checkpoints are kept.
        git: the absolute path of git inside the sandboxes.
    """

    def __init__(
        self,
        provider: Provider,
        secret: bytes,
        endpoint: Callable[[SandboxId], Awaitable[Endpoint | None]],
        blobs: BlobStore,
        *,
        git: str = "/usr/bin/git",
    ) -> None:
        self._provider = provider
        self._secret = secret
        self._endpoint = endpoint
        self._blobs = blobs
        self._git = git
        self._carrying = asyncio.Semaphore(CARRIED)
        self._clients: dict[SandboxId, tuple[Endpoint, SandboxAgent]] = {}

    def token(self, sandbox: SandboxId) -> str:
        """The bearer token of this sandbox's sandbox-agent. Goes into its Authorization header and nowhere else."""
        return hmac.new(self._secret, f"sandbox-agent:{sandbox}".encode(), hashlib.sha256).hexdigest()

    async def create(self, sandbox: SandboxId, agents: list[str]) -> Made:
        """Make it at the provider under this name; a repeat finds it."""
        await self._provider.create(sandbox, SandboxSpec(agents=agents))
        return Made(provider=self._provider.name, warning=self._provider.warning or "")

    async def start(self, sandbox: SandboxId) -> Endpoint:
        """Start sandbox-agent in it; found again if it runs already."""
        endpoint = await self._provider.start(sandbox, self.token(sandbox))
        known = self._clients.get(sandbox)
        if known is None or known[0] != endpoint:  # else its streams go on
            await self._forget(sandbox)
            self._clients[sandbox] = endpoint, self._client(sandbox, endpoint)
        return endpoint

    async def wait_healthy(self, sandbox: SandboxId) -> None:
        await (await self.started(sandbox)).wait_healthy(HEALTHY)

    async def exists(self, sandbox: SandboxId) -> bool:
        """Return True if the provider has the sandbox and its sandbox-agent answers."""
        if await self._provider.find(sandbox) is None:
            return False
        try:
            await (await self.reach(sandbox)).health()
        except (SandboxUnreachable, SandboxGone):
            return False
        return True

    async def compare(self, recorded: list[SandboxId]) -> Compared:
        """Compare by name. A sandbox that the provider's list does not have is looked up once more by its own id."""
        there = {SandboxId(name) for name in await self._provider.list()}
        missing = [one for one in recorded if one not in there and await self._provider.find(one) is None]
        return Compared(missing=missing, unknown=sorted(there - set(recorded)))

    async def usage(self, sandbox: SandboxId) -> int | None:
        return await self._provider.usage(sandbox)

    async def room(self) -> Room | None:
        return await self._provider.room()

    async def stop(self, sandbox: SandboxId) -> None:
        await self._forget(sandbox)
        await self._provider.stop(sandbox)

    async def delete(self, sandbox: SandboxId) -> None:
        await self._forget(sandbox)
        await self._provider.delete(sandbox)

    async def log(self, sandbox: SandboxId) -> str:
        return await self._provider.log(sandbox)

    async def install_agent(self, sandbox: SandboxId, agent: str) -> None:
        await (await self.started(sandbox)).install_agent(agent)

    async def clone(
        self, sandbox: SandboxId, repository: RepositoryRef, *, branch: str, base: str, person: Person, token: str
    ) -> str:
        await self.started(sandbox)
        git = await self._on(sandbox)
        return await git.clone(repository.clone_url, branch=branch, base=base, person=person, token=token)

    async def work_tree(self, sandbox: SandboxId, base: str) -> WorkTree:
        return await (await self._on(sandbox)).work_tree(base)

    async def push(self, sandbox: SandboxId, repository: RepositoryRef, *, branch: str, token: str) -> str:
        return await (await self._on(sandbox)).push(repository.clone_url, branch=branch, token=token)

    async def fetch(
        self, sandbox: SandboxId, repository: RepositoryRef, *, branch: str, base: str, token: str
    ) -> str | None:
        return await (await self._on(sandbox)).fetch(repository.clone_url, branch=branch, base=base, token=token)

    async def forward(self, sandbox: SandboxId, branch: str) -> int:
        return await (await self._on(sandbox)).forward(branch)

    async def rename_branch(self, sandbox: SandboxId, old: str, new: str) -> None:
        await (await self._on(sandbox)).rename_branch(old, new)

    # checkpoints

    async def wake(self, sandbox: SandboxId) -> Endpoint | None:
        try:
            await (await self.reach(sandbox)).health()
        except (SandboxUnreachable, SandboxGone):
            endpoint = await self.start(sandbox)
            await self.wait_healthy(sandbox)
            return endpoint
        return None

    async def awake(self, sandbox: SandboxId) -> bool:
        if await self._provider.find(sandbox) is None:
            return False
        await self.wake(sandbox)
        return True

    async def save(self, sandbox: SandboxId, key: str, known: str) -> Saved:
        """1. Git writes bundle and patch beside the work tree. 2. They are fetched and kept. 3. They go from there."""
        git, agent = await self._on(sandbox), await self.reach(sandbox)
        out = f"{self._provider.repository_path(sandbox)}/.git/foundry-{key.rpartition('/')[2]}"
        saved = await saving.save(git, out, known)
        if saved.fingerprint == known:
            return saved
        try:
            if saved.size > BUNDLE_LIMIT:
                size = f"{saved.size / 1024 / 1024:.0f} MiB"
                raise CheckpointTooLarge(
                    f"the work takes {size}; a checkpoint holds {BUNDLE_LIMIT // 1024 // 1024} MiB"
                )
            async with self._carrying:
                for name in ("bundle", "patch.gz"):
                    await self._blobs.write(f"{key}/{name}", await agent.files.read(f"{out}.{name}"))
        finally:
            for name in ("bundle", "patch.gz"):
                await agent.files.delete(f"{out}.{name}")
        return saved

    async def restore(
        self,
        sandbox: SandboxId,
        key: str,
        saved: Saved,
        *,
        branch: str,
        base: str,
        keep_newer: bool,
        spare: Sequence[str] = (),
    ) -> str:
        """1. The bundle goes beside the work tree, in parts that sandbox-agent takes. 2. Git brings the work back."""
        git, agent = await self._on(sandbox), await self.reach(sandbox)
        out = f"{self._provider.repository_path(sandbox)}/.git/foundry-restore-{key.rpartition('/')[2]}"
        async with self._carrying:
            content = await self._blobs.read(f"{key}/bundle")
            if content is None:
                raise CheckpointMissing("the checkpoint's content is no longer kept")
            for number, start in enumerate(range(0, len(content), UPLOAD)):
                await agent.files.write(f"{out}.part-{number:04}", content[start : start + UPLOAD])
        return await saving.restore(
            git, out, saved, branch=branch, base_branch=base, keep_newer=keep_newer, spare=spare
        )

    async def forget(self, prefix: str, keep: list[str]) -> None:
        """Delete everything saved under keys with this prefix, except these keys."""
        for found in await self._blobs.keys(prefix):
            if found.rpartition("/")[0] not in keep:
                await self._blobs.delete(found)

    # for the agents' door

    async def reach(self, sandbox: SandboxId) -> SandboxAgent:
        """The long-lived client of a sandbox's sandbox-agent.

        Raises:
            SandboxGone: the sandbox was never started, or no longer exists.
        """
        if sandbox not in self._clients:
            endpoint = await self._endpoint(sandbox)
            if endpoint is None:
                raise SandboxGone(f"sandbox {sandbox} has not been started")
            if sandbox not in self._clients:  # else somebody else was faster
                self._clients[sandbox] = endpoint, self._client(sandbox, endpoint)
        return self._clients[sandbox][1]

    async def started(self, sandbox: SandboxId) -> SandboxAgent:
        """Return the client like `reach`, but first start the sandbox if it was stopped between two steps.

        A recorded step does not run again. After a reboot in the middle, nothing else would start the sandbox. If an
        earlier step did so and Foundry restarted since, the sandbox runs at another address than the recorded one.
        """
        found = await self._provider.find(sandbox)
        if found is not None:
            known = self._clients.get(sandbox)
            endpoint = known[0] if known else await self._endpoint(sandbox)
            moved = None not in (found.endpoint, endpoint) and found.endpoint != endpoint
            if moved or found.state is ProviderState.STOPPED:
                await self.start(sandbox)
        return await self.reach(sandbox)

    async def stopped(self, sandbox: SandboxId) -> bool:
        """True if the provider says that the sandbox is stopped; False also if it does not answer."""
        try:
            found = await self._provider.find(sandbox)
        except FoundryError:
            return False
        return found is not None and found.state is ProviderState.STOPPED

    async def directory(self, sandbox: SandboxId) -> str:
        """Where the repository is cloned, as agents see it."""
        return self._provider.repository_path(sandbox)

    async def close(self) -> None:
        """Close every connection; the sandboxes go on."""
        for sandbox in list(self._clients):
            await self._forget(sandbox)

    # plumbing

    def _client(self, sandbox: SandboxId, endpoint: Endpoint) -> SandboxAgent:
        return SandboxAgent(endpoint.url, self.token(sandbox), headers=endpoint.headers)

    async def _forget(self, sandbox: SandboxId) -> None:
        known = self._clients.pop(sandbox, None)
        if known is not None:
            await known[1].close()

    async def _on(self, sandbox: SandboxId) -> Git:
        agent = await self.reach(sandbox)

        async def run(argv: Sequence[str], *, cwd: str | None, env: Mapping[str, str], timeout: float) -> ProcessResult:
            command, *arguments = argv
            return await agent.processes.run(command, arguments, env=env, cwd=cwd, timeout=timeout, output_limit=OUTPUT)

        return Git(run, self._provider.repository_path(sandbox), git=self._git)
