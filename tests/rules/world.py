"""All actors on a real runtime, with an outside that does what a test tells it: for the rules of the tree."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from foundry.app import house
from foundry.contracts import addresses
from foundry.contracts.app_shell import OpenAppShell
from foundry.contracts.ids import (
    MessageId,
    OrganizationId,
    RepositoryId,
    SandboxId,
    SessionId,
    TaskId,
    UserId,
    new_id,
)
from foundry.contracts.messages import Birth, Message, ScopeId
from foundry.contracts.people import Person
from foundry.contracts.repository import RepositoryRef
from foundry.contracts.sandbox_instance import Compared, Made
from foundry.contracts.sandbox_provider import Endpoint, Room
from foundry.contracts.session_stream import AgentSession, StreamItem
from foundry.contracts.task import CreateTask, PullRequestRef, TaskView, WorkTree
from foundry.contracts.task_checkpoints import CheckpointView, Saved
from foundry.contracts.task_session import SendMessage, SessionView
from foundry.runtime.actor import Actor, creates
from foundry.runtime.runtime import House, Runtime
from foundry.runtime.store.migrate import engine_of, open_store
from foundry.runtime.store.tables import metadata
from foundry.runtime.turn import Turn
from tests.waiting import eventually

ORGANIZATION = OrganizationId("2001")
REPOSITORY = RepositoryRef(
    id=RepositoryId("4001"), organization=ORGANIZATION, owner="lumen-works", name="tally", clone_url="http://x/y.git"
)
ADA = Person(id=UserId("1001"), login="ada", name="Ada Byron")


class Plant(Message, Birth):
    """Creates what GitHub would have announced."""


class Outside:
    """Every door at once; `fail` and `hold` say what goes wrong at which call, `done` counts them."""

    def __init__(self) -> None:
        self.github = self.sandboxes = self.agents = self
        self.done: Counter[str] = Counter()
        self.fail: dict[str, list[Exception]] = {}
        self.held: dict[str, asyncio.Event] = {}
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
        self.held[what] = asyncio.Event()
        return self.held[what]

    async def _do(self, what: str) -> None:
        self.done[what] += 1
        if self.fail.get(what):
            raise self.fail[what].pop(0)
        if what in self.held:
            await self.held[what].wait()

    # GitHub

    async def branch_names(self, repository: RepositoryRef) -> list[str]:
        await self._do("branch_names")
        return self.branches

    async def repository(self, repository: RepositoryRef) -> RepositoryRef:
        return repository

    @asynccontextmanager
    async def credential(self, repository: RepositoryRef, *, write: bool) -> AsyncIterator[str]:
        yield "token"

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


class World:
    """One organization with one repository, and Ada who works there."""

    def __init__(self, runtime: Runtime, outside: Outside) -> None:
        self.runtime, self.outside = runtime, outside

    async def create(self, prompt: str = "Do it", **wish: Any) -> TaskId:
        """Open a task as the edge does."""
        task = TaskId(new_id("tsk"))
        given = {
            "id": task, "session": SessionId(new_id("ses")), "sandbox": SandboxId(new_id("sbx")),
            "repository": REPOSITORY, "prompt": prompt, "agent": "mock", "person": ADA,
            "parent": addresses.repository(REPOSITORY.id), "scope": ScopeId(ORGANIZATION),
        }  # fmt: skip
        await self.runtime.ask(addresses.task(task), CreateTask(**{**given, **wish}))
        return task

    async def task(self, task: TaskId) -> TaskView:
        from foundry.actors.task.views import task_view

        return await self.runtime.read(task_view, task)

    async def checkpoints(self, task: TaskId) -> list[CheckpointView]:
        """The latest first."""
        from foundry.actors.task.views import checkpoint_list

        return await self.runtime.read(checkpoint_list, task)

    async def session(self, session: SessionId) -> SessionView:
        from foundry.actors.task_session.views import session_view

        return await self.runtime.read(session_view, session)

    async def until(self, task: TaskId, holds: Any, limit: float = 15.0) -> TaskView:
        """The task once `holds` is true of it."""
        return await eventually(lambda: self.task(task), holds, limit=limit)

    async def send(self, session: SessionId, text: str) -> SessionView:
        message = SendMessage(id=MessageId(new_id("msg")), text=text, person=ADA)
        return await self.runtime.ask(addresses.session(session), message)


class _Ground(Actor):
    """Lets a test put actors in place that GitHub's sync would have made."""

    @creates(Plant)
    def plant(self, turn: Turn, message: Plant) -> None:
        from foundry.contracts.organization import OrganizationSeen
        from foundry.contracts.repository import RepositorySeen

        turn.send(
            addresses.organization(ORGANIZATION),
            OrganizationSeen(scope=ScopeId(ORGANIZATION), id=ORGANIZATION, login="lumen-works"),
        )
        turn.send(
            addresses.repository(REPOSITORY.id),
            RepositorySeen(
                parent=addresses.organization(ORGANIZATION), scope=ScopeId(ORGANIZATION), repository=REPOSITORY
            ),
        )


@asynccontextmanager
async def world(
    url: str, outside: Outside | None = None, idle: timedelta | None = None, **more: Any
) -> AsyncIterator[World]:
    """The tree, running; sandboxes rest when nobody used them for `idle`. `more` is for the house."""
    from foundry.contracts.messages import Address

    engine = engine_of(url)
    metadata.create_all(engine)
    engine.dispose()
    whole = house(idle=idle, reconcile=0.1, **more)
    declared = House((*whole.actors, _Ground()), whole.coordinator, whole.workflows, whole.workers)
    outside = outside or Outside()
    runtime = Runtime(declared, open_store(url), workflow_url=url.replace("foundry.db", "workflows.db"))
    await runtime.start(outside)  # type: ignore[arg-type]
    try:
        await runtime.ask(addresses.app_shell(), OpenAppShell())
        await runtime.ask(Address("_Ground", "x"), Plant())  # type: ignore[arg-type]
        await eventually(lambda: runtime.read(lambda r: r.exists(addresses.repository(REPOSITORY.id))))
        yield World(runtime, outside)
    finally:
        for event in outside.held.values():
            event.set()
        await runtime.stop()
