"""What a World's doors lead to: nothing, or an outside that does what a test tells it.

The stand-in GitHub is in `tests/actors/github_stage.py`, the agents of one session in `tests/world/agents.py`.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from foundry.contracts.errors import Unavailable
from foundry.contracts.ids import SandboxId
from foundry.contracts.people import Person
from foundry.contracts.repository import RepositoryRef
from foundry.contracts.sandbox_instance import Compared, Made
from foundry.contracts.sandbox_provider import Endpoint, Room
from foundry.contracts.session_stream import AgentSession, StreamItem
from foundry.contracts.task import PullRequestRef, WorkTree
from foundry.contracts.task_checkpoints import Saved


class Refuses:
    """A door that leads nowhere."""

    def __getattr__(self, name: str) -> Any:
        async def refuse(*_: object, **__: object) -> None:
            raise Unavailable(f"this test has nothing outside that could do {name}")

        return refuse


class Outside:
    """No outside. Workflows are started and none runs: a test ends what the engine would end."""

    engine = False  # workflows and workers
    reconciles = False  # what there is outside is compared with what is recorded, again and again

    def __init__(self) -> None:
        self.github: Any = Refuses()
        self.sandboxes: Any = Refuses()
        self.agents: Any = Refuses()

    def starts_in(self, world: Any) -> None:
        """The world is about to start; whoever needs its runtime makes the doors now."""

    @property
    def held(self) -> int:
        """How many workflows wait for the test."""
        return 0

    def on_its_way(self) -> list[str]:
        """What is on its way in."""
        return []

    def let_go(self) -> None:
        """Let go of everything that waits: the world ends."""


class Scripted(Outside):
    """Every door at once; `fail` and `hold` say what goes wrong at which call, `done` counts them."""

    engine = reconciles = True

    def __init__(self) -> None:
        self.github = self.sandboxes = self.agents = self
        self.waiting = 0  # calls that wait at `hold`
        self.done: Counter[str] = Counter()
        self.fail: dict[str, list[Exception]] = {}
        self.holds: dict[str, asyncio.Event] = {}
        self.work = WorkTree()
        self.alive = True
        self.gone: list[SandboxId] = []  # that the provider has lost
        self.orphan: list[SandboxId] = []  # that it has besides
        self.strange: list[str] = []  # agents that run besides the sessions' own
        self.closed: list[str] = []  # agents that were ended
        self.sizes: dict[SandboxId, int] = {}  # bytes
        self.left: Room | None = None
        self.saved = Saved(
            fingerprint="f1", branch="fix", head="c1", work="w1", base="b0", commits=1, changed=1, size=9
        )
        self.kept: dict[str, Saved] = {}
        self.restored: list[tuple[str, str, str]] = []
        self.branches = ["main"]
        self.heads_there: dict[str, str] = {}  # on GitHub, of branches that were pushed
        self.prompts: list[tuple[str, str]] = []  # JSON-RPC id, text
        self.streams: dict[str, asyncio.Queue[StreamItem]] = {}
        self.numbers: Counter[str] = Counter()

    def hold(self, what: str) -> asyncio.Event:
        self.holds[what] = asyncio.Event()
        return self.holds[what]

    @property
    def held(self) -> int:
        return self.waiting

    def on_its_way(self) -> list[str]:
        return [f"{server} says something" for server, queue in self.streams.items() if not queue.empty()]

    def let_go(self) -> None:
        for event in self.holds.values():
            event.set()

    async def _do(self, what: str) -> None:
        self.done[what] += 1
        if self.fail.get(what):
            raise self.fail[what].pop(0)
        if what in self.holds:
            self.waiting += 1
            try:
                await self.holds[what].wait()
            finally:
                self.waiting -= 1

    # GitHub

    async def branch_names(self, repository: RepositoryRef) -> list[str]:
        await self._do("branch_names")
        return self.branches

    async def repository(self, repository: RepositoryRef) -> RepositoryRef:
        return repository

    @asynccontextmanager
    async def credential(self, repository: RepositoryRef, *, write: bool) -> AsyncIterator[str]:
        yield "token"

    async def require_push(self, repository: RepositoryRef, person: Person) -> None:
        await self._do("require_push")

    async def open_pull_request(self, repository: RepositoryRef, **_: Any) -> PullRequestRef:
        await self._do("open_pull_request")
        return PullRequestRef(number=7, state="open", url="http://x/pull/7")

    async def heads(self, repository: RepositoryRef, names: list[str]) -> dict[str, str]:
        await self._do("heads")
        return {name: head for name, head in self.heads_there.items() if name in names}

    async def open_pull_requests(self, repository: RepositoryRef) -> list[int]:
        await self._do("open_pull_requests")
        return [7]

    # sandboxes

    async def create(self, sandbox: SandboxId, agents: list[str]) -> Made:
        await self._do("create")
        return Made(provider="test")

    async def start(self, sandbox: SandboxId) -> Endpoint:
        await self._do("start")
        return Endpoint(url="http://127.0.0.1:9")

    async def wait_healthy(self, sandbox: SandboxId) -> None:
        await self._do("wait_healthy")

    async def exists(self, sandbox: SandboxId) -> bool:
        return self.done["start"] > 0

    async def compare(self, recorded: list[SandboxId]) -> Compared:
        self.done["compare"] += 1
        gone = [one for one in recorded if one in self.gone]
        return Compared(missing=gone, unknown=[one for one in self.orphan if one not in recorded])

    async def usage(self, sandbox: SandboxId) -> int | None:
        self.done["usage"] += 1
        return self.sizes.get(sandbox)

    async def room(self) -> Room | None:
        return self.left

    async def stop(self, sandbox: SandboxId) -> None:
        await self._do("stop")

    async def delete(self, sandbox: SandboxId) -> None:
        await self._do("delete")
        self.orphan = [one for one in self.orphan if one != sandbox]

    async def log(self, sandbox: SandboxId) -> str:
        return "the log"

    async def install_agent(self, sandbox: SandboxId, agent: str) -> None:
        await self._do("install_agent")

    async def clone(self, sandbox: SandboxId, repository: RepositoryRef, **_: Any) -> str:
        await self._do("clone")
        return "0" * 40

    async def wake(self, sandbox: SandboxId) -> Endpoint | None:
        await self._do("wake")
        return None

    async def awake(self, sandbox: SandboxId) -> bool:
        await self._do("awake")
        return self.alive

    async def save(self, sandbox: SandboxId, key: str, known: str) -> Saved:
        await self._do("save")
        if self.saved.fingerprint != known:
            self.kept[key] = self.saved
        return self.saved

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
        await self._do("restore")
        self.restored.append((sandbox, key, branch))
        return saved.head

    async def forget(self, prefix: str, keep: list[str]) -> None:
        await self._do("forget")
        self.kept = {key: saved for key, saved in self.kept.items() if not key.startswith(prefix) or key in keep}

    async def work_tree(self, sandbox: SandboxId, base: str) -> WorkTree:
        await self._do("work_tree")
        return self.work

    async def push(self, sandbox: SandboxId, repository: RepositoryRef, *, branch: str, token: str) -> str:
        await self._do("push")
        self.heads_there[branch] = "1" * 40
        return "1" * 40

    async def fetch(
        self, sandbox: SandboxId, repository: RepositoryRef, *, branch: str, base: str, token: str
    ) -> str | None:
        """The work tree shows it from then on."""
        await self._do("fetch")
        head = self.heads_there.get(branch)
        behind = 0 if head in (None, self.work.head) else 1
        self.work = self.work.model_copy(update={"upstream": head or "", "behind": behind})
        return head

    async def forward(self, sandbox: SandboxId, branch: str) -> int:
        await self._do("forward")
        if self.work.changed_files or self.work.unpushed or not self.work.behind:
            return 0
        self.work = self.work.model_copy(update={"head": self.work.upstream, "behind": 0})
        return 1

    # agents

    async def open(
        self, sandbox: SandboxId, server_id: str, agent: str, *, earlier: AgentSession | None, load: bool = False
    ) -> AgentSession:
        await self._do("open")
        self.streams[server_id] = asyncio.Queue()
        return AgentSession(server_id=server_id, agent_session_id=f"agent-{server_id}")

    async def prompt(self, sandbox: SandboxId, session: AgentSession, rpc_id: str, text: str) -> None:
        await self._do("prompt")
        self.prompts.append((session.server_id, rpc_id))

    async def cancel(self, sandbox: SandboxId, session: AgentSession) -> None:
        await self._do("cancel")

    async def answer(self, sandbox: SandboxId, session: AgentSession, rpc_id: str, option: str | None) -> None:
        await self._do("answer")

    async def stream(self, sandbox: SandboxId, server_id: str, after: int) -> AsyncIterator[StreamItem]:
        queue = self.streams[server_id]
        while True:
            yield await queue.get()

    async def record(self, sandbox: SandboxId, server_id: str) -> None: ...

    async def recorded(self, sandbox: SandboxId, server_id: str, after: int) -> AsyncIterator[StreamItem]:
        for item in ():
            yield item

    async def servers(self, sandbox: SandboxId) -> list[str]:
        return [*self.streams, *self.strange]

    async def end(self, sandbox: SandboxId, server_id: str) -> None: ...

    async def close(self, sandbox: SandboxId, server_id: str) -> None:
        self.closed.append(server_id)
        self.strange = [one for one in self.strange if one != server_id]

    def says(self, server_id: str, message: dict[str, Any]) -> None:
        """Put one JSON-RPC message on a server's stream."""
        self.numbers[server_id] += 1
        item = StreamItem(event_id=self.numbers[server_id], message={"jsonrpc": "2.0", **message})
        self.streams[server_id].put_nowait(item)

    def end_turn(self) -> None:
        """The agent ends the oldest prompt it has."""
        server_id, rpc_id = self.prompts.pop(0)
        self.says(server_id, {"id": rpc_id, "result": {"stopReason": "end_turn"}})
